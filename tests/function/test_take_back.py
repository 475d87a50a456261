"""Taking rows back from people, so that others get them; who has passed a row does not get it again."""

import json
import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lib.deadline import Deadline
from lib.errors import AuditError, ConfigurationError, QueryError
from lib.gifts import Gifts
from tests.history import HOUR, MINUTE, MOMENT, PENDING, History
from tests.processes import Death, start
from tests.refusing_aws import RefusingAws
from tests.world import ASSIGNMENTS, BUCKET, REVIEW_LISTS, TAG, World

CARRY, DAY = timedelta(hours=2), timedelta(days=1)
LATER = CARRY + MOMENT


def told(result: dict[str, Any]) -> dict[str, Any]:
    """What a take-back says became of the rows that it means."""
    fields = ("status", "taken_back", "left_alone", "failed", "deferred", "taken_from", "warnings")
    return {field: result[field] for field in fields}


def taken(taken_from: dict[str, int], left_alone: int = 0, *warnings: str) -> dict[str, Any]:
    """What `told` says where nothing was refused."""
    return {
        "status": "taken_back" if taken_from else "nothing_to_take_back",
        "taken_back": sum(taken_from.values()),
        "left_alone": left_alone,
        "failed": 0,
        "deferred": 0,
        "taken_from": taken_from,
        "warnings": [*warnings],
    }


def goes_on(person: str) -> str:
    return (
        f"new rows go on coming to {person}: take them off the reviewers list, "
        "or enter there when they are away"
    )


def just_planned(rows: int, until: str) -> str:
    return (
        f"{rows} rows were planned in the last two hours and are left alone: "
        f"send this again from {until} UTC on"
    )


def shared(rows: int) -> str:
    return f"{rows} rows are with several people and are left alone"


def moved(rows: int, such_as: str) -> str:
    return (
        f"{rows} rows have lain as long with a second person; days alone does not move them again, "
        f"such as '{such_as}'"
    )


def given_to(history: History, person: str, *rows: str) -> dict[str, Any]:
    """Rows that come in now, and a run that gives them to this person."""
    history.log(*rows)
    return history.run({"reviewers": [person]})


def passed(history: History) -> dict[tuple[str, str], str]:
    """Who has passed which row, and how, by the last plan."""
    return {(item["row_id"], item["reviewer_id"]): item["by"] for item in history.plan()["passed"]}


# Of a person


def test_a_persons_open_rows_are_taken_off_them_whoever_gave_them_and_nothing_else_is_touched(
    world: World, history: History
) -> None:
    ana, bo, cleo = world.add_users(3)
    world.set_reviewers([ana, cleo])
    rows = ["by hand", "of another", "finished", "shared", "given a", "given b"]
    history.log(*rows, metadata={"model": "m", "nested": {"a": [1]}})
    before = {row["id"]: row for row in world.braintrust.store.rows()}
    history.assign("by hand", bo)
    history.assign("of another", ana)
    history.run({"reviewers": [bo]})
    history.assign("shared", bo, ana)
    history.finish("finished")
    left = {row_id: world.braintrust.store.row(row_id) for row_id in rows[1:4]}
    history.wait(LATER)
    result = history.run({"take_back": {"reviewer": bo}})
    audit, window = result["audit"], result["window"]
    assert result == {
        "run_id": result["run_id"],
        "status": "taken_back",
        "dry_run": False,
        "project_id": world.braintrust.project_id,
        "tag": TAG,
        "window": window,
        "read": "full",
        "fetched": 6,
        "takes_back": {"reviewer": bo, "days": None},
        "already_assigned": 6,
        "already_reviewed": 0,
        "taken_back": 3,
        "left_alone": 1,
        "failed": 0,
        "deferred": 0,
        "complete": True,
        "audit": audit,
        "warnings": [shared(1)],
        "duration_ms": result["duration_ms"],
        "taken_from": {bo: 3},
    }
    assert sorted(audit) == ["assignments", "plan", "run"]
    assert not world.objects(history.key(result["run_id"], "to_assign_ids"))
    assert {row_id: world.braintrust.store.row(row_id) for row_id in rows[1:4]} == left
    for row_id in ("by hand", "given a", "given b"):
        row = world.braintrust.store.row(row_id)
        assert row is not None
        assert row["metadata"].pop(ASSIGNMENTS) == []
        assert row["metadata"].pop(REVIEW_LISTS, None) in (None, PENDING)
        assert {**row, "_xact_id": ""} == {**before[row_id], "_xact_id": ""}
    assert [
        (line["row_id"], line["reviewer_id"], line["status"]) for line in world.lines(result)
    ] == [(row_id, bo, "taken_back") for row_id in ("by hand", "given a", "given b")]


