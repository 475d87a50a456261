"""Who gets which row: properties of the pure rule."""

from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.distribution import Seat, deal, distribute

ROWS = st.integers(0, 300).map(lambda count: [f"row{number}" for number in range(count)])
USERS = st.integers(1, 40).map(lambda count: [f"user{number}" for number in range(count)])
WEIGHTS = st.sampled_from([0.1, 0.25, 1 / 3, 0.5, 1.0, 1.5, 2.0, 7.0, 100.0])


@st.composite
def tables(draw: st.DrawFn, *, equal: bool = False, roomy: bool = False) -> list[Seat]:
    rooms = st.none() if roomy else st.none() | st.integers(0, 30)
    return [
        Seat(f"user{number}", 1.0 if equal else draw(WEIGHTS), draw(rooms))
        for number in range(draw(st.integers(0 if not roomy else 1, 12)))
    ]


@given(ROWS, USERS)
def test_everyone_gets_floor_or_floor_plus_one_and_the_first_users_the_extra_ones(rows, users):
    floor, extra = divmod(len(rows), len(users))
    given_to = Counter(user for _, user in distribute(rows, users))
    assert [given_to[user] for user in users] == [
        floor + (rank < extra) for rank in range(len(users))
    ]


@given(ROWS, USERS)
def test_rows_are_dealt_like_cards_so_that_every_prefix_is_even_too(rows, users):
    assert distribute(rows, users) == [
        (row, users[place % len(users)]) for place, row in enumerate(rows)
    ]


def test_rows_without_anyone_to_give_them_to_are_refused():
    with pytest.raises(ValueError, match="nobody"):
        distribute(["row"], [])


def test_no_rows_need_nobody():
    assert distribute([], []) == []


def test_any_iterable_of_rows_is_taken():
    assert distribute(iter(["a", "b"]), ("ana",)) == [("a", "ana"), ("b", "ana")]


@given(ROWS, tables())
def test_rows_keep_their_order_and_only_the_last_ones_wait(rows, seats):
    dealt = [row for row, _ in deal(rows, seats)]
    assert dealt == rows[: len(dealt)]


@given(ROWS, tables())
def test_nobody_gets_more_than_there_is_room_and_no_row_waits_while_there_is_room(rows, seats):
    given_to = Counter(user for _, user in deal(rows, seats))
    assert all(seat.room is None or given_to[seat.user] <= seat.room for seat in seats)
    if sum(given_to.values()) < len(rows):
        assert [given_to[seat.user] for seat in seats] == [seat.room for seat in seats]


@given(ROWS, tables(roomy=True))
def test_each_prefix_gives_everyone_their_share_by_weight_to_within_one_row_of_anyone(rows, seats):
    """For any two people a, b at any moment: given(a)/weight(a) <= (given(b) + 1)/weight(b) + 1/weight(a)."""
    given_to: Counter[str] = Counter()
    for _, user in deal(rows, seats):
        given_to[user] += 1
        lowest = min((Fraction(given_to[seat.user]) + 1) / Fraction(seat.weight) for seat in seats)
        weight = Fraction(next(seat.weight for seat in seats if seat.user == user))
        assert Fraction(given_to[user] - 1) / weight <= lowest


@given(ROWS, tables(equal=True))
def test_with_equal_weights_those_with_room_left_differ_by_at_most_one_and_the_first_seats_lead(
    rows, seats
):
    given_to: Counter[str] = Counter()
    for _, user in deal(rows, seats):
        given_to[user] += 1
        free = [
            given_to[seat.user]
            for seat in seats
            if seat.room is None or given_to[seat.user] < seat.room
        ]
        assert free == sorted(free, reverse=True)
        assert max(free, default=0) - min(free, default=0) <= 1
        assert all(
            given_to[seat.user] <= min(free, default=given_to[seat.user]) + 1 for seat in seats
        )


def test_half_the_weight_is_half_the_rows():
    seats = [Seat("full-time"), Seat("half-time", 0.5), Seat("lead", 2.0)]
    given_to = Counter(user for _, user in deal(map(str, range(350)), seats))
    assert given_to == {"full-time": 100, "half-time": 50, "lead": 200}


def test_whoever_is_full_leaves_the_rest_to_the_others():
    seats = [Seat("ana", room=1), Seat("bo", room=0), Seat("cy")]
    assert list(deal("abcd", seats)) == [("a", "ana"), ("b", "cy"), ("c", "cy"), ("d", "cy")]


def test_everyone_full_means_every_row_waits():
    assert list(deal("abc", [Seat("ana", room=0)])) == []


@given(ROWS, tables())
def test_each_row_goes_to_the_lowest_given_plus_rank_over_n_by_weight_that_has_room(rows, seats):
    """The rule as it is written down, without the heap."""
    given_to = [0] * len(seats)
    expected = []
    for row in rows:
        free = [
            rank
            for rank, seat in enumerate(seats)
            if seat.room is None or given_to[rank] < seat.room
        ]
        if free:
            rank = min(
                free, key=lambda rank: (given_to[rank] + rank / len(seats)) / seats[rank].weight
            )
            given_to[rank] += 1
            expected.append((row, seats[rank].user))
    assert list(deal(rows, seats)) == expected


@given(ROWS, tables())
def test_the_same_question_gets_the_same_answer(rows, seats):
    assert list(deal(rows, seats)) == list(deal(rows, seats))
