"""The audit's objects in S3: where they lie, and writes that know if another's is in the way."""

from collections.abc import Iterable
from datetime import date
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING
from uuid import uuid4

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
)

from lib.errors import AuditError
from lib.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NO_ANSWER = (ConnectTimeoutError, ReadTimeoutError, EndpointConnectionError)
LOST = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412", "409"})
MISSING = frozenset({"NoSuchKey", "404"})
IN_MEMORY = 2**20  # bytes of an object before it goes to a temporary file
SUFFIXES = {"assignments": "jsonl"}  # all other kinds are JSON


class AuditBucket:
    """One project's objects, under the prefix."""

    def __init__(self, s3: "S3Client", settings: Settings) -> None:
        self._s3 = s3
        self._name = settings.audit_bucket
        self._prefix = settings.audit_prefix
        self._project = settings.project_id
        self._hangs = False
        """It gave no answer: whoever asks again would wait as long, and a run has only so much time
        for its audit."""

    @property
    def ledger(self) -> str:
        """The ledger's key."""
        return f"{self._prefix}ledger/project_id={self._project}.json"

    def key(self, run_id: str, kind: str) -> str:
        """The key of a run's object of a kind."""
        date = f"{run_id[:4]}-{run_id[4:6]}-{run_id[6:8]}"
        suffix = SUFFIXES.get(kind, "json")
        return f"{self._prefix}{kind}/project_id={self._project}/date={date}/{run_id}.{suffix}"

    def address(self, key: str) -> str:
        """`s3://...`, as results and messages name an object."""
        return f"s3://{self._name}/{key}"

    def get(self, key: str) -> tuple[bytes, str] | None:
        """An object and its ETag; None if there is none. Raises AuditError if it cannot be read."""
        self._refuse_if_it_hangs("read", key)
        try:
            answer = self._s3.get_object(Bucket=self._name, Key=key)
            return answer["Body"].read(), answer["ETag"]
        except (BotoCoreError, ClientError, OSError) as error:
            if _code(error) in MISSING:
                return None
            raise self._error("read", key, error) from error

    def plans_since(self, day: date) -> list[str]:
        """The keys of plans from that date on, the newest first.

        Raises AuditError if they cannot be listed.
        """
        prefix = f"{self._prefix}plans/project_id={self._project}/"
        self._refuse_if_it_hangs("listed", prefix)
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._name, Prefix=prefix, StartAfter=f"{prefix}date={day}"
        )
        try:
            return [item["Key"] for page in pages for item in page.get("Contents", [])][::-1]
        except (BotoCoreError, ClientError) as error:
            raise self._error("listed", prefix, error) from error

    def mark(self, key: str) -> str | None:
        """The mark that the writer of an object left on it; None if there is no object."""
        self._refuse_if_it_hangs("read", key)
        try:
            answer = self._s3.head_object(Bucket=self._name, Key=key)
            return answer["Metadata"].get("write", "")
        except (BotoCoreError, ClientError) as error:
            if _code(error) in MISSING:
                return None
            raise self._error("read", key, error) from error

    def put(self, key: str, pieces: Iterable[str], **conditions: str) -> bool:
        """Write an object; False if somebody else's write stands in the way of the conditions.

        `conditions`: `IfMatch` or `IfNoneMatch`. Raises AuditError if it cannot be written.
        """
        self._refuse_if_it_hangs("written", key)
        mark = uuid4().hex  # the SDK repeats a write whose answer was lost, and then meets its own
        with SpooledTemporaryFile(IN_MEMORY) as body:
            for piece in pieces:
                body.write(piece.encode())
            body.seek(0)
            try:
                self._s3.put_object(
                    Bucket=self._name,
                    Key=key,
                    Body=body,
                    ContentType="application/json",
                    Metadata={"write": mark},
                    **conditions,  # type: ignore[arg-type] # IfMatch or IfNoneMatch
                )
            except (BotoCoreError, ClientError) as error:
                if conditions and _code(error) in LOST:
                    return self.mark(key) == mark
                raise self._error("written", key, error) from error
        return True

    def _refuse_if_it_hangs(self, verb: str, key: str) -> None:
        if self._hangs:
            raise AuditError(f"{self.address(key)} could not be {verb}: S3 did not answer before")

    def _error(self, verb: str, key: str, error: Exception) -> AuditError:
        self._hangs = self._hangs or isinstance(error, NO_ANSWER)
        return AuditError(
            f"{self.address(key)} could not be {verb} ({_code(error) or type(error).__name__}): "
            f"check that AUDIT_BUCKET {self._name} exists "
            "and that the function may read and write it"
        )


def _code(error: Exception) -> str:
    code = error.response.get("Error", {}).get("Code", "") if isinstance(error, ClientError) else ""
    return str(code)
