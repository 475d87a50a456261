"""The pages that rows come in: asked for one by one, first to last, while there is time."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from lib.braintrust import CURSOR_HEADERS, Answer, Braintrust, RequestFailed
from lib.deadline import Deadline
from lib.errors import QueryError
from lib.rows import Json, Row, RowQuery
from lib.sieve import Seen, Sieve
from lib.verdict import ALWAYS, THRICE, TOO_HEAVY

SMALLEST_PAGE = 1
PAGES_BEFORE_GROWTH = 4


@dataclass
class Pages:
    """What a query brought, as far as it was followed."""

    sieve: Sieve
    rows: dict[str, Row] = field(default_factory=dict)
    """By id, each in its newest version, in the order in which they came."""
    versions: dict[str, int] = field(default_factory=dict)
    """Which one that is, in the same order."""
    complete: bool = True
    more: bool = False
    """The last page that was read named a next one."""
    cut_off: bool = False
    """The last page was as long as asked for, and yet named no next one: perhaps not the end."""
    notes: list[str] = field(default_factory=list)
    """How it went, in sentences."""

    def take(self, page: Iterable[Seen]) -> None:
        """Keep rows, each unless a newer version of it was seen."""
        rows, versions = self.rows, self.versions
        for row, version in page:
            known = versions.get(row.id)
            if known is None or version > known:
                rows[row.id], versions[row.id] = row, version

    def add(self, others: "Pages") -> None:
        """Keep what another query brought as well."""
        self.sieve.add(others.sieve)
        self.take(zip(others.rows.values(), others.versions.values(), strict=True))

    @property
    def warnings(self) -> list[str]:
        """How it went, and what had to be left alone."""
        return [*self.notes, *self.sieve.warnings(self.rows.values())]


class PageSize:
    """Rows a page: halved if the server finds one too heavy, doubled again after four good ones."""

    def __init__(self, most: int) -> None:
        self._most = self.rows = self.fewest = most
        self._good = 0

    def halve(self) -> bool:
        """Ask for fewer; False if it cannot be fewer."""
        smaller = max(SMALLEST_PAGE, self.rows // 2)
        self._good = 0
        if smaller >= self.rows:
            return False
        self.rows, self.fewest = smaller, min(self.fewest, smaller)
        return True

    def words(self) -> list[str]:
        """A sentence where pages had to be smaller."""
        if self.fewest == self._most:
            return []
        words = (
            f"Braintrust could not answer pages of {self._most} rows, "
            f"it had to be asked for {self.fewest} at a time"
        )
        return [f"{words}: lower LIMIT, and it is asked less often"]

    def went_well(self) -> None:
        """Ask for more again after some good pages."""
        self._good += 1
        if self._good % PAGES_BEFORE_GROWTH == 0:
            self.rows = min(self._most, self.rows * 2)


class Fetching:
    """Follows one query from page to page, once."""

    def __init__(self, client: Braintrust, query: RowQuery) -> None:
        self._client = client
        self._query = query
        self._size = PageSize(query.settings.limit)
        self._found = Pages(Sieve(query.settings.open_statuses, query.settings.author))

    def pages(self, most: int, deadline: Deadline, patience: Deadline | None = None) -> Pages:
        """The rows of `most` pages at most; the end is a page without a cursor or without rows.

        Stops early, and says so, at `most` pages or when the deadline passes. `patience`: how long
        the first page may take, waits for a throttled server aside. Raises RequestFailed when the
        API refuses a page or gives none in time; QueryError when it answers nonsense, or repeats a
        cursor.
        """
        pages = self._found
        cursor: str | None = None
        cursors: set[str] = set()
        for number in range(1, most + 1):
            try:
                cursor = self._next(cursor, deadline, patience if number == 1 else None)
            except RequestFailed as failure:
                if number == 1 or not failure.out_of_time:
                    raise
                pages.complete = False
                pages.notes.append(
                    f"time ran out after {number - 1} pages of rows ({failure}); {self._unseen} "
                    "rows were not seen"
                )
                break
            if cursor is None:
                break
            if cursor in cursors:
                raise QueryError(
                    f"BTQL query failed: its cursor does not advance after page {number}; nothing "
                    "was written"
                )
            cursors.add(cursor)
        else:
            pages.complete = False
            pages.notes.append(
                f"MAX_PAGES ({most}) was reached with rows left: {self._unseen} rows were not "
                "seen; raise MAX_PAGES or LIMIT"
            )
        pages.notes += self._size.words()
        return pages

    def _next(
        self, cursor: str | None, deadline: Deadline, patience: Deadline | None
    ) -> str | None:
        """Read one page; returns the cursor of the next, None at the end."""
        pages, keep = self._found, self._found.sieve.row
        try:
            answer = self._ask(cursor, deadline, patience)
        except RequestFailed as failure:
            if failure.status not in TOO_HEAVY or failure.out_of_time:
                raise
            keep = pages.sieve.too_large  # a single row: learn its id, and leave it alone
            answer = self._ask(cursor, deadline, patience, metadata=False)
        rows, cursor = _read_page(answer)
        pages.more = bool(rows and cursor)
        pages.cut_off = len(rows) >= self._size.rows and not cursor
        page = [each for each in map(keep, rows) if each]
        if rows and self._size.rows > 1 and all(version < 0 for _, version in page):
            raise QueryError(  # of a page of one, nothing can be said
                "BTQL query failed: no row of a page has a usable id, created and _xact_id; "
                "nothing was written"
            )
        pages.take(page)
        pages.sieve.stale |= _is_stale(answer.body)
        self._size.went_well()
        return cursor if pages.more else None

    def _ask(
        self,
        cursor: str | None,
        deadline: Deadline,
        patience: Deadline | None,
        *,
        metadata: bool = True,
    ) -> Answer:
        def body() -> Json:
            page = self._query.page(self._size.rows, cursor, metadata=metadata)
            return {"query": page, "fmt": "json"}

        as_heavy = THRICE if metadata else ALWAYS
        return self._client.query(body, self._size.halve, deadline, patience, as_heavy)

    @property
    def _unseen(self) -> str:
        return "newer" if self._query.sort else "older"


def _read_page(answer: Answer) -> tuple[list[object], str | None]:
    body = answer.body
    rows = body.get("data") if isinstance(body, dict) else None
    if not isinstance(rows, list):
        raise QueryError(
            'BTQL query failed: the answer has no list of rows under "data"; '
            "check BRAINTRUST_API_URL"
        )
    cursor = body.get("cursor") or next(filter(None, map(answer.headers.get, CURSOR_HEADERS)), None)
    if cursor is not None and not isinstance(cursor, str):
        raise QueryError("BTQL query failed: the answer's cursor is not text")
    return rows, cursor


def _is_stale(body: Json) -> bool:
    state = body.get("realtime_state")
    return isinstance(state, dict) and state.get("type") == "exhausted_timeout"
