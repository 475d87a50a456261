"""Who gets which row: a pure rule, without a clock, a network or a configuration."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from heapq import heapify, heappop, heapreplace
from typing import NamedTuple

DIGITS = 9
"""What is due and what is owed are rounded to so many digits, so that thirds tie."""


class Assignment(NamedTuple):
    """A row and the people it is given to, or taken from."""

    row_id: str
    reviewers: tuple[str, ...]


class Seat(NamedTuple):
    """One reviewer at the table."""

    user: str
    weight: float = 1.0
    room: int | None = None
    """How many rows fit; None: any number."""
    credit: float = 0.0
    """Rows that were due to them less rows that they received, over all runs before."""
    total: float = 0.0
    """The same over all queues of the project: whose turn it is where credits tie."""


class Share(NamedTuple):
    """What one reviewer gets of one run's rows, and by what right."""

    seat: Seat
    due: float
    """Their part of the rows by weight, to the fraction."""
    quota: int
    """The whole part of it, or one more."""
    owed: float
    """Credit with this run's due, less its whole part: who is owed most gets one more."""

    @property
    def credit(self) -> float:
        """What is left of what is owed, for the next run."""
        return round(self.seat.credit + self.due - self.quota, DIGITS)

    @property
    def turn(self) -> tuple[float, float, str]:
        """Sorts the most owed first, ties by the higher total, then by the lower id."""
        return -self.owed, -self.seat.total, self.seat.user


def share_of(seat: Seat, due: float, given: int | None = None) -> Share:
    """The share of somebody to whom so much is due.

    With `given`, of what they were given, else its whole part.
    """
    due = round(due, DIGITS)
    owed = round(seat.credit + due - int(due), DIGITS)
    return Share(seat, due, int(due) if given is None else given, owed)


def share_out(count: int, seats: Iterable[Seat]) -> list[Share]:
    """How many of `count` rows each seat with room gets, whoever is owed most first.

    Rows are due by weight; everybody gets the whole part of what is due, and what is left over goes
    one each to the most owed, ties to the higher total, then to the lower id. The quotas sum to
    `count`, or to all the room.
    """
    seats = [seat for seat in seats if seat.room != 0]
    shares = [share_of(seat, rows) for seat, rows in due_by_weight(count, seats).items()]
    shares.sort(key=lambda share: share.turn)
    # What is left over is less than one for each of those whose due is no whole number, and these
    # have room for one more: what is due is never more than the room.
    left = min(count, _room_of(seats)) - sum(share.quota for share in shares)
    for place, share in enumerate(shares):
        if left > 0 and share.quota != share.seat.room:
            shares[place] = share._replace(quota=share.quota + 1)
            left -= 1
    return shares


def due_by_weight(count: int, seats: Collection[Seat]) -> dict[Seat, float]:
    """Rows by weight; whoever fills up shares in the rows up to then, the others share the rest."""

    def level(seat: Seat) -> float:
        return float("inf") if seat.room is None else seat.room / seat.weight

    due: dict[Seat, float] = {}
    left, weights = float(count), sum(seat.weight for seat in seats)
    for seat in sorted(seats, key=level):
        part = left * seat.weight / weights
        part = part if seat.room is None else min(part, seat.room)
        due[seat] = part
        left, weights = left - part, weights - seat.weight
    return due


def _room_of(seats: Iterable[Seat]) -> float:
    return sum(float("inf") if seat.room is None else seat.room for seat in seats)


def deal(ids: Iterable[str], seats: Sequence[Seat]) -> Iterator[tuple[str, str]]:
    """Deal the rows in order, each to the lowest (given + rank / N) / weight that has room.

    With equal weights that is dealing cards: everybody gets floor or floor + 1, the first seats the
    extra ones, and every prefix is just as even. Rows that find no room are left out, so it is the
    last that wait.
    """
    return zip(ids, _next_users(seats), strict=False)


def _next_users(seats: Sequence[Seat]) -> Iterator[str]:
    """Whose each row is, as long as anybody has room."""
    heap = [
        (rank / len(seats) / seat.weight, rank, 0)
        for rank, seat in enumerate(seats)
        if seat.room != 0
    ]
    heapify(heap)
    while heap:
        _, rank, given = heap[0]
        seat, given = seats[rank], given + 1
        yield seat.user
        if given == seat.room:
            heappop(heap)
        else:
            heapreplace(heap, ((given + rank / len(seats)) / seat.weight, rank, given))


def deal_shares(ids: Sequence[str], shares: Iterable[Share]) -> Iterator[tuple[str, str]]:
    """Deal the rows: everybody ends with their quota, and every prefix is as even as it can be."""
    return deal(ids, [share.seat._replace(room=share.quota) for share in shares])


def settle(credit: Mapping[str, float], shares: Iterable[Share]) -> dict[str, float]:
    """Everybody's credit after a run; whoever had no part in it neither gains nor loses."""
    return dict(credit) | {share.seat.user: share.credit for share in shares}


def distribute(ids: Iterable[str], users: Sequence[str]) -> list[tuple[str, str]]:
    """`[(row_id, user_id)]`: floor(M/N) rows each, and the first M mod N users one more."""
    ids = list(ids)
    if ids and not users:
        raise ValueError("there is nobody to distribute the rows to")
    return list(deal(ids, [Seat(user) for user in users]))
