"""The pages that rows come in: asked for one by one, from the first to the last that there is time for."""

from collections.abc import Callable

from lib.braintrust import CURSOR_HEADERS, Answer, Braintrust, RequestFailed
from lib.deadline import Deadline
from lib.errors import QueryError
from lib.rows import Fetched, Json, Row, Window, build_query, read_row
from lib.settings import Settings

SMALLEST_PAGE = 25
PAGES_BEFORE_GROWTH = 4


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
            row = read_row(each, reviewer_sets)
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
