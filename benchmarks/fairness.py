"""How even a month of hourly runs is, beside the published script's rule: `python -m benchmarks.fairness`.

Only the deciding code runs here (lib.handout.make_plan on rows in memory), so that a month takes seconds.
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import NamedTuple

from benchmarks import pairs
from lib.handout import make_plan
from lib.past import Past
from lib.plan import Plan
from lib.roster import Reviewer, Roster
from lib.rows import Fetched, Row
from lib.terms import Absence

START = datetime(2026, 1, 1, tzinfo=UTC)
EVER = (Absence(date.min, date.max),)


@dataclass
class Simulation:
    """Hourly runs over rows that come in, with what was given and what was due counted by person."""

    people: tuple[Reviewer, ...]
    days: int = 7
    reviewing: float = 0.0
    """The share of everybody's open rows that is reviewed within an hour."""
    rows: list[Row] = field(default_factory=list)
    given: Counter[str] = field(default_factory=Counter)
    due: Counter[str] = field(default_factory=Counter)
    """Each run's rows by weight, to those who were there; where there are caps, as the plan has it."""
    published: Counter[str] = field(default_factory=Counter)
    """What the published rule gives to those there: the first M mod N one more, in every run."""
    spread: float = 0.0
    """The largest difference of rows received per weight after any run."""
    off: float = 0.0
    """The farthest that anybody was from what was due to them, after any run."""
    plan: Plan | None = None
    hours: int = 0

    @property
    def now(self) -> datetime:
        return START + timedelta(hours=self.hours)

    def run(self, arrivals: Sequence[float], away: frozenset[str] = frozenset()) -> Plan:
        """One run after an hour in which rows arrived, each so many hours before the run."""
        self.hours += 1
        for number, age in enumerate(arrivals):
            created = (self.now - timedelta(hours=age)).timestamp()
            self.rows.append(Row(created, f"{self.hours:05}-{number:04}"))
        begin = (self.now - timedelta(days=self.days)).timestamp()
        self.rows = [row for row in self.rows if row.created >= begin]
        waiting = sum(row.needs_reviewer for row in self.rows)
        listed = [replace(who, away=EVER) if who.id in away else who for who in self.people]
        draft = Plan("project", "tag", {}, self.now)
        plan = make_plan(draft, Fetched(self.rows), Roster(tuple(listed)), Past(self.plan))
        given = dict(plan.assignments)
        self.rows = [
            row._replace(reviewers=given[row.id]) if row.id in given else row for row in self.rows
        ]
        self._review()
        self._count(waiting, [who for who in self.people if who.id not in away], plan)
        self.plan = plan if waiting else self.plan
        return plan

    def _review(self) -> None:
        seen = self.hours * self.reviewing
        if int(seen) > int(seen - self.reviewing):  # so often is everything open reviewed
            self.rows = [row._replace(reviewed=bool(row.reviewers)) for row in self.rows]

    def _count(self, waiting: int, there: Sequence[Reviewer], plan: Plan) -> None:
        weights = sum(person.weight for person in there)
        capped = any(person.max_open is not None for person in there)
        shares = {turn.reviewer.id: turn.share for turn in plan.turns}
        for person in there:
            share = shares[person.id]
            due = waiting * person.weight / weights
            if capped:
                due = share.due if share else 0
            self.due[person.id] += due  # type: ignore[assignment] # a part of a row
        self.given.update(who for _, people in plan.assignments for who in people)
        self.published.update(there[place % len(there)].id for place in range(waiting))
        self.spread = max(self.spread, self.spread_of(self.given))
        self.off = max(self.off, self.off_by(self.given))

    def spread_of(self, counts: Counter[str]) -> float:
        """Max minus min of the rows per weight."""
        shares = [counts[person.id] / person.weight for person in self.people]
        return max(shares, default=0) - min(shares, default=0)

    def off_by(self, counts: Counter[str]) -> float:
        """How far anybody is from what was due to them."""
        return max((abs(counts[who.id] - self.due[who.id]) for who in self.people), default=0)


