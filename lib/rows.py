"""Log rows: the query that finds them, and what a row's metadata says about its review. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property, reduce
from typing import Any, NamedTuple

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


class Read(NamedTuple):
    """What is known of one way of reading: an entry of the plans' `reading`."""

    query: str
    """What is read: API address, project, tag, filter, open words, and whether open rows are
    counted."""
    full_at: datetime
    """When everything was read last."""
    days: int
    """How long that window was; 0: rows have been freed since, so that it does not count any
    more."""
    proved_at: datetime | None
    """When a short read was shown to miss nothing; None: it is not trusted."""


class Row(NamedTuple):
    """What is kept of a log row; rows compare by age, then by id, so that every run agrees."""

    created: float
    """Seconds since 1970."""
    id: str
    reviewers: tuple[str, ...] = ()
    reviewed: bool = False
    readable: bool = True
    """False: its fields are of an unexpected type, so it counts as assigned and is never
    touched."""
    emptied: bool = False
    """Its reviewer list is there and empty, as whoever is taken off leaves it."""
    authors: tuple[str, ...] | None = None
    """Of a row that needs a reviewer, whom it names at AUTHOR, as names are compared; None: nothing
    is there."""

    @property
    def needs_reviewer(self) -> bool:
        """Nobody has it, nobody finished it, and we understand what it says."""
        return self.readable and not self.reviewers and not self.reviewed

    @property
    def is_open(self) -> bool:
        """Somebody has it, and nobody has finished it."""
        return bool(self.reviewers) and not self.reviewed


@dataclass
class Fetched:
    """The rows of one run, as far as they were seen."""

    rows: list[Row] = field(default_factory=list)
    complete: bool = True
    warnings: list[str] = field(default_factory=list)
    short: bool = False
    """Only rows that may need something were asked for."""
    read: Read | None = None
    """What the next runs should know of this reading; None: nothing new."""

    @property
    def needy(self) -> list[Row]:
        """Those of the rows that need a reviewer."""
        return [row for row in self.rows if row.needs_reviewer]

    @cached_property
    def assigned(self) -> list[Row]:
        """Those of the rows that somebody has, open or reviewed."""
        return [row for row in self.rows if row.reviewers]

    @property
    def authors(self) -> dict[str, tuple[str, ...]]:
        """Whom rows that need a reviewer name at AUTHOR, by row id.

        They are user ids and addresses, as they are compared.
        """
        return {row.id: row.authors for row in self.rows if row.authors is not None}

    def already(self, needy: int) -> dict[str, int]:
        """The result's counts of the other rows, given how many need a reviewer.

        Unreadable ones count as assigned.
        """
        reviewed = len([row for row in self.rows if row.reviewed and not row.reviewers])
        return {"already_assigned": len(self.rows) - needy - reviewed, "already_reviewed": reviewed}


def iso(moment: datetime) -> str:
    """`2026-11-23T07:00:00.000Z`: the form in which Braintrust writes `created`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class RowQuery(NamedTuple):
    """One way of asking for a window's rows."""

    settings: Settings
    window: Window
    only: Json | None = None
    """One more condition."""
    sort: bool = True
    """From the oldest on; else as the server likes, which is newest first."""

    def page(self, limit: int, cursor: str | None = None, *, metadata: bool = True) -> Json:
        """One page's query in BTQL's JSON form, which needs no quoting: a tag can add no clause."""
        fields = ["id", "created", "_xact_id", *(["metadata"] if metadata else [])]
        query: Json = {
            "select": [{"alias": name, "expr": _field(name)} for name in fields],
            "from": {
                "op": "function",
                "name": _field("project_logs"),
                "args": [_literal(self.settings.project_id)],
            },
            "filter": self._condition(),
            "limit": limit,
        }
        if self.sort:
            query["sort"] = [{"expr": _field("_pagination_key"), "dir": "asc"}]
        return query | {"cursor": cursor} if cursor else query

    def _condition(self) -> Json:
        created, settings = _field("created"), self.settings
        conditions: list[Json] = [
            {"op": "includes", "haystack": _field("tags"), "needle": _literal(settings.tag)},
            {"op": "ge", "left": created, "right": _literal(iso(self.window.start))},
            {"op": "le", "left": created, "right": _literal(iso(self.window.end))},
        ]
        if settings.filter:
            conditions.append({"btql": settings.filter})
        if self.only:
            conditions.append(self.only)
        return reduce(lambda left, right: _both("and", left, right), conditions)


def build_query(
    settings: Settings, window: Window, cursor: str | None = None, limit: int | None = None
) -> Json:
    """The query for one page of a full read."""
    return RowQuery(settings, window).page(limit or settings.limit, cursor)


def may_need_something(open_statuses: Iterable[str], *, assigned_too: bool) -> Json:
    """The condition of a short read.

    The review is not finished, and, unless `assigned_too`, nobody has the row.
    """
    status = _field("metadata", REVIEW_LISTS, DEFAULT_LIST, "status")
    words = {"op": "in", "left": status, "right": _literal(sorted(open_statuses))}
    unfinished = _both("or", {"op": "isnull", "expr": status}, words)
    if assigned_too:
        return unfinished
    people = _field("metadata", ASSIGNMENTS)
    length = {"op": "function", "name": _field("len"), "args": [people]}
    nobody = {"op": "eq", "left": length, "right": _literal(0)}
    return _both("and", _both("or", {"op": "isnull", "expr": people}, nobody), unfinished)


def has_id(ids: list[str]) -> Json:
    """The condition that a row is one of these."""
    return {"op": "in", "left": _field("id"), "right": _literal(ids)}


def _field(*name: str) -> Json:
    return {"op": "ident", "name": [*name]}


def _literal(value: object) -> Json:
    return {"op": "literal", "value": value}


def _both(op: str, left: Json, right: Json) -> Json:
    return {"op": op, "left": left, "right": right}


class UnreadableError(ValueError):
    """Raised when a row's review fields are of a type that nobody documented."""


def get_status(row: Json) -> str | None:
    """The word in the default review list, if any.

    Raises UnreadableError for a value of an unexpected type.
    """
    lists = _object(_object(row.get("metadata"), []).get(REVIEW_LISTS))
    status = _object(lists.get(DEFAULT_LIST)).get("status")
    if status is not None and not isinstance(status, str):
        raise UnreadableError(DEFAULT_LIST)
    return status


def get_assignments(row: Json) -> list[str]:
    """The reviewers' ids in the row's metadata, each once.

    Raises UnreadableError for a value of an unexpected type.
    """
    reviewers = _object(row.get("metadata"), []).get(ASSIGNMENTS)
    if reviewers is None:
        return []
    if not isinstance(reviewers, list) or not all(
        isinstance(reviewer, str) and reviewer for reviewer in reviewers
    ):
        raise UnreadableError(ASSIGNMENTS)
    return list(dict.fromkeys(reviewers))


def is_assigned(row: Json) -> bool:
    """Somebody has the row; a value that cannot be read counts as somebody."""
    try:
        return bool(get_assignments(row))
    except UnreadableError:
        return True


def _object(value: object, empty: object = None) -> Json:
    """A JSON object; null, and `empty`, are one that holds nothing."""
    if value is None or value == empty:
        return {}
    if not isinstance(value, dict):
        raise UnreadableError(type(value).__name__)
    return value
