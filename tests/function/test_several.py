"""Several reviewers a row: whole runs, repeats, undo; the row has exactly those whom its plan names."""

from collections import Counter
from datetime import timedelta

import pytest

from tests.history import HOUR, MINUTE, PENDING, History
from tests.world import ASSIGNMENTS, REVIEW_LISTS, World

ROWS = [f"row-{number}" for number in range(6)]


def planned(history: History) -> dict[str, list[str]]:
    """The people of each row, in the order of that plan."""
    people: dict[str, list[str]] = {}
    for row_id, who in history.given():
        people.setdefault(row_id, []).append(who)
    return people


def fewer(count: int, people: int) -> str:
    return (
        f"{count} rows get fewer people than REVIEWERS_PER_ROW ({people}) says: no more are there who have room and "
        "may have them; nobody is added later"
    )


def test_a_row_gets_so_many_different_people_in_one_event(world: World, history: History) -> None:
    world.add_users(3)
    history.log(*ROWS)
    events = world.overhear("insert")
    done = history.run({"reviewers_per_row": 2})
    people = planned(history)
    assert {row_id: history.review(row_id) for row_id in ROWS} == {
        row_id: (people[row_id], PENDING) for row_id in ROWS
    }
    assert [(event["id"], event["metadata"]) for body in events for event in body["events"]] == [
        (row_id, {ASSIGNMENTS: people[row_id], REVIEW_LISTS: PENDING}) for row_id in ROWS
    ]
    assert all(len({*who}) == 2 for who in people.values())
    assert (done["unassigned"], done["assigned"], done["deferred"]) == (6, 6, 0)
    assert done["per_reviewer"] == dict.fromkeys(world.users, 4)
    assert done["warnings"] == []
    assert [(line["row_id"], line["reviewer_id"]) for line in world.lines(done)] == history.given()
    assert world.records("to_assign_ids") == [ROWS]
    assert history.plan()["credit"] == {"": dict.fromkeys(world.users, 0.0)}
    later = history.run({"reviewers_per_row": 3, "dry_run": True})
    assert later["unassigned"] == 0  # nobody is added later
    assert later["people"] == {
        user: {"open": 4, "reviewed": 0, "oldest_open_hours": 0.0} for user in world.users
    }


def test_where_fewer_may_have_a_row_it_gets_so_many_and_the_result_says_so(
    world: World, history: History
) -> None:
    ana, bo = world.add_users(2)
    history.log(*ROWS)
    world.set_reviewers([ana, {"id": bo, "max_open": 2}])
    done = history.run({"reviewers_per_row": 3})
    assert done["per_reviewer"] == {ana: 6, bo: 2}
    assert done["warnings"] == [fewer(6, 3)]
    assert [{*who} for who in planned(history).values()] == [{ana, bo}] * 2 + [{ana}] * 4
    history.wait(3 * HOUR)
    assert history.run({"reviewers_per_row": 3})["unassigned"] == 0


def test_with_overlap_the_same_rows_get_several_whatever_the_run(
    world: World, history: History
) -> None:
    world.add_users(3)
    history.log(*(f"row-{number}" for number in range(40)))
    world.settings |= {"REVIEWERS_PER_ROW": "2", "OVERLAP": "0.25"}
    history.run({"max_assignments": 11})
    first = planned(history)
    history.wait(MINUTE)
    history.run()
    several = {row for row, who in (first | planned(history)).items() if len(who) == 2}
    dry = history.run({"overlap": 0, "dry_run": True, "reviewers": world.users})
    assert dry["warnings"] == []
    assert len(first) == 11  # the cap counts rows
    # Those of which `printf overlap:row-0 | sha256sum` begins with 0 to 3
    assert several == {"row-0", "row-6", "row-10", "row-15", "row-21", "row-32"}


def test_what_may_have_been_written_goes_to_the_same_people_again(
    world: World, history: History
) -> None:
    world.add_users(4)
    world.settings |= {"REVIEWERS_PER_ROW": "2"}
    history.log(*ROWS)
    before = history.wait(MINUTE)
    history.cut_off(landed=True)
    first = planned(history)
    history.wait(30 * MINUTE)
    history.log("new")
    history.run({"reviewers_per_row": 1})
    history.wait(30 * MINUTE)
    third = history.run({"reviewers_per_row": 1, "overlap": 0}, as_of=before)
    assert (third["unassigned"], third["assigned"]) == (6, 6)
    assert planned(history) == first
    assert third["per_reviewer"] == Counter(who for people in first.values() for who in people)
    for row_id in ROWS:
        assert history.reviewers_ever(row_id) == [(), tuple(first[row_id])]


def test_a_row_of_which_one_of_its_people_has_left_the_list_waits_for_two_hours(
    world: World, history: History
) -> None:
    world.add_users(3)
    history.log("row")
    history.refused(event={"reviewers_per_row": 2})
    gone, stays = planned(history)["row"]
    world.set_reviewers([user for user in world.users if user != gone])
    history.wait(MINUTE)
    waits = history.run({"reviewers_per_row": 2})
    assert (waits["assigned"], waits["deferred"]) == (0, 1)
    history.wait(timedelta(hours=2))
    assert history.run({"reviewers_per_row": 2})["assigned"] == 1
    assert stays in planned(history)["row"]
    assert gone not in planned(history)["row"]


def test_a_row_that_may_have_been_written_is_open_for_those_of_its_people_who_are_still_listed(
    world: World, history: History
) -> None:
    world.add_users(2)
    history.log("row")
    history.cut_off(landed=False, event={"reviewers_per_row": 2})
    _, stays = planned(history)["row"]
    world.set_reviewers([{"id": stays, "max_open": 1}])
    history.wait(MINUTE)
    history.log("new")
    waits = history.run()
    assert (waits["unassigned"], waits["assigned"], waits["deferred"]) == (2, 0, 2)


@pytest.mark.parametrize("turned", [True, False])
def test_an_undo_takes_off_exactly_those_who_were_given_the_row_in_whatever_order_they_stand(
    world: World,
    history: History,
    turned: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    world.add_users(3)
    history.log("row", "joined", "left")
    done = history.run({"reviewers_per_row": 2})
    people = planned(history)
    if turned:
        history.assign("row", *people["row"][::-1])
    history.assign("joined", *people["joined"], "a third")
    history.assign("left", people["left"][0])
    undo = history.run({"undo": done["run_id"]})
    assert (undo["undone"], undo["left_alone"]) == (1, 2)
    assert history.review("row") == ([], PENDING)
    assert history.review("joined")[0] == [*people["joined"], "a third"]
    assert history.review("left")[0] == [people["left"][0]]
    assert [(item["row_id"], item["reviewer_id"]) for item in history.plan()["freed"]] == [
        ("row", who) for who in people["row"]
    ]
    assert [line["status"] for line in world.lines(undo)] == ["undone", "undone"]
