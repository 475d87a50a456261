"""The audit in S3: plans that are never overwritten, the ledger that commits them, records of what was done."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache
from itertools import chain, count, islice
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, NamedTuple
from uuid import uuid4

from botocore.exceptions import BotoCoreError, ClientError

from lib.errors import AuditError
from lib.jsontext import json_array, json_object, quoted
from lib.plan import CARRY, Assignment, Outcomes, Plan, json_assignments
from lib.result import Result
from lib.rows import iso
from lib.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

LOST = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412", "409"})
MISSING = frozenset({"NoSuchKey", "404"})
ONE_EACH = frozenset({"plans", "runs", "dry_runs"})  # kinds of which a run id names one object
IN_MEMORY = 2**20  # bytes of an object before it goes to a temporary file


class Ledger(NamedTuple):
    """The latest committed plan, and the version of the ledger object that named it."""

    plan: Plan | None = None
    etag: str | None = None


class Audit:
    """One run's objects under the bucket's prefix. Every write is create-only, but for the ledger's."""

    def __init__(
        self, s3: "S3Client", settings: Settings, started: datetime, request_id: str
    ) -> None:
        self._s3 = s3
        self._bucket = settings.audit_bucket
        self._prefix = settings.audit_prefix
        self._project = settings.project_id
        self._started = started
        self._base = f"{started:%Y%m%dT%H%M%SZ}-{request_id}"
        self.run_id = self._base
        self.written: dict[str, str] = {}
        """The result's `audit`: what was written, as s3:// addresses."""

    def read_ledger(self) -> Ledger:
        """The ledger and its plan. Raises AuditError if either is there and cannot be read."""
        key = f"{self._prefix}ledger/project_id={self._project}.json"
        found = self._get(key)
        if found is None:
            return Ledger()
        body, etag = found
        try:
            entry = json.loads(body)
            plan_key = entry["plan"]
            stored = self._get(plan_key)
            if (
                stored is None
                and self._started - datetime.fromisoformat(entry["committed_at"]) > CARRY
            ):
                return Ledger(etag=etag)  # cleaned up, and too old to matter
            if stored is None:
                raise ValueError(f"its plan {plan_key} is missing")  # noqa: TRY301 - one message for all of them
            return Ledger(Plan.from_json(json.loads(stored[0])), etag)
        except (KeyError, TypeError, ValueError) as error:
            raise AuditError(
                f"the ledger s3://{self._bucket}/{key} cannot be read ({error!r}): "
                "restore an earlier version of it (the bucket keeps them)"
            ) from error

    def read_plan(self, run_id: str) -> Plan | None:
        """The plan of an earlier run of this project; None if that run made none."""
        found = self._get(self._key_of(run_id, "plans", "json"))
        return Plan.from_json(json.loads(found[0])) if found else None

    def has_record(self, run_id: str) -> bool:
        """Whether that run came to its end."""
        return self._mark(self._key_of(run_id, "runs", "json")) is not None

    def commit(self, plan: Plan, ledger: Ledger) -> bool:
        """Write the plan, then point the ledger at it; False if another run did so since `ledger` was read.

        Raises AuditError if S3 refuses either write for another reason. Nothing may be assigned before True.
        """
        key = self._create("plans", plan.to_json)
        entry = {"run_id": self.run_id, "plan": key, "committed_at": iso(plan.created_at)}
        condition = {"IfMatch": ledger.etag} if ledger.etag else {"IfNoneMatch": "*"}
        if not self._put(self._ledger_key, [json.dumps(entry) + "\n"], **condition):
            return False
        self.written["plan"] = self._address(key)
        return True

    def write_outcomes(self, changes: Sequence[Assignment], outcomes: Outcomes) -> None:
        """One line a planned row and person, and the ids of the rows that were assigned.

        Raises AuditError after trying both.
        """
        head = f'{{"run_id": {json.dumps(self.run_id)}, "row_id": '
        tail = cache(  # the same for every row of a person and a batch
            lambda who, what: (
                f', "reviewer_id": {json.dumps(who)}, {json.dumps(what._asdict())[1:]}\n'
            )
        )
        lines = (
            head + quoted(row_id) + tail(who, outcomes[row_id])
            for row_id, reviewers in changes
            for who in reviewers
        )
        ids = json_array(
            quoted(row_id) for row_id, what in outcomes.items() if what.status == "assigned"
        )
        problems = []
        for kind, suffix, pieces in (
            ("assignments", "jsonl", lines),
            ("to_assign_ids", "json", ids),
        ):
            key = self._key(kind, suffix)
            try:
                self._put(key, pieces)
                self.written[kind] = self._address(key)
            except AuditError as error:
                problems.append(str(error))
        if problems:
            raise AuditError("; ".join(problems))

    def write_result(
        self,
        result_of: Callable[[str, Mapping[str, str]], Result],
        planned: Sequence[Assignment] | None,
    ) -> Result:
        """The run's own record, under `runs`; with `planned`, a dry run's, under `dry_runs`. Returns the result.

        `result_of` builds it from the run's id, which is certain only now, and from what was written.
        """
        kind, name = ("runs", "run") if planned is None else ("dry_runs", "plan")
        results: list[Result] = []

        def pieces(run_id: str) -> Iterator[str]:
            written = self.written | {name: self._address(self._key(kind, "json"))}
            results.append(result_of(run_id, written))
            plan = {} if planned is None else {"assignments": json_assignments(planned)}
            return json_object(results[-1], plan)

        self._create(kind, pieces)
        return results[-1]

    def _create(self, kind: str, pieces: Callable[[str], Iterable[str]]) -> str:
        """Write an object that is never overwritten; where the run id is taken, it gets a suffix.

        Returns the key.
        """
        suffixed = (f"{self._base}-{number}" for number in count(2))
        for run_id in chain([self.run_id], suffixed):
            self.run_id = run_id
            # A run with a plan has its id for itself already: no other kind need be asked.
            others = () if "plan" in self.written else sorted(ONE_EACH - {kind})
            if any(self._mark(self._key(other, "json")) is not None for other in others):
                continue
            key = self._key(kind, "json")
            if self._put(key, pieces(self.run_id), IfNoneMatch="*"):
                return key
        raise AssertionError  # pragma: no cover - the suffixes never end

    @property
    def _ledger_key(self) -> str:
        return f"{self._prefix}ledger/project_id={self._project}.json"

    def _key(self, kind: str, suffix: str) -> str:
        return self._key_of(self.run_id, kind, suffix)

    def _key_of(self, run_id: str, kind: str, suffix: str) -> str:
        date = f"{run_id[:4]}-{run_id[4:6]}-{run_id[6:8]}"
        return f"{self._prefix}{kind}/project_id={self._project}/date={date}/{run_id}.{suffix}"

    def _address(self, key: str) -> str:
        return f"s3://{self._bucket}/{key}"

    def _get(self, key: str) -> tuple[bytes, str] | None:
        """An object and its ETag; None if there is none."""
        try:
            found = self._s3.get_object(Bucket=self._bucket, Key=key)
            return found["Body"].read(), found["ETag"]
        except (BotoCoreError, ClientError, OSError) as error:
            if _code(error) in MISSING:
                return None
            raise self._error("read", key, error) from error

    def _mark(self, key: str) -> str | None:
        """The mark that the writer of an object left on it; None if there is no object."""
        try:
            return self._s3.head_object(Bucket=self._bucket, Key=key)["Metadata"].get("write", "")
        except (BotoCoreError, ClientError) as error:
            if _code(error) in MISSING:
                return None
            raise self._error("read", key, error) from error

    def _put(self, key: str, pieces: Iterable[str], **conditions: str) -> bool:
        """Write an object; False if somebody else's write stands in the way of the conditions."""
        mark = (
            uuid4().hex
        )  # the SDK repeats a write whose answer was lost, and then meets its own object
        with SpooledTemporaryFile(IN_MEMORY) as body:
            pieces = iter(pieces)
            while some := "".join(
                islice(pieces, 1000)
            ):  # a write for each would cost more than its JSON
                body.write(some.encode())
            body.seek(0)
            try:
                self._s3.put_object(
                    Bucket=self._bucket,
                    Key=key,
                    Body=body,
                    ContentType="application/json",
                    Metadata={"write": mark},
                    **conditions,  # type: ignore[arg-type] # IfMatch or IfNoneMatch
                )
            except (BotoCoreError, ClientError) as error:
                if conditions and _code(error) in LOST:
                    return self._mark(key) == mark
                raise self._error("written", key, error) from error
        return True

    def _error(self, verb: str, key: str, error: Exception) -> AuditError:
        return AuditError(
            f"{self._address(key)} could not be {verb} ({_code(error) or type(error).__name__}): "
            f"check that AUDIT_BUCKET {self._bucket} exists and that the function may read and write it"
        )


def _code(error: Exception) -> str:
    return (
        str(error.response.get("Error", {}).get("Code", ""))
        if isinstance(error, ClientError)
        else ""
    )
