"""The third act of `make run`: several teams in one deployment, a queue per tag or language."""

import json
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from braintrust_api import Braintrust

from local.aws import QUEUES, LocalAws
from local.braintrust.server import LocalBraintrust
from local.demo.check import ASSIGNMENTS
from local.demo.hours import set_clock
from local.function import Function
from local.screen import Screen
from local.traffic import TAG, TEAM, Event, Traffic, send
from ops.table import Column

ARRIVALS = (31, 24, 0, 18, 27, 22)  # rows with the tag before each run
ANA, BEN, CHEN, DANA, EMIL = (person.email for person in TEAM)
GERMAN = "metadata.locale = 'de'"
QUEUE_LIST: tuple[dict[str, Any], ...] = (
    {"name": "billing", "tag": "billing", "reviewers": [ANA, BEN, CHEN]},
    {"name": "delivery", "tag": "delivery", "reviewers": [CHEN, DANA, EMIL]},
    {"name": "german", "tag": TAG, "filter": GERMAN, "reviewers": [BEN, EMIL]},
    {
        "name": "others",
        "tag": TAG,
        "filter": "metadata.locale IS NULL OR metadata.locale != 'de'",
        "reviewers": [ANA, CHEN, DANA],
    },
)


class Teams:
    """A project of its own, with rows that several queues ask for and some that say no language."""

    def __init__(
        self, braintrust: LocalBraintrust, aws: LocalAws, people: Mapping[str, str], log: Path
    ) -> None:
        self.braintrust = braintrust
        self.people = people
        self.project = braintrust.store.add_project("Teams")
        self.client = Braintrust(api_key=braintrust.api_key, base_url=braintrust.url)
        self.traffic = Traffic(3, list(people))
        aws.set_queues(json.dumps(QUEUE_LIST))
        variables = {
            name: value for name, value in aws.variables.items() if "REVIEWERS" not in name
        }
        self.function = Function(
            {
                "PROJECT_ID": self.project,
                "QUEUES_PARAMETER": QUEUES,
                "BRAINTRUST_API_URL": braintrust.url,
                **variables,
            },
            log,
        )
        self.results: list[dict[str, Any]] = []
        self.given: dict[str, Counter[str]] = {queue["name"]: Counter() for queue in QUEUE_LIST}
        """Rows given, by queue and user id."""
        self.emails = {
            who: user["email"] for user in braintrust.store.users for who in [user["id"]]
        }

    def live(self, number: int) -> None:
        """An hour's rows and the run after it."""
        now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        now -= timedelta(hours=len(ARRIVALS) - 1 - number)
        events = self.traffic.fresh(ARRIVALS[number], now - timedelta(hours=1), now)
        send(self.client, self.project, [spread_out(*each) for each in enumerate(events)])
        set_clock(self.braintrust, now)
        result = self.function.run_at(now)
        self.results.append(result)
        for name, own in result["queues"].items():
            self.given[name].update(own["per_reviewer"])


def spread_out(number: int, event: Event) -> Event:
    """Some rows have two queues' tags, and some do not say their language."""
    if "tags" not in event:
        return event
    tags = [*event["tags"], *(["billing", "delivery"] if number % 9 == 0 else [])]
    metadata = dict(event["metadata"])
    if number % 7 == 0:
        del metadata["locale"]
    return event | {"tags": sorted({*tags}), "metadata": metadata}


def home_of(row: Mapping[str, Any]) -> str:
    """The first queue that asks for a row; empty: none does."""
    tags, locale = row["tags"] or (), (row["metadata"] or {}).get("locale")
    if "billing" in tags:
        return "billing"
    if "delivery" in tags:
        return "delivery"
    return ("german" if locale == "de" else "others") if TAG in tags else ""


def play(
    screen: Screen, braintrust: LocalBraintrust, aws: LocalAws, people: Mapping[str, str], log: Path
) -> None:
    """`people`: names by user id."""
    teams = Teams(braintrust, aws, people, log)
    screen.head("3. Queues")
    screen.say("Several teams in one deployment. The queues parameter says:")
    for queue in QUEUE_LIST:
        screen.say("  " + json.dumps(queue), indent=6)
    screen.say()
    for number in screen.progress(range(len(ARRIVALS)), "Running the queues"):
        teams.live(number)
    show(screen, teams)
    show_checks(screen, teams)


def show(screen: Screen, teams: Teams) -> None:
    """Who got how much of each queue."""
    names = [queue["name"] for queue in QUEUE_LIST]
    rows = []
    for user_id, name in teams.people.items():
        listed = [teams.emails[user_id] in queue["reviewers"] for queue in QUEUE_LIST]
        cells = [
            teams.given[queue][user_id] if is_listed else "-"
            for queue, is_listed in zip(names, listed, strict=True)
        ]
        rows.append((name, *cells, sum(given[user_id] for given in teams.given.values())))
    screen.table(
        (
            Column("Rows given"),
            *(Column(name, number=True) for name in names),
            Column("Sum", number=True),
        ),
        rows,
    )


def show_checks(screen: Screen, teams: Teams) -> None:
    rows = teams.braintrust.store.rows(teams.project)
    lists = {queue["name"]: {*queue["reviewers"]} for queue in QUEUE_LIST}
    homes = {row["id"]: home_of(row) for row in rows}
    people = {
        row["id"]: [teams.emails[who] for who in (row["metadata"] or {}).get(ASSIGNMENTS, ())]
        for row in rows
    }
    asked_for = [row_id for row_id, home in homes.items() if home]
    screen.say()
    screen.check(
        f"{len(asked_for)} rows have one reviewer each, of the first queue that asks for them; the "
        f"other {len(rows) - len(asked_for)} none",
        ok=all(
            len(who) == bool(homes[row_id]) and {*who} <= lists.get(homes[row_id], set())
            for row_id, who in people.items()
        )
        and not teams.braintrust.store.contested(teams.project),
    )
    mute = sum(homes[row["id"]] == "others" and "locale" not in row["metadata"] for row in rows)
    screen.check(f"{mute} rows that say no language have their home with the others", ok=mute > 0)
    spans = [
        max(counts) - min(counts)
        for name, given in teams.given.items()
        for counts in [[given[who] for who, email in teams.emails.items() if email in lists[name]]]
    ]
    screen.check(
        "in each queue nobody has more than one row more than anybody else", ok=max(spans) <= 1
    )
