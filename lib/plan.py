"""The plan: what one run is about to write, what it carries along of those before it, and what became of it. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

from lib.jsontext import json_object, quoted
from lib.rows import iso
from lib.turns import Credit, Turn, Waits

CARRY = timedelta(hours=2)
"""How long a planned row keeps its reviewer whatever a read says: a run ends within 15 minutes of its plan,
so this outlasts reads that are more than an hour and a half stale."""


class Assignment(NamedTuple):
    """A row and the people it is given to, or taken from."""

    row_id: str
    reviewers: tuple[str, ...]


class Outcome(NamedTuple):
    """What became of one planned row."""

    status: str
    """`assigned` (of an undo: `undone`), `failed` (refused), `unknown` (sent, no clear answer), `not_attempted`."""
    assigned_at: str | None = None
    error: str | None = None


NOT_ATTEMPTED = Outcome("not_attempted")
Outcomes = dict[str, Outcome]
"""By row id."""


class Carried(NamedTuple):
    """A row that an earlier plan gave to somebody, and when that plan was made."""

    row_id: str
    reviewers: tuple[str, ...]
    planned_at: datetime
    tag: str


@dataclass(frozen=True)
class Plan:
    """What one run is about to write."""

    project_id: str
    tag: str
    window: Mapping[str, str]
    created_at: datetime
    queue: str = ""
    assignments: list[Assignment] = field(default_factory=list)
    """In the order of sending."""
    repeated: int = 0
    """How many of them, the first ones, were planned before and still read as unassigned."""
    carried: list[Carried] = field(default_factory=list)
    turns: Sequence[Turn] = ()
    """Why everybody got what they got. Documented in docs/design.md."""
    unknown: Sequence[str] = ()
    """Entries of the reviewers list that stand for nobody."""
    waiting: Mapping[Waits, int] = field(default_factory=dict)
    """Why rows wait, and how many."""
    credit: Credit = field(default_factory=dict)
    """What everybody is owed after this plan."""
    undoes: str = ""
    """The run that this one takes back; empty for an ordinary run, which frees nothing."""
    freed: list[Assignment] = field(default_factory=list)
    """To be taken back, no longer carried."""
    run_id: str = ""

    def carry(self, now: datetime) -> dict[str, Carried]:
        """What a plan made at `now` has to carry along: the rows planned in the two hours before."""
        made = (Carried(*planned, self.created_at, self.tag) for planned in self.assignments)
        every = (*self.carried, *made)
        return {entry.row_id: entry for entry in every if now - entry.planned_at <= CARRY}

    def to_json(self, run_id: str) -> Iterator[str]:
        """The audit's object, in pieces."""
        head: dict[str, object] = {
            "run_id": run_id,
            "created_at": iso(self.created_at),
            "project_id": self.project_id,
            "tag": self.tag,
            "window": dict(self.window),
            "repeated": self.repeated,
            "reviewers": [turn.to_json() for turn in self.turns]
            + [
                {"entry": entry, "given": 0, "reason": "unknown to the organisation"}
                for entry in self.unknown
            ],
            "waiting": {why.value: count for why, count in self.waiting.items()},
            "credit": self.credit,
        }
        freed: dict[str, Iterable[str]] = {}
        if self.undoes:
            head["undoes"] = self.undoes
            freed = {"freed": json_assignments(self.freed)}
        carried = (
            quoted(
                {"row_id": entry.row_id, "reviewer_id": who, "planned_at": iso(entry.planned_at)}
                | ({} if entry.tag == self.tag else {"tag": entry.tag})
            )
            for entry in self.carried
            for who in entry.reviewers
        )
        return json_object(
            head, freed | {"assignments": json_assignments(self.assignments), "carried": carried}
        )

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "Plan":
        """Read what `to_json` wrote. Raises KeyError, TypeError or ValueError for anything else."""
        return cls(
            project_id=stored["project_id"],
            tag=stored["tag"],
            window=stored["window"],
            created_at=datetime.fromisoformat(stored["created_at"]),
            assignments=[
                Assignment(item["row_id"], who) for item, who in _rows(stored["assignments"])
            ],
            repeated=stored.get("repeated", 0),
            carried=[
                Carried(
                    item["row_id"],
                    who,
                    datetime.fromisoformat(item["planned_at"]),
                    item.get("tag", stored["tag"]),
                )
                for item, who in _rows(stored["carried"])
            ],
            credit=stored.get("credit", {}),
            run_id=stored["run_id"],
        )


def json_assignments(assignments: Iterable[Assignment]) -> Iterator[str]:
    """`{"row_id", "reviewer_id"}` for each row and reviewer; what they say of a reviewer is written out once."""
    tail = cache(lambda reviewer: f', "reviewer_id": {quoted(reviewer)}}}')
    for row_id, reviewers in assignments:
        for reviewer in reviewers:
            yield f'{{"row_id": {quoted(row_id)}{tail(reviewer)}'


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
