"""What runs left in an audit, read back. What is read may be anybody's text."""

import json
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from ops.places import AT_ONCE, Place

MOST_RECORDS = 20_000  # of a project: more than two years of hourly runs
MOST_BYTES = 2**20  # of a record: one that is longer is not ours
MOST_LINES = 200_000  # of one run's assignments
MOST = 10**10  # of anything that is counted
RUN_ID = re.compile(r"(\d{8}T\d{6})Z-.+")
PLANNED = b', "assignments": ['
"""What follows a dry run's own fields; in a JSON text its quotes would have backslashes."""
PREVIOUS = re.compile(rb'[{,] ?"previous": "([^"\\]*)"')
"""What a plan says of the one before it, in its first lines; inside a JSON text the quotation marks
would differ, too."""
HEAD = 2**16  # bytes of a plan that are enough to find it


class Holding(NamedTuple):
    """What one person had when a run read everything."""

    person: str
    open: int
    reviewed: int
    oldest: timedelta | None
    """For how long the oldest open row has been there; None: nothing is open."""


@dataclass(frozen=True)
class Run:
    """One run's record, without the rows."""

    key: str
    run_id: str
    at: datetime
    kind: str
    """`run`, `dry run`, `undo` or `take-back`; what was dry is a `dry run`, whatever it was of."""
    status: str
    queue: str
    """Its name; empty: there are no queues."""
    tag: str
    counts: dict[str, int]
    """fetched, unassigned, assigned, failed, deferred, undone, taken_back, unknown_reviewers; those
    that the record has."""
    per_reviewer: dict[str, int]
    read: str
    """`full` or `short`: whether `fetched` counts the whole window; empty: it is of a version that
    did not say."""
    people: tuple[Holding, ...]
    """Most open rows first; nothing unless it read everything."""
    oldest_waiting: timedelta
    spread: float
    warnings: tuple[str, ...]
    undoes: str
    takes_back: str
    """Of a take-back, which rows: `rows of <id>`, `rows that lay 3 days`."""
    taken_from: dict[str, int]
    until: str
    """The end of its window: when it began, to the millisecond; of an undo, when that began which
    it takes back."""
    previous: tuple[str, int]
    """The run before it that had a plan, and how many of that plan's rows it saw landed."""
    seconds: float

    @property
    def order(self) -> tuple[datetime, bool, str, str]:
        """Sorts runs by time.

        Ids tell whole seconds only; an undo comes after the other runs of its second.
        """
        return self.at, bool(self.undoes), self.until, self.run_id

    @property
    def left(self) -> int:
        """Rows that still had no reviewer when it ended, or were not taken back."""
        return self.counts.get("failed", 0) + self.counts.get("deferred", 0)


class Line(NamedTuple):
    """What became of one planned row."""

    row_id: str
    reviewer_id: str
    status: str
    error: str


class Records(NamedTuple):
    """What was found of one project's runs since a day."""

    runs: list[Run]
    """Oldest first."""
    unfinished: list[str]
    """Run ids of committed plans without a record: killed, or still going on."""
    unreadable: list[str]
    """Keys of records that make no sense."""
    cut: int = 0
    """How many older records were left out because there are too many."""


def projects(place: Place) -> list[str]:
    """The ids of the projects that the audit knows."""
    kinds = ("runs", "dry_runs", "plans")
    folders = [folder for kind in kinds for folder in place.folders(f"{kind}/")]
    return sorted({folder.rstrip("/").rpartition("project_id=")[2] for folder in folders})


def read_records(place: Place, project: str, since: datetime, most: int = MOST_RECORDS) -> Records:
    """The runs of a project since a day, dry ones and undos too; of more than `most` the newest."""
    recorded = keys_of(place, "runs", project, since)
    keys = sorted(recorded + keys_of(place, "dry_runs", project, since), key=name_of)
    first = max(0, len(keys) - most)
    while 0 < first < len(keys) and name_of(keys[first - 1])[:16] == name_of(keys[first])[:16]:
        first -= 1  # the ids do not tell which runs of one second are the newest
    with ThreadPoolExecutor(AT_ONCE) as pool:
        read = list(pool.map(lambda key: read_record(place, key), keys[first:]))
    return Records(
        sorted((run for run in read if isinstance(run, Run)), key=lambda run: run.order),
        [shown(run_id) for run_id in _unfinished(place, project, since, recorded)],
        [run for run in read if isinstance(run, str)],
        first,
    )


def newest_records(place: Place, project: str, count: int, now: datetime) -> Records:
    """The last runs, by days in growing steps: years of audit are not listed for ten runs."""
    records = Records([], [], [])
    for days in (1, 7, 60, 10_000):
        records = read_records(place, project, now - timedelta(days=days), count)
        if len(records.runs) + len(records.unreadable) >= count:
            break
    return records


def full_reads(runs: Sequence[Run]) -> list[Run]:
    """Of each tag and queue the newest of these runs (oldest first) that read everything."""
    return list({(run.queue, run.tag): run for run in runs if run.people}.values())


def read_lines(place: Place, run: Run) -> Iterator[Line]:
    """What became of a run's rows; nothing if that could not be recorded."""
    key = f"{run.key.replace('runs/', 'assignments/', 1)}l"
    try:
        for text in islice(place.lines(key), MOST_LINES):
            line = json.loads(text)
            yield Line(*(shown(line[field] or "") for field in Line._fields))
    except (BotoCoreError, ClientError, OSError, ValueError, KeyError, TypeError):
        return