def test_its_plan_says_what_is_taken_off_and_who_has_passed_it_until_when(
    world: World, history: History
) -> None:
    ana, bo = world.add_users(2)
    world.set_reviewers([ana])
    given_to(history, bo, "row")
    history.wait(LATER)
    given = history.plan()
    result = history.run({"take_back": {"reviewer": bo}, "days": 3})
    plan = history.plan()
    assert plan == {
        "run_id": result["run_id"],
        "created_at": history.now,
        "project_id": world.braintrust.project_id,
        "tag": TAG,
        "window": result["window"],
        "previous": world.prefix + history.key(given["run_id"], "plans"),
        "credit": given["credit"],
        "reading": [entry | {"days": 0} for entry in given["reading"]],
        "repeated": 0,
        "reviewers": [],
        "waiting": {},
        "takes_back": {"reviewer": bo, "days": None},
        "freed": [{"row_id": "row", "reviewer_id": bo}],
        "assignments": [],
        "carried": [],
        "passed": [
            {
                "row_id": "row",
                "reviewer_id": bo,
                "at": history.now,
                "by": "reviewer",
                "until": history.written(history.moment + 3 * DAY),
            }
        ],
    }


def test_an_address_is_looked_up_case_aside_and_an_id_need_not_be_known(
    world: World, history: History
) -> None:
    ana, bo = world.add_users(2)
    world.set_reviewers([ana])
    stranger = str(uuid.uuid4())
    history.log("a", "b")
    history.assign("a", bo)
    history.assign("b", stranger)
    assert told(history.run({"take_back": {"reviewer": "USER1@Example.com"}})) == taken({bo: 1})
    event = {"take_back": {"reviewer": stranger.upper()}}
    assert told(history.run(event)) == taken({stranger: 1})


def test_an_address_that_nobody_in_the_organisation_has_is_refused(world: World) -> None:
    world.add_users(1)
    with pytest.raises(ConfigurationError) as refused:
        world.run({"take_back": {"reviewer": "gone@example.com"}})
    assert str(refused.value) == (
        "take_back: nobody in the organisation has the address 'gone@example.com': send the user's id"
    )
    assert world.braintrust.requests.count("query") == 0


def test_where_the_key_may_not_list_users_an_address_is_refused_and_an_id_is_taken(
    world: World, history: History
) -> None:
    ana, bo = world.add_users(2)
    world.set_reviewers([ana])
    given_to(history, bo, "row")
    history.wait(LATER)
    world.braintrust.faults.add("user", status=403, times=None)
    with pytest.raises(ConfigurationError, match="may not list users"):
        history.run({"take_back": {"reviewer": "user1@example.com"}})
    assert told(history.run({"take_back": {"reviewer": bo}})) == taken({bo: 1})


def test_it_means_the_open_rows_of_the_tag_the_window_and_the_filter(
    world: World, history: History
) -> None:
    ana, bo = world.add_users(2)
    world.set_reviewers([ana])
    history.log("too old")
    history.assign("too old", bo)
    history.wait(2 * DAY)
    history.log("meant", metadata={"model": "m"})
    history.log("filtered", metadata={"model": "other"})
    history.log("other tag", tags=["other"], metadata={"model": "m"})
    for row in ("meant", "filtered", "other tag"):
        history.assign(row, bo)
    world.settings["FILTER"] = "metadata.model = 'm'"
    event = {"take_back": {"reviewer": bo}, "days": 1}
    assert told(history.run(event)) == taken({bo: 1})
    assert history.review("meant")[0] == []
    assert told(history.run(event | {"tag": "other"})) == taken({bo: 1})
    assert {*world.assignments()} == {"too old", "filtered"}


def test_rows_planned_in_the_last_two_hours_are_left_alone_and_it_says_from_when_on_to_repeat_it(
    world: World, history: History
) -> None:
    ana, bo = world.add_users(2)
    world.set_reviewers([ana])
    history.wait(30 * timedelta(seconds=1))
    given_to(history, bo, "a", "b")
    history.wait(HOUR)
    given_to(history, bo, "c")
    history.wait(HOUR)
    event = {"take_back": {"reviewer": bo}}
    assert told(history.run(event)) == taken({}, 3, just_planned(3, "2026-11-23 10:01"))
    history.wait(MOMENT)
    assert told(history.run(event)) == taken({bo: 2}, 1, just_planned(1, "2026-11-23 10:01"))
    assert [*history.carried()] == ["c"]
    history.wait(HOUR)
    assert told(history.run(event)) == taken({bo: 1})


def test_a_row_that_is_confirmed_and_that_a_stale_read_does_not_show_counts_as_left_alone(
    world: World, history: History
) -> None:
    ana, bo = world.add_users(2)
    world.set_reviewers([ana])
    history.log("row")
    before = history.wait(MINUTE)
    history.run({"reviewers": [bo]})
    history.wait(MINUTE)
    result = history.run({"take_back": {"reviewer": bo}}, as_of=before)
    assert told(result) == taken({}, 1, just_planned(1, "2026-11-23 09:02"))


@pytest.mark.parametrize(
    ("away", "warned"),
    [
        ([], True),
        ([{"from": "2026-11-23", "until": "2026-11-24"}], False),
        ([{"from": "2026-11-24", "until": "2026-11-25"}], True),
    ],
)
def test_whoever_is_on_the_list_and_not_away_goes_on_getting_new_rows_and_it_says_so(
    world: World, history: History, away: list[Any], *, warned: bool
) -> None:
    _, bo = world.add_users(2)
    world.set_reviewers([{"id": bo, "away": away}])
    warnings = [goes_on(bo)] if warned else []
    assert told(history.run({"take_back": {"reviewer": bo}})) == taken({}, 0, *warnings)
    assert told(history.run({"take_back": {"days": 1}})) == taken({})


