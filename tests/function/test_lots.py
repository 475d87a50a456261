"""Row by row: several people a row, and rows that somebody may not have; the rule itself and what it comes to."""

from collections import Counter
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.pairs import TEN, Rounds, authored, courses, team, then_alone
from lib.distribution import Seat, share_out
from lib.lots import NOBODY, Dealt, PerRow, Wish, deal_by_row, hand_out

USERS = ("ana", "bo", "cy", "dee", "eve")
SEATS = st.lists(
    st.builds(
        Seat,
        user=st.sampled_from(USERS),
        weight=st.sampled_from([0.001, 0.5, 1.0, 1.0, 2.0, 1000.0]),
        room=st.none() | st.integers(0, 6),
        credit=st.floats(-2, 2).map(lambda owed: round(owed, 9)),
        total=st.floats(-2, 2).map(lambda owed: round(owed, 9)),
    ),
    max_size=5,
    unique_by=lambda seat: seat.user,
)
WISHES = st.lists(
    st.tuples(st.integers(1, 5), st.frozensets(st.sampled_from(("a stranger", *USERS)))),
    max_size=40,
).map(lambda wishes: [Wish(f"row-{number}", *wish) for number, wish in enumerate(wishes)])


def quotas(dealt: Dealt) -> dict[str, int]:
    return {share.seat.user: share.quota for share in dealt.shares}


@given(WISHES, SEATS, st.integers(0, 10))
def test_each_row_goes_to_so_many_different_people_who_may_have_it_or_to_all_of_them(
    wishes: list[Wish], seats: list[Seat], most: int
) -> None:
    room = {seat.user: 10**6 if seat.room is None else seat.room for seat in seats}
    dealt = deal_by_row(wishes, seats, most)
    people, waits, fewer = dict(dealt.rows), Counter[str](), 0
    for wish in wishes:
        free = {user for user in room if room[user]}
        may = free - wish.barred
        if free and not may:
            what = "barred"
        elif most and waits["dealt"] == most:
            what = "capped"
        else:
            what = "dealt" if may else "no room"
        waits[what] += 1
        assert (wish.row_id in people) == (what == "dealt")
        if what == "dealt":
            assert len(people[wish.row_id]) == min(wish.people, len(may))
            assert may.issuperset(people[wish.row_id])
            fewer += len(may) < wish.people
            for user in people[wish.row_id]:
                room[user] -= 1
    assert waits == +Counter(
        {
            "dealt": len(people),
            "barred": len(dealt.barred),
            "no room": dealt.no_room,
            "capped": dealt.capped,
        }
    )
    assert dealt.fewer == fewer
    assert quotas(dealt) == {seat.user: 0 for seat in seats if seat.room != 0} | Counter(
        user for _, people in dealt.rows for user in people
    )


@given(WISHES, SEATS)
def test_each_row_goes_to_the_most_owed_and_then_to_those_within_half_a_row(
    wishes: list[Wish], seats: list[Seat]
) -> None:
    """The rule as it is written down, the part of each row anew."""
    owed = {seat.user: seat.credit for seat in seats}
    rooms = {seat.user: seat.room for seat in seats}
    people = dict(deal_by_row(wishes, seats).rows)
    for wish in wishes:
        may = [seat for seat in seats if rooms[seat.user] != 0 and seat.user not in wish.barred]
        for share in share_out(min(wish.people, len(may)), [seat._replace(room=1) for seat in may]):
            owed[share.seat.user] += share.due
        left, reach = {seat.user for seat in may}, 1e-6
        for user in people.get(wish.row_id, ()):
            assert owed[user] >= max(owed[other] for other in left) - reach
            left.remove(user)
            owed[user] -= 1
            room, reach = rooms[user], 0.5 + 1e-6
            rooms[user] = None if room is None else room - 1


