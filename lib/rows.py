"""Log rows: the query that finds them, the pages it comes in, and what a row's metadata says about its review."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any, NamedTuple

from lib.braintrust import CURSOR_HEADERS, Answer, Braintrust, RequestFailed
from lib.deadline import Deadline
from lib.errors import QueryError
from lib.settings import Settings

ASSIGNMENTS = "~__bt_assignments"
REVIEW_LISTS = "~__bt_review_lists"
DEFAULT_LIST = "__bt_default_review_list"
REVIEW_FIELDS = frozenset({ASSIGNMENTS, REVIEW_LISTS})
SMALLEST_PAGE = 25
PAGES_BEFORE_GROWTH = 4
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


class _PageSize:
    """Rows a page: halved when the server finds a page too heavy, doubled again after four good ones."""

    def __init__(self, most: int) -> None:
        self._most = self.rows = most
        self._good = 0

    def halve(self) -> bool:
        smaller = max(SMALLEST_PAGE, self.rows // 2)
        self._good = 0
        if smaller >= self.rows:
            return False
        self.rows = smaller
        return True

    def went_well(self) -> None:
        self._good += 1
        if self._good % PAGES_BEFORE_GROWTH == 0:
            self.rows = min(self._most, self.rows * 2)


def fetch_all_logs(
    client: Braintrust, settings: Settings, window: Window, deadline: Deadline
) -> Fetched:
    """Every row of the window that carries the tag, each once, in its newest version.

    The end is a page without a cursor or without rows. Stops early, and says so, at `max_pages` or when the
    deadline passes. Raises QueryError when the API refuses, answers nonsense, repeats a cursor, or gave no
    page at all in time.
    """
    found: dict[str, Row] = {}
    reviewer_sets: dict[tuple[str, ...], tuple[str, ...]] = {}
    size = _PageSize(settings.limit)
    fetched = Fetched()
    cursor: str | None = None
    cursors: set[str] = set()
    stale = False
    for page in range(1, settings.max_pages + 1):
        body = _query_body(settings, window, cursor, size)
        try:
            answer = client.query(body, size.halve, deadline)
        except RequestFailed as failure:
            if page == 1 or not failure.out_of_time:
                raise QueryError(client.explain("query", failure)) from failure
            fetched.complete = False
            fetched.warnings.append(
                f"time ran out after {page - 1} pages of rows ({failure}); older rows were not seen"
            )
            break
        size.went_well()
        rows, cursor = _read_page(answer)
        stale = stale or _is_stale(answer.body)
        for each in rows:
            row = _read_row(each, reviewer_sets)
            known = found.get(row.id)
            if known is None or row.version > known.version:
                found[row.id] = row
        if not rows or not cursor:
            break
        if cursor in cursors:
            raise QueryError(
                f"BTQL query failed: its cursor does not advance after page {page}; nothing was written"
            )
        cursors.add(cursor)
    else:
        fetched.complete = False
        fetched.warnings.append(
            f"MAX_PAGES ({settings.max_pages}) was reached with rows left: older rows were not seen; raise MAX_PAGES or LIMIT"
        )
    fetched.rows = list(found.values())
    unreadable = [row.id for row in fetched.rows if not row.readable]
    if unreadable:
        fetched.warnings.append(
            f"{len(unreadable)} rows have review fields of an unexpected type and are left alone, such as {unreadable[0]}"
        )
    if stale:
        fetched.warnings.append(
            "Braintrust said that its answer may be stale (realtime_state exhausted_timeout)"
        )
    return fetched


def _query_body(
    settings: Settings, window: Window, cursor: str | None, size: _PageSize
) -> Callable[[], Json]:
    return lambda: {"query": build_query(settings, window, cursor, size.rows), "fmt": "json"}


def _read_page(answer: Answer) -> tuple[list[Json], str | None]:
    body = answer.body
    rows = body.get("data") if isinstance(body, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise QueryError(
            'BTQL query failed: the answer has no list of rows under "data"; check BRAINTRUST_API_URL'
        )
    cursor = body.get("cursor") or next(filter(None, map(answer.headers.get, CURSOR_HEADERS)), None)
    if cursor is not None and not isinstance(cursor, str):
        raise QueryError("BTQL query failed: the answer's cursor is not text")
    return rows, cursor


def _is_stale(body: Json) -> bool:
    state = body.get("realtime_state")
    return isinstance(state, dict) and state.get("type") == "exhausted_timeout"


def _read_row(row: Json, reviewer_sets: dict[tuple[str, ...], tuple[str, ...]]) -> Row:
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
