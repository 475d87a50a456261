"""Log rows: the query that finds them, and what a row's metadata says about its review. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any, NamedTuple

from lib.errors import QueryError
from lib.settings import Settings

ASSIGNMENTS = "~__bt_assignments"
REVIEW_LISTS = "~__bt_review_lists"
DEFAULT_LIST = "__bt_default_review_list"
REVIEW_FIELDS = frozenset({ASSIGNMENTS, REVIEW_LISTS})
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Json = dict[str, Any]


class Window(NamedTuple):
    """The run's bounds on `created`, both included, UTC."""

    start: datetime
    end: datetime

    @classmethod
    def before(cls, now: datetime, days: int) -> "Window":
        """The last `days` days before `now`."""
        end = now + timedelta(
            microseconds=-now.microsecond % 1000
        )  # a row of this very millisecond is in it
        return cls(end - min(timedelta(days=min(days, 10**6)), end - EPOCH), end)

    def to_json(self) -> dict[str, str]:
        """`{"from": ..., "to": ...}`, as in the audit."""
        return {"from": iso(self.start), "to": iso(self.end)}


class Row(NamedTuple):
    """What this product keeps of a log row."""

    id: str
    created: float
    """Seconds since 1970."""
    version: int
    """`_xact_id`: rises with every write."""
    reviewers: tuple[str, ...]
    reviewed: bool
    readable: bool
    """False: its review fields are of an unexpected type, so it counts as assigned and is never touched."""

    @property
    def needs_reviewer(self) -> bool:
        """Nobody has it, nobody finished it, and we understand what it says."""
        return self.readable and not self.reviewers and not self.reviewed


@dataclass
class Fetched:
    """The rows of one run, as far as they were seen."""

    rows: list[Row] = field(default_factory=list)
    complete: bool = True
    warnings: list[str] = field(default_factory=list)


def iso(moment: datetime) -> str:
    """`2026-11-23T07:00:00.000Z`: the form in which Braintrust writes `created`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def build_query(
    settings: Settings, window: Window, cursor: str | None = None, limit: int | None = None
) -> Json:
    """The BTQL query for one page, in its JSON form, which needs no quoting: a tag can never add a clause."""
    created = _field("created")
    conditions: list[Json] = [
        {"op": "includes", "haystack": _field("tags"), "needle": _literal(settings.tag)},
        {"op": "ge", "left": created, "right": _literal(iso(window.start))},
        {"op": "le", "left": created, "right": _literal(iso(window.end))},
    ]
    if settings.filter:
        conditions.append({"btql": settings.filter})
    condition = conditions[0]
    for further in conditions[1:]:
        condition = {"op": "and", "left": condition, "right": further}
    query: Json = {
        "select": [
            {"alias": name, "expr": _field(name)}
            for name in ("id", "created", "_xact_id", "metadata")
        ],
        "from": {
            "op": "function",
            "name": _field("project_logs"),
            "args": [_literal(settings.project_id)],
        },
        "filter": condition,
        "limit": limit or settings.limit,
    }
    return query | {"cursor": cursor} if cursor else query


def _field(name: str) -> Json:
    return {"op": "ident", "name": [name]}


def _literal(value: str) -> Json:
    return {"op": "literal", "value": value}


def read_row(row: Json, reviewer_sets: dict[tuple[str, ...], tuple[str, ...]]) -> Row:
    """What is kept of a row; `reviewer_sets` lets rows of the same people share one tuple."""
    row_id, version = row.get("id"), row.get("_xact_id") or 0
    try:
        if not isinstance(row_id, str) or not row_id or not row_id.isprintable():
            raise ValueError("id")  # noqa: TRY301 - one message for every way to be wrong
        created = datetime.fromisoformat(row["created"])
        created = created if created.tzinfo else created.replace(tzinfo=UTC)
        version = int(version)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise QueryError(
            f"BTQL query failed: a row without a usable id, created or _xact_id ({str(row_id)[:60]!r}); nothing was written"
        ) from error
    reviewers: tuple[str, ...] = ()
    reviewed, readable, metadata = False, True, row.get("metadata")
    if not (
        isinstance(metadata, dict) and REVIEW_FIELDS.isdisjoint(metadata)
    ):  # most rows: nobody has touched them
        try:
            reviewers, reviewed = tuple(get_assignments(row)), _is_reviewed(row)
            reviewers = reviewer_sets.setdefault(reviewers, reviewers)
        except UnreadableError:
            reviewers, readable = (), False
    return Row(row_id, created.timestamp(), version, reviewers, reviewed, readable)


class UnreadableError(ValueError):
    """Raised when a row's review fields are of a type that nobody documented."""


def get_assignments(row: Json) -> list[str]:
    """The reviewers' ids in the row's metadata; raises UnreadableError for a value of an unexpected type."""
    reviewers = _object(row.get("metadata"), []).get(ASSIGNMENTS)
    if reviewers is None:
        return []
    if not isinstance(reviewers, list) or not all(
        isinstance(reviewer, str) and reviewer for reviewer in reviewers
    ):
        raise UnreadableError(ASSIGNMENTS)
    return reviewers


def is_assigned(row: Json) -> bool:
    """Somebody has the row; a value that cannot be read counts as somebody."""
    try:
        return bool(get_assignments(row))
    except UnreadableError:
        return True


def _is_reviewed(row: Json) -> bool:
    """The default review list has a status, and it is not PENDING."""
    lists = _object(_object(row.get("metadata"), []).get(REVIEW_LISTS))
    return _object(lists.get(DEFAULT_LIST)).get("status") not in (None, "PENDING")


def _object(value: object, empty: object = None) -> Json:
    """A JSON object; null, and `empty`, are one that holds nothing."""
    if value is None or value == empty:
        return {}
    if not isinstance(value, dict):
        raise UnreadableError(type(value).__name__)
    return value


def oldest_first(rows: Iterable[Row]) -> list[Row]:
    """The rows by creation, ties by id so that every run agrees."""
    return sorted(
        sorted(rows, key=attrgetter("id")), key=attrgetter("created")
    )  # no key object a row
