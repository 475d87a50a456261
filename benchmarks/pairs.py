"""How even it is where rows go to several people, or are barred for some, and who meets whom: part of benchmarks.fairness.

Only lib.lots deals here, run after run, each with the credit that the one before left.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import NamedTuple

from lib.distribution import Seat, settle
from lib.lots import NOBODY, PerRow, Wish, hand_out

Barred = Callable[[int], frozenset[str]]


def nobody(_: int) -> frozenset[str]:
    return NOBODY


@dataclass
class Rounds:
    """What runs one after another gave to everybody."""

    weights: Mapping[str, float]
    credit: Mapping[str, float] = field(default_factory=dict)
    given: Counter[str] = field(default_factory=Counter)
    due: dict[str, float] = field(default_factory=dict)
    pairs: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How often two people had the same row."""
    waiting: int = 0
    off: float = 0.0
    """The farthest that anybody was from what was due to them, after any run."""
    dealt: int = 0

    def play(
        self,
        rows: int,
        size: int,
        per_row: PerRow,
        *,
        away: float = 0.0,
        barred: Barred = nobody,
        seed: int = 1,
    ) -> "Rounds":
        """So many more rows, in runs of `size`; everybody misses the share `away` of the runs, by chance."""
        chance = random.Random(seed)  # noqa: S311 - reproducible, not secret
        numbers = range(self.dealt, self.dealt + rows)
        self.dealt += rows
        for start in range(0, rows, size):
            there = [user for user in self.weights if chance.random() >= away] or [*self.weights]
            seats = [
                Seat(user, self.weights[user], None, self.credit.get(user, 0.0)) for user in there
            ]
            ids = [(number, f"{seed}-{number}") for number in numbers[start : start + size]]
            wishes = [Wish(row_id, per_row.of(row_id), barred(number)) for number, row_id in ids]
            dealt = hand_out(wishes, seats)
            for _, people in dealt.rows:
                self.given.update(people)
                self.pairs.update(combinations(sorted(people), 2))
            for share in dealt.shares:
                self.due[share.seat.user] = self.due.get(share.seat.user, 0.0) + share.due
            self.waiting += len(dealt.barred)
            self.credit = settle(self.credit, dealt.shares)
            self.off = max(
                self.off, *(abs(self.given[user] - due) for user, due in self.due.items())
            )
        return self

    @property
    def received(self) -> list[int]:
        """What each has got, in the order of the list."""
        return [self.given[user] for user in self.weights]

    @property
    def meetings(self) -> list[int]:
        """How often each two met, the fewest first."""
        return sorted(self.pairs[pair] for pair in combinations(sorted(self.weights), 2))


def team(*weights: float) -> dict[str, float]:
    """People of these weights."""
    return {f"person-{place:02}": weight for place, weight in enumerate(weights)}


TEN = team(*[1.0] * 10)
UNEVEN = team(1, 0.5, 2, 1, 1, 0.5, 1, 1, 1, 1)


class Course(NamedTuple):
    """Runs to play."""

    words: str
    play: Callable[[], Rounds]


def courses(rows: int = 5000) -> Iterator[Course]:
    """The lines of the table."""
    for size in (7, 1):
        yield Course(
            f"10 people, 2 a row, runs of {size}",
            lambda size=size: Rounds(TEN).play(rows, size, PerRow(2)),
        )
    for words, per_row in (
        ("2 a row", PerRow(2)),
        ("3 a row", PerRow(3)),
        ("2 a row, OVERLAP 0.2", PerRow(2, 0.2)),
    ):
        for size in (7, 1):
            yield Course(
                f"uneven weights, 30 % away, {words}, runs of {size}",
                lambda size=size, per_row=per_row: Rounds(UNEVEN).play(
                    rows, size, per_row, away=0.3
                ),
            )


def mostly_by(share: float) -> Barred:
    """Rows of which the first of five people makes this share."""
    author = frozenset({"person-00"})
    return lambda number: author if number % 100 < 100 * share else NOBODY


def authored(share: float) -> tuple[list[int], list[int]]:
    """What each gets of 2,000 rows of which one of five makes a share; and then of 20 that nobody made."""
    return _and_then(
        Rounds(team(*[1.0] * 5)).play(2000, 7, PerRow(), barred=mostly_by(share)), rows=20
    )


def then_alone() -> tuple[list[int], list[int]]:
    """What weights 1, 0.5, 2 get of 1,000 rows at two a row; and then of 35 at one."""
    return _and_then(Rounds(team(1, 0.5, 2)).play(1000, 7, PerRow(2)), rows=35)


def _and_then(rounds: Rounds, rows: int) -> tuple[list[int], list[int]]:
    before = rounds.received
    rounds.play(rows, 7, PerRow())
    return before, [now - then for now, then in zip(rounds.received, before, strict=True)]


def table() -> None:
    """Print it."""
    print(
        f"\n{'5,000 rows':<56}{'fewest':>7}{'most':>6}{'off':>6}{'two met: fewest':>17}{'most':>6}"
    )
    for course in courses():
        done = course.play()
        received, met = done.received, done.meetings
        print(
            f"{course.words:<56}{min(received):>7}{max(received):>6}{done.off:>6.2f}{met[0]:>17}{met[-1]:>6}"
        )
    print(
        "\noff: as above. Ten people of one weight, two a row: each two would meet 111 times by lot."
    )
    for share in (0.2, 0.6, 1.0):
        before, later = authored(share)
        print(
            f"AUTHOR, one of five makes {share:.0%} of 2,000 rows: {before}, of 20 later: {later}"
        )
    before, later = then_alone()
    print(f"weights 1, 0.5, 2: of 1,000 rows at two a row: {before}, of 35 at one: {later}")
