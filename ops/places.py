"""Where an audit lies: in a bucket, or in a folder with a copy of it."""

import argparse
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from ops.stack import NoStackError, outputs, reason

KINDS = ("runs", "dry_runs", "plans", "assignments")
AT_ONCE = 16  # objects that are fetched side by side


class AuditUnreadableError(Exception):
    """Raised when there is no audit at the address, or it may not be read."""


class NothingRecordedError(AuditUnreadableError):
    """Raised when the place is there and holds no audit."""


class Place(Protocol):
    """Where an audit lies. Keys are those under its prefix."""

    @property
    def address(self) -> str:
        """What a person calls it."""

    def folders(self, prefix: str) -> list[str]:
        """What lies under a prefix up to the next slash, such as `runs/`."""

    def keys(self, prefix: str, after: str) -> Iterator[str]:
        """The keys with this prefix that sort after another one, in order."""

    def head(self, key: str, most: int) -> bytes:
        """The first bytes of an object."""

    def lines(self, key: str) -> Iterator[bytes]:
        """The lines of an object, as they come in."""

    def below(self, prefix: str) -> "Place":
        """The same place, further down."""


@dataclass(frozen=True)
class Folder:
    """A folder on this machine."""

    root: Path

    @property
    def address(self) -> str:
        return str(self.root)

    def folders(self, prefix: str) -> list[str]:
        base = self.root / prefix
        if not base.is_dir():
            return []
        return sorted(f"{prefix}{path.name}/" for path in base.iterdir() if path.is_dir())

    def keys(self, prefix: str, after: str) -> Iterator[str]:
        files = (self.root / prefix).rglob("*.json*")
        keys = (file.relative_to(self.root).as_posix() for file in files)
        return iter(sorted(key for key in keys if key > after))

    def head(self, key: str, most: int) -> bytes:
        with (self.root / key).open("rb") as file:
            return file.read(most)

    def lines(self, key: str) -> Iterator[bytes]:
        with (self.root / key).open("rb") as file:
            yield from file

    def below(self, prefix: str) -> "Folder":
        return Folder(self.root / prefix)


@dataclass(frozen=True)
class Bucket:
    """A prefix of a bucket."""

    s3: Any
    bucket: str
    prefix: str

    @property
    def address(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"

    def folders(self, prefix: str) -> list[str]:
        return [
            item["Prefix"].removeprefix(self.prefix)
            for page in self._pages(prefix, Delimiter="/")
            for item in page.get("CommonPrefixes", [])
        ]

    def keys(self, prefix: str, after: str) -> Iterator[str]:
        for page in self._pages(prefix, StartAfter=self.prefix + after):
            for item in page.get("Contents", []):
                yield item["Key"].removeprefix(self.prefix)

    def head(self, key: str, most: int) -> bytes:
        answer = self.s3.get_object(
            Bucket=self.bucket, Key=self.prefix + key, Range=f"bytes=0-{most - 1}"
        )
        body: bytes = answer["Body"].read()
        return body

    def lines(self, key: str) -> Iterator[bytes]:
        answer = self.s3.get_object(Bucket=self.bucket, Key=self.prefix + key)
        lines: Iterator[bytes] = answer["Body"].iter_lines()
        yield from lines

    def below(self, prefix: str) -> "Bucket":
        return Bucket(self.s3, self.bucket, self.prefix + prefix)

    def _pages(self, prefix: str, **options: str) -> Iterator[dict[str, Any]]:
        pages = self.s3.get_paginator("list_objects_v2")
        yield from pages.paginate(Bucket=self.bucket, Prefix=self.prefix + prefix, **options)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How every program that reads an audit is told where it is."""
    parser.add_argument(
        "audit",
        nargs="?",
        help="s3://bucket/prefix, or a folder with a copy of it such as .local/audit",
    )

    parser.add_argument("--stack", help="without an address: the audit of this deployed stack")


def open_audit(address: str | None, stack: str | None = None) -> Place:
    """The audit at an address, without one that of a stack. Raises AuditUnreadableError."""
    if not (address or stack):
        raise AuditUnreadableError("say which audit: s3://bucket/prefix, a folder, or --stack NAME")
    try:
        return _root(_place(address or _address_of(str(stack))))
    except NoStackError as error:
        raise AuditUnreadableError(str(error)) from error
    except (BotoCoreError, ClientError, OSError) as error:
        raise AuditUnreadableError(
            f"the audit of {address or stack} cannot be read: {reason(error)}"
        ) from error


def _place(address: str) -> Place:
    if not address.startswith("s3://"):
        if not Path(address).is_dir():
            raise AuditUnreadableError(f"there is no folder {address}")
        return Folder(Path(address))
    bucket, _, prefix = address.removeprefix("s3://").partition("/")
    prefix = prefix.strip("/")
    local = os.environ.get("AWS_ENDPOINT_URL")
    client = boto3.client(
        "s3",
        endpoint_url=local,
        config=Config(
            max_pool_connections=AT_ONCE,
            retries={"mode": "standard", "total_max_attempts": 4},
            s3={"addressing_style": "path"} if local else None,
        ),
    )
    return Bucket(client, bucket, f"{prefix}/" if prefix else "")


def _root(place: Place) -> Place:
    """Where the kinds lie: here or up to two folders down, for an address without its prefix."""
    level = [place]
    for _ in range(3):
        for candidate in level:
            if any(f"{kind}/" in candidate.folders("") for kind in KINDS):
                return candidate
        level = [at.below(name) for at in level for name in islice(at.folders(""), 20)]
    raise NothingRecordedError(f"no run has been recorded yet in {place.address}")


def _address_of(stack: str) -> str:
    names = outputs(stack)
    try:
        return f"s3://{names['AuditBucketName']}/{names['AuditPrefix']}"
    except KeyError as error:
        raise AuditUnreadableError(
            f"the stack {stack} has no output {error}: is it a review assigner?"
        ) from error
