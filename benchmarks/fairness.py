"""How even a month of hourly runs is, beside the published script's rule: `python -m benchmarks.fairness`.

Only the deciding code runs here (lib.plan.make_plan on rows in memory), so that a month takes seconds.
"""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from lib.plan import Plan, make_plan
from lib.roster import Reviewer, Roster
from lib.rows import Row

START = datetime(2026, 1, 1, tzinfo=UTC)
CASES = ((5, 1), (5, 3), (5, 12), (10, 4), (50, 10))


@dataclass
class Simulation:
    """Hourly runs over rows that come in, with the rows given so far counted by person."""

    people: tuple[Reviewer, ...]
    days: int = 7
    rows: list[Row] = field(default_factory=list)
    given: Counter[str] = field(default_factory=Counter)
    published: Counter[str] = field(default_factory=Counter)
    """What the published rule gives: the first M mod N people one more, in every run."""
    worst: float = 0.0
    """The largest spread there was after any run."""
    plan: Plan | None = None
    hours: int = 0

    def run(self, arrivals: Sequence[float]) -> Plan:
        """One run after an hour in which rows arrived, each so many hours before the run."""
        self.hours += 1
        now = START + timedelta(hours=self.hours)
        for number, age in enumerate(arrivals):
            created = (now - timedelta(hours=age)).timestamp()
            self.rows.append(
                Row(f"{self.hours:05}-{number:04}", created, 1, (), reviewed=False, readable=True)
            )
        self.rows = [
            row for row in self.rows if row.created >= (now - timedelta(days=self.days)).timestamp()
        ]
        waiting = sum(row.needs_reviewer for row in self.rows)
        plan = make_plan(Plan("project", "tag", {}, now), self.rows, Roster(self.people), self.plan)
        given = dict(plan.assignments)
        self.rows = [
            row._replace(reviewers=(given[row.id],)) if row.id in given else row
            for row in self.rows
        ]
        self.given.update(given.values())
        self.published.update(self.people[place % len(self.people)].id for place in range(waiting))
        if waiting:
            self.plan = plan
        self.worst = max(self.worst, self.spread(self.given))
        return plan

    def spread(self, counts: Counter[str]) -> float:
        """Max minus min of the rows per weight."""
        shares = [counts[person.id] / person.weight for person in self.people]
        return max(shares) - min(shares)


def month(
    people: Sequence[Reviewer],
    rate: float,
    *,
    seed: int | None = None,
    late: float = 0.0,
    hours: int = 720,
) -> Simulation:
    """Hourly runs at `rate` rows an hour: exactly so many, or, with a `seed`, by chance.

    `late`: this share of the rows is up to three days old when it is tagged.
    """
    chance = random.Random(seed)  # noqa: S311 - reproducible, not secret
    simulation = Simulation(tuple(people))
    for _ in range(hours):
        count = int(rate) if seed is None else sum(chance.random() < rate / 200 for _ in range(200))
        simulation.run(
            [
                chance.random() + (72 * chance.random() if chance.random() < late else 0)
                for _ in range(count)
            ]
        )
    return simulation


def staff(*weights: float) -> tuple[Reviewer, ...]:
    """Reviewers of these weights."""
    return tuple(
        Reviewer(f"reviewer-{place:02}", weight=weight) for place, weight in enumerate(weights)
    )


def main() -> None:
    """Print the table."""
    print(f"{'720 hourly runs':<34}{'rows':>7}{'ours':>8}{'worst':>8}{'published':>11}")
    for count, rate in CASES:
        for how, options in (
            ("", {}),
            (", by chance", {"seed": 1}),
            (", 30 % tagged late", {"seed": 1, "late": 0.3}),
        ):
            done = month(staff(*[1.0] * count), rate, **options)
            numbers = (done.spread(done.given), done.worst, done.spread(done.published))
            print(
                f"{f'{count} people, {rate} rows/h{how}':<34}{done.given.total():>7}"
                + "".join(
                    f"{number:>{width}.0f}"
                    for number, width in zip(numbers, (8, 8, 11), strict=True)
                )
            )
    done = month(staff(1, 1, 1, 0.5), 7)
    print(
        f"{'weights 1, 1, 1, 0.5 at 7 rows/h':<34}{done.given.total():>7}{done.spread(done.given):>8.1f}{done.worst:>8.1f}"
    )
    print(
        "ours, worst, published: max minus min of the rows received, per weight; worst: after any of the runs"
    )


if __name__ == "__main__":
    main()
