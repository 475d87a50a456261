"""The plan: what one run is about to write, and what became of it.

It also has what the run carries along of those before it. Pure.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from functools import cache
from typing import Any, NamedTuple

from lib.distribution import Assignment
from lib.jsontext import json_object, quoted
from lib.passed import Passed, json_passed
from lib.rows import Read, iso
from lib.turns import Credit, Turn, Waits


class Outcome(NamedTuple):
    """What became of one planned row."""

    status: str
    """`assigned` (of an undo: `undone`, of a take-back: `taken_back`), `failed` (refused),
    `unknown` (sent, no clear answer), `not_attempted`."""
    assigned_at: str | None = None
    error: str | None = None


NOT_ATTEMPTED = Outcome("not_attempted")
Outcomes = dict[str, Outcome]
"""By row id."""


class Carried(NamedTuple):
    """A row that an earlier plan gave to somebody."""

    row_id: str
    reviewers: tuple[str, ...]
    planned_at: datetime
    """When that plan was made; of a row that was taken back, when that was."""
    run_id: str = ""
    """Whose plan it was; empty: it was written by a version that did not say."""
    confirmed: bool = False
    """It is certain that the row took it."""
    freed: bool = False
    """It was taken back since, and is not sent again."""

    @property
    def stands(self) -> bool:
        """The row is certainly theirs, as far as we had to do with it."""
        return self.confirmed and not self.freed

    @property
    def in_doubt(self) -> bool:
        """Nothing says yet what became of it."""
        return not (self.confirmed or self.freed)


class Spared(Enum):
    """Why an undo or a take-back does not write to rows that are meant.

    The value is the words for it.
    """

    TAKEN = "rows are left alone: a later run has planned them, and they are its own now"
    UNWRITTEN = (
        "rows were not written yet: nothing is taken off them, and they are not given out for that "
        "run any more"
    )
    RECENT = "rows were planned in the last two hours and are left alone"
    SHARED = "rows are with several people and are left alone"
    MOVED = (
        "rows have lain as long with a second person; days alone does not move them again, such as"
    )


@dataclass(frozen=True)
class Plan:
    """What one run is about to write."""

    project_id: str
    tag: str
    window: Mapping[str, str]
    created_at: datetime
    queue: str = ""
    """Whose plan it is; empty: there are no queues."""
    assignments: list[Assignment] = field(default_factory=list)
    """In the order of sending."""
    repeated: int = 0
    """How many of them, the first ones, were planned before and still read as unassigned."""
    carried: list[Carried] = field(default_factory=list)
    previous: str | None = None
    """Key of the plan before it; None: it is the first, or of a version that did not say."""
    turns: Sequence[Turn] = ()
    """Why everybody got what they got. Documented in docs/design.md."""
    unknown: Sequence[str] = ()
    """Entries of the reviewers list that stand for nobody."""
    waiting: Mapping[Waits, int] = field(default_factory=dict)
    """Why rows wait, and how many."""
    fewer: int = 0
    """Rows that get fewer people than REVIEWERS_PER_ROW says."""
    rest_until: datetime | None = None
    """When it will be certain what became of all that may have been written."""
    credit: Credit = field(default_factory=dict)
    """What everybody is owed after this plan."""
    reading: Sequence[Read] = ()
    """What is known of each way of reading rows."""
    passed: Sequence[Passed] = ()
    """Who does not get which row again."""
    undoes: str = ""
    """The run that an undo takes back."""
    takes_back: Mapping[str, str | int | None] = field(default_factory=dict)
    """What a take-back means: `reviewer` (an id) and `days`, null where it is not given. An
    ordinary run has neither, and frees nothing."""
    freed: list[Assignment] = field(default_factory=list)
    """To be taken off."""
    spared: Mapping[Spared, Sequence[str]] = field(default_factory=dict)
    """Rows that are not taken off, by why."""
    run_id: str = ""

    @property
    def span(self) -> timedelta:
        """How long its window is."""
        start, end = (datetime.fromisoformat(self.window[bound]) for bound in ("from", "to"))
        return end - start

    @property
    def seen_at(self) -> datetime:
        """Its window's upper bound: which day it is for everybody, however long the run takes."""
        end = self.window.get("to")
        return datetime.fromisoformat(end) if end else self.created_at

    @property
    def moves(self) -> bool:
        """Rows change hands by it, whether or not all of them are written to."""
        return bool(self.assignments or self.freed or self.spared.get(Spared.UNWRITTEN))

    def to_json(self, run_id: str) -> Iterator[str]:
        """The audit's object, in pieces."""
        head: dict[str, object] = {
            "run_id": run_id,
            "created_at": iso(self.created_at),
            "project_id": self.project_id,
            "tag": self.tag,
            "window": dict(self.window),
            "previous": self.previous,
            "credit": self.credit,
            "reading": [json_read(read) for read in self.reading],
            "repeated": self.repeated,
            **({"queue": self.queue} if self.queue else {}),
            "reviewers": [turn.to_json() for turn in self.turns]
            + [
                {"entry": entry, "given": 0, "reason": "unknown to the organisation"}
                for entry in self.unknown
            ],
            "waiting": {why.value: count for why, count in self.waiting.items()},
        }
        freed: dict[str, Iterable[str]] = {}
        for name, what in {"undoes": self.undoes, "takes_back": self.takes_back}.items():
            if what:
                head[name] = what
                freed = {"freed": json_assignments(self.freed)}
        return json_object(
            head,
            freed
            | {
                "assignments": json_assignments(self.assignments),
                "carried": json_carried(self.carried),
                "passed": json_passed(self.passed),
            },
        )

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "Plan":
        """Read what `to_json` wrote, of this version or before.

        Raises KeyError, TypeError, ValueError or AttributeError for anything else.
        """
        return cls(
            project_id=stored["project_id"],
            tag=stored["tag"],
            window=stored["window"],
            created_at=datetime.fromisoformat(stored["created_at"]),
            queue=stored.get("queue", ""),
            assignments=[
                Assignment(item["row_id"], who) for item, who in _rows(stored["assignments"])
            ],
            repeated=stored.get("repeated", 0),
            carried=[
                Carried(
                    item["row_id"],
                    who,
                    datetime.fromisoformat(item["planned_at"]),
                    item.get("run_id", ""),
                    item.get("confirmed", False),
                    item.get("freed", False),
                )
                for item, who in _rows(stored["carried"])
            ],
            previous=stored.get("previous"),
            credit=stored.get("credit", {}),
            reading=[
                Read(
                    item["query"],
                    datetime.fromisoformat(item["full_at"]),
                    item["days"],
                    item["proved_at"] and datetime.fromisoformat(item["proved_at"]),
                )
                for item in stored.get("reading", [])
            ],
            passed=[Passed.from_json(item) for item in stored.get("passed", [])],
            undoes=stored.get("undoes", ""),
            takes_back=stored.get("takes_back", {}),
            freed=[Assignment(item["row_id"], who) for item, who in _rows(stored.get("freed", []))],
            run_id=stored["run_id"],
        )


