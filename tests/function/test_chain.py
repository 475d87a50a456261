"""Contract section 7, the chain of plans: what is carried, what is confirmed, what rests, what is given again."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lib.errors import AssignmentError, AuditError, ConfigurationError
from tests.history import APPROVED, HOUR, MINUTE, MOMENT, PENDING, RECORD, History
from tests.refusing_aws import RefusingAws
from tests.world import ASSIGNMENTS, REVIEW_LISTS, TAG, World

CARRY, REST = timedelta(hours=2), timedelta(minutes=45)


def counts(result: dict[str, Any]) -> dict[str, Any]:
    """What became of the rows."""
    fields = ("status", "already_assigned", "unassigned", "assigned", "deferred", "warnings")
    return {field: result[field] for field in fields}


def idle(assigned: int) -> dict[str, Any]:
    """What `counts` says where nothing was to be done."""
    return {
        "status": "nothing_to_assign",
        "already_assigned": assigned,
        "unassigned": 0,
        "assigned": 0,
        "deferred": 0,
        "warnings": [],
    }


def waits(rows: int, *warnings: str) -> dict[str, Any]:
    """What `counts` says where all rows wait."""
    return {
        "status": "incomplete",
        "already_assigned": 0,
        "unassigned": rows,
        "assigned": 0,
        "deferred": rows,
        "warnings": [*warnings],
    }


def rests(rows: int, until: str) -> str:
    return f"{rows} rows wait: they may have been written, or may yet be; all will be clear by {until} UTC"


# The chain


def test_every_plan_names_the_plan_that_the_ledger_named(world: World, history: History) -> None:
    world.add_users(2)
    keys = []
    for name in ("a", "b", "c"):
        history.log(name)
        keys.append(history.run()["audit"]["plan"].split("s3://audit-bucket/")[1])
        history.wait(3 * HOUR)
    assert [plan["previous"] for plan in world.records("plans")] == [None, *keys[:2]]


def test_an_entry_is_carried_for_two_hours_and_no_longer(world: World, history: History) -> None:
    world.add_users(1)
    history.log("old")
    history.run()
    history.wait(CARRY)
    history.log("new")
    history.run()
    assert [*history.carried()] == ["old"]
    history.wait(MOMENT)
    history.log("newer")
    history.run()
    assert [*history.carried()] == ["new"]


def test_a_run_for_another_tag_in_between_carries_the_plan_along(
    world: World, history: History
) -> None:
    (ana,) = world.add_users(1)
    history.log("row")
    before = history.wait(MINUTE)
    first = history.run()
    planned = history.wait(MINUTE)
    history.log("other", tags=["other"])
    history.run({"tag": "other", "filter": "created IS NOT NULL"})
    history.wait(MINUTE)
    assert history.carried() == {
        "row": {
            "reviewer_id": ana,
            "planned_at": history.written(planned),
            "run_id": first["run_id"],
            "confirmed": True,
            "freed": False,
        }
    }
    assert counts(history.run(as_of=before)) == idle(1)


def test_a_plan_that_lost_the_race_is_no_run_and_cannot_be_undone(
    world: World, history: History, aws: RefusingAws
) -> None:
    world.add_users(2)
    history.log("a", "b", "c")
    rivals: list[dict[str, Any]] = []

    def rival(method: str, path: str) -> None:
        if method == "PUT" and "/plans/" in path and not rivals:
            rivals.append({})
            rivals[0] = history.run(request_id="rival")

    aws.watch = rival
    late = history.run(request_id="late")
    assert (late["run_id"], late["status"]) == ("20261123T070000Z-late-2", "nothing_to_assign")
    assert [plan["run_id"] for plan in world.records("plans")] == [
        "20261123T070000Z-late",
        "20261123T070000Z-rival",
    ]
    assert {record["run_id"] for record in world.records("runs")} == {
        "20261123T070000Z-late-2",
        "20261123T070000Z-rival",
    }
    assert history.plan()["run_id"] == rivals[0]["run_id"]
    history.wait(15 * MINUTE)
    before = world.assignments()
    with pytest.raises(ConfigurationError) as refused:
        history.run({"undo": "20261123T070000Z-late"})
    assert str(refused.value) == (
        "undo: run 20261123T070000Z-late assigned nothing: its plan was never committed"
    )
    assert world.assignments() == before


def test_a_record_carries_its_plans_id_also_where_an_invocation_without_a_plan_took_it(
    world: World, history: History, aws: RefusingAws
) -> None:
    """Both look whether the id is free before either writes."""
    world.add_users(2)
    history.log("z", tags=["other"])
    first = history.run({"tag": "other"})
    history.log("a", "b")
    twins: list[dict[str, Any]] = []

    def twin(method: str, path: str) -> None:
        if method == "PUT" and "/plans/" in path and not twins:
            twins.append({})
            twins[0] = history.run({"tag": "other"}, request_id="same")

    aws.watch = twin
    result = history.run(request_id="same")
    assert (result["status"], twins[0]["status"]) == ("assigned", "nothing_to_assign")
    plans = {plan["run_id"] for plan in world.records("plans")}
    assert (
        {result["run_id"], twins[0]["run_id"]}
        == plans - {first["run_id"]}
        == {"20261123T070000Z-same"}
    )
    assert [record for record in world.records("runs") if record != first] == [result]


# Confirmed rows


def test_a_confirmed_row_is_left_alone_whatever_a_read_shows(
    world: World, history: History
) -> None:
    world.add_users(2)
    history.log("a", "b", "c")
    before = history.wait(MINUTE)
    history.run()
    for time in (MINUTE, HOUR, CARRY - HOUR - MINUTE):
        history.wait(time)
        assert counts(history.run(as_of=before)) == idle(3)
    assert world.braintrust.requests.count("insert") == 1


def test_whoever_takes_themself_off_a_confirmed_row_is_not_put_back_on_it_for_two_hours(
    world: World, history: History
) -> None:
    world.add_users(1)
    history.log("row")
    history.run()
    history.take_off("row")
    history.wait(CARRY)
    assert counts(history.run()) == idle(1)
    assert history.review("row") == ([], PENDING)
    history.wait(MOMENT)
    assert history.run()["assigned"] == 1


def test_no_review_that_was_finished_since_is_set_back(world: World, history: History) -> None:
    (ana,) = world.add_users(1)
    history.log("row")
    before = history.wait(MINUTE)
    history.run()
    history.finish("row")
    history.wait(HOUR)
    assert counts(history.run(as_of=before)) == idle(1)
    assert history.review("row") == ([ana], APPROVED)


def test_a_row_that_somebody_else_took_over_stays_with_them(world: World, history: History) -> None:
    _, bo = world.add_users(2)
    history.log("row")
    history.run()
    history.assign("row", bo)
    history.wait(MINUTE)
    assert counts(history.run({"dry_run": True})) == idle(1) | {"status": "dry_run"}
    assert counts(history.run()) == idle(0)  # a short read does not show it
    assert world.assignments() == {"row": (bo,)}


@pytest.mark.parametrize(
    "ids", [None, "[]", '["a"]'], ids=["no list", "an empty list", "a list that lacks some"]
)
def test_what_to_assign_ids_lacks_is_confirmed_by_the_record(
    world: World, history: History, ids: str | None
) -> None:
    world.add_users(2)
    history.log("a", "b", "c")
    before = history.wait(MINUTE)
    first = history.run()
    history.delete(first["run_id"], "to_assign_ids")
    if ids:
        history.put(history.key(first["run_id"], "to_assign_ids"), ids)
    history.wait(MINUTE)
    assert counts(history.run(as_of=before)) == idle(3)


def test_what_the_record_lacks_is_confirmed_by_to_assign_ids(
    world: World, history: History
) -> None:
    world.add_users(2)
    history.log("a", "b", "c")
    before = history.wait(MINUTE)
    first = history.run()
    history.delete(first["run_id"], "assignments", "runs")
    history.wait(MINUTE)
    assert counts(history.run(as_of=before)) == idle(3)


def test_a_run_that_writes_its_record_after_the_next_plan_confirms_its_rows_all_the_same(
    world: World, history: History
) -> None:
    """Of each run that rows are not confirmed of the records are looked at, not only of the last one."""
    world.add_users(2)
    history.log("a", "b")
    before = history.wait(MINUTE)
    slow = history.run()
    late = history.delete(slow["run_id"], *RECORD)
    history.log("c")
    second = history.run()
    assert {row: entry["confirmed"] for row, entry in history.carried().items()} == {
        "a": False,
        "b": False,
    }
    for key, text in late.items():
        history.put(key, text)
    history.wait(MINUTE)
    history.log("d")
    history.run()
    assert {
        row: (entry["run_id"], entry["confirmed"]) for row, entry in history.carried().items()
    } == {"a": (slow["run_id"], True), "b": (slow["run_id"], True), "c": (second["run_id"], True)}
    history.wait(MINUTE)
    assert counts(history.run(as_of=before)) == idle(2)


def test_what_is_confirmed_once_stays_so_without_its_records(
    world: World, history: History
) -> None:
    world.add_users(1)
    history.log("row")
    before = history.wait(MINUTE)
    first = history.run()
    history.log("next")
    history.run()
    history.delete(first["run_id"], *RECORD)
    history.wait(MINUTE)
    assert counts(history.run(as_of=before)) == idle(1)


@pytest.mark.parametrize("text", ["{", "7", "[[]]", "\0"])
@pytest.mark.parametrize("kind", ["to_assign_ids", "assignments"])
def test_a_record_that_cannot_be_understood_stops_the_run_and_is_named(
    world: World, history: History, kind: str, text: str
) -> None:
    world.add_users(1)
    history.log("row")
    first = history.run()
    history.delete(first["run_id"], "to_assign_ids")
    history.put(key := history.key(first["run_id"], kind), text)
    with pytest.raises(AuditError) as failed:
        history.run()
    named, _, rest = str(failed.value).partition(" cannot be understood (")
    assert named == f"s3://audit-bucket/{world.prefix}{key}"
    assert rest.endswith(
        "): restore an earlier version of it (the bucket keeps them), or delete it, "
        "and its rows rest for 45 minutes; nothing was assigned"
    )


# What was not confirmed


@pytest.mark.parametrize("landed", [False, True], ids=["before it wrote", "after it wrote"])
def test_rows_of_a_run_that_left_no_record_rest_for_45_minutes_and_then_go_to_the_same_people(
    world: World, history: History, *, landed: bool
) -> None:
    ana, bo = world.add_users(2)
    history.log("a", "b", "c")
    before = history.wait(MINUTE)
    history.cut_off(landed=landed)
    history.wait(REST)
    assert counts(history.run(as_of=before)) == waits(3, rests(3, "07:47"))
    assert history.given() == []
    world.set_reviewers([bo, ana])
    history.wait(MOMENT)
    history.run(as_of=before)
    assert history.given() == [("a", ana), ("b", bo), ("c", ana)]
    assert world.assignments() == {"a": (ana,), "b": (bo,), "c": (ana,)}


def test_a_row_that_may_have_landed_rests_and_is_not_set_back_once_it_is_finished(
    world: World, history: History
) -> None:
    (ana,) = world.add_users(1)
    history.log("row")
    before = history.wait(MINUTE)
    ended = history.unanswered()
    assert [line["status"] for line in world.lines({"run_id": ended.run_id})] == ["unknown"]
    history.finish("row")
    history.wait(15 * MINUTE)
    assert counts(history.run(as_of=before)) == waits(1, rests(1, "07:47"))
    history.wait(30 * MINUTE)
    assert counts(history.run()) == idle(0)  # a short read shows no finished row
    assert history.review("row") == ([ana], APPROVED)


def test_rows_that_were_refused_go_to_the_same_people_at_once(
    world: World, history: History
) -> None:
    ana, bo = world.add_users(2)
    history.log("a", "b", "c")
    history.refused("b")
    assert world.assignments() == {"a": (ana,), "c": (ana,)}
    history.run()
    assert (history.given(), history.plan()["repeated"]) == ([("b", bo)], 1)
    assert world.assignments() == {"a": (ana,), "b": (bo,), "c": (ana,)}


def test_rows_that_were_not_attempted_go_to_the_same_people_at_once(
    world: World, history: History
) -> None:
    world.settings = {"BATCH_SIZE": "1", "INSERT_CONCURRENCY": "1"}
    ana, bo = world.add_users(2)
    history.log("a", "b")
    world.braintrust.faults.add("insert", status=403)
    with pytest.raises(AssignmentError):
        history.run()
    ended = history.plan()["run_id"]
    assert [line["status"] for line in world.lines({"run_id": ended})] == [
        "failed",
        "not_attempted",
    ]
    history.run()
    assert history.given() == [("a", ana), ("b", bo)]
    assert world.assignments() == {"a": (ana,), "b": (bo,)}


def test_45_minutes_are_counted_from_the_last_planning(world: World, history: History) -> None:
    (ana,) = world.add_users(1)
    history.log("row")
    history.cut_off(landed=False)
    history.wait(REST + MOMENT)
    history.cut_off(landed=False)
    assert history.given() == [("row", ana)]
    history.wait(REST)
    assert counts(history.run()) == waits(1, rests(1, "08:31"))
    history.wait(MOMENT)
    assert history.run()["assigned"] == 1


def test_a_row_that_waits_keeps_the_time_of_its_planning(world: World, history: History) -> None:
    (ana,) = world.add_users(1)
    history.log("row")
    ended = history.cut_off(landed=False)
    planned = history.now
    history.wait(10 * MINUTE)
    history.run()
    history.wait(10 * MINUTE)
    history.run()
    assert history.carried() == {
        "row": {
            "reviewer_id": ana,
            "planned_at": planned,
            "run_id": ended.run_id,
            "confirmed": False,
            "freed": False,
        }
    }


def test_over_two_hours_after_its_planning_a_row_is_dealt_anew(
    world: World, history: History
) -> None:
    ana, bo = world.add_users(2)
    world.set_reviewers([ana])
    history.log("at", "over")
    history.cut_off(landed=False)
    world.set_reviewers([bo, ana])
    history.wait(CARRY)
    history.refused()
    assert history.given() == [("at", ana), ("over", ana)]
    history.wait(CARRY + MOMENT)
    world.set_reviewers([bo])
    history.run()
    assert (history.given(), history.plan()["repeated"]) == ([("at", bo), ("over", bo)], 0)


@pytest.mark.parametrize("time", [MINUTE, HOUR, CARRY], ids=["a minute", "an hour", "two hours"])
def test_a_row_whose_reviewer_left_the_list_waits_until_the_plan_is_over_two_hours_old(
    world: World, history: History, time: timedelta
) -> None:
    ana, bo = world.add_users(2)
    world.set_reviewers([ana])
    history.log("row")
    history.refused()
    world.set_reviewers([bo])
    history.wait(time)
    assert counts(history.run()) == waits(
        1,
        "1 rows wait: their reviewer has left the list; "
        "anyone may get them two hours after they were planned",
    )
    history.wait(CARRY - time + MOMENT)
    assert history.run()["per_reviewer"] == {bo: 1}
    assert world.assignments() == {"row": (bo,)}


def test_rows_that_rest_and_confirmed_rows_that_read_as_unassigned_are_open(
    world: World, history: History
) -> None:
    ana, bo = world.add_users(2)
    world.set_reviewers([{"id": ana, "max_open": 4}, {"id": bo, "max_open": 4}])
    history.log("rests a", "rests b", "rests c")
    history.cut_off(landed=False)
    history.log("confirmed a", "confirmed b", "confirmed c")
    history.run()
    for row in ("confirmed a", "confirmed b", "confirmed c"):
        history.take_off(row)
    history.wait(MINUTE)
    history.log("new a", "new b", "new c")
    result = history.run()
    assert {turn["reviewer_id"]: turn["open_before"] for turn in history.plan()["reviewers"]} == {
        ana: 3,
        bo: 3,
    }
    assert (result["per_reviewer"], result["deferred"]) == ({ana: 1, bo: 1}, 4)
    assert result["warnings"] == [rests(3, "07:46"), "1 rows wait: every reviewer is away or full"]


def test_planned_rows_that_a_read_does_not_show_are_open_unless_it_is_complete(
    world: World, history: History
) -> None:
    (ana,) = world.add_users(1)
    world.set_reviewers([{"id": ana, "max_open": 3}])
    history.log("a", "b")
    history.run()
    history.log("c", "d")
    world.braintrust.store.insert([{"id": "a", "_object_delete": True}])
    dry = {"dry_run": True}
    assert history.run(dry)["per_reviewer"] == {ana: 2}
    assert history.run(dry | {"limit": 2, "max_pages": 1})["per_reviewer"] == {ana: 1}


# Given again


def test_rows_given_again_come_before_new_ones_and_no_cap_holds_them_back(
    world: World, history: History
) -> None:
    ana, bo = world.add_users(2)
    history.log("a", "b", "c")
    history.refused()
    history.wait(HOUR)
    world.set_reviewers(
        [
            {"id": ana, "max_open": 0},
            {"id": bo, "away": [{"from": "2026-11-23", "until": "2026-11-24"}]},
        ]
    )
    world.braintrust.store.add_row("older", created=history.moment - 2 * HOUR, tags=[TAG])
    result = history.run({"max_assignments": 1})
    assert history.given() == [("a", ana), ("b", bo), ("c", ana)]
    assert (result["per_reviewer"], result["warnings"]) == (
        {ana: 2, bo: 1},
        ["1 rows wait: every reviewer is away or full"],
    )


def test_rows_given_again_use_up_no_cap_but_max_open(world: World, history: History) -> None:
    ana, bo = world.add_users(2)
    history.log("a", "b", "c")
    history.refused()
    world.set_reviewers([{"id": ana, "max_open": 2}, bo])
    history.log("d", "e", "f", "g")
    result = history.run({"max_assignments": 3})
    assert history.given()[:3] == [("a", ana), ("b", bo), ("c", ana)]
    assert result["per_reviewer"] == {ana: 2, bo: 1 + 3}
    assert result["warnings"] == ["1 rows wait: MAX_ASSIGNMENTS is reached"]


def test_rows_that_are_refused_for_good_do_not_use_up_the_cap(
    world: World, history: History
) -> None:
    world.settings = {"MAX_ASSIGNMENTS": "2"}
    world.add_users(2)
    history.log("bad a", "bad b")
    history.log("c", "d", "e")
    for _ in range(3):
        history.refused("bad a", "bad b")
        history.wait(HOUR)
    assert world.assignments().keys() == {"c", "d", "e"}


def test_every_event_that_assigns_carries_the_status(world: World, history: History) -> None:
    """Without it a row never shows under Awaiting review."""
    (ana,) = world.add_users(1)
    history.log("row")
    events = []
    for run in (history.refused, lambda: history.cut_off(landed=False), history.run):
        heard = world.overhear("insert")
        run()
        events += [event for body in heard for event in body["events"]]
        history.wait(REST + MOMENT)
    assert [(event["id"], event["metadata"]) for event in events] == [
        ("row", {ASSIGNMENTS: [ana], REVIEW_LISTS: PENDING})
    ] * 3
    assert history.review("row") == ([ana], PENDING)


# An audit that version 0.1 wrote


@pytest.fixture
def version_0_1(world: World, history: History) -> History:
    """Its audit an hour and ten minutes after its first run, ten after its second; all rows read as unassigned."""
    ana, bo = world.add_users(2)
    text = (Path(__file__).parents[1] / "version_0_1.json").read_text("utf-8")
    project = world.braintrust.project_id
    for name, value in (("<project>", project), ("<ana>", ana), ("<bo>", bo)):
        text = text.replace(name, value)
    for key, body in json.loads(text.replace("audit/plans/", f"{world.prefix}plans/")).items():
        history.put(key, body)
    history.moment = datetime(2026, 11, 23, 6, 59, tzinfo=UTC)
    history.log("row-0", "row-1", "row-2")
    history.moment = datetime(2026, 11, 23, 7, 59, tzinfo=UTC)
    history.log("row-3", "row-4")
    history.wait(11 * MINUTE)
    return history


def test_an_audit_of_version_0_1_is_read_on(version_0_1: History, world: World) -> None:
    """No credit means 0. What its newest plan gave is confirmed or refused, what it carried is neither."""
    ana, bo = world.users
    history = version_0_1
    history.log("new")
    result = history.run()
    second = "20261123T080000Z-second"
    assert counts(result) == {
        "status": "assigned",
        "already_assigned": 1,
        "unassigned": 5,
        "assigned": 5,
        "deferred": 0,
        "warnings": [],
    }
    assert history.given() == [
        ("row-0", ana),  # what it carried is older than 45 minutes
        ("row-1", bo),
        ("row-2", ana),
        ("row-4", ana),  # was refused
        ("new", ana),  # nobody is owed anything: the first on the list of equals
    ]
    assert history.carried() == {
        "row-3": {
            "reviewer_id": bo,
            "planned_at": "2026-11-23T08:00:00.000Z",
            "run_id": second,
            "confirmed": True,
            "freed": False,
        }
    }
    plan = history.plan()
    assert plan["credit"] == {"": {ana: -0.5, bo: 0.5}}
    assert plan["previous"] == world.prefix + history.key(second, "plans")


def test_an_entry_that_version_0_1_carried_without_its_runs_id_rests(
    version_0_1: History, world: World
) -> None:
    """Though the run that planned it confirmed it: nobody can tell which run that was."""
    history = version_0_1
    (ledger,) = world.objects("ledger/").values()
    key = json.loads(ledger)["plan"].removeprefix(world.prefix)
    text = world.objects("plans/")[key]
    recent = '"planned_at": "2026-11-23T07:30:00.000Z"'
    history.put(key, text.replace('"planned_at": "2026-11-23T07:00:00.000Z"', recent))
    result = history.run()
    assert (result["assigned"], result["deferred"]) == (1, 3)
    assert result["warnings"] == [rests(3, "08:16")]
    assert {
        row: (entry["run_id"], entry["confirmed"]) for row, entry in history.carried().items()
    } == {
        "row-0": ("", False),
        "row-1": ("", False),
        "row-2": ("", False),
        "row-3": ("20261123T080000Z-second", True),
    }


def test_a_run_of_version_0_1_can_be_undone(version_0_1: History, world: World) -> None:
    """The chain breaks off at its newest plan; what is older happened, as its record is there."""
    ana, bo = world.users
    history = version_0_1
    for row, person in (("row-0", ana), ("row-1", bo), ("row-2", bo)):
        history.assign(row, person)
    undone = history.run({"undo": "20261123T070000Z-first"})
    assert (undone["given"], undone["undone"], undone["left_alone"]) == (3, 2, 1)
    assert world.assignments() == {"row-2": (bo,)}


def test_a_plan_of_version_0_1_without_a_record_is_no_run(version_0_1: History) -> None:
    version_0_1.delete("20261123T070000Z-first", "runs")
    with pytest.raises(ConfigurationError, match="assigned nothing: its plan was never committed"):
        version_0_1.run({"undo": "20261123T070000Z-first"})
