"""What the chain of plans knows of rows that were planned in the last two hours. Pure.

A row found here keeps the people it was planned for. Where its write was confirmed it counts as
assigned, whatever a read shows; where it may have landed, or land yet, it rests; otherwise it goes
to the same people again.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum

from lib.passed import By, Passed, joined, passed_by
from lib.plan import Carried, Plan
from lib.rows import Read, Row
from lib.turns import Credit

CARRY = timedelta(hours=2)
"""How long a planned row is remembered. docs/design.md says why so long."""
REST = timedelta(minutes=45)
"""How long what may have landed is left alone: 15 minutes that a run can last, 15 for a request
that is still under way, 15 that a read may lag."""


FORGET = timedelta(days=14)
"""How long a way of reading that nobody asks for is remembered."""


class Standing(Enum):
    """What is to be done with a row that reads as if it needed a reviewer."""

    NEW = "deal it"
    HELD = "count it as assigned"
    RESTS = "leave it, until it is certain what became of it"
    AGAIN = "send it to the same people again"


@dataclass(frozen=True)
class Past:
    """What a run knows before it reads a row."""

    plan: Plan | None = None
    """The latest committed plan; None: there is none, or it is gone and too old to matter."""
    key: str | None = None
    """Where that plan lies; None: there never was one."""
    etag: str | None = None
    """The version of the ledger that named it."""
    entries: Mapping[str, Carried] = field(default_factory=dict)
    """By row id, with what the records of their runs confirm."""
    refused: frozenset[str] = frozenset()
    """Rows that never landed, by the record of the run that planned them last."""

    left: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Rows that nobody has any more, and whoever took themself off them, as far as that is
    known."""

    def passed(self, now: datetime) -> list[Passed]:
        """Who does not get which row again, for a plan made at `now` to carry along."""
        return [each for each in self.plan.passed if now < each.until] if self.plan else []

    def barred(self, listed: Collection[str], now: datetime) -> Mapping[str, frozenset[str]]:
        """Who of those on the list does not get which row, unless everybody on it has passed it."""
        passed = [(each.row_id, each.reviewer_id) for each in self.passed(now)]
        passed += [(row_id, who) for row_id, people in self.left.items() for who in people]
        return passed_by(passed, listed)

    def passed_after(self, draft: Plan, dealt: Iterable[str]) -> list[Passed]:
        """The same once `draft` has dealt rows: those who left them are known from then on."""
        now = draft.created_at
        left = (
            Passed(row_id, who, now, By.LEFT, now + draft.span)
            for row_id in dealt
            for who in self.left.get(row_id, ())
        )
        return joined(self.passed(now), left)

    @property
    def credit(self) -> Credit:
        """What everybody is owed."""
        return self.plan.credit if self.plan else {}

    @property
    def reading(self) -> dict[str, Read]:
        """What is known of each way of reading."""
        return {read.query: read for read in self.plan.reading} if self.plan else {}

    def recent(self, now: datetime) -> Iterator[Carried]:
        """What a plan made at `now` has to carry along."""
        return (entry for entry in self.entries.values() if now - entry.planned_at <= CARRY)

    def remembered(self, now: datetime) -> dict[str, Carried]:
        """The same, by row id."""
        return {entry.row_id: entry for entry in self.recent(now)}

    def perhaps_left(self, rows: Iterable[Row], now: datetime) -> list[Row]:
        """Those of the rows that are to be dealt, and that somebody had."""
        had = (row for row in rows if row.emptied or row.id in self.entries)
        return [
            row for row in had if row.needs_reviewer and self.standing(row.id, now) is Standing.NEW
        ]

    def standing(self, row_id: str, now: datetime) -> Standing:
        """What a run at `now` does with the row, if it reads as unassigned."""
        entry = self.entries.get(row_id)
        if entry is None or now - entry.planned_at > CARRY:
            return Standing.NEW
        if entry.stands:
            return Standing.HELD
        if now - entry.planned_at <= REST and (entry.freed or row_id not in self.refused):
            return Standing.RESTS
        return Standing.NEW if entry.freed else Standing.AGAIN

    def amended(self, rows: Iterable[Row], now: datetime) -> list[Row]:
        """The rows as they are.

        One whose assignment is confirmed has its reviewers, also where a read lags.
        """
        if not self.entries:
            return list(rows)
        return [
            row._replace(reviewers=self.entries[row.id].reviewers)
            if row.needs_reviewer and self.standing(row.id, now) is Standing.HELD
            else row
            for row in rows
        ]


def planned_before(plan: Plan) -> dict[str, Carried]:
    """What a plan leaves behind: what it carried, and what it planned itself."""
    made = (
        Carried(row_id, reviewers, plan.created_at, plan.run_id)
        for row_id, reviewers in plan.assignments
    )
    return {entry.row_id: entry for entry in (*plan.carried, *made)}


def freeing(draft: Plan, past: Past) -> Plan:
    """The draft of a plan that takes rows off people, with what it carries along whatever they are.

    Freed rows have empty lists, so that the next read of each kind is a full one.
    """
    return replace(
        draft,
        previous=past.key,
        credit=past.credit,
        reading=[read._replace(days=0) for read in past.reading.values()],
        passed=past.passed(draft.created_at),
    )


def settled(past: Past, read: Read | None, now: datetime) -> list[Read]:
    """What is known of each way of reading, with what this run has learnt.

    What nobody asks for any more is dropped.
    """
    known = past.reading | ({read.query: read} if read else {})
    return [each for each in known.values() if now - each.full_at <= FORGET]
