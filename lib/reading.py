"""How rows are read: all of the window or only some of it, and what makes that trustworthy.

A **full read** asks for every row of the window, a **short read** only for those that may need
something. Nobody could try the short read's condition on the real service, so it is used only where
a full read has **proved** it: the short read's first page missed none of the rows that it should
show.
"""

import json
from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice

from lib.braintrust import Braintrust, RequestFailed
from lib.deadline import Deadline
from lib.errors import QueryError
from lib.fetch import Fetching, Pages
from lib.names import shown
from lib.rows import Fetched, Read, Row, RowQuery, Window, has_id, may_need_something
from lib.settings import Settings

JITTER = timedelta(minutes=30)
"""How much earlier than FULL_READ_HOURS a full read is due, as schedules are not exact."""
HALF_A_DAY = timedelta(hours=12)
MOST_DAYS = 10**6
REFUSED, THROTTLED = 400, 429


def fetch_all_logs(
    client: Braintrust, settings: Settings, window: Window, deadline: Deadline
) -> Fetched:
    """Every row of the window that carries the tag, each once, in its newest version.

    Stops early, and says so, at MAX_PAGES or when the deadline passes. Raises QueryError when the
    API refuses, answers nonsense, repeats a cursor, or gave no page at all in time.
    """
    return Reading(client, settings, window, deadline).full()


class Reading:
    """How one run reads. Only an ordinary run may `read`; all others read in `full`."""

    def __init__(
        self,
        client: Braintrust,
        settings: Settings,
        window: Window,
        deadline: Deadline,
        *,
        counting: bool = False,
    ) -> None:
        """`counting`: open rows count, too, so that short reads ask for them."""
        self._client = client
        self._settings = settings
        self._deadline = deadline
        self._counting = counting
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

    def full(self) -> Fetched:
        """Every row of the window."""
        return _fetched(self._everything()[0])

    def read(self, known: Read | None, planned: Collection[str], now: datetime) -> Fetched:
        """The rows, by a short read where it can be trusted.

        `planned`: rows that were planned in the last two hours.
        """
        if known is None or is_due(known, self._settings, now):
            return self._full_with_proof(known, planned, now)
        try:
            short = self._pages_of(self._short, patient=False)
        except RequestFailed as failure:
            words = f"a short read did not work, so everything was read: {self._words(failure)}"
            return self._full(self._everything()[0], known, None, now, [words])
        if not short.cut_off:
            return _fetched(short, short=True)
        pages, is_sorted = self._everything()
        pages.add(short)
        return self._full(pages, known, known.proved_at if is_sorted else None, now)

    def _everything(self) -> tuple[Pages, bool]:
        """The pages of a full read, and whether they came sorted.

        A server that cannot sort, or that loses the cursor when it does, is asked again as it
        likes.
        """
        pages = None
        try:
            pages = self._pages_of(self._all, patient=False)
            if not pages.cut_off:
                return pages, True
            why = "a full page named no next one"
        except RequestFailed as failure:
            why = self._words(failure)
        return self._unsorted(pages, why)

    def _unsorted(self, pages: Pages | None, why: str) -> tuple[Pages, bool]:
        """The same, asked for unsorted.

        `pages`: what came sorted, if anything did; `why`: what is wrong with that.
        """
        try:
            unsorted = self._pages_of(self._all._replace(sort=False))
        except RequestFailed as failure:
            if pages is None or not failure.out_of_time:
                raise self._error(failure) from failure
            pages.complete = False
            return pages, False
        if pages and unsorted.complete and unsorted.rows.keys() <= pages.rows.keys():
            return pages, True  # that page was the last one
        if pages:
            unsorted.add(pages)
        unsorted.notes.append(
            "this server does not page through sorted rows, so everything was read, newest first: "
            f"{why}"
        )
        return unsorted, False

    def _full_with_proof(
        self, known: Read | None, planned: Collection[str], now: datetime
    ) -> Fetched:
        """A full read, and the first page of the short one.

        That page proves or disproves, or shows what time hid.
        """
        pages, is_sorted = self._everything()
        if not is_sorted:
            return self._full(pages, known, None, now)
        proved_at = known and known.proved_at
        if pages.complete and not _any_counts(pages, planned):
            return self._full(pages, known, proved_at, now)
        try:
            page = self._first_page(self._short)
        except QueryError:
            return self._full(pages, known, None, now)
        except RequestFailed as failure:  # what came to nothing for lack of time says nothing
            return self._full(pages, known, proved_at if failure.out_of_time else None, now)
        return self._compared(pages, page, known, planned, now)

    def _compared(
        self, pages: Pages, page: Pages, known: Read | None, planned: Collection[str], now: datetime
    ) -> Fetched:
        """A full read, and what the first page of the short one proves or disproves."""
        missing = self._looked_at_again(self._missing(pages, page, planned), pages)
        pages.add(page)
        if missing:
            return self._full(pages, known, None, now, [_missed(missing)])
        proved_at = now if _any_counts(page, planned) else known and known.proved_at
        return self._full(pages, known, proved_at, now)

    def _full(
        self,
        pages: Pages,
        known: Read | None,
        proved_at: datetime | None,
        now: datetime,
        warnings: Iterable[str] = (),
    ) -> Fetched:
        """What came of a full read, with what the next runs should know of it."""
        read = Read(self.query, now, self._settings.days, proved_at)
        if known and known.days > read.days and not is_old(known, self._settings, known.days, now):
            read = known._replace(proved_at=proved_at)  # as it is longer, it counts for both
        return replace(_fetched(pages, warnings), read=read)

    def _pages_of(self, query: RowQuery, *, patient: bool = True) -> Pages:
        """All pages of a query.

        Not `patient`: the first one has a third of the time that there is for reading.
        """
        patience = None if patient else self._patience()
        fetching = Fetching(self._client, query)
        return fetching.pages(self._settings.max_pages, self._deadline, patience)

    def _patience(self) -> Deadline | None:
        """A third of the time that there is for reading; None: it is over."""
        left = self._deadline.left()
        return self._deadline.within(left / 3) if left > 0 else None

    def _first_page(self, query: RowQuery) -> Pages:
        """One page, in up to half of what is left, the time for inserts included."""
        deadline = self._client.deadline.sooner(self._client.deadline.left() / 2)
        return Fetching(self._client, query).pages(1, deadline, self._patience())

    def _missing(self, pages: Pages, page: Pages, planned: Collection[str]) -> list[Row]:
        """Rows that the short read asks for, and that its first page should show and does not.

        Where it names a next page, those up to the last row that both reads have; else all of them.
        """
        end = len(pages.rows)
        if page.more:
            both = pages.rows.keys() & page.rows.keys()
            places = (place for place, row_id in enumerate(pages.rows, 1) if row_id in both)
            end = max(islice(places, len(both)), default=0)
        return [
            row
            for row in islice(pages.rows.values(), end)
            if self._is_asked_for(row) and not (row.id in page.rows or row.id in planned)
        ]

    def _looked_at_again(self, missing: list[Row], pages: Pages) -> list[Row]:
        """Those that the short read still asks for.

        People may have taken or finished rows between the two reads.
        """
        if not missing:
            return []
        these = has_id([row.id for row in missing[: self._settings.limit]])
        try:
            now = self._first_page(RowQuery(self._settings, self._all.window, these, sort=False))
        except (RequestFailed, QueryError):
            return missing
        pages.add(now)
        return [row for row in missing if self._is_asked_for(pages.rows[row.id])]

    def _is_asked_for(self, row: Row) -> bool:
        return row.readable and not row.reviewed if self._counting else row.needs_reviewer

    def _words(self, failure: RequestFailed) -> str:
        """Why a way of asking does not work.

        Raises QueryError unless it was refused, or slow, and another may work.
        """
        throttled = failure.status == THROTTLED
        slow = failure.out_of_time and not throttled and self._deadline.left() > 0
        if failure.status != REFUSED and not slow:
            raise self._error(failure) from failure
        return self._client.explain("query", failure)

    def _error(self, failure: RequestFailed) -> QueryError:
        error = QueryError(self._client.explain("query", failure))
        error.no_page = failure.out_of_time  # where there was a page, lack of time is no failure
        return error


