"""Who had a row last: which plan of the chain named it last, and to whom it gave it, or from whom it took it."""

from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime
from enum import Enum, auto
from typing import NamedTuple

from lib.bucket import AuditBucket
from lib.chain import Chain
from lib.deadline import Deadline
from lib.past import Past
from lib.plan import Plan

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


class Page(NamedTuple):
    """What is kept of a plan."""

    previous: str | None
    mentions: Mapping[str, Mention]


class Gifts:
    """Looks plans up, only when it has to and only as far back as it has to."""

    def __init__(self, bucket: AuditBucket, chain: Chain) -> None:
        self._bucket = bucket
        self._chain = chain

    def newest(
        self, past: Past, rows: Collection[str], since: date, deadline: Deadline
    ) -> tuple[dict[str, Mention], bool]:
        """The newest mention of each of these rows in plans from a date on; False: time ran out before all was read.

        A plan that is missing ends the chain. Raises AuditError for one that cannot be read.
        """
        if past.plan is None or not rows:
            return {}, True
        page: Page | None = _page(past.plan, rows)
        found = dict(page.mentions)
        if len(found) == len(rows) or not past.plan.previous:
            return found, True
        keys = self._bucket.plans_since(since)
        places = {key: place for place, key in enumerate(keys)}
        read: dict[str, Page | None] = {}

        def look(key: str) -> Page | None:
            plan = self._chain.plan_at(key, bare=True)
            return _page(plan, rows) if plan else None

        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            while page and len(found) < len(rows) and page.previous in places:
                if deadline.left() <= 0:
                    return found, False
                place = places.pop(page.previous)
                if page.previous not in read:
                    some = [key for key in keys[place : place + AHEAD] if key not in read]
                    read.update(zip(some, pool.map(look, some), strict=True))
                page = read.pop(page.previous)
                for row_id, mention in page.mentions.items() if page else ():
                    found.setdefault(row_id, mention)
        return found, True


def _page(plan: Plan, rows: Collection[str]) -> Page:
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
    return Page(plan.previous, mentions)
