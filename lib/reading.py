"""How rows are read: all of the window, or only those that may need something, and what makes that trustworthy.

A **full read** asks for every row of the window, a **short read** only for those that may need something. Nobody could
try the short read's condition on the real service, so it is used only where a full read has **proved** it: the short
read's first page missed none of the rows that it should show.
"""

import json
from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from lib.braintrust import Braintrust, RequestFailed
from lib.deadline import Deadline
from lib.errors import QueryError
from lib.fetch import Fetching, Pages
from lib.rows import Fetched, RowQuery, Read, RowReader, Row, Window, may_need_something
from lib.settings import Settings

JITTER = timedelta(minutes=30)
"""How much earlier than FULL_READ_HOURS a full read is due, as schedules are not exact."""
REFUSED = 400


def fetch_all_logs(
    client: Braintrust, settings: Settings, window: Window, deadline: Deadline
) -> Fetched:
    """Every row of the window that carries the tag, each once, in its newest version, oldest first.

    Stops early, and says so, at MAX_PAGES or when the deadline passes. Raises QueryError when the API refuses, answers
    nonsense, repeats a cursor, or gave no page at all in time.
    """
    return OrdinaryReading(client, settings, window, deadline).full()


class OrdinaryReading:
    """How an ordinary run reads; of other runs, only `full` is used."""

    def __init__(
        self,
        client: Braintrust,
        settings: Settings,
        window: Window,
        deadline: Deadline,
        *,
        counting: bool = False,
    ) -> None:
        self._client = client
        self._settings = settings
        self._deadline = deadline
        self._counting = counting
        self._reader = RowReader(settings.open_statuses)
        only = may_need_something(settings.open_statuses, assigned_too=counting)
        self._short = RowQuery(settings, window, only)
        self._all = RowQuery(settings, window)

    @property
    def query(self) -> str:
        """What is read, in one text that plans remember it by."""
        settings = self._settings
        return json.dumps(
            [
                settings.braintrust_api_url,
                settings.project_id,
                settings.tag,
                settings.filter,
                sorted(settings.open_statuses),
                self._counting,
            ],
            ensure_ascii=False,
        )

    def read(self, known: Read | None, planned: Collection[str], now: datetime) -> Fetched:
        """The rows, by a short read where it can be trusted. `planned`: rows that were planned in the last two hours."""
        if is_due(known, self._settings, now):
            return self._full_with_proof(known, planned, now)
        patience = self._deadline.within(self._deadline.left() / 3)
        try:
            pages = Fetching(self._client, self._short, self._reader).pages(
                self._settings.max_pages, self._deadline, patience
            )
            if not pages.cut_off:
                return self._fetched(pages, short=True)
            why = "a full page named no next one"
        except RequestFailed as failure:
            if failure.status != REFUSED and not failure.out_of_time:
                raise QueryError(self._client.explain("query", failure)) from failure
            why = self._client.explain("query", failure)
        fetched = self._full_with_proof(known and known._replace(proved_at=None), planned, now)
        fetched.warnings.append(f"a short read did not work, so everything was read: {why}")
        return fetched

    def full(self) -> Fetched:
        """Every row of the window."""
        return self._fetched(self._everything()[0])

    def _everything(self) -> tuple[Pages, bool]:
        """The pages of a full read, and whether they came sorted.

        A server that cannot sort, or that loses the cursor when it does, is asked again as it likes.
        """
        pages = None
        try:
            pages = self._pages_of(self._all)
            if not pages.cut_off:
                return pages, True
        except RequestFailed as failure:
            if failure.status != REFUSED:
                raise QueryError(self._client.explain("query", failure)) from failure
        try:
            unsorted = self._pages_of(self._all._replace(sort=False))
        except RequestFailed as failure:
            if pages and failure.out_of_time:
                pages.complete = False
                return pages, False
            raise QueryError(self._client.explain("query", failure)) from failure
        if pages and len(unsorted.rows) <= len(pages.rows):
            return pages, True  # there was no more
        unsorted.warnings.append(
            "this server does not page through sorted rows: everything is read in every run, newest first"
        )
        return unsorted, False

    def _pages_of(self, query: RowQuery) -> Pages:
        fetching = Fetching(self._client, query, self._reader)
        return fetching.pages(self._settings.max_pages, self._deadline)

    def _full_with_proof(
        self, known: Read | None, planned: Collection[str], now: datetime
    ) -> Fetched:
        """A full read, and the first page of the short one: it proves or disproves, or shows what time hid."""
        pages, is_sorted = self._everything()
        proved_at = known.proved_at if known and is_sorted else None
        warnings = []
        needy = any(row.needs_reviewer and row.id not in planned for row in pages.rows.values())
        if is_sorted and (needy or not pages.complete):
            page = self._first_short_page()
            if page is None:
                proved_at = None
            else:
                missing = self._missing(pages, page, planned)
                if missing:
                    proved_at = None
                    warnings.append(_missed(missing))
                elif any(
                    row.needs_reviewer and row.id not in planned for row in page.rows.values()
                ):
                    proved_at = now
                for row in page.rows.values():
                    pages.take(row)
        read = Read(self.query, now, self._settings.days, proved_at)
        if (
            known
            and known.full_at
            and known.days > read.days
            and not _is_old(known, self._settings, now)
        ):
            read = read._replace(
                full_at=known.full_at, days=known.days
            )  # it counts for shorter ones
        return replace(self._fetched(pages, warnings), read=read)

    def _first_short_page(self) -> Pages | None:
        """The first page of the short read, in up to half of what is left; None if it is refused."""
        deadline = self._client.deadline
        try:
            return Fetching(self._client, self._short, self._reader).pages(
                1, deadline.sooner(deadline.left() / 2)
            )
        except RequestFailed:
            return None

    def _missing(self, pages: Pages, page: Pages, planned: Collection[str]) -> list[Row]:
        """Rows that the short read asks for, and that its first page should show and does not."""
        order = {row_id: place for place, row_id in enumerate(pages.rows)}
        last = len(order)
        if page.more:
            last = max((order[row_id] for row_id in page.rows if row_id in order), default=-1)
        return [
            row
            for row in pages.rows.values()
            if self._is_asked_for(row)
            and order[row.id] <= last
            and not (row.id in page.rows or row.id in planned)
        ]

    def _is_asked_for(self, row: Row) -> bool:
        if self._counting:
            return row.readable and not row.reviewed
        return row.needs_reviewer

    def _fetched(
        self, pages: Pages, warnings: Iterable[str] = (), *, short: bool = False
    ) -> Fetched:
        rows = list(pages.rows.values())
        words = [*pages.warnings, *self._reader.warnings(rows), *warnings]
        return Fetched(rows, pages.complete, words, short)


def is_due(known: Read | None, settings: Settings, now: datetime) -> bool:
    """Whether everything has to be read."""
    return not (
        known
        and known.proved_at
        and known.days >= settings.days
        and not _is_old(known, settings, now)
    )


def _is_old(known: Read, settings: Settings, now: datetime) -> bool:
    """The last full read is too long ago, or rows have been freed since."""
    if known.full_at is None or not settings.full_read_hours:
        return True
    often_enough = timedelta(hours=settings.full_read_hours) - JITTER
    half_a_window = timedelta(hours=12) * min(settings.days, 10**4)
    return now - known.full_at >= min(often_enough, half_a_window)


def _missed(missing: list[Row]) -> str:
    if all(row.emptied for row in missing):
        return (
            f"short reads do not find a reviewer list that is empty on this server, such as that of {missing[0].id}: "
            "the next run reads everything"
        )
    return f"short reads miss rows on this server, such as {missing[0].id}: the next run reads everything"
