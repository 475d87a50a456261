"""Even over weeks: what the rule guarantees, over months of arrivals and over hostile sequences."""

import json
from collections import Counter
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.fairness import CASES, Simulation, month, staff
from lib.plan import Plan, make_plan
from lib.roster import Reviewer, Roster
from lib.rows import Row
from lib.terms import Absence

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
PEOPLE = ("ana", "bo", "cy", "dee", "eve")


def a_row(number: int, *reviewers: str, reviewed: bool = False, hours_ago: float = 1) -> Row:
    created = (NOON - timedelta(hours=hours_ago)).timestamp()
    return Row(
        f"row-{number:04}", created + number / 1000, 1, reviewers, reviewed=reviewed, readable=True
    )


def plan(
    rows: list[Row], people: list[Reviewer], previous: Plan | None = None, most: int = 0
) -> Plan:
    return make_plan(Plan("project", "tag", {}, NOON), rows, Roster(tuple(people)), previous, most)


@pytest.mark.parametrize(("count", "rate"), CASES)
def test_over_weeks_of_hourly_runs_totals_never_differ_by_more_than_one(
    count: int, rate: int
) -> None:
    """`python -m benchmarks.fairness` prints the month."""
    done = month(staff(*[1.0] * count), rate, seed=7, hours=300)
    assert done.worst <= 1
    assert done.spread(done.published) > 100  # the published rule, same arrivals


def test_with_fewer_rows_in_the_window_than_people_everybody_has_a_turn() -> None:
    """The window has forgotten who was served ten days ago; the plan has not."""
    simulation = Simulation(staff(*[1.0] * 10), days=3)
    for day in range(200):
        for hour in range(24):
            simulation.run([0.5] if hour == day % 24 else [])
    assert simulation.given == Counter({person.id: 20 for person in simulation.people})


def test_part_time_people_get_their_share_over_a_month() -> None:
    done = month(staff(1, 1, 0.5), 2)
    total = done.given.total()
    assert [round(done.given[person.id] / total, 2) for person in done.people] == [0.4, 0.4, 0.2]


@given(
    st.lists(
        st.tuples(
            st.integers(0, 12),  # rows that arrive
            st.lists(st.sampled_from(PEOPLE), min_size=1, unique=True),  # who is on the list
            st.sampled_from(PEOPLE),  # who takes a row by hand
            st.booleans(),  # whether somebody does
        ),
        min_size=1,
        max_size=30,
    )
)
def test_each_run_is_even_and_gives_the_extra_rows_to_whoever_received_the_fewest(
    hours: list[tuple[int, list[str], str, bool]],
) -> None:
    """People join and leave, take rows by hand, and there may be fewer rows than people."""
    simulation = Simulation(())
    for arrivals, listed, somebody, takes_one in hours:
        simulation.people = tuple(Reviewer(name) for name in listed)
        if takes_one:
            simulation.rows.append(
                a_row(9999, somebody)._replace(created=simulation_now(simulation))
            )
        before = Counter(reviewer for row in simulation.rows for reviewer in row.reviewers)
        done = simulation.run([0.5] * arrivals)
        given_now = Counter(dict.fromkeys(listed, 0))
        given_now.update(reviewer for _, reviewer in done.assignments)
        least, extra = divmod(arrivals, len(listed))
        assert sorted(given_now.values()) == [least] * (len(listed) - extra) + [least + 1] * extra
        fortunate = [before[name] for name in listed if given_now[name] > least]
        others = [before[name] for name in listed if given_now[name] == least]
        assert not fortunate or max(fortunate) <= min(others, default=max(fortunate))


def simulation_now(simulation: Simulation) -> float:
    return (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=simulation.hours)).timestamp()


