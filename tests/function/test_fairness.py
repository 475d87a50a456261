"""Even over weeks: what the rule guarantees, over months of arrivals and over hostile sequences."""

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.fairness import Case, Simulation, cases, month, staff
from lib.distribution import Seat, deal_shares, share_out
from lib.handout import make_plan
from lib.past import Past, planned_before
from lib.plan import Plan
from lib.roster import Reviewer, Roster
from lib.rows import Fetched, Row
from lib.terms import Absence
from lib.turns import Waits

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
PEOPLE = ("ana", "bo", "cy", "dee", "eve")


def a_row(number: int, *reviewers: str, reviewed: bool = False, hours_ago: float = 1) -> Row:
    created = (NOON - timedelta(hours=hours_ago)).timestamp()
    return Row(
        created + number / 1000, f"row-{number:04}", reviewers, reviewed=reviewed, readable=True
    )


def past_of(plan: Plan | None) -> Past:
    """What a run knows after this plan, whose writes nobody has confirmed."""
    return Past(plan, "key of it", "etag", planned_before(plan)) if plan else Past()


def people_of(plan: Plan) -> list[str]:
    return [reviewer for _, reviewers in plan.assignments for reviewer in reviewers]


def plan(
    rows: list[Row], people: list[Reviewer], previous: Plan | None = None, most: int = 0
) -> Plan:
    return make_plan(
        Plan("project", "tag", {}, NOON),
        Fetched(rows),
        Roster(tuple(people)),
        past_of(previous),
        most,
    )


@pytest.mark.parametrize("case", cases(hours=200), ids=lambda case: case.words)
def test_hourly_runs_keep_everybody_within_about_a_row_of_their_share(case: Case) -> None:
    """`python -m benchmarks.fairness` prints the months; the published rule has the same arrivals."""
    done = case.play()
    assert done.off <= 1.1
    assert done.spread <= 1 or not case.same_people
    assert done.off_by(done.published) > 25


def test_with_fewer_rows_in_the_window_than_people_everybody_has_a_turn() -> None:
    """The window has forgotten who was served ten days ago; the plan has not."""
    simulation = Simulation(staff(*[1.0] * 10), days=3)
    for day in range(200):
        for hour in range(24):
            simulation.run([0.5] if hour == day % 24 else [])
    assert simulation.given == Counter({person.id: 20 for person in simulation.people})


def test_part_time_people_get_their_share_over_a_month() -> None:
    done = month(staff(1, 1, 0.5), 2)
    assert done.given == {"reviewer-00": 576, "reviewer-01": 576, "reviewer-02": 288}


def shares_of_a_row_an_hour(simulation: Simulation, hours: int) -> Counter[str]:
    before = simulation.given.copy()
    for _ in range(hours):
        simulation.run([0.5])
    return simulation.given - before


def test_a_newcomer_gets_what_the_others_get_from_the_first_day() -> None:
    simulation = Simulation(staff(1, 1, 1, 1))
    shares_of_a_row_an_hour(simulation, 100)
    newcomer = Reviewer("a newcomer")
    simulation.people += (newcomer,)
    given_now = shares_of_a_row_an_hour(simulation, 24)
    assert given_now[newcomer.id] in {4, 5, 6}
    assert set(given_now.values()) <= {4, 5, 6}


def test_somebody_back_after_two_weeks_gets_what_the_others_get() -> None:
    simulation = Simulation(staff(1, 1, 1, 1, 1))
    shares_of_a_row_an_hour(simulation, 100)
    everybody, gone = simulation.people, simulation.people[0]
    simulation.people = everybody[1:]
    shares_of_a_row_an_hour(simulation, 14 * 24)
    simulation.people = everybody
    given_now = shares_of_a_row_an_hour(simulation, 24)
    assert given_now[gone.id] in {4, 5, 6}


