"""Who had a row last: which plan of the chain named it last, and gave it to whom, or took it."""

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from functools import cache
from typing import NamedTuple

from lib.bucket import AuditBucket
from lib.chain import Chain
from lib.deadline import Deadline
from lib.past import Past
from lib.plan import Plan
from lib.rows import Row

MARGIN = timedelta(hours=1)
"""By how much clocks may differ, and a plan be older than the one that it follows."""
SIDE_BY_SIDE = 8  # plans that are read at once
AHEAD = 64  # plans that are read before it is known whether they are of the chain


class Deed(Enum):
    """What a plan does with a row that it names."""

    GAVE = auto()
    UNDID = auto()
    TOOK_BACK = auto()


class Mention(NamedTuple):
    """A plan that names a row."""

    deed: Deed
    people: tuple[str, ...]
    """Whom it gave the row to, or took it from."""
    at: datetime
    run_id: str


class Named(NamedTuple):
    """What is kept of a plan."""

    previous: str | None
    mentions: Mapping[str, Mention]


_Had = tuple[str, tuple[str, ...]]
"""The run that gave somebody a row, and whom."""


class Gifts:
    """Looks plans up, only when it has to and only as far back as it has to."""

    def __init__(self, bucket: AuditBucket, chain: Chain) -> None:
        self._bucket = bucket
        self._chain = chain

    def newest(
        self, past: Past, rows: Mapping[str, float], deadline: Deadline
    ) -> tuple[dict[str, Mention], bool]:
        """The newest mention of each of these rows, and whether all was read; False: time ran out.

        `rows`: ids, and when they were created (seconds since 1970). A plan that is missing ends
        the chain. Raises AuditError for one of the chain that cannot be read.
        """
        mentions: dict[str, Mention] = {}
        if past.plan is None or not rows:
            return mentions, True
        for named in self._back_from(past.plan, rows):
            for row_id, mention in named.mentions.items():
                mentions.setdefault(row_id, mention)
            if len(mentions) == len(rows):
                break
            if named.previous and deadline.left() <= 0:
                return mentions, False
        return mentions, True

    def _back_from(self, plan: Plan, rows: Mapping[str, float]) -> Iterator[Named]:
        """What the plans of the chain say of these rows, from this one on back.

        A few are read side by side, and some ahead.
        """
        newest = _named(plan, rows)
        yield newest
        if newest.previous is None:
            return
        since = datetime.fromtimestamp(min(rows.values()), UTC) - MARGIN
        keys = self._bucket.plans_since(since.date())
        places = {key: place for place, key in enumerate(keys)}
        read: dict[str, Future[Named | None]] = {}
        named: Named | None = newest
        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            while named and named.previous in places:
                place = places.pop(named.previous)
                if keys[place] not in read:
                    for key in keys[place : place + AHEAD]:
                        read[key] = read.get(key) or pool.submit(self._look, key, rows)
                if named := read.pop(keys[place]).result():
                    yield named

    def _look(self, key: str, rows: Mapping[str, float]) -> Named | None:
        plan = self._chain.plan_at(key, bare=True)
        return _named(plan, rows) if plan else None

    def who_left(
        self, past: Past, rows: Iterable[Row], deadline: Deadline
    ) -> tuple[dict[str, tuple[str, ...]], bool]:
        """Who certainly had which of these rows that nobody has now, and was not freed of it by us.

        What the last plan still knows is asked first; beyond that, a list that was emptied says
        that somebody had the row. With it, whether all was read, as of `newest`. Raises AuditError.
        """
        emptied: dict[str, float] = {}
        left: dict[str, tuple[str, ...]] = {}
        had: dict[str, _Had] = {}
        for row in rows:
            entry = past.entries.get(row.id)
            if entry is None:
                emptied |= {row.id: row.created} if row.emptied else {}
            elif entry.stands:
                left[row.id] = entry.reviewers
            elif entry.run_id and entry.in_doubt:
                had[row.id] = entry.run_id, entry.reviewers
        mentions, complete = self.newest(past, emptied, deadline)
        return left | self._certain(had | _given(mentions)), complete

    def _certain(self, had: Mapping[str, _Had]) -> dict[str, tuple[str, ...]]:
        """Of those whom runs gave rows, by row, who certainly got them by that run's records."""
        landed = cache(self._chain.landed)
        return {row_id: who for row_id, (run_id, who) in had.items() if row_id in landed(run_id)}


def _given(mentions: Mapping[str, Mention]) -> dict[str, _Had]:
    gave = (item for item in mentions.items() if item[1].deed is Deed.GAVE)
    return {row_id: (mention.run_id, mention.people) for row_id, mention in gave}


def _named(plan: Plan, rows: Mapping[str, float]) -> Named:
    if plan.takes_back:
        deed, named = Deed.TOOK_BACK, plan.freed
    elif plan.undoes:
        deed, named = Deed.UNDID, plan.freed
    else:
        deed, named = Deed.GAVE, plan.assignments
    mentions = {
        row_id: Mention(deed, people, plan.created_at, plan.run_id)
        for row_id, people in named
        if row_id in rows
    }
    return Named(plan.previous, mentions)
