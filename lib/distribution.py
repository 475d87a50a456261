"""Who gets which row: a pure rule, without a clock, a network or a configuration."""

from collections.abc import Iterable, Sequence
from heapq import heapify, heappop, heapreplace
from typing import NamedTuple


class Seat(NamedTuple):
    """One reviewer at the table; the order of the seats says who is owed the next row."""

    user: str
    weight: float = 1.0
    room: int | None = None
    """How many rows fit; None: any number."""


def deal(ids: Iterable[str], seats: Sequence[Seat]) -> list[tuple[str, str]]:
    """Deal the rows in order, each to the lowest (given + rank / N) / weight that has room.

    With equal weights that is dealing cards: everybody gets floor or floor + 1, the first seats the extra
    ones, and every prefix is just as even. Rows that find no room are left out, so it is the last that wait.
    """
    heap = [
        (rank / len(seats) / seat.weight, rank, 0)
        for rank, seat in enumerate(seats)
        if seat.room != 0
    ]
    heapify(heap)
    dealt = []
    for row_id in ids:
        if not heap:
            break
        _, rank, given = heap[0]
        seat, given = seats[rank], given + 1
        dealt.append((row_id, seat.user))
        if given == seat.room:
            heappop(heap)
        else:
            heapreplace(heap, ((given + rank / len(seats)) / seat.weight, rank, given))
    return dealt


def distribute(ids: Iterable[str], users: Sequence[str]) -> list[tuple[str, str]]:
    """`[(row_id, user_id)]`: floor(M/N) or floor(M/N) + 1 rows each, the first M mod N users one more."""
    ids = list(ids)
    if ids and not users:
        raise ValueError("there is nobody to distribute the rows to")
    return deal(ids, [Seat(user) for user in users])
