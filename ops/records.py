"""The audit, read back from its bucket or from a folder with a copy of it. What is read may be anybody's text."""

import argparse
import json
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from ops.stacks import NoStackError, outputs, reason

KINDS = ("runs", "dry_runs", "plans", "assignments")
AT_ONCE = 16  # objects that are fetched side by side
MOST_RECORDS = 20_000  # of a project: more than two years of hourly runs
MOST_BYTES = 2**20  # of a record: one that is longer is not ours
MOST_LINES = 200_000  # of one run's assignments
MOST = 10**10  # of anything that is counted
RUN_ID = re.compile(r"(\d{8}T\d{6})Z-.+")
PLANNED = b', "assignments": ['
"""What follows a dry run's own fields; inside a JSON text the quotation marks would have backslashes."""


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
        return (
            sorted(f"{prefix}{path.name}/" for path in base.iterdir() if path.is_dir())
            if base.is_dir()
            else []
        )

    def keys(self, prefix: str, after: str) -> Iterator[str]:
        found = (
            path.relative_to(self.root).as_posix() for path in (self.root / prefix).rglob("*.json*")
        )
        return iter(sorted(key for key in found if key > after))

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
        found = self._pages(prefix, Delimiter="/")
        return [
            item["Prefix"].removeprefix(self.prefix)
            for page in found
            for item in page.get("CommonPrefixes", [])
        ]

    def keys(self, prefix: str, after: str) -> Iterator[str]:
        for page in self._pages(prefix, StartAfter=self.prefix + after):
            for item in page.get("Contents", []):
                yield item["Key"].removeprefix(self.prefix)

    def head(self, key: str, most: int) -> bytes:
        found = self.s3.get_object(
            Bucket=self.bucket, Key=self.prefix + key, Range=f"bytes=0-{most - 1}"
        )
        body: bytes = found["Body"].read()
        return body

    def lines(self, key: str) -> Iterator[bytes]:
        found = self.s3.get_object(Bucket=self.bucket, Key=self.prefix + key)
        lines: Iterator[bytes] = found["Body"].iter_lines()
        yield from lines

    def below(self, prefix: str) -> "Bucket":
        return Bucket(self.s3, self.bucket, self.prefix + prefix)

    def _pages(self, prefix: str, **options: str) -> Iterator[dict[str, Any]]:
        pages = self.s3.get_paginator("list_objects_v2")
        yield from pages.paginate(Bucket=self.bucket, Prefix=self.prefix + prefix, **options)


@dataclass(frozen=True)
class Run:
    """One run's record, without the rows."""

    key: str
    run_id: str
    at: datetime
    kind: str
    """`run`, `dry run` or `undo`; an undo that was dry is a `dry run`, too."""
    status: str
    tag: str
    counts: dict[str, int]
    """fetched, unassigned, assigned, failed, deferred, undone, unknown_reviewers; those that the record has."""
    per_reviewer: dict[str, int]
    oldest_waiting: timedelta
    spread: float
    warnings: tuple[str, ...]
    undoes: str
    until: str
    """The end of its window: when it began, to the millisecond; of an undo, when that began which it takes back."""
    previous: tuple[str, int]
    """The run before it that had a plan, and how many of that plan's rows it saw landed."""
    seconds: float

    @property
    def order(self) -> tuple[datetime, bool, str, str]:
        """Sorts runs by time. Ids tell whole seconds only; an undo comes after the other runs of its second."""
        return self.at, bool(self.undoes), self.until, self.run_id

    @property
    def left(self) -> int:
        """Rows that still had no reviewer when it ended, or were not taken back."""
        return self.counts.get("failed", 0) + self.counts.get("deferred", 0)


class Line(NamedTuple):
    """What became of one planned row."""

    row_id: str
    reviewer_id: str
    status: str
    error: str


class Records(NamedTuple):
    """What was found of one project's runs since a day."""

    runs: list[Run]
    """Oldest first."""
    unfinished: list[str]
    """Run ids of plans without a record: killed, or still going on."""
    unreadable: list[str]
    """Keys of records that make no sense."""
    cut: int = 0
    """How many older records were left out because there are too many."""


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
    found = outputs(stack)
    try:
        return f"s3://{found['AuditBucketName']}/{found['AuditPrefix']}"
    except KeyError as error:
        raise AuditUnreadableError(
            f"the stack {stack} has no output {error}: is it a review assigner?"
        ) from error