def shown(value: object) -> str:
    """Text without what could act on a terminal or a page.

    That is control characters, writing direction, half characters.
    """
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in str(value)
    )


def _unfinished(place: Place, project: str, since: datetime, recorded: list[str]) -> list[str]:
    """Runs without a record whose plans are in the chain; a plan that lost the race is no run."""
    planned = keys_of(place, "plans", project, since - timedelta(days=1))  # ids tell the start only
    recorded_ids = {name_of(key) for key in recorded}
    first = f"{since:%Y%m%d}"
    without = {name for name in map(name_of, planned) if name >= first} - recorded_ids
    if not without:
        return []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        names = pool.map(lambda key: _previous(place, key), planned)
        previous = dict(zip(map(name_of, planned), names, strict=True))
    chain, run_id = list[str](), _latest(place, project)
    while run_id in previous:
        chain.append(run_id)
        run_id = previous.pop(run_id)  # whatever somebody wrote there, this comes to an end
    return [run_id for run_id in reversed(chain) if run_id in without]


def _latest(place: Place, project: str) -> str:
    """The run whose plan the ledger names; empty if there is none to be read."""
    try:
        ledger = json.loads(place.head(f"ledger/project_id={project}.json", MOST_BYTES))
        return name_of(str(ledger["plan"]))
    except (BotoCoreError, ClientError, OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""


def _previous(place: Place, key: str) -> str:
    """The run whose plan is the one before this; empty if it does not say."""
    match = PREVIOUS.search(place.head(key, HEAD))
    return name_of(match[1].decode("utf-8", "replace")) if match else ""


def keys_of(place: Place, kind: str, project: str, since: datetime) -> list[str]:
    """The keys of a project's objects of a kind, since a day."""
    base = f"{kind}/project_id={project}/"
    keys = place.keys(base, f"{base}date={since:%Y-%m-%d}/")
    return [key for key in keys if RUN_ID.fullmatch(name_of(key))]


def name_of(key: str) -> str:
    """The id of the run whose object it is."""
    return key.rpartition("/")[2].removesuffix(".json")


def read_record(place: Place, key: str) -> Run | str:
    """The record; its key if it makes no sense."""
    try:
        return _parse(key, place.head(key, MOST_BYTES))
    except (ValueError, TypeError, AttributeError, KeyError, OverflowError, RecursionError):
        return shown(key)


def _parse(key: str, text: bytes) -> Run:
    head, planned, _ = text.partition(PLANNED)
    record = json.loads(head + b"}" if planned else text)
    name = name_of(key)
    moment = RUN_ID.fullmatch(name)
    if moment is None:
        raise ValueError(name)
    previous = record.get("previous_plan") or {"run_id": "", "landed": 0}
    undoes = shown(record.get("undoes") or "")
    window = record.get("window")
    fields = (
        "fetched",
        "unassigned",
        "assigned",
        "failed",
        "deferred",
        "undone",
        "taken_back",
        "unknown_reviewers",
    )
    return Run(
        key=key,
        run_id=shown(name),
        at=datetime.strptime(moment[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC),
        kind=_kind(record),
        status=shown(record["status"]),
        queue=shown(record.get("queue") or ""),
        tag=shown(record["tag"]),
        counts={field: _count(record[field]) for field in fields if field in record},
        per_reviewer={
            shown(who): _count(rows) for who, rows in record.get("per_reviewer", {}).items()
        },
        read=shown(record.get("read", "")),
        people=_people(record.get("people", {})),
        oldest_waiting=timedelta(seconds=_count(record.get("oldest_waiting_seconds", 0))),
        spread=_number(record.get("spread", 0)),
        warnings=tuple(shown(warning) for warning in record["warnings"]),
        undoes=undoes,
        takes_back=_meant(record.get("takes_back") or {}),
        taken_from={shown(who): _count(rows) for who, rows in record.get("taken_from", {}).items()},
        until=shown(window.get("to", "")) if isinstance(window, dict) else "",
        previous=(shown(previous["run_id"]), _count(previous["landed"])),
        seconds=_number(record["duration_ms"]) / 1000,
    )


def _kind(record: dict[str, Any]) -> str:
    if record["dry_run"]:
        return "dry run"
    return "undo" if record.get("undoes") else "take-back" if record.get("takes_back") else "run"


def _meant(takes_back: dict[str, Any]) -> str:
    """What a take-back means, in words; empty for anything else."""
    if not takes_back:
        return ""
    whose, days = takes_back.get("reviewer"), takes_back.get("days")
    words = f" of {shown(whose)}" if whose else ""
    return f"rows{words}" + (f" that lay {_count(days)} days" if days else "")


def _people(told: dict[str, dict[str, float | None]]) -> tuple[Holding, ...]:
    people = [
        Holding(
            shown(who),
            _count(rows["open"] or 0),
            _count(rows["reviewed"] or 0),
            None
            if (hours := rows["oldest_open_hours"]) is None
            else timedelta(hours=_number(hours)),
        )
        for who, rows in told.items()
    ]
    return tuple(sorted(people, key=lambda has: (-has.open, has.person)))


def _number(value: float) -> float:
    if not 0 <= value <= MOST:  # neither is NaN
        raise ValueError(value)
    return float(value)


def _count(value: float) -> int:
    return int(_number(value))
