"""Row by row: who gets which row where rows go to several people, or somebody may not have one.

Pure. Each row is due, in parts by weight, nobody more than one, to those who may get it. It goes to
whoever is owed most; each further reviewer is drawn by lot from those who are nearly as much owed,
so that everybody meets everybody.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import NamedTuple

from lib.distribution import (
    DIGITS,
    Assignment,
    Seat,
    Share,
    deal_shares,
    due_by_weight,
    share_of,
    share_out,
)

NEAR = 0.5
"""Rows: whoever is owed less than the most owed by no more than this may be drawn."""
TIE = 2 / 10**DIGITS
"""Rows: what rounding may set apart, and what is owed alike for all that."""
NOBODY: frozenset[str] = frozenset()


class PerRow(NamedTuple):
    """How many different people a row gets: REVIEWERS_PER_ROW and OVERLAP."""

    people: int = 1
    overlap: float = 1.0
    """The share of the rows that get so many; the others get one."""

    def of(self, row_id: str) -> int:
        """The same in every run; raising the share only adds rows."""
        if self.people == 1 or self.overlap == 1:
            return self.people
        place = int(sha256(f"overlap:{row_id}".encode()).hexdigest()[:16], 16)
        return self.people if place < self.overlap * 2**64 else 1


class Wish(NamedTuple):
    """A row that is to be given out."""

    row_id: str
    people: int = 1
    """How many different people are to get it."""
    barred: frozenset[str] = NOBODY
    """Who may not have it, by user id."""


@dataclass
class Dealt:
    """Who gets which row, by what right, and which rows wait."""

    rows: Iterable[Assignment] = ()
    """In the order of the wishes; to be read once."""
    shares: Sequence[Share] = ()
    """Everybody who was there and had room, whoever is owed most first."""
    fewer: int = 0
    """Rows that get fewer people than they should."""
    barred: list[str] = field(default_factory=list)
    """Rows that nobody there who has room may have."""
    no_room: int = 0
    """Rows for which nobody there has room."""
    capped: int = 0
    """Rows beyond the most that are given out."""


def hand_out(wishes: Sequence[Wish], seats: Sequence[Seat], most: int = 0) -> Dealt:
    """Deal the rows in order, `most` of them at most (0: no cap).

    Rows that nobody may have use up none of it. Where each row goes to one person and nobody there
    is barred, all at once, which is quicker and exact.
    """
    there = {seat.user for seat in seats}
    if any(wish.people > 1 or not there.isdisjoint(wish.barred) for wish in wishes):
        return deal_by_row(wishes, seats, most)
    return deal_at_once([wish.row_id for wish in wishes], seats, most)


def deal_at_once(ids: Sequence[str], seats: Sequence[Seat], most: int = 0) -> Dealt:
    """Deal the rows by shares, each to one person, whoever that is."""
    allowed = ids[:most] if most else ids
    shares = share_out(len(allowed), seats)
    alone = {share.seat.user: (share.seat.user,) for share in shares}  # rows of one share a tuple
    rows = (Assignment(row_id, alone[user]) for row_id, user in deal_shares(allowed, shares))
    given = sum(share.quota for share in shares)
    left, full = len(ids) - given, given < len(allowed)
    return Dealt(rows, shares, no_room=left if full else 0, capped=0 if full else left)


def deal_by_row(wishes: Iterable[Wish], seats: Iterable[Seat], most: int = 0) -> Dealt:
    """Deal the rows one after the other, each by what everybody is owed by then."""
    table, rows, dealt = _Table(seats), list[Assignment](), Dealt()
    for wish in wishes:
        if table.has_room and not table.may_get(wish):
            dealt.barred.append(wish.row_id)
        elif most and len(rows) == most:
            dealt.capped += 1
        elif not table.has_room:
            dealt.no_room += 1
        else:
            people = table.give(wish)
            rows.append(Assignment(wish.row_id, people))
            dealt.fewer += len(people) < wish.people
    dealt.rows, dealt.shares = rows, table.shares()
    return dealt


@dataclass
class _Group:
    """Rows that the same people may get, the same number of people each."""

    parts: list[tuple[int, float]]
    """By place at the table: what is due to them of each of these rows."""
    people: int
    rows: int = 0


class _Table:
    """The seats during one run: what everybody there is owed, and has got."""

    def __init__(self, seats: Iterable[Seat]) -> None:
        self._seats = [seat for seat in seats if seat.room != 0]
        self._users = frozenset(seat.user for seat in self._seats)
        self._owed = [seat.credit for seat in self._seats]
        self._given = [0] * len(self._seats)
        self._full = NOBODY
        self._groups: dict[tuple[frozenset[str], int], _Group] = {}
        self._together: dict[tuple[str, ...], tuple[str, ...]] = {}
        """Rows of the same people share one tuple."""

    @property
    def has_room(self) -> bool:
        return len(self._full) < len(self._seats)

    def may_get(self, wish: Wish) -> bool:
        """Somebody who has room may have the row."""
        return not self._users <= self._full | wish.barred

    def give(self, wish: Wish) -> tuple[str, ...]:
        """Who gets the row, whoever was owed most first. Somebody may get it."""
        group = self._group(self._full | (wish.barred & self._users), wish.people)
        group.rows += 1
        for place, part in group.parts:
            self._owed[place] += part
        chosen = self._drawn(wish.row_id, group)
        for place in chosen:
            self._owed[place] -= 1
            self._given[place] += 1
            if self._given[place] == self._seats[place].room:
                self._full |= {self._seats[place].user}
        people = tuple(self._seats[place].user for place in chosen)
        return self._together.setdefault(people, people)

    def _group(self, out: frozenset[str], people: int) -> _Group:
        """The rows that all may get but `out`."""
        group = self._groups.get((out, people))
        if group is None:
            free = {
                seat._replace(room=1): place
                for place, seat in enumerate(self._seats)
                if seat.user not in out
            }
            people_there = min(people, len(free))
            due = due_by_weight(people_there, free)
            parts = [(free[seat], part) for seat, part in due.items()]
            group = self._groups[out, people] = _Group(parts, people_there)
        return group

    def _drawn(self, row_id: str, group: _Group) -> list[int]:
        """The places of those who get the row."""
        owed, left = self._owed, [place for place, _ in group.parts]
        chosen: list[int] = []
        reach = TIE
        while len(chosen) < group.people:
            least = max(owed[place] for place in left) - reach
            near = [place for place in left if owed[place] >= least]
            place = near[0]
            if len(near) > 1:
                place = min(near, key=lambda place: lot(row_id, self._seats[place].user))
            chosen.append(place)
            left.remove(place)
            reach = NEAR + TIE
        return chosen

    def shares(self) -> list[Share]:
        """What was due to everybody, and what they got."""
        due = [0.0] * len(self._seats)
        for group in self._groups.values():
            for place, part in group.parts:
                due[place] += group.rows * part
        shares = map(share_of, self._seats, due, self._given)
        return sorted(shares, key=lambda share: share.turn)


def lot(row_id: str, user: str) -> bytes:
    """What decides between people for a row: the lowest wins."""
    return sha256(f"{row_id}:{user}".encode()).digest()