def projects(place: Place) -> list[str]:
    """The ids of the projects that the audit knows."""
    found = [name for kind in ("runs", "dry_runs", "plans") for name in place.folders(f"{kind}/")]
    return sorted({name.rstrip("/").rpartition("project_id=")[2] for name in found})


def read_records(place: Place, project: str, since: datetime, most: int = MOST_RECORDS) -> Records:
    """The runs of a project since a day, dry ones and undos too; of more than `most` the newest."""
    recorded = _keys(place, "runs", project, since)
    keys = sorted(recorded + _keys(place, "dry_runs", project, since), key=_name)
    first = max(0, len(keys) - most)
    while 0 < first < len(keys) and _name(keys[first - 1])[:16] == _name(keys[first])[:16]:
        first -= 1  # the ids do not tell which runs of one second are the newest
    with ThreadPoolExecutor(AT_ONCE) as pool:
        read = list(pool.map(lambda key: _read(place, key), keys[first:]))
    done = {_name(key) for key in recorded}
    planned = [_name(key) for key in _keys(place, "plans", project, since)]
    return Records(
        sorted((run for run in read if isinstance(run, Run)), key=lambda run: run.order),
        [shown(run_id) for run_id in planned if run_id not in done],
        [run for run in read if isinstance(run, str)],
        first,
    )


def newest_records(place: Place, project: str, count: int, now: datetime) -> Records:
    """The last runs of a project. Days are walked back in growing steps: years of audit are not listed for ten runs."""
    records = Records([], [], [])
    for days in (1, 7, 60, 10_000):
        records = read_records(place, project, now - timedelta(days=days), count)
        if len(records.runs) + len(records.unreadable) >= count:
            break
    return records


def read_lines(place: Place, run: Run) -> Iterator[Line]:
    """What became of a run's rows; nothing if that could not be recorded."""
    key = f"{run.key.replace('runs/', 'assignments/', 1)}l"
    try:
        for text in islice(place.lines(key), MOST_LINES):
            line = json.loads(text)
            yield Line(*(shown(line[field] or "") for field in Line._fields))
    except (BotoCoreError, ClientError, OSError, ValueError, KeyError, TypeError):
        return


def shown(value: object) -> str:
    """Text without what could act on a terminal or a page: control characters, writing direction, half characters."""
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in str(value)
    )


def _keys(place: Place, kind: str, project: str, since: datetime) -> list[str]:
    base = f"{kind}/project_id={project}/"
    keys = place.keys(base, f"{base}date={since:%Y-%m-%d}/")
    return [key for key in keys if RUN_ID.fullmatch(_name(key))]


def _name(key: str) -> str:
    return key.rpartition("/")[2].removesuffix(".json")


def _read(place: Place, key: str) -> Run | str:
    """The record; its key if it makes no sense."""
    try:
        return _parse(key, place.head(key, MOST_BYTES))
    except (ValueError, TypeError, AttributeError, KeyError, OverflowError, RecursionError):
        return shown(key)


def _parse(key: str, text: bytes) -> Run:
    head, planned, _ = text.partition(PLANNED)
    record = json.loads(head + b"}" if planned else text)
    name = _name(key)
    moment = RUN_ID.fullmatch(name)
    if moment is None:
        raise ValueError(name)
    previous = record.get("previous_plan") or {"run_id": "", "landed": 0}
    undoes = shown(record.get("undoes") or "")
    window = record.get("window")
    fields = (
        "fetched",
        "unassigned",
        "assigned",
        "failed",
        "deferred",
        "undone",
        "unknown_reviewers",
    )
    return Run(
        key=key,
        run_id=shown(name),
        at=datetime.strptime(moment[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC),
        kind="dry run" if record["dry_run"] else "undo" if undoes else "run",
        status=shown(record["status"]),
        tag=shown(record["tag"]),
        counts={field: _count(record[field]) for field in fields if field in record},
        per_reviewer={
            shown(who): _count(rows) for who, rows in record.get("per_reviewer", {}).items()
        },
        oldest_waiting=timedelta(seconds=_count(record.get("oldest_waiting_seconds", 0))),
        spread=_number(record.get("spread", 0)),
        warnings=tuple(shown(warning) for warning in record["warnings"]),
        undoes=undoes,
        until=shown(window.get("to", "")) if isinstance(window, dict) else "",
        previous=(shown(previous["run_id"]), _count(previous["landed"])),
        seconds=_number(record["duration_ms"]) / 1000,
    )


def _number(value: float) -> float:
    if not 0 <= value <= MOST:  # neither is NaN
        raise ValueError(value)
    return float(value)


def _count(value: float) -> int:
    return int(_number(value))
