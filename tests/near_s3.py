"""S3 without HTTP: what the function asks of its client, answered from moto's own store, for plays of many runs."""

from collections.abc import Iterator
from io import BytesIO
from typing import Any

from botocore.exceptions import ClientError
from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID


def objects(bucket: str) -> Any:
    """A mapping of keys to moto's objects; each has a `value`, an `etag` and `metadata`."""
    return _store().buckets[bucket].keys


def _store() -> Any:
    return get_backend("s3")[DEFAULT_ACCOUNT_ID]["aws"]


class NearS3:
    """In the place of boto3's client. Not for tests in which S3 refuses something."""

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803 - boto3's names
        found = self._found("GetObject", Bucket, Key)
        return {"Body": BytesIO(found.value), "ETag": found.etag}

    def head_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803 - the same
        return {"Metadata": dict(self._found("HeadObject", Bucket, Key).metadata)}

    def put_object(self, *, Bucket: str, Key: str, Body: Any, **others: Any) -> None:  # noqa: N803 - the same
        there, match = objects(Bucket).get(Key), others.get("IfMatch")
        if (there and "IfNoneMatch" in others) or (match and match != (there and there.etag)):
            raise ClientError({"Error": {"Code": "PreconditionFailed"}}, "PutObject")
        _store().put_object(Bucket, Key, Body.read()).set_metadata(others["Metadata"])

    def get_paginator(self, _: str) -> "NearS3":
        return self

    def paginate(self, *, Bucket: str, Prefix: str, StartAfter: str) -> Iterator[dict[str, Any]]:  # noqa: N803 - the same
        keys = (key for key in [*objects(Bucket)] if key.startswith(Prefix) and key > StartAfter)
        yield {"Contents": [{"Key": key} for key in sorted(keys)]}

    def _found(self, call: str, bucket: str, key: str) -> Any:
        found = objects(bucket).get(key)
        if found is None:
            raise ClientError({"Error": {"Code": "NoSuchKey"}}, call)
        return found