def month(
    people: Sequence[Reviewer],
    rate: float,
    *,
    seed: int | None = None,
    late: float = 0.0,
    away: float = 0.0,
    reviewing: float = 0.0,
    hours: int = 720,
) -> Simulation:
    """Hourly runs at `rate` rows an hour: exactly so many, or, with a `seed`, by chance.

    `late`: this share of the rows is up to three days old when it is tagged. `away`: everybody misses this share
    of the runs, by chance.
    """
    chance = random.Random(seed)  # noqa: S311 - reproducible, not secret
    simulation = Simulation(tuple(people), reviewing=reviewing)
    for _ in range(hours):
        count = int(rate) if seed is None else sum(chance.random() < rate / 200 for _ in range(200))
        missing = frozenset(who.id for who in people if chance.random() < away)
        if len(missing) == len(people):
            missing = frozenset()
        ages = [
            chance.random() + 72 * chance.random() * (chance.random() < late) for _ in range(count)
        ]
        simulation.run(ages, missing)
    return simulation


def staff(*weights: float) -> tuple[Reviewer, ...]:
    """Reviewers of these weights."""
    return tuple(
        Reviewer(f"reviewer-{place:02}", weight=weight) for place, weight in enumerate(weights)
    )


class Case(NamedTuple):
    """A month to play."""

    words: str
    play: Callable[[], Simulation]
    same_people: bool = True
    """Everybody is there at every run, so that nobody is ever more than a row from anybody else."""


def cases(hours: int = 720) -> list[Case]:
    """The months of the table, or less of them."""
    play = partial(month, hours=hours)
    found = []
    for count, rate in ((5, 1), (5, 3), (5, 12), (10, 4), (50, 10)):
        team = staff(*[1.0] * count)
        words = f"{count} people, {rate} rows/h"
        found += [
            Case(words, lambda team=team, rate=rate: play(team, rate)),
            Case(f"{words}, by chance", lambda team=team, rate=rate: play(team, rate, seed=1)),
            Case(
                f"{words}, 30 % tagged late",
                lambda team=team, rate=rate: play(team, rate, seed=1, late=0.3),
            ),
            Case(
                f"{words}, 30 % away",
                lambda team=team, rate=rate: play(team, rate, seed=1, away=0.3),
                same_people=False,
            ),
        ]
    uneven, capped = (
        staff(1, 0.5, 2),
        (*staff(1, 1, 1), Reviewer("x", max_open=2), Reviewer("y", max_open=1)),
    )
    return [
        *found,
        Case("weights 1, 0.5, 2, 7 rows/h", lambda: play(uneven, 7, seed=1), same_people=False),
        Case(
            "weights 1, 0.5, 2, 7 rows/h, 30 % away",
            lambda: play(uneven, 7, seed=1, away=0.3),
            same_people=False,
        ),
        Case(
            "weights 1, 0.1, 1, 3, 5 rows/h, 40 % away",
            lambda: play(staff(1, 0.1, 1, 3), 5, seed=1, away=0.4),
            same_people=False,
        ),
        Case(
            "5 people, 3 rows/h, two with max_open 2, 1",
            lambda: play(capped, 3, seed=1, reviewing=0.3),
            same_people=False,
        ),
    ]


def main() -> None:
    """Print the table."""
    print(
        f"{'720 hourly runs':<42}{'rows':>6}{'spread':>8}{'off':>7}{'published: spread':>19}{'off':>7}"
    )
    for case in cases():
        done = case.play()
        print(
            f"{case.words:<42}{done.given.total():>6}{done.spread:>8.2f}{done.off:>7.2f}"
            f"{done.spread_of(done.published):>19.0f}{done.off_by(done.published):>7.0f}"
        )
    print(
        "\nspread: max minus min of the rows received per weight, off: the farthest that anybody was from what"
        "\nwas due to them; both after the worst of the runs (published rule: after the last one)."
    )
    pairs.table()


if __name__ == "__main__":
    main()
