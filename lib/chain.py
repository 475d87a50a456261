"""The chain of plans: the one that the ledger names, the one before it, and so on.

Only what it holds happened.
"""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from lib.bucket import AuditBucket
from lib.errors import AuditError
from lib.past import CARRY, Past, planned_before
from lib.plan import Carried, Plan

DAMAGED = (KeyError, TypeError, ValueError, AttributeError)
"""What reading an object that was edited by hand, or cut short, can end in."""
CARRIES_NOTHING: dict[str, Any] = {"carried": [], "passed": [], "reading": []}
NEVER_LANDED = frozenset({"failed", "not_attempted"})


class Chain:
    """Reads the chain, and what the records of its runs confirm."""

    def __init__(self, bucket: AuditBucket, started: datetime) -> None:
        self._bucket = bucket
        self._started = started

    def read(self) -> Past:
        """The ledger, its plan, and what became of the rows of the last two hours.

        Raises AuditError if any of it is there and cannot be read.
        """
        answer = self._bucket.get(self._bucket.ledger)
        if answer is None:
            return Past()
        body, etag = answer
        try:
            entry = json.loads(body)
            key, age = (
                str(entry["plan"]),
                self._started - datetime.fromisoformat(entry["committed_at"]),
            )
            plan = self.plan_at(key)
            if plan is None and age > CARRY:
                return Past(key=key, etag=etag)  # cleaned up, and too old to matter
            if plan is None:
                raise ValueError(f"its plan {key} is missing")
        except DAMAGED as error:
            raise AuditError(
                f"the ledger {self._bucket.address(self._bucket.ledger)} cannot be read "
                f"({error!r}): restore an earlier version of it (the bucket keeps them)"
            ) from error
        return self._confirm(Past(plan, key, etag, planned_before(plan)))

    def plan_at(self, key: str, *, bare: bool = False) -> Plan | None:
        """A plan; None if there is none.

        `bare`: without what it carries along, which is most of it.

        Raises AuditError if it cannot be understood.
        """
        answer = self._bucket.get(key)
        try:
            if answer is None:
                return None
            stored = json.loads(answer[0])
            return Plan.from_json(stored | CARRIES_NOTHING if bare else stored)
        except DAMAGED as error:
            raise AuditError(
                f"the plan {self._bucket.address(key)} cannot be understood ({error!r}): "
                "restore an earlier version of it (the bucket keeps them)"
            ) from error

    def plan_of(self, run_id: str) -> Plan | None:
        """The plan of an earlier run of this project, of the chain or not; None if it made none."""
        return self.plan_at(self._bucket.key(run_id, "plans"))

    def has_record(self, run_id: str) -> bool:
        """Whether that run came to its end."""
        return self._bucket.mark(self._bucket.key(run_id, "runs")) is not None

    def planned_since(self, past: Past, target: Plan) -> set[str] | None:
        """The rows that plans of the chain after `target` planned; None if `target` is not in it.

        Where the chain breaks off (a plan of version 1, one that is gone, a ledger that was lost),
        what is older happened where its record is there.
        """
        rows, oldest, plan = set[str](), None, past.plan
        while plan is not None and plan.run_id != target.run_id:
            rows.update(row_id for row_id, _ in plan.assignments)
            oldest = plan
            plan = self.plan_at(plan.previous) if plan.previous else None
        if plan is None:
            older = oldest is None or target.created_at < oldest.created_at
            if not (older and self.has_record(target.run_id)):
                return None
        return rows

    def landed(self, run_id: str) -> set[str]:
        """The rows that a run certainly assigned, by either of its records."""
        record = self._record_of(run_id)
        return self._ids_of(run_id) | {
            row for row, status in record.items() if status == "assigned"
        }

    def _confirm(self, past: Past) -> Past:
        """The same, with what the records say of each run that rows are not confirmed of.

        Of each, not only of the last one's: a run that overlaps writes its records after the next
        plan.
        """
        entries, refused = dict(past.entries), set[str]()
        for run_id, doubtful in _by_run(past.recent(self._started)):
            landed = self._ids_of(run_id)
            if not landed.issuperset(doubtful):
                record = self._record_of(run_id)
                landed |= {row for row, status in record.items() if status == "assigned"}
                never = {row for row, status in record.items() if status in NEVER_LANDED}
                refused |= never.intersection(doubtful) - landed
            for row_id in landed.intersection(doubtful):
                entries[row_id] = entries[row_id]._replace(confirmed=True)
        return Past(past.plan, past.key, past.etag, entries, frozenset(refused))

    def _ids_of(self, run_id: str) -> set[str]:
        """The rows that a run says it assigned; nothing if it left no list."""
        body = self._read(run_id, "to_assign_ids")
        try:
            return set(json.loads(body)) if body else set()
        except DAMAGED as error:
            raise self._damaged(run_id, "to_assign_ids", error) from error

    def _record_of(self, run_id: str) -> dict[str, str]:
        """The status of each row in a run's record; nothing if it left none."""
        lines = self._read(run_id, "assignments").splitlines()
        try:
            return {line["row_id"]: line["status"] for line in map(json.loads, lines)}
        except DAMAGED as error:
            raise self._damaged(run_id, "assignments", error) from error

    def _read(self, run_id: str, kind: str) -> bytes:
        answer = self._bucket.get(self._bucket.key(run_id, kind))
        return answer[0] if answer else b""

    def _damaged(self, run_id: str, kind: str, error: Exception) -> AuditError:
        address = self._bucket.address(self._bucket.key(run_id, kind))
        return AuditError(
            f"{address} cannot be understood ({error!r}): restore an earlier version of it "
            "(the bucket keeps them), or delete it, and its rows rest for 45 minutes"
        )


def _by_run(entries: Iterable[Carried]) -> Iterator[tuple[str, set[str]]]:
    """The rows that are neither confirmed nor taken back, by the run that planned them last."""
    doubtful: dict[str, set[str]] = {}
    for entry in entries:
        if entry.run_id and entry.in_doubt:
            doubtful.setdefault(entry.run_id, set()).add(entry.row_id)
    return iter(doubtful.items())
