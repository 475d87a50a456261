"""The second act of `make run`: a week of runs.

In it somebody is away, somebody part-time, and somebody full, then ill.
"""

import json
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from braintrust_api import Braintrust

from local.aws import BUCKET, WEBHOOK, LocalAws
from local.braintrust.server import LocalBraintrust
from local.chat import Chat
from local.demo.check import ASSIGNMENTS, DEFAULT, LISTS
from local.demo.hours import set_clock
from local.function import Function
from local.screen import Screen
from local.traffic import TAG, TEAM, Traffic, send
from ops.table import Column

HOURS = range(9, 20, 2)  # of a day's runs: one every other hour is enough to see
ARRIVALS = (
    (9, 14, 21, 17, 12, 8),
    (11, 16, 9, 18, 13, 7),
    (12, 9, 23, 7, 14, 6),
    (8, 17, 12, 13, 16, 9),
    (13, 6, 9, 12, 7, 11),
    (3, 6, 2),
    (4, 1, 3),
)  # tagged rows before each run, Monday to Sunday
ANA, BEN, CHEN, DANA, EMIL = TEAM
HALF, CAP, PACE = 0.5, 30, 14  # Chen's weight; Dana's max_open, and how many rows she reviews a day
AWAY = range(2, 4)  # days that Ben is not there: Wednesday and Thursday
ILL_DAY, NIGHT = 4, 22  # on Friday night Dana falls ill, and what she has is handed over
HAND_OVER = {"take_back": {"reviewer": DANA.email}}
DIGEST_DAY = 4  # Friday, before people review


class Week:
    """One project of its own over a simulated week."""

    def __init__(
        self, braintrust: LocalBraintrust, aws: LocalAws, people: Mapping[str, str], log: Path
    ) -> None:
        self.braintrust = braintrust
        self.people = people
        self.project = braintrust.store.add_project("A week")
        self.client = Braintrust(api_key=braintrust.api_key, base_url=braintrust.url)
        self.traffic = Traffic(2, list(people))
        today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        self.monday = today - timedelta(days=7 + today.weekday())
        self.roster = [
            {"email": ANA.email},
            {
                "email": BEN.email,
                "away": [{"from": self.date(AWAY.start), "until": self.date(AWAY.stop)}],
            },
            {"email": CHEN.email, "weight": HALF},
            {
                "email": DANA.email,
                "max_open": CAP,
                "away": [{"from": self.date(ILL_DAY + 1), "until": self.date(ILL_DAY + 3)}],
            },
            {"email": EMIL.email},
        ]
        aws.set_reviewers(json.dumps(self.roster))
        self.function = Function(
            {
                "PROJECT_ID": self.project,
                "TAG": TAG,
                "BRAINTRUST_API_URL": braintrust.url,
                "WEBHOOK_PARAMETER": WEBHOOK,
                **aws.variables,
            },
            log,
        )
        self.given = [Counter[str]() for _ in ARRIVALS]
        """Rows given, by day and user id."""
        self.runs: list[dict[str, Any]] = []
        self.most_open: Counter[str] = Counter()
        self.open_at_digest: Counter[str] = Counter()
        """Rows by first name, as they stand in Braintrust when the digest is posted."""
        self.handed_over: dict[str, Any] = {}
        """What the take-back said."""

    def date(self, day: int) -> str:
        return f"{self.monday + timedelta(days=day):%Y-%m-%d}"

    def live(self, day: int) -> None:
        """One day: rows come in, the function runs, in the evening people review."""
        for hour, new in zip(HOURS, ARRIVALS[day], strict=False):
            now = self.monday + timedelta(days=day, hours=hour)
            events = self.traffic.fresh(new, now - timedelta(hours=HOURS.step), now)
            send(self.client, self.project, events)
            set_clock(self.braintrust, now)
            result = self.function.run_at(now)
            self.runs.append(result)
            self.given[day].update(result["per_reviewer"])
        if day == DIGEST_DAY:
            rows = self._open_rows().items()
            self.open_at_digest.update({self.people[who].split()[0]: len(ids) for who, ids in rows})
            self.function.run_at(now, {"digest": True})
        self._review()
        if day == ILL_DAY:
            now = self.monday + timedelta(days=day, hours=NIGHT)
            set_clock(self.braintrust, now)
            self.handed_over = self.function.run_at(now, HAND_OVER)

    def _open_rows(self) -> dict[str, list[str]]:
        """Rows by the user id of whoever has them."""
        mine: dict[str, list[str]] = {user_id: [] for user_id in self.people}
        for row in reversed(self.braintrust.store.rows(self.project)):
            metadata = row["metadata"]
            if metadata.get(LISTS, {}).get(DEFAULT, {}).get("status") == "PENDING":
                mine[metadata[ASSIGNMENTS][0]].append(row["id"])
        return mine

    def _review(self) -> None:
        """Everybody reviews what they have, but Dana has time for a few only."""
        for user_id, rows in self._open_rows().items():
            self.most_open[user_id] = max(self.most_open[user_id], len(rows))
            share = rows[:PACE] if self.people[user_id] == DANA.name else rows
            verdict = {LISTS: {DEFAULT: {"status": "APPROVED"}}}
            send(
                self.client,
                self.project,
                [{"id": row, "_is_merge": True, "metadata": verdict} for row in share],
            )

    @property
    def totals(self) -> Counter[str]:
        return sum(self.given, Counter())