@given(WISHES, SEATS)
def test_what_is_due_is_what_is_received_and_nobody_is_due_more_than_one_part_of_a_row(
    wishes: list[Wish], seats: list[Seat]
) -> None:
    dealt = deal_by_row(wishes, seats)
    given_to = sum(len(people) for _, people in dealt.rows)
    assert sum(share.due for share in dealt.shares) == pytest.approx(given_to, abs=1e-6)
    assert all(share.due <= len(dealt.rows) for share in dealt.shares)
    assert [share.turn for share in dealt.shares] == sorted(share.turn for share in dealt.shares)


@given(WISHES, SEATS)
def test_the_same_rows_are_dealt_alike_in_one_run_and_in_two(
    wishes: list[Wish], seats: list[Seat]
) -> None:
    """So that nothing depends on when a run begins."""
    seats = [seat._replace(room=None) for seat in seats]
    whole = deal_by_row(wishes, seats).rows
    first = deal_by_row(wishes[:20], seats)
    credit = {share.seat.user: share.credit for share in first.shares}
    seats = [seat._replace(credit=credit[seat.user]) for seat in seats]
    assert first.rows + deal_by_row(wishes[20:], seats).rows == whole


@given(st.integers(0, 60), SEATS, st.integers(0, 70))
def test_a_run_in_which_nobody_there_is_barred_and_each_row_goes_to_one_is_dealt_by_shares(
    count: int, seats: list[Seat], most: int
) -> None:
    wishes = [Wish(str(number), barred=frozenset({"a stranger"})) for number in range(count)]
    dealt = hand_out(wishes, seats, most)
    allowed = min(count, most or count)
    assert dealt.shares == share_out(allowed, seats)
    rows = list(dealt.rows)
    assert [row_id for row_id, _ in rows] == [str(number) for number in range(len(rows))]
    assert +Counter(user for _, (user,) in rows) == +Counter(quotas(dealt))
    left, full = count - len(rows), len(rows) < allowed
    assert (dealt.no_room, dealt.capped) == ((left, 0) if full else (0, left))
    assert (dealt.fewer, dealt.barred) == (0, [])


def test_rows_that_nobody_there_may_have_wait_and_use_up_no_cap() -> None:
    only = frozenset(USERS[:2])
    wishes = [Wish("a", 1, only), Wish("c"), Wish("d", 2), Wish("e"), Wish("b", 1, only)]
    dealt = hand_out(wishes, [Seat("ana"), Seat("bo")], most=2)
    assert [row_id for row_id, _ in dealt.rows] == ["c", "d"]
    assert (dealt.barred, dealt.capped, dealt.no_room) == (["a", "b"], 1, 0)


@pytest.mark.parametrize("people", [1, 2])
def test_where_room_ends_before_the_cap_it_is_room_that_rows_wait_for(people: int) -> None:
    wishes = [Wish(name, people) for name in "abcd"]
    dealt = hand_out(wishes, [Seat("ana", room=1), Seat("bo", room=people - 1)], most=2)
    assert [row_id for row_id, _ in dealt.rows] == ["a"]
    assert (dealt.no_room, dealt.capped) == (3, 0)


def test_whoever_is_full_has_no_part_in_what_follows_and_a_row_gets_as_many_as_there_are() -> None:
    seats = [Seat("ana", room=1), Seat("bo", room=2), Seat("cy", room=0)]
    dealt = hand_out([Wish(name, 2) for name in "abc"], seats)
    assert [(row_id, {*people}) for row_id, people in dealt.rows] == [
        ("a", {"ana", "bo"}),
        ("b", {"bo"}),
    ]
    assert (dealt.fewer, dealt.no_room) == (1, 1)
    assert {share.seat.user: share.due for share in dealt.shares} == {"ana": 1.0, "bo": 2.0}


