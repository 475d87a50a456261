"""What the chain of plans knows of rows that were planned in the last two hours. Pure.

A row found here keeps the people it was planned for. Where its write was confirmed it counts as assigned, whatever a
read shows; where it may have landed, or land yet, it rests; otherwise it goes to the same people again.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum

from lib.plan import Carried, Plan
from lib.rows import Row

CARRY = timedelta(hours=2)
"""How long a planned row is remembered. docs/design.md says why so long."""
REST = timedelta(minutes=45)
"""How long what may have landed is left alone: 15 minutes that a run can last, 15 for a request that is still
under way, 15 that a read may lag."""


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

    def recent(self, now: datetime) -> Iterator[Carried]:
        """What a plan made at `now` has to carry along."""
        return (entry for entry in self.entries.values() if now - entry.planned_at <= CARRY)

    def standing(self, row_id: str, now: datetime) -> Standing:
        """What a run at `now` does with the row, if it reads as unassigned."""
        entry = self.entries.get(row_id)
        if entry is None or now - entry.planned_at > CARRY:
            return Standing.NEW
        if entry.confirmed and not entry.freed:
            return Standing.HELD
        if now - entry.planned_at <= REST and (entry.freed or row_id not in self.refused):
            return Standing.RESTS
        return Standing.NEW if entry.freed else Standing.AGAIN

    def amended(self, rows: Iterable[Row], now: datetime) -> list[Row]:
        """The rows as they are: one whose assignment is confirmed has its reviewers, also where a read lags."""
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