@pytest.mark.parametrize("answered", [True, False])
def test_a_list_with_a_group_is_looked_up_before_anything_is_written(
    world: World, history: History, *, answered: bool
) -> None:
    ana, bo = world.add_users(2)
    given_to(history, bo, "row")
    history.wait(LATER)
    world.braintrust.store.add_group("team", [ana])
    world.set_reviewers([{"group": "team"}])
    event = {"take_back": {"reviewer": bo}}
    if answered:
        result = history.run(event)
        assert told(result) == taken({bo: 1})
        assert result in world.records("runs")
        return
    world.braintrust.faults.add("group", status=400, message="no", times=None)
    with pytest.raises(QueryError):
        history.run(event)
    assert world.assignments() == {"row": (bo,)}
    assert len(world.objects("plans/")) == 1


def test_no_cap_holds_a_take_back_back(world: World, history: History) -> None:
    ana, bo = world.add_users(2)
    world.set_reviewers([ana])
    given_to(history, bo, *map(str, range(9)))
    history.wait(LATER)
    world.settings["MAX_ASSIGNMENTS"] = "1"
    assert history.run({"take_back": {"reviewer": bo}, "max_assignments": 2})["taken_back"] == 9


def test_what_was_taken_back_goes_to_the_others_at_the_next_run_whose_read_is_full(
    world: World, history: History
) -> None:
    """It is in no plan's `carried`, so that nothing rests; and lists that were emptied are not null."""
    ana, bo, cleo = world.add_users(3)
    given_to(history, bo, *(f"row{number}" for number in range(40)))
    history.log("other")
    history.run({"reviewers": [ana]})
    history.wait(LATER)
    history.run()
    history.run({"take_back": {"reviewer": bo}})
    assert history.carried() == {}
    assert {entry["days"] for entry in history.plan()["reading"]} == {0}
    result = history.run()
    assert (result["read"], result["status"], result["deferred"]) == ("full", "assigned", 0)
    assert result["per_reviewer"] == {ana: 20, bo: 0, cleo: 20}