def play(
    screen: Screen,
    braintrust: LocalBraintrust,
    aws: LocalAws,
    people: Mapping[str, str],
    log: Path,
    audit: Path,
) -> None:
    """`people`: names by user id; `audit`: where the copy of the bucket goes."""
    week = Week(braintrust, aws, people, log)
    screen.head("2. A week")
    screen.say(
        "The same five people on a simulated clock, a run every other hour. The reviewers "
        "parameter now says:"
    )
    for entry in week.roster:
        screen.say("  " + json.dumps(entry), indent=6)
    screen.say()
    with Chat() as chat:
        aws.set_webhook(chat.address)
        for day in screen.progress(range(len(ARRIVALS)), "Simulating a week"):
            week.live(day)
    show(screen, week)
    aws.copy_bucket(audit)
    show_why(screen, week, audit)
    show_digest(screen, chat)
    show_hand_over(screen, week)
    show_checks(screen, week)
    check_digest(screen, week, chat)


def show(screen: Screen, week: Week) -> None:
    notes = {
        BEN.name: "away Wed, Thu",
        CHEN.name: "weight 0.5",
        DANA.name: f"max_open {CAP}, reviews {PACE} a day, ill from Sat",
    }
    weights = {CHEN.name: HALF}
    days = [f"{week.monday + timedelta(days=day):%a}" for day in range(len(ARRIVALS))]
    table = []
    for user_id, name in week.people.items():
        by_day = [
            "-"
            if (name == BEN.name and day in AWAY) or (name == DANA.name and day > ILL_DAY)
            else week.given[day][user_id]
            for day in range(len(days))
        ]
        total = week.totals[user_id]
        table.append(
            (name, notes.get(name, ""), *by_day, total, f"{total / weights.get(name, 1):.0f}")
        )
    screen.table(
        (
            *(Column("Rows given"), Column("", wraps=True)),
            *(Column(day, number=True) for day in days),
            *(Column("Sum", number=True), Column("Per\nweight", number=True)),
        ),
        table,
    )