def test_ties_go_to_whoever_was_served_longest_ago() -> None:
    people = [Reviewer(name) for name in PEOPLE[:3]]
    previous = Plan("project", "tag", {}, NOON - timedelta(hours=3), served=["cy", "ana", "bo"])
    done = plan([a_row(number) for number in range(4)], people, previous)
    assert [reviewer for _, reviewer in done.assignments] == ["cy", "ana", "bo", "cy"]
    assert done.served == ["ana", "bo", "cy"]


def test_without_a_plan_the_newest_row_somebody_has_says_when_they_were_served() -> None:
    people = [Reviewer(name) for name in PEOPLE[:2]]
    rows = [a_row(0, "ana", hours_ago=5), a_row(1, "bo", hours_ago=9), a_row(2)]
    assert [reviewer for _, reviewer in plan(rows, people).assignments] == ["bo"]


def test_somebody_back_from_leave_is_not_flooded() -> None:
    rows = [a_row(number, "ana") for number in range(50)] + [
        a_row(100 + number) for number in range(9)
    ]
    done = plan(rows, [Reviewer("ana"), Reviewer("back")])
    assert Counter(reviewer for _, reviewer in done.assignments) == {"back": 5, "ana": 4}


def test_whoever_is_away_gets_nothing_from_the_first_day_to_the_last() -> None:
    off = (Absence(date(2026, 11, 23), date(2026, 11, 25)),)
    people = [Reviewer("ana"), Reviewer("bo", away=off)]
    rows = [a_row(number) for number in range(3)]
    for day, expected in ((22, 2), (23, 1), (24, 1), (25, 2)):
        draft = Plan("project", "tag", {}, NOON.replace(day=day))
        assert (
            len({who for _, who in make_plan(draft, rows, Roster(tuple(people)), None).assignments})
            == expected
        )


def test_a_cap_counts_rows_that_are_not_reviewed_and_the_newest_rows_wait() -> None:
    rows = [
        a_row(0, "ana"),
        a_row(1, "ana", reviewed=True),
        *(a_row(10 + number) for number in range(6)),
    ]
    done = plan(rows, [Reviewer("ana", max_open=3), Reviewer("bo", max_open=2)])
    assert done.assignments == [
        ("row-0010", "bo"),
        ("row-0011", "ana"),
        ("row-0012", "bo"),
        ("row-0013", "ana"),
    ]
    assert done.waiting == {"every reviewer is away or full": 2}


def test_the_plan_says_for_everybody_why_they_got_what_they_got() -> None:
    people = [
        Reviewer("ana"),
        Reviewer("bo", weight=0.5, max_open=0),
        Reviewer("cy", away=(Absence(date(2026, 11, 20), date(2026, 12, 1)),)),
    ]
    draft = Plan("project", "tag", {}, NOON)
    done = make_plan(
        draft, [a_row(0, "bo"), a_row(1)], Roster(tuple(people), ("email x@example.com",)), None
    )
    turn = "number 1 of 2 in turn: by rows received per weight, then by who was served longest ago"
    assert done.reviewers == [
        why("ana", given=1, reason=turn),
        why("bo", weight=0.5, received_before=1, open_before=1, reason="full: max_open is 0"),
        why("cy", reason="away until 2026-12-01"),
        {"entry": "email x@example.com", "given": 0, "reason": "unknown to the organisation"},
    ]


def why(reviewer: str, **facts: object) -> dict[str, object]:
    nothing = {"weight": 1.0, "received_before": 0, "open_before": 0, "given": 0, "given_again": 0}
    return {"reviewer_id": reviewer} | nothing | facts


def test_a_plan_reads_back_as_it_was_written() -> None:
    first = plan([a_row(number) for number in range(3)], [Reviewer("ana"), Reviewer("bo")])
    second = make_plan(
        Plan("project", "other", {}, NOON + timedelta(hours=1)),
        [a_row(9)],
        Roster((Reviewer("ana"),)),
        first,
    )
    assert [entry.tag for entry in second.carried] == ["tag"] * 3
    stored = Plan.from_json(json.loads("".join(second.to_json("a run"))))
    assert stored == Plan(**{**vars(second), "run_id": "a run"})