def test_a_persons_forty_rows_never_come_back_to_them_whatever_200_runs_do(
    world: World, history: History
) -> None:
    """Among them runs of another tag and of a shorter window, undos, dry runs, and others who take themselves off."""
    ana, bo, cleo, dan = world.add_users(4)
    rows = [f"row{number}" for number in range(40)]
    given_to(history, bo, *rows)
    history.wait(LATER)
    history.run({"take_back": {"reviewer": bo}})
    events: list[dict[str, Any]] = [{}, {"tag": "other"}, {"days": 1}, {"dry_run": True}]
    for number in range(200):
        if number % 4 == 1:
            history.log(f"new{number}", tags=["other"])
        if number in (20, 60):
            history.take_off(rows[number // 2])
        done = history.run(events[number % 4])
        if number in (0, 41):
            history.run({"undo": done["run_id"]})
        history.wait(15 * MINUTE)
    assert all(history.reviewers_ever(row).count((bo,)) == 1 for row in rows)
    given = Counter(who for row in rows for who in world.assignments()[row])
    assert (given.keys(), given.total()) == ({ana, cleo, dan}, 40)
    assert Counter(passed(history).values()) == {"reviewer": 40, "left": 2}


def test_passed_is_forgotten_once_the_length_of_that_runs_window_is_over(
    world: World, history: History
) -> None:
    ana, bo = world.add_users(2)
    given_to(history, bo, "row")
    history.wait(LATER)
    history.run({"take_back": {"reviewer": bo}, "days": 2})
    world.set_reviewers([bo, {"id": ana, "max_open": 0}])
    history.wait(2 * DAY - MOMENT)
    waits = history.run()
    assert (waits["status"], waits["deferred"], waits["per_reviewer"]) == (
        "incomplete",
        1,
        {bo: 0, ana: 0},
    )
    (warning,) = waits["warnings"]
    assert warning == (
        "1 rows wait: everybody there who has room has passed them: "
        "they were taken back from them, or they took themselves off"
    )
    assert passed(history) == {("row", bo): "reviewer"}
    history.wait(MOMENT)
    assert history.run()["per_reviewer"] == {bo: 1, ana: 0}
    assert passed(history) == {}


def test_a_row_that_everybody_on_the_list_has_passed_is_dealt_all_the_same(
    world: World, history: History
) -> None:
    """That is decided by the list, whoever is away."""
    ana, bo = world.add_users(2)
    given_to(history, bo, "row")
    history.wait(LATER)
    history.run({"take_back": {"reviewer": bo}})
    assert history.run()["per_reviewer"] == {ana: 1, bo: 0}
    history.wait(LATER)
    history.run({"take_back": {"reviewer": ana}})
    world.set_reviewers([ana, {"id": bo, "away": [{"from": "2026-11-01", "until": "2026-12-01"}]}])
    assert history.run()["per_reviewer"] == {ana: 1, bo: 0}
    assert passed(history) == {("row", bo): "reviewer", ("row", ana): "reviewer"}


def test_a_row_that_its_only_taker_has_passed_waits_for_another_and_uses_up_no_cap(
    world: World, history: History
) -> None:
    ana, bo = world.add_users(2)
    given_to(history, bo, "row")
    history.wait(LATER)
    history.run({"take_back": {"reviewer": bo}})
    world.set_reviewers([bo, {"id": ana, "away": [{"from": "2026-11-01", "until": "2026-11-24"}]}])
    history.log("new")
    result = history.run({"max_assignments": 1})
    assert (history.given(), result["deferred"]) == ([("new", bo)], 1)
    history.wait(DAY)
    assert history.run()["per_reviewer"] == {bo: 0, ana: 1}


# By days


def test_what_has_lain_so_many_times_24_hours_since_it_was_given_is_taken_back(
    world: World, history: History
) -> None:
    ana, bo = world.add_users(2)
    given_to(history, bo, "a", "b")
    history.wait(MOMENT)
    given_to(history, ana, "c")
    history.wait(3 * DAY - 2 * MOMENT)
    event = {"take_back": {"days": 3}}
    assert told(history.run(event)) == taken({})
    history.wait(MOMENT)
    assert told(history.run(event)) == taken({bo: 2})
    assert passed(history) == {("a", bo): "days", ("b", bo): "days"}
    history.wait(MOMENT)
    history.run({"reviewers": [ana]})
    assert told(history.run(event)) == taken({ana: 1})


def test_days_count_from_the_newest_plan_that_gave_the_row_to_whoever_has_it(
    world: World, history: History
) -> None:
    ana, bo, cleo = world.add_users(3)
    given_to(history, bo, "kept", "by hand", "given again", "passed on by hand", "undone")
    history.log("never given")
    history.assign("never given", bo)
    undone = given_to(history, bo, "undone later")
    history.wait(HOUR)
    history.run({"undo": undone["run_id"]})
    history.assign("undone later", bo)
    history.assign("passed on by hand", cleo)
    history.take_off("given again")
    history.wait(CARRY)
    world.set_reviewers([ana])
    history.run()
    assert history.given() == [("given again", ana)]
    history.wait(DAY - MOMENT)
    assert told(history.run({"take_back": {"days": 1}})) == taken({bo: 3})
    assert {row: who for row, who in world.assignments().items() if who} == {
        "given again": (ana,),
        "passed on by hand": (cleo,),
        "never given": (bo,),
        "undone later": (bo,),
    }


def test_both_mean_what_has_lain_so_long_with_that_person(world: World, history: History) -> None:
    ana, bo = world.add_users(2)
    world.set_reviewers([ana])
    given_to(history, bo, "old")
    given_to(history, ana, "another's")
    history.wait(DAY)
    given_to(history, bo, "new")
    history.wait(DAY)
    event = {"take_back": {"reviewer": bo, "days": 2}}
    assert told(history.run(event)) == taken({bo: 1})
    assert passed(history) == {("old", bo): "reviewer"}
    assert history.plan()["takes_back"] == {"reviewer": bo, "days": 2}


def test_a_row_of_several_people_that_has_lain_is_left_alone(
    world: World, history: History
) -> None:
    ana, bo = world.add_users(2)
    given_to(history, bo, "row")
    history.assign("row", bo, ana)
    history.wait(DAY)
    assert told(history.run({"take_back": {"days": 1}})) == taken({}, 1, shared(1))


def test_a_row_that_lay_twice_is_named_and_not_moved_by_days_alone_a_second_time(
    world: World, history: History
) -> None:
    ana, bo, cleo = world.add_users(3)
    given_to(history, bo, "row", "finished in time")
    history.wait(2 * DAY)
    event = {"take_back": {"days": 2}}
    assert told(history.run(event)) == taken({bo: 2})
    history.run({"reviewers": [ana]})
    history.finish("finished in time")
    history.wait(2 * DAY)
    assert told(history.run(event)) == taken({}, 0, moved(1, "row"))
    both = {"take_back": {"days": 2, "reviewer": ana}}
    assert told(history.run(both)) == taken({ana: 1}, 0, goes_on(ana))
    assert history.run()["per_reviewer"] == {ana: 0, bo: 0, cleo: 1}


def test_a_row_that_days_moved_is_not_moved_by_days_again_also_when_it_was_left_since(
    world: World, history: History
) -> None:
    (ana,) = world.add_users(1)
    given_to(history, ana, "row")
    history.wait(DAY)
    event = {"take_back": {"days": 1}}
    assert told(history.run(event)) == taken({ana: 1})
    history.run()
    history.wait(LATER)
    history.take_off("row")
    history.run()
    assert [(each["reviewer_id"], each["by"]) for each in history.plan()["passed"]] == [
        (ana, "days"),
        (ana, "left"),
    ]
    history.wait(DAY)
    assert told(history.run(event)) == taken({}, 0, moved(1, "row"))


def test_a_row_of_a_team_of_one_is_not_moved_in_circles(world: World, history: History) -> None:
    (ana,) = world.add_users(1)
    given_to(history, ana, "row")
    history.wait(2 * DAY)
    event = {"take_back": {"days": 2}}
    assert told(history.run(event)) == taken({ana: 1})
    assert history.run()["per_reviewer"] == {ana: 1}
    history.wait(2 * DAY)
    assert told(history.run(event)) == taken({}, 0, moved(1, "row"))


def test_a_row_that_a_person_handed_over_is_moved_by_days(world: World, history: History) -> None:
    ana, bo = world.add_users(2)
    given_to(history, bo, "row")
    history.wait(LATER)
    history.run({"take_back": {"reviewer": bo}})
    history.run()
    history.wait(DAY)
    assert told(history.run({"take_back": {"days": 1}})) == taken({ana: 1})


@pytest.mark.parametrize("first", [{"days": 2}, {"reviewer": "user1@example.com"}])
def test_what_a_take_back_left_unfinished_the_next_one_takes(
    world: World, history: History, first: dict[str, Any]
) -> None:
    ana, bo = world.add_users(2)
    world.set_reviewers([ana])
    given_to(history, bo, "a", "b")
    history.wait(2 * DAY)
    history.cut_off(landed=False, event={"take_back": first})
    assert {*world.assignments()} == {"a", "b"}
    history.wait(MINUTE)
    assert told(history.run({"take_back": {"days": 1, "reviewer": ana}})) == taken(
        {}, 0, goes_on(ana)
    )
    assert told(history.run({"take_back": {"days": 6}})) == taken({bo: 2})
    assert passed(history) == {("a", bo): "days", ("b", bo): "days"}
    assert history.run()["per_reviewer"] == {ana: 2}


def test_days_have_to_be_fewer_than_the_windows(world: World) -> None:
    world.add_users(1)
    problem = "event field take_back: days is {}: must be less than the window's {} days (DAYS)"
    for event, days, window in (
        ({"take_back": {"days": 7}}, 7, 7),
        ({"take_back": {"days": 3}, "days": 3}, 3, 3),
    ):
        with pytest.raises(ConfigurationError) as refused:
            world.run(event)
        assert problem.format(days, window) in str(refused.value)
    for days, window in ((3, 4), (900_000, 1_000_000)):
        result = world.run({"take_back": {"days": days}, "days": window})
        assert result["status"] == "nothing_to_take_back"


# What it says, writes and refuses


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ({}, ["take_back is {}"]),
        ("bo@example.com", ["take_back is 'bo@example.com'"]),
        (None, ["take_back is null"]),
        ([{"days": 3}], ["take_back is"]),
        ({"reviewer": "Bo"}, ["reviewer is 'Bo'"]),
        ({"reviewer": "a@example.com, b@example.com"}, ["reviewer is"]),
        ({"reviewer": None}, ["reviewer is null"]),
        ({"days": 0}, ["days is 0"]),
        ({"days": True}, ["days is true"]),
        ({"days": "3"}, ["days is '3'"]),
        ({"days": 2.0}, ["days is 2.0"]),
        (
            {"reviewer": 7, "days": -1, "person": "x"},
            ["unknown field 'person'", "reviewer is 7", "days is -1"],
        ),
    ],
)
def test_what_is_no_take_back_is_refused_with_every_offender(
    world: World, value: Any, named: list[str]
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        world.run({"take_back": value})
    assert [name for name in named if name not in str(refused.value)] == []


def test_a_key_in_place_of_a_person_is_not_shown(world: World) -> None:
    with pytest.raises(ConfigurationError) as refused:
        world.run({"take_back": {"reviewer": "sk-0123456789abcdef"}})
    assert "0123456789" not in str(refused.value)


def test_a_dry_one_says_what_it_would_take_and_writes_nothing(
    world: World, history: History
) -> None:
    ana, bo = world.add_users(2)
    world.set_reviewers([ana])
    given_to(history, bo, "a", "b")
    history.wait(LATER)
    before, ledger = world.braintrust.store.rows(), world.objects("ledger/")
    dry = history.run({"take_back": {"reviewer": bo}, "dry_run": True})
    assert told(dry) == taken({bo: 2}) | {"status": "dry_run", "taken_back": 0, "deferred": 2}
    assert (world.braintrust.store.rows(), world.objects("ledger/")) == (before, ledger)
    (record,) = world.records("dry_runs")
    assert record["assignments"] == [
        {"row_id": "a", "reviewer_id": bo},
        {"row_id": "b", "reviewer_id": bo},
    ]


def test_it_cannot_be_undone(world: World, history: History) -> None:
    ana, bo = world.add_users(2)
    world.set_reviewers([ana])
    given_to(history, bo, "row")
    history.wait(LATER)
    done = history.run({"take_back": {"reviewer": bo}})
    with pytest.raises(ConfigurationError) as refused:
        history.run({"undo": done["run_id"]})
    assert str(refused.value) == (
        f"undo: run {done['run_id']} is a take-back, which cannot be undone: "
        "its rows go to others at the next run"
    )


def test_one_in_which_rows_are_refused_says_to_run_it_again(world: World, history: History) -> None:
    ana, bo = world.add_users(2)
    world.set_reviewers([ana])
    given_to(history, bo, "a", "b")
    history.wait(LATER)
    event = {"take_back": {"reviewer": bo}}
    failed = history.refused("b", event=event)
    assert failed.error.startswith("1 of 2 planned rows could not be written")
    assert failed.error.endswith("; run the same take-back again")
    assert {*world.assignments()} == {"b"}
    assert history.run()["per_reviewer"] == {ana: 1}
    assert told(history.run(event)) == taken({bo: 1})
    assert history.run()["per_reviewer"] == {ana: 1}


def test_one_that_finds_nothing_writes_its_record_and_no_plan(
    world: World, history: History
) -> None:
    world.add_users(1)
    result = history.run({"take_back": {"days": 1}})
    assert (result["status"], sorted(result["audit"])) == ("nothing_to_take_back", ["run"])


def test_a_take_back_changes_no_credit(world: World, history: History) -> None:
    ana, bo = world.add_users(2)
    history.log("row")
    history.run()
    history.wait(LATER)
    history.run({"take_back": {"reviewer": ana}})
    assert history.plan()["credit"] == {"": {ana: -0.5, bo: 0.5}}


# Whoever takes themself off a row


def test_over_two_hours_later_a_row_that_somebody_left_goes_to_another(
    world: World, history: History
) -> None:
    ana, bo = world.add_users(2)
    given_to(history, ana, "row")
    history.take_off("row")
    history.wait(CARRY)
    assert history.run()["status"] == "nothing_to_assign"
    history.wait(MOMENT)
    assert history.run({"days": 2})["per_reviewer"] == {ana: 0, bo: 1}
    assert history.plan()["passed"] == [
        {
            "row_id": "row",
            "reviewer_id": ana,
            "at": history.now,
            "by": "left",
            "until": history.written(history.moment + 2 * DAY),
        }
    ]


def test_who_left_is_known_also_where_another_run_made_the_plan_in_between(
    world: World, history: History
) -> None:
    ana, bo = world.add_users(2)
    given_to(history, ana, "row")
    history.take_off("row")
    history.wait(LATER)
    history.log("other", tags=["other"])
    history.run({"tag": "other", "reviewers": [bo]})
    assert history.carried() == {}
    assert history.run()["per_reviewer"] == {ana: 0, bo: 1}
    assert passed(history) == {("row", ana): "left"}


def test_who_left_days_later_does_not_get_the_row_again_either(
    world: World, history: History
) -> None:
    ana, bo = world.add_users(2)
    given_to(history, ana, "row")
    for number in range(3):
        history.wait(DAY)
        given_to(history, bo, f"new{number}")
    history.take_off("row")
    assert history.run({"dry_run": True})["per_reviewer"] == {ana: 0, bo: 1}
    assert history.run()["per_reviewer"] == {ana: 0, bo: 1}
    assert passed(history) == {("row", ana): "left"}


def test_whoever_was_planned_for_and_never_had_the_row_may_get_it_anew(
    world: World, history: History
) -> None:
    """Its write was refused, or nobody knows whether it landed."""
    ana, _ = world.add_users(2)
    world.set_reviewers([ana])
    history.log("refused", "unclear")
    history.refused("refused")
    history.take_off("unclear")
    history.delete(history.plan()["run_id"], "assignments", "to_assign_ids")
    history.wait(LATER)
    assert history.run()["per_reviewer"] == {ana: 2}
    assert passed(history) == {}


def test_a_row_that_everybody_has_left_is_dealt_to_anybody(world: World, history: History) -> None:
    (ana,) = world.add_users(1)
    given_to(history, ana, "row")
    history.take_off("row")
    history.wait(LATER)
    assert history.run()["per_reviewer"] == {ana: 1}
    assert passed(history) == {("row", ana): "left"}


def test_a_row_freed_by_an_undo_was_left_by_nobody(world: World, history: History) -> None:
    (ana,) = world.add_users(1)
    done = given_to(history, ana, "row")
    history.run({"undo": done["run_id"]})
    history.wait(LATER)
    history.log("other", tags=["other"])
    history.run({"tag": "other"})
    assert history.run()["per_reviewer"] == {ana: 1}
    assert passed(history) == {}


def test_where_a_plan_cannot_be_read_whoever_left_may_get_the_row_again_and_it_says_so(
    world: World, history: History
) -> None:
    (ana,) = world.add_users(1)
    first = given_to(history, ana, "row")
    history.wait(DAY)
    given_to(history, ana, "new")
    history.wait(DAY)
    given_to(history, ana, "newer")
    history.take_off("row")
    history.put(history.key(first["run_id"], "plans"), "{")
    result = history.run()
    assert result["per_reviewer"] == {ana: 1}
    (warning,) = result["warnings"]
    assert warning.startswith("whoever took themself off a row may get it again: the plan s3://")


def test_who_left_is_not_looked_up_as_long_as_the_row_waits(
    world: World, history: History, aws: RefusingAws
) -> None:
    ana, bo = world.add_users(2)
    given_to(history, bo, "row")
    for number in range(3):
        history.wait(3 * HOUR)
        newest = given_to(history, ana, str(number))
    history.take_off("row")
    world.set_reviewers([{"id": who, "max_open": 0} for who in (ana, bo)])
    seen = plans_read(aws, world)
    assert history.run()["deferred"] == 1
    assert seen == [history.key(newest["run_id"], "plans")]
    world.set_reviewers([bo, ana])
    assert history.run()["per_reviewer"] == {bo: 0, ana: 1}


def test_where_time_runs_out_whoever_left_may_get_the_row_again_and_it_says_so(
    world: World, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    (ana,) = world.add_users(1)
    given_to(history, ana, "row")
    for name in ("new", "newer"):
        history.wait(DAY)
        given_to(history, ana, name)
    history.take_off("row")
    newest = Gifts.newest

    def hurried(gifts: Gifts, past: Any, rows: Any, _: Deadline) -> Any:
        return newest(gifts, past, rows, Deadline(lambda: 0))

    monkeypatch.setattr(Gifts, "newest", hurried)
    result = history.run()
    assert result["per_reviewer"] == {ana: 1}
    assert result["warnings"] == [
        "whoever took themself off a row may get it again: time ran out before all plans were read"
    ]


# Plans


def plans_read(aws: RefusingAws, world: World) -> list[str]:
    """Requests for plans from now on, as they come in."""
    seen: list[str] = []

    def watch(method: str, path: str) -> None:
        if (method == "GET" and "/plans/" in path) or path.endswith(BUCKET):
            seen.append(path.removeprefix(f"/{BUCKET}").removeprefix(f"/{world.prefix}"))

    aws.watch = watch
    return seen


def test_plans_are_read_only_where_days_are_meant_and_only_back_to_the_one_that_gave_the_row(
    world: World, history: History, aws: RefusingAws
) -> None:
    ana, bo = world.add_users(2)
    world.set_reviewers([ana])
    ids = []
    for number in range(5):
        ids.append(given_to(history, bo, f"row{number}")["run_id"])
        history.wait(3 * HOUR)
    for number in (0, 1, 2):
        history.finish(f"row{number}")
    seen = plans_read(aws, world)
    history.run({"take_back": {"reviewer": bo, "days": 2}})
    assert seen[0] == history.key(ids[4], "plans")
    assert seen[1] == ""  # they are listed
    assert (
        {history.key(ids[3], "plans")} <= {*seen[2:]} <= {history.key(run, "plans") for run in ids}
    )
    seen.clear()
    history.run({"take_back": {"reviewer": bo}})
    assert seen == [history.key(ids[4], "plans")]


def test_a_plan_that_is_missing_ends_the_chain(world: World, history: History) -> None:
    _, bo = world.add_users(2)
    ids = []
    for number in range(4):
        ids.append(given_to(history, bo, f"row{number}")["run_id"])
        history.wait(3 * HOUR)
    history.wait(DAY)
    history.delete(ids[1], "plans")
    assert told(history.run({"take_back": {"days": 1}})) == taken({bo: 2})
    assert {*world.assignments()} == {"row0", "row1"}


def test_a_plan_that_cannot_be_read_is_an_error(world: World, history: History) -> None:
    _, bo = world.add_users(2)
    ids = []
    for number in range(3):
        ids.append(given_to(history, bo, f"row{number}")["run_id"])
        history.wait(3 * HOUR)
    history.wait(DAY)
    history.put(history.key(ids[1], "plans"), '{"run_id": 7}')
    with pytest.raises(AuditError) as failed:
        history.run({"take_back": {"days": 1}})
    assert "cannot be understood" in str(failed.value)
    assert str(failed.value).endswith("; nothing was taken back")
    assert len(world.assignments()) == 3


def test_a_plan_that_cannot_be_read_is_no_matter_where_it_is_not_of_the_chain(
    world: World, history: History
) -> None:
    _, bo = world.add_users(2)
    given_to(history, bo, "row")
    history.wait(3 * HOUR)
    for run_id in ("20261123T060000Z-before", "20261123T080000Z-lost-the-race"):
        history.put(history.key(run_id, "plans"), '{"run_id": 7}')
    given_to(history, bo, "new")
    history.wait(DAY - HOUR)
    assert told(history.run({"take_back": {"days": 1}})) == taken({bo: 1})


def test_plans_that_cannot_be_listed_are_an_error(
    world: World, history: History, aws: RefusingAws
) -> None:
    _, bo = world.add_users(2)
    given_to(history, bo, "row")
    history.wait(DAY)
    given_to(history, bo, "new")
    aws.refuse("GET", f"/{BUCKET}", times=None)
    with pytest.raises(AuditError):
        history.run({"take_back": {"days": 1}})
    assert len(world.assignments()) == 2


def test_a_plan_that_lost_the_race_gave_nothing(
    world: World, history: History, aws: RefusingAws
) -> None:
    """Else its row would seem to be with its second person, or to be younger than it is."""
    ana, bo = world.add_users(2)
    world.set_reviewers([ana])
    history.log("row")

    def winner(method: str, path: str) -> None:
        if method == "PUT" and "/plans/" in path:
            aws.watch = lambda _method, _path: None
            history.run({"reviewers": [bo]})

    aws.watch = winner
    history.run()
    assert len(world.objects("plans/")) == 2
    history.wait(DAY)
    given_to(history, ana, "new")
    assert told(history.run({"take_back": {"days": 1}})) == taken({bo: 1})


# Whatever happens beside it


def test_one_that_loses_the_race_starts_again_and_leaves_alone_what_the_winner_planned(
    world: World, history: History, aws: RefusingAws
) -> None:
    ana, bo = world.add_users(2)
    world.set_reviewers([ana])
    given_to(history, bo, "row")
    history.wait(LATER)

    def winner(method: str, path: str) -> None:
        if method == "PUT" and "/plans/" in path:
            aws.watch = lambda _method, _path: None
            history.take_off("row")
            history.run()

    aws.watch = winner
    assert told(history.run({"take_back": {"reviewer": bo}})) == taken({})
    assert world.assignments() == {"row": (ana,)}


def test_a_removal_that_lands_after_the_next_run_takes_nothing_from_the_new_reviewer(
    world: World, history: History
) -> None:
    ana, bo = world.add_users(2)
    world.set_reviewers([ana])
    given_to(history, bo, "row")
    history.wait(LATER)
    history.run({"take_back": {"reviewer": bo}})
    history.run()
    late = {
        "id": "row",
        "_is_merge": True,
        "_array_delete": [{"path": ["metadata", ASSIGNMENTS], "delete": [bo]}],
    }
    world.braintrust.store.insert([late])
    assert history.review("row") == ([ana], PENDING)


@pytest.mark.parametrize("hours", [0, 3])
def test_a_stale_read_takes_nothing_from_whoever_has_the_row_by_now(
    world: World, history: History, hours: int
) -> None:
    ana, bo = world.add_users(2)
    world.set_reviewers([ana])
    given_to(history, bo, "row")
    before = history.wait(LATER)
    event = {"take_back": {"reviewer": bo}}
    history.run(event)
    history.run()
    history.wait(hours * HOUR + MINUTE)
    history.run(event, as_of=before)
    assert history.review("row") == ([ana], PENDING)
    history.wait(3 * HOUR)
    assert history.run()["status"] == "nothing_to_assign"


@pytest.mark.parametrize("answered", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("request_number", range(1, 16))
def test_one_killed_at_any_of_its_requests_is_finished_by_the_next(
    world: World, request_number: int, *, answered: bool
) -> None:
    """SIGKILL before its plan, between plan and ledger, between removals, before its record."""
    world.settings = {"BATCH_SIZE": "3", "INSERT_CONCURRENCY": "1"}
    ana, bo, cleo = world.add_users(3)
    long_ago = datetime.now(UTC) - 25 * HOUR
    rows = world.add_rows(7, hours_ago=26)
    world.run({"reviewers": [bo]}, now=lambda: long_ago)
    event = {"take_back": {"days": 1}}
    killed = start(world.environ, event, Death(request_number, answered=answered)).join()
    assert (killed.process.exitcode, killed.result) == (-9, None)
    world.run()
    world.run(event)
    world.run()
    assert Counter(who for who in world.assignments().values()) in (
        {(ana,): 4, (cleo,): 3},
        {(ana,): 3, (cleo,): 4},
    )
    assert all(world.braintrust.store.assignment_history(row).count((bo,)) == 1 for row in rows)
    assert world.run({"take_back": {"days": 1}})["warnings"] == []


def test_beside_hourly_runs_no_row_is_with_two_people(world: World) -> None:
    world.settings = {"BATCH_SIZE": "2"}
    _, bo, _ = world.add_users(3)
    long_ago = datetime.now(UTC) - 25 * HOUR
    rows = world.add_rows(20, hours_ago=26)
    world.run({"reviewers": [bo]}, now=lambda: long_ago)
    events = [{"take_back": {"days": 1}}, {}, {"take_back": {"reviewer": bo}}, {}]
    ended = [running.join() for running in [start(world.environ, event) for event in events]]
    assert [run.error for run in ended] == [None] * 4
    world.run()
    assert {*world.assignments()} == {*rows}
    assert {len(who) for who in world.assignments().values()} == {1}
    assert bo not in {who[0] for who in world.assignments().values()}


def test_plans_are_read_a_few_side_by_side_and_each_once(
    world: World, history: History, aws: RefusingAws
) -> None:
    """How long a month of them takes is what `make bench` prints."""
    ana, bo = world.add_users(2)
    world.set_reviewers([ana])
    first = given_to(history, bo, "row")
    text = world.objects("plans/")[history.key(first["run_id"], "plans")]
    previous = world.prefix + history.key(first["run_id"], "plans")
    for hour in range(1, 151):
        moment = history.moment + hour * HOUR
        run_id = f"{moment:%Y%m%dT%H%M%SZ}-hour"
        plan = json.loads(text) | {
            "run_id": run_id,
            "created_at": history.written(moment),
            "previous": previous,
            "assignments": [],
        }
        history.put(history.key(run_id, "plans"), json.dumps(plan))
        previous = world.prefix + history.key(run_id, "plans")
    entry = {"run_id": run_id, "plan": previous, "committed_at": history.written(moment)}
    history.put(f"ledger/project_id={world.braintrust.project_id}.json", json.dumps(entry))
    history.wait(150 * HOUR + MINUTE)
    seen = plans_read(aws, world)
    result = history.run({"take_back": {"days": 6}})
    assert told(result) == taken({bo: 1})
    assert (len(seen), len({*seen})) == (152, 152)  # one listing, 151 plans