def show_why(screen: Screen, week: Week, audit: Path) -> None:
    """Why three of them got what they got in the plan of a run on the day that Ben left."""
    run = next(
        run
        for run in week.runs
        if f"{run['window']['to']:.10}" == week.date(AWAY.start) and run["assigned"]
    )
    plan = json.loads(
        (audit / run["audit"]["plan"].removeprefix(f"s3://{BUCKET}/")).read_text("utf-8")
    )
    screen.say()
    screen.say(
        f"Each plan says why everybody got what they got, that of {run['window']['to']:.16}Z for "
        "instance:"
    )
    for why in plan["reviewers"]:
        name = week.people[why["reviewer_id"]]
        screen.fact(
            name,
            f"{why['given']} given, {why['credit_before']:.2f} owed before, {why['open_before']} "
            f"open: {why['reason']}",
        )


def show_digest(screen: Screen, chat: Chat) -> None:
    screen.say()
    screen.say('On Friday evening the event {"digest": true} posted this to the team\'s chat:')
    for message in chat.messages:
        for line in message.splitlines():
            screen.say(f"  {line}")


def show_hand_over(screen: Screen, week: Week) -> None:
    moment = f"{week.date(ILL_DAY + 1)}T{HOURS.start:02}"
    run = next(run for run in week.runs if run["window"]["to"].startswith(moment))
    given = {week.people[who]: rows for who, rows in run["per_reviewer"].items() if rows}
    screen.say()
    screen.say(
        f"At night {DANA.given_name} fell ill. The event {json.dumps(HAND_OVER)} took back "
        f"{week.handed_over['taken_back']} rows; the next run gave them, and "
        f"{ARRIVALS[ILL_DAY + 1][0]} new ones, to "
        + ", ".join(f"{name} ({rows})" for name, rows in given.items())
        + "."
    )


def check_digest(screen: Screen, week: Week, chat: Chat) -> None:
    lines = [line.split(": ") for message in chat.messages for line in message.splitlines()[1:]]
    screen.check(
        "the digest came once, and says of everybody how many rows they have open",
        ok=len(chat.messages) == 1
        and {name: int(count) for name, count in lines} == dict(+week.open_at_digest),
    )


def show_checks(screen: Screen, week: Week) -> None:
    totals = {week.people[user_id]: count for user_id, count in week.totals.items()}
    all_week = [totals[ANA.name], totals[CHEN.name] / HALF, totals[EMIL.name]]
    spread = max(all_week) - min(all_week)
    ids = {name: user_id for user_id, name in week.people.items()}
    rows = week.braintrust.store.rows(week.project)
    tagged = [row for row in rows if TAG in (row["tags"] or [])]
    arrivals = [run["assigned"] for run in week.runs]
    handed = week.braintrust.store.contested(week.project).values()
    first = sum(-(-count // len(TEAM)) for count in arrivals)
    last = sum(count // len(TEAM) for count in arrivals)
    screen.say()
    screen.check(
        f"{len(tagged)} tagged rows have exactly one reviewer each, and the other "
        f"{len(rows) - len(tagged)} none",
        ok=all(len((row["metadata"] or {}).get(ASSIGNMENTS, ())) == (row in tagged) for row in rows)
        and all(one == () or other == () for held in handed for one, other in pairwise(held)),
    )
    screen.check(
        f"the {week.handed_over['taken_back']} rows that {DANA.given_name} had when she fell ill "
        "are with others, none came back",
        ok=len(handed) == week.handed_over["taken_back"] > 0
        and all(held[1] == (ids[DANA.name],) != held[-1] and len(held) == 4 for held in handed),
    )
    screen.check(
        f"{BEN.given_name} got nothing while away",
        ok=not any(week.given[day][ids[BEN.name]] for day in AWAY),
    )
    screen.check(
        f"{DANA.given_name} never had more than {CAP} rows open (most: "
        f"{week.most_open[ids[DANA.name]]})",
        ok=week.most_open[ids[DANA.name]] <= CAP,
    )
    screen.check(
        f"the three who could take rows all week are within {spread:.0f} of each other, per weight "
        f"(always dealing from the top of the list, as published, gives the first {first} rows and "
        f"the last {last})",
        ok=spread <= 1 / HALF,
    )