@pytest.mark.parametrize("barred_first", [True, False])
def test_rows_that_are_barred_for_one_are_shared_by_the_others_and_never_made_up_for(
    barred_first: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """40 rows that one of five may not have, and 40 others: 8 and 18 each; then 4 each of 20."""
    barred = [Wish(f"barred-{number}", 1, frozenset({"ana"})) for number in range(40)]
    others = [Wish(f"other-{number}") for number in range(40)]
    wishes = barred + others if barred_first else others + barred
    dealt = hand_out(wishes, [Seat(user) for user in USERS])
    assert quotas(dealt) == dict.fromkeys(USERS, 18) | {"ana": 8}
    seats = [share.seat._replace(credit=share.credit) for share in dealt.shares]
    later = hand_out([Wish(str(number)) for number in range(20)], seats)
    assert quotas(later) == dict.fromkeys(USERS, 4)


@pytest.mark.parametrize(("share", "least"), [(0.2, 320), (0.6, 160), (1.0, 0)])
def test_somebody_who_makes_many_rows_gets_their_part_of_the_others_and_no_more_later(
    share: float, least: int
) -> None:
    assert authored(share) == ([least, *[500 - least // 4] * 4], [4] * 5)


def test_nobody_is_flooded_when_rows_go_to_one_person_again() -> None:
    before, later = then_alone()
    assert before == pytest.approx([667, 333, 1000], abs=1)
    assert later == [10, 5, 20]


@pytest.mark.parametrize("size", [1, 7])
def test_ten_people_two_a_row_get_as_many_each_and_everybody_meets_everybody(size: int) -> None:
    done = Rounds(TEN).play(5000, size, PerRow(2))
    assert done.received == [1000] * 10
    assert sum(done.meetings) == 5000
    assert 111 * 0.7 < done.meetings[0] < done.meetings[-1] < 111 * 1.3
    assert done.off <= 1


@given(st.lists(st.integers(0, 25), max_size=8), st.integers(2, 10), st.integers(2, 5))
def test_with_equal_weights_each_run_gives_floor_or_floor_plus_one_give_or_take_one(
    runs: list[int], count: int, people: int
) -> None:
    rounds = Rounds(team(*[1.0] * count))
    for rows in filter(None, runs):
        before = rounds.received
        rounds.play(rows, rows, PerRow(people))
        floor = rows * min(people, count) // count
        given_now = [now - then for now, then in zip(rounds.received, before, strict=True)]
        assert set(given_now) <= {floor - 1, floor, floor + 1, floor + 2}
        assert max(rounds.received) - min(rounds.received) <= 2


def test_with_weights_and_absences_everybody_stays_within_about_a_row_and_a_half() -> None:
    for course in courses(rows=1000):
        done = course.play()
        assert done.off <= 1.5, course.words
        assert done.meetings[0] > 0 or "OVERLAP" in course.words


def test_with_rows_for_everybody_nobody_is_owed_anything() -> None:
    done = Rounds(team(1, 0.5, 2)).play(100, 7, PerRow(5))
    assert done.received == [100, 100, 100]
    assert {*done.credit.values()} == {0.0}


def test_overlap_is_the_same_rows_in_every_run_nested_and_as_many_as_it_says() -> None:
    ids = [f"row-{number}" for number in range(100_000)]
    before: set[str] = set()
    for share in (0.0, 0.1, 0.2, 0.5, 1.0):
        several = {row_id for row_id in ids if PerRow(3, share).of(row_id) == 3}
        assert before <= several
        assert len(several) == pytest.approx(share * len(ids), abs=500)
        before = several
    assert {PerRow(3, 0.5).of(row_id) for row_id in ids} == {1, 3}
    assert {PerRow(1, 0.5).of(row_id) for row_id in ids} == {1}


@given(st.text(min_size=1), st.floats(0, 1))
def test_overlap_goes_by_the_first_16_digits_of_a_hash_of_the_rows_id(
    row_id: str, share: float
) -> None:
    digits = sha256(b"overlap:" + row_id.encode("utf-8", "replace")).hexdigest()[:16]
    assert PerRow(2, share).of(row_id) == 1 + (int(digits, 16) < share * 2**64)


def test_no_rows_and_nobody_there_are_no_trouble() -> None:
    assert [*hand_out([], [Seat("ana")]).rows] == []
    assert hand_out([Wish("a", 2), Wish("b", 1, NOBODY)], []).no_room == 2