def test_somebody_who_takes_themself_off_each_row_gets_what_the_others_get() -> None:
    """The others have the rows that they left, hours later; here the rows are gone."""
    simulation = Simulation(staff(1, 1, 1))
    quitter = simulation.people[0].id
    for _ in range(300):
        simulation.run([0.5])
        simulation.rows = [row for row in simulation.rows if quitter not in row.reviewers]
    assert simulation.given == {person.id: 100 for person in simulation.people}


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
def test_each_run_is_even_at_every_prefix_and_credit_sums_to_nothing(
    hours: list[tuple[int, list[str], str, bool]],
) -> None:
    """People join and leave, take rows by hand, and there may be fewer rows than people."""
    simulation = Simulation(())
    for arrivals, listed, somebody, takes_one in hours:
        simulation.people = tuple(Reviewer(name) for name in listed)
        if takes_one:
            simulation.rows.append(
                a_row(9999, somebody)._replace(created=simulation.now.timestamp())
            )
        done = simulation.run([0.5] * arrivals)
        given_now = Counter(dict.fromkeys(listed, 0))
        for dealt, person in enumerate(people_of(done), 1):
            given_now[person] += 1
            least = dealt // len(listed)
            assert set(given_now.values()) <= {least, least + 1}
        assert sum(done.credit[""].values()) == pytest.approx(0, abs=1e-6)
        assert all(abs(owed) < 2 for owed in done.credit[""].values())


seats = st.builds(
    Seat,
    user=st.sampled_from(PEOPLE),
    weight=st.sampled_from([0.001, 0.5, 1.0, 1.0, 3.0, 1000.0]),
    room=st.none() | st.integers(0, 5),
    credit=st.floats(-2, 2).map(lambda owed: round(owed, 9)),
)


@given(st.integers(0, 60), st.lists(seats, max_size=5, unique_by=lambda seat: seat.user))
def test_quotas_are_what_is_due_or_its_neighbours_and_use_up_the_rows_or_the_room(
    count: int, table: list[Seat]
) -> None:
    shares = share_out(count, table)
    room = sum(count if seat.room is None else seat.room for seat in table)
    assert sum(share.quota for share in shares) == min(count, room)
    for share in shares:
        assert int(share.due) <= share.quota <= int(share.due) + 1
        assert share.seat.room is None or share.quota <= share.seat.room
    dealt = list(deal_shares([str(number) for number in range(count)], shares))
    assert Counter(who for _, who in dealt) == +Counter(
        {share.seat.user: share.quota for share in shares}
    )


def test_what_is_left_over_goes_to_the_highest_credit_then_total_then_the_lower_id() -> None:
    table = [
        Seat("d", credit=0.5),
        Seat("c", credit=-0.5),
        Seat("b", credit=0.5, total=0.5),
        Seat("a", credit=0.5),
    ]
    for count, order in (
        (1, ["b"]),
        (2, ["b", "a"]),
        (3, ["b", "a", "d"]),
        (5, ["b", "a", "d", "c", "b"]),
    ):
        rows = [str(number) for number in range(count)]
        assert [who for _, who in deal_shares(rows, share_out(count, table))] == order


def test_whoever_fills_up_shares_in_the_rows_up_to_that_point() -> None:
    """Seven rows: five apiece of 7/3 until bo is full at 1, then the other six are halved."""
    shares = share_out(7, [Seat("ana"), Seat("bo", room=1), Seat("cy")])
    assert {share.seat.user: (share.due, share.quota) for share in shares} == {
        "ana": (3.0, 3),
        "bo": (1.0, 1),
        "cy": (3.0, 3),
    }


def test_thirds_tie() -> None:
    """After three rows nobody is owed a billionth more than the others for ever."""
    simulation = Simulation(tuple(Reviewer(name) for name in ("c", "b", "a")))
    order = [people_of(simulation.run([0.5])) for _ in range(9)]
    assert order == [["a"], ["b"], ["c"]] * 3


def test_two_runs_leave_the_same_credit_whatever_is_repeated_between_them() -> None:
    people = [Reviewer(name) for name in PEOPLE[:3]]
    first = plan([a_row(number) for number in range(4)], people)
    rows = [a_row(10 + number) for number in range(5)]
    again = [a_row(number) for number in range(4)]
    later = Plan("project", "tag", {}, NOON + timedelta(hours=1))
    quiet, repeating = (
        make_plan(later, Fetched(seen), Roster(tuple(people)), past_of(first))
        for seen in (rows, [*again, *rows])
    )
    assert quiet.credit == repeating.credit
    assert [len(quiet.assignments), len(repeating.assignments)] == [5, 9]


