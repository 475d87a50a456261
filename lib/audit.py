"""The audit in S3: plans never overwritten, the ledger to commit them, records of what was done."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache

from lib.bucket import AuditBucket
from lib.distribution import Assignment
from lib.errors import AuditError
from lib.jsontext import in_pieces, json_array, json_object, quoted
from lib.past import Past
from lib.plan import Outcome, Outcomes, Plan, json_assignments
from lib.result import Result
from lib.rows import iso

ONE_EACH = frozenset({"plans", "runs", "dry_runs"})  # kinds of which a run id names one object
MOST_SUFFIXES = 20  # more invocations of one id within a second are no accident


class Audit:
    """What one run writes. Plans, and records of runs without one, never replace anything."""

    def __init__(self, bucket: AuditBucket, started: datetime, request_id: str) -> None:
        self._bucket = bucket
        self._base = f"{started:%Y%m%dT%H%M%SZ}-{request_id}"
        self.run_id = self._base
        self.written: dict[str, str] = {}
        """The result's `audit`: what was written, as s3:// addresses."""

    def commit(self, plan: Plan, past: Past) -> bool:
        """Write the plan, then point the ledger at it.

        False if another run did so since `past` was read. Raises AuditError if S3 refuses either
        write for another reason. Nothing may be assigned before True.
        """
        key = self._create("plans", plan.to_json)
        entry = {"run_id": self.run_id, "plan": key, "committed_at": iso(plan.created_at)}
        condition = {"IfMatch": past.etag} if past.etag else {"IfNoneMatch": "*"}
        if not self._bucket.put(self._bucket.ledger, [json.dumps(entry) + "\n"], **condition):
            return False
        self.written["plan"] = self._bucket.address(key)
        return True

    def write_outcomes(
        self, changes: Sequence[Assignment], outcomes: Outcomes, *, confirming: bool
    ) -> None:
        """One line a planned row and person; with `confirming`, the ids of assigned rows as well.

        Raises AuditError after trying both.
        """
        head = f'{{"run_id": {json.dumps(self.run_id)}, "row_id": '

        @cache  # the same for every row of a person and a batch
        def tail(who: str, what: Outcome) -> str:
            return f', "reviewer_id": {json.dumps(who)}, {json.dumps(what._asdict())[1:]}\n'

        lines = (
            head + quoted(row_id) + tail(who, outcomes[row_id])
            for row_id, reviewers in changes
            for who in reviewers
        )
        objects: dict[str, Iterable[str]] = {"assignments": in_pieces(lines)}
        if confirming:
            ids = (row_id for row_id, what in outcomes.items() if what.status == "assigned")
            objects["to_assign_ids"] = json_array(map(quoted, ids))
        problems = []
        for kind, pieces in objects.items():
            key = self._bucket.key(self.run_id, kind)
            try:
                self._bucket.put(key, pieces)
                self.written[kind] = self._bucket.address(key)
            except AuditError as error:
                problems.append(str(error))
        if problems:
            raise AuditError("; ".join(problems))

    def write_result(
        self,
        result_of: Callable[[str, Mapping[str, str]], Result],
        planned: Sequence[Assignment] | None,
    ) -> Result:
        """The run's own record, under `runs`; with `planned`, a dry run's, under `dry_runs`.

        Returns the result.

        `result_of` builds it from the run's id, which is certain only now, and from what was
        written.
        """
        kind, name = ("runs", "run") if planned is None else ("dry_runs", "plan")
        results: list[Result] = []

        def pieces(run_id: str) -> Iterator[str]:
            address = self._bucket.address(self._bucket.key(run_id, kind))
            results.append(result_of(run_id, self.written | {name: address}))
            plan = {} if planned is None else {"assignments": json_assignments(planned)}
            return json_object(results[-1], plan)

        if "plan" in self.written:  # the record goes by its plan's id, whoever has left one there
            self._bucket.put(self._bucket.key(self.run_id, kind), pieces(self.run_id))
        else:
            self._create(kind, pieces)
        return results[-1]

    def _create(self, kind: str, pieces: Callable[[str], Iterable[str]]) -> str:
        """Write an object that never replaces one; where the run id is taken, it gets a suffix.

        Returns the key. Raises AuditError.
        """
        suffixed = (f"{self._base}-{number}" for number in range(2, MOST_SUFFIXES))
        for run_id in (self._base, *suffixed):
            taken = (self._bucket.key(run_id, other) for other in sorted(ONE_EACH - {kind}))
            if any(self._bucket.mark(key) is not None for key in taken):
                continue
            self.run_id, key = run_id, self._bucket.key(run_id, kind)
            if self._bucket.put(key, pieces(run_id), IfNoneMatch="*"):
                return key
        raise AuditError(
            f"{self._bucket.address(self._bucket.key(self._base, kind))} and {MOST_SUFFIXES - 2} "
            "names after it are taken: find out what invokes the function so often"
        )
