"""The digest: one message for the team.

It is no run: nothing is planned, and nothing is written but the message.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from lib.load import Invocation, Job, find_roster
from lib.message import UNSEEN_ROWS, Heading, labels_of, message
from lib.people import people_of
from lib.reading import fetch_all_logs
from lib.result import Result
from lib.roster import Roster, unknown_words
from lib.rows import Fetched, Row
from lib.turns import open_rows

LONGEST_POST = 60.0  # seconds, for the message and its one repetition


@dataclass(frozen=True)
class Look:
    """What there is of one tag, or of one queue."""

    job: Job
    fetched: Fetched
    roster: Roster
    heading: Heading
    seconds: float
    """That it took to see it."""


def look_at(job: Job) -> Look:
    """Read everything. Raises QueryError, ConfigurationError."""
    try:
        fetched = fetch_all_logs(job.client, job.settings, job.window, job.fetching)
        roster = find_roster(job)
    finally:
        job.client.close()
    heading = heading_of(job.settings.queue or job.settings.tag, fetched.rows)
    return Look(job, fetched, roster, heading, time.monotonic() - job.began)


def post_digest(invocation: Invocation, looks: Mapping[str, Look]) -> Result:
    """Tell the team who has how many open rows, and return what came of it.

    `looks`: by queue, without those that could not be read. Names are in the message only; what
    comes back, and what a dry run says, has ids in their place. Raises DigestError.
    """
    views = list(looks.values())
    headings = [
        looks[run.queue].heading if run.queue in looks else Heading(run.queue, None)
        for run in invocation.runs
    ]
    people = open_rows(different_rows(views), ())
    notes = [] if all(look.fetched.complete for look in views) else [UNSEEN_ROWS]
    status, more = "nothing_to_post", {}
    if all(run.dry_run for run in invocation.runs):
        status, more = "dry_run", {"text": message(headings, people, {}, notes)}
    elif invocation.webhook and any(look.heading.open or look.heading.waiting for look in views):
        labels = labels_of(people, views[0].job.directory.users() or [])
        deadline = invocation.deadline.within(LONGEST_POST)
        invocation.webhook.post(message(headings, people, labels, notes), deadline)
        status = "posted"
    results = {name: result_of(look, status) for name, look in looks.items()}
    if invocation.by_queue:
        return {"status": status, "queues": results, **more}
    return next(iter(results.values())) | more


def different_rows(looks: Iterable[Look]) -> Iterator[Row]:
    """All rows, each once, however many queues see it: as it was seen last."""
    rows = {
        (look.job.settings.project_id, row.id): row for look in looks for row in look.fetched.rows
    }
    return iter(rows.values())


def heading_of(name: str, rows: Iterable[Row]) -> Heading:
    """How many of the rows are open, and how many wait for a reviewer."""
    rows = list(rows)
    return Heading(name, sum(row.is_open for row in rows), sum(row.needs_reviewer for row in rows))


def result_of(look: Look, status: str) -> Result:
    """What comes back: of a run's fields those that a message has, and `open`."""
    job, fetched, roster, heading = look.job, look.fetched, look.roster, look.heading
    settings = job.settings
    nobody = {unknown_words(label) for label in roster.unknown}  # may hold an address
    return {
        "run_id": job.audit.run_id,
        "status": status,
        **({"queue": settings.queue} if settings.queue else {}),
        "dry_run": settings.dry_run,
        "project_id": settings.project_id,
        "tag": settings.tag,
        "window": job.window.to_json(),
        "read": "full",
        "fetched": len(fetched.rows),
        **fetched.already(heading.waiting),
        "unassigned": heading.waiting,
        "open": heading.open,
        "complete": fetched.complete,
        "duration_ms": round(look.seconds * 1000),
        "audit": {},
        "warnings": [
            *fetched.warnings,
            *(warning for warning in roster.warnings if warning not in nobody),
            *job.directory.warnings,
        ],
        **people_of(fetched, roster, job.window),
    }
