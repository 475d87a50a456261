"""Who had a row last: which plan of the chain named it last, and to whom it gave it, or from whom it took it."""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
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


class Gifts:
    """Looks plans up, only when it has to and only as far back as it has to."""

    def __init__(self, bucket: AuditBucket, chain: Chain) -> None:
        self._bucket = bucket
        self._chain = chain

    def newest(
        self, past: Past, rows: Mapping[str, float], deadline: Deadline
    ) -> tuple[dict[str, Mention], bool]:
        """The newest mention of each of these rows, and whether all was read; False: time ran out.

        `rows`: ids, and when they were created (seconds since 1970). A plan that is missing ends the chain. Raises
        AuditError for one that cannot be read.
        """
        if past.plan is None or not rows:
            return {}, True
        newest = _named(past.plan, rows)
        found, key = dict(newest.mentions), newest.previous
        if len(found) == len(rows) or key is None:
            return found, True
        since = datetime.fromtimestamp(min(rows.values()), UTC) - MARGIN
        keys = self._bucket.plans_since(since.date())
        places = {key: place for place, key in enumerate(keys)}
        read: dict[str, Named | None] = {}

        def look(key: str) -> Named | None:
            plan = self._chain.plan_at(key, bare=True)
            return _named(plan, rows) if plan else None

        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            while key in places and len(found) < len(rows):
                if deadline.left() <= 0:
                    return found, False
                place = places.pop(key)
                if key not in read:
                    some = [each for each in keys[place : place + AHEAD] if each not in read]
                    read.update(zip(some, pool.map(look, some), strict=True))
                plan = read.pop(key)
                if plan is None:
                    break
                for row_id, mention in plan.mentions.items():
                    found.setdefault(row_id, mention)
                key = plan.previous
        return found, True

    def who_left(
        self, past: Past, rows: Iterable[Row], deadline: Deadline
    ) -> dict[str, tuple[str, ...]]:
        """Who certainly had which of these rows, which nobody has now, and was not freed of it by us.

        What the last plan still knows is asked first; beyond that, a list that was emptied says that somebody had the
        row. Raises AuditError.
        """
        had: dict[str, tuple[str, tuple[str, ...]]] = {}
        left: dict[str, tuple[str, ...]] = {}
        emptied: dict[str, float] = {}
        for row in rows:
            entry = past.entries.get(row.id)
            if entry is None and row.emptied:
                emptied[row.id] = row.created
            elif entry and entry.confirmed and not entry.freed:
                left[row.id] = entry.reviewers
            elif entry and entry.run_id and not entry.freed:
                had[row.id] = entry.run_id, entry.reviewers
        for row_id, mention in self.newest(past, emptied, deadline)[0].items():
            if mention.deed is Deed.GAVE:
                had[row_id] = mention.run_id, mention.people
        landed = cache(self._chain.landed)
        certain = {row_id: who for row_id, (run_id, who) in had.items() if row_id in landed(run_id)}
        return left | certain


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