def test_people_who_are_away_full_or_gone_keep_their_credit() -> None:
    before = {"ana": 0.25, "bo": -0.5, "cy": 0.75, "gone": -0.5}
    previous = Plan("project", "tag", {}, NOON - timedelta(hours=3), credit={"": before})
    off = (Absence(date(2026, 11, 23), date(2026, 11, 25)),)
    people = [Reviewer("ana"), Reviewer("bo", away=off), Reviewer("cy", max_open=0)]
    done = plan([a_row(0)], people, previous)
    assert done.credit == {"": before | {"ana": 0.25}}  # one row due, one row received


def test_a_plan_of_an_older_version_means_that_nobody_is_owed_anything() -> None:
    """A plan that version 0.1 wrote."""
    objects = json.loads((Path(__file__).parents[1] / "version_0_1.json").read_text("utf-8"))
    (text,) = (text for key, text in objects.items() if "plans/" in key and "second" in key)
    previous = Plan.from_json(json.loads(text))
    assert previous.credit == {}
    done = plan([a_row(0), a_row(1)], [Reviewer("ana"), Reviewer("bo")], previous)
    assert people_of(done) == ["ana", "bo"]


def test_whoever_is_away_gets_nothing_from_the_first_day_to_the_last() -> None:
    off = (Absence(date(2026, 11, 23), date(2026, 11, 25)),)
    people = [Reviewer("ana"), Reviewer("bo", away=off)]
    rows = [a_row(number) for number in range(3)]
    for day, expected in ((22, 2), (23, 1), (24, 1), (25, 2)):
        draft = Plan("project", "tag", {}, NOON.replace(day=day))
        assert (
            len({*people_of(make_plan(draft, Fetched(rows), Roster(tuple(people)), Past()))})
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
        ("row-0010", ("ana",)),
        ("row-0011", ("bo",)),
        ("row-0012", ("ana",)),
        ("row-0013", ("bo",)),
    ]
    assert done.waiting == {Waits.NOBODY: 2}


def test_the_plan_says_for_everybody_why_they_got_what_they_got() -> None:
    people = [
        Reviewer("ana"),
        Reviewer("bo", weight=0.5, max_open=0),
        Reviewer("cy", away=(Absence(date(2026, 11, 20), date(2026, 12, 1)),)),
        Reviewer("dee"),
    ]
    owed = {"": {"ana": 0.25, "dee": -0.25}}
    previous = Plan("project", "tag", {}, NOON - timedelta(hours=3), credit=owed)
    roster = Roster(tuple(people), ("email x@example.com",))
    rows = Fetched([a_row(0, "bo"), a_row(1)])
    done = make_plan(Plan("project", "tag", {}, NOON), rows, roster, past_of(previous))
    half = {"due": 0.5}
    assert json.loads("".join(done.to_json("r")))["reviewers"] == [
        why(
            "ana",
            **half,
            given=1,
            credit_before=0.25,
            reason="number 1 of 2 in turn: owed 0.75 rows",
        ),
        why("bo", weight=0.5, open_before=1, reason="full: max_open is 0"),
        why("cy", reason="away until 2026-12-01"),
        why("dee", **half, credit_before=-0.25, reason="number 2 of 2 in turn: owed 0.25 rows"),
        {"entry": "email x@example.com", "given": 0, "reason": "unknown to the organisation"},
    ]


def why(reviewer: str, **facts: object) -> dict[str, object]:
    nothing = {"weight": 1.0, "credit_before": 0.0, "due": 0.0, "open_before": 0}
    return {"reviewer_id": reviewer} | nothing | {"given": 0, "given_again": 0} | facts


def test_a_plan_reads_back_as_it_was_written() -> None:
    first = plan([a_row(number) for number in range(3)], [Reviewer("ana"), Reviewer("bo")])
    second = make_plan(
        Plan("project", "other", {}, NOON + timedelta(hours=1)),
        Fetched([a_row(9)]),
        Roster((Reviewer("ana"),)),
        past_of(first),
    )
    assert [entry.row_id for entry in second.carried] == [f"row-{number:04}" for number in range(3)]
    stored = Plan.from_json(json.loads("".join(second.to_json("a run"))))
    assert stored == replace(
        second, run_id="a run", turns=(), unknown=(), waiting={}, rest_until=None
    )  # reasons are for people
