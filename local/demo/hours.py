"""The first act of `make run`: a backlog, then a few hours with new rows.

Each is followed by a run of the function.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from braintrust_api import Braintrust

from local.aws import LocalAws
from local.braintrust.clock import Clock
from local.braintrust.server import LocalBraintrust
from local.demo.check import Row, needs_reviewer, wrong_rows
from local.function import Function
from local.screen import Screen
from local.traffic import TAG, Traffic, send
from ops.table import Column

BACKLOG = 3000  # questions, tagged and not
DAYS = 7
SCHEDULE = {"source": "aws.scheduler", "detail-type": "Scheduled Event", "detail": "{}"}


FIELDS = {
    "fetched": 3,
    "already_assigned": 2,
    "already_reviewed": 1,
    "unassigned": 0,
    "assigned": 0,
    "deferred": 0,
}
"""The result's counts that are shown, and in which order they go where a terminal is narrow (0:
never)."""


class Step(NamedTuple):
    """An hour: what came in during it, and how the function was called at its end.

    By hand, if it has a footnote.
    """

    hour: int
    new: int
    event: dict[str, Any] = SCHEDULE
    footnote: str = ""

    @property
    def called(self) -> str:
        return f"by hand{self.footnote}" if self.footnote else "schedule"


STEPS = (
    Step(0, 0, {"dry_run": True}, "*"),
    Step(0, 0),
    Step(1, 48),
    Step(2, 0),
    Step(3, 54, {"max_assignments": 30}, "**"),
    Step(4, 17),
    Step(5, 61),
)


class Ran(NamedTuple):
    """One run and what an independent look at the rows says of it."""

    step: Step
    at: datetime
    result: dict[str, Any]
    wrong: list[str]


def play(
    screen: Screen, braintrust: LocalBraintrust, aws: LocalAws, people: Mapping[str, str], log: Path
) -> list[str]:
    """The ids of the runs, in order. `people`: names by user id."""
    client = Braintrust(api_key=braintrust.api_key, base_url=braintrust.url)
    traffic = Traffic(1, list(people))
    function = Function(
        {
            "PROJECT_ID": braintrust.project_id,
            "TAG": TAG,
            "DAYS": str(DAYS),
            "BRAINTRUST_API_URL": braintrust.url,
            **aws.variables,
        },
        log,
    )
    screen.head("1. A few hours")
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(
        hours=STEPS[-1].hour
    )
    set_clock(braintrust, start)
    events = traffic.past(BACKLOG, start, days=9)
    for first in screen.progress(
        range(0, len(events), 250), "Logging nine days of a support assistant's rows"
    ):
        send(client, braintrust.project_id, events[first : first + 250])
    tagged = sum(TAG in event.get("tags", ()) for event in events)
    screen.say(
        f"{len(events):,} log rows are in, nine days of a shop's support assistant, sent through "
        "Braintrust's official client. "
        f'{tagged:,} carry the tag "{TAG}"; some of these people have dealt with, some are older '
        f"than {DAYS} days. Then come more, hour by hour, and the function runs:"
    )
    screen.say()
    ran = []
    rows = all_rows(braintrust)
    for step in screen.progress(STEPS, "Running the function"):
        at = start + timedelta(hours=step.hour)
        if step.hour:
            fresh = traffic.fresh(step.new, at - timedelta(hours=1), at)
            send(client, braintrust.project_id, fresh)
            rows |= {event["id"]: braintrust.store.row(event["id"]) or {} for event in fresh}
        set_clock(braintrust, at)
        before, result, rows = rows, function.run_at(at, step.event), all_rows(braintrust)
        ran.append(Ran(step, at, result, compare(step, result, before, rows, people)))
    show(screen, ran, people)
    show_checks(screen, braintrust, ran)
    return [run.result["run_id"] for run in ran]


def set_clock(braintrust: LocalBraintrust, moment: datetime) -> None:
    """Make it `moment` in the local Braintrust."""
    clock = braintrust.store.clock
    if isinstance(clock, Clock):
        clock.set(moment)


def all_rows(braintrust: LocalBraintrust) -> dict[str, Row]:
    """Every row of the project, as it stands in the store."""
    return {row["id"]: row for row in braintrust.store.rows()}


def compare(
    step: Step,
    result: dict[str, Any],
    before: dict[str, Row],
    after: dict[str, Row],
    people: Mapping[str, str],
) -> list[str]:
    """The ids of the rows that the run left otherwise than it must: see `wrong_rows`."""
    needy = [row for row in before.values() if needs_reviewer(row, TAG, result["window"]["from"])]
    needy.sort(key=lambda row: (row["created"], row["id"]))
    most = 0 if step.event.get("dry_run") else step.event.get("max_assignments")
    return wrong_rows(before, after, {row["id"] for row in needy[:most]}, people)


def show(screen: Screen, ran: list[Ran], people: Mapping[str, str]) -> None:
    screen.table(
        (
            *(Column("Hour"), Column("Called"), Column("Status"), Column("Read", drop=4)),
            *(Column(header(field), number=True, drop=drop) for field, drop in FIELDS.items()),
        ),
        (
            (
                f"{run.at:%H:%M}",
                run.step.called,
                run.result["status"],
                run.result["read"],
                *(run.result[field] for field in FIELDS),
            )
            for run in ran
        ),
    )
    for step in STEPS:
        if step.footnote:
            screen.say(f"{step.footnote:<3}with the event {json.dumps(step.event)}")
    screen.say()
    screen.say(
        "Rows each reviewer was given, run by run (the dry run only says what it would give):"
    )
    given: Counter[str] = Counter()
    for run in ran:
        given.update({} if run.result["dry_run"] else run.result["per_reviewer"])
    screen.table(
        ("Reviewer", *(f"{run.at:%H:%M}" + " dry" * run.result["dry_run"] for run in ran), "Given"),
        (
            (name, *(run.result["per_reviewer"][user_id] for run in ran), given[user_id])
            for user_id, name in people.items()
        ),
    )


def header(field: str) -> str:
    """A field's name over two lines, so that the table stays narrow."""
    broken = field.replace("_", "\n")
    for syllable in ("un", "de"):
        broken = re.sub(f"^{syllable}", f"{syllable}-\n", broken)
    return broken


def show_checks(screen: Screen, braintrust: LocalBraintrust, ran: list[Ran]) -> None:
    screen.say()
    rows = braintrust.store.rows()
    left = [row["id"] for row in rows if needs_reviewer(row, TAG, ran[-1].result["window"]["from"])]
    assigned = sum(run.result["assigned"] for run in ran)
    screen.check(
        f"after every run each of {len(rows):,} rows was compared with before: nothing else had "
        "changed",
        ok=not any(run.wrong for run in ran),
    )
    screen.check(
        f"all {assigned:,} rows that needed a reviewer have exactly one, none has ever had two",
        ok=not left and not braintrust.store.contested(),
    )
    spans = [
        max(run.result["per_reviewer"].values()) - min(run.result["per_reviewer"].values())
        for run in ran
    ]
    screen.check(
        "in each run nobody was given more than one row more than anybody else", ok=max(spans) <= 1
    )