def json_assignments(assignments: Iterable[Assignment]) -> Iterator[str]:
    """`{"row_id", "reviewer_id"}` for each row and reviewer.

    What they say of a reviewer is written out once.
    """
    tail = cache(lambda reviewer: f', "reviewer_id": {quoted(reviewer)}}}')
    for row_id, reviewers in assignments:
        for reviewer in reviewers:
            yield f'{{"row_id": {quoted(row_id)}{tail(reviewer)}'


def json_read(read: Read) -> dict[str, object]:
    """An entry of `reading`."""
    return {
        "query": read.query,
        "full_at": iso(read.full_at),
        "days": read.days,
        "proved_at": read.proved_at and iso(read.proved_at),
    }


def json_carried(carried: Iterable[Carried]) -> Iterator[str]:
    """An object for each row and reviewer."""
    for entry in carried:
        facts: dict[str, object] = {"planned_at": iso(entry.planned_at), "run_id": entry.run_id}
        facts |= {"confirmed": entry.confirmed, "freed": entry.freed}
        for reviewer in entry.reviewers:
            yield json.dumps({"row_id": entry.row_id, "reviewer_id": reviewer, **facts})


def _rows(items: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], tuple[str, ...]]]:
    """Entries by row and reviewer as one a row: its first entry, and all its reviewers."""
    first: dict[str, dict[str, Any]] = {}
    people: dict[str, tuple[str, ...]] = {}
    alone = cache(lambda reviewer: (reviewer,))  # rows of the same person share one tuple
    for item in items:
        row_id, who = item["row_id"], alone(item["reviewer_id"])
        first.setdefault(row_id, item)
        people[row_id] = people[row_id] + who if row_id in people else who
    return ((item, people[row_id]) for row_id, item in first.items())