def is_due(known: Read, settings: Settings, now: datetime) -> bool:
    """Whether everything has to be read.

    It has to without a proof, for a longer window than was read, after too long, and at the
    queue's hour.
    """
    return (
        known.proved_at is None
        or known.days < settings.days
        or is_old(known, settings, settings.days, now)
        or is_its_hour(known, settings, now)
    )


def is_its_hour(known: Read, settings: Settings, now: datetime) -> bool:
    """Whether this is an hour in which the queue reads everything, and has not yet."""
    if settings.full_read_hour is None:
        return False
    hour, last = (moment.timestamp() // 3600 for moment in (now, known.full_at))
    return hour % settings.full_read_hours == settings.full_read_hour and hour != last


def is_old(known: Read, settings: Settings, days: int, now: datetime) -> bool:
    """Whether the last full read is too long ago for a window of so many days."""
    often = timedelta(hours=settings.full_read_hours) - JITTER
    age = now - known.full_at
    return not -JITTER <= age < min(often, HALF_A_DAY * min(days, MOST_DAYS))


def _any_counts(pages: Pages, planned: Collection[str]) -> bool:
    """Whether a row proves something.

    One does that needs a reviewer and that nobody has planned in the last two hours.
    """
    return any(row.needs_reviewer and row.id not in planned for row in pages.rows.values())


def _missed(missing: list[Row]) -> str:
    what = f"short reads miss rows on this server, such as {shown(missing[0].id)}"
    if all(row.emptied for row in missing):
        what += ", all with a reviewer list that is empty, not null"
    return f"{what}: the next run reads everything again"


def _fetched(pages: Pages, warnings: Iterable[str] = (), *, short: bool = False) -> Fetched:
    rows = list(pages.rows.values())
    return Fetched(rows, pages.complete, [*pages.warnings, *warnings], short)
