"""Taking back what one run assigned, and nothing else."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from lib.errors import AssignmentError, ConfigurationError
from tests.history import HOUR, MINUTE, MOMENT, PENDING, History
from tests.refusing_aws import RefusingAws
from tests.world import ASSIGNMENTS, REVIEW_LISTS, TAG, World

CARRY, REST = timedelta(hours=2), timedelta(minutes=45)


def told(result: dict[str, Any]) -> dict[str, Any]:
    """What an undo says became of the rows of its run."""
    fields = ("status", "given", "undone", "left_alone", "failed", "deferred", "warnings")
    return {field: result[field] for field in fields}


def undone(count: int, left_alone: int = 0, *warnings: str) -> dict[str, Any]:
    """What `told` says where nothing was refused."""
    return {
        "status": "undone" if count else "nothing_to_undo",
        "given": count + left_alone,
        "undone": count,
        "left_alone": left_alone,
        "failed": 0,
        "deferred": 0,
        "warnings": [*warnings],
    }


def planned_later(count: int) -> str:
    return f"{count} rows are left alone: a later run has planned them, and they are its own now"


def unwritten(count: int) -> str:
    return (
        f"{count} rows were not written yet: nothing is taken off them, "
        "and they are not given out for that run any more"
    )


def test_an_undo_frees_exactly_the_rows_that_still_have_that_reviewer_and_no_finished_review(
    world: World, history: History
) -> None:
    world.add_users(2)
    rows = ["reassigned", "joined", "finished", "deleted", "kept a", "kept b"]
    history.log(*rows, metadata={"model": "m", "nested": {"a": [1]}})
    before = {row["id"]: row for row in world.braintrust.store.rows()}
    done = history.run()
    given = world.assignments()
    history.assign("reassigned", "someone else")
    history.assign("joined", *given["joined"], "and a second")
    history.finish("finished")
    world.braintrust.store.insert([{"id": "deleted", "_object_delete": True}])
    left = {row_id: world.braintrust.store.row(row_id) for row_id in rows[:4]}
    result = history.run({"undo": done["run_id"]})
    audit = result["audit"]
    assert result == {
        "run_id": result["run_id"],
        "status": "undone",
        "dry_run": False,
        "project_id": world.braintrust.project_id,
        "tag": TAG,
        "window": done["window"],
        "undoes": done["run_id"],
        "read": "full",
        "fetched": 5,
        "given": 6,
        "undone": 2,
        "left_alone": 4,
        "failed": 0,
        "deferred": 0,
        "complete": True,
        "audit": audit,
        "warnings": [],
        "duration_ms": result["duration_ms"],
        "taken_from": Counter(given[row][0] for row in rows[4:]),
    }
    assert sorted(audit) == ["assignments", "plan", "run"]
    assert not world.objects(history.key(result["run_id"], "to_assign_ids"))
    assert {row_id: world.braintrust.store.row(row_id) for row_id in rows[:4]} == left
    for row_id in rows[4:]:
        row = world.braintrust.store.row(row_id)
        assert row is not None
        assert row["metadata"].pop(ASSIGNMENTS) == []
        assert row["metadata"].pop(REVIEW_LISTS) == PENDING
        assert {**row, "_xact_id": ""} == {**before[row_id], "_xact_id": ""}
    assert [
        (line["row_id"], line["reviewer_id"], line["status"]) for line in world.lines(result)
    ] == [(row_id, given[row_id][0], "undone") for row_id in rows[4:]]


def test_what_an_undo_freed_stays_in_the_chain_with_the_undos_time_and_rests_45_minutes(
    world: World, history: History
) -> None:
    """A wrong roster is repaired in an hour: undo, correct the list, and the next run but one deals the rows anew."""
    wrong, right = world.add_users(2)
    world.set_reviewers([wrong])
    history.log("a", "b")
    done = history.run()
    world.set_reviewers([right])
    history.wait(HOUR)
    assert told(history.run({"undo": done["run_id"]})) == undone(2)
    entry = {
        "reviewer_id": wrong,
        "planned_at": history.now,
        "run_id": done["run_id"],
        "confirmed": False,
        "freed": True,
    }
    assert history.carried() == {"a": entry, "b": entry}
    history.wait(REST)
    resting = history.run()
    assert (resting["assigned"], resting["deferred"]) == (0, 2)
    assert resting["warnings"] == [
        "2 rows wait: they may have been written, or may yet be; all will be clear by 08:46 UTC"
    ]
    assert history.carried() == {"a": entry, "b": entry}
    history.wait(MOMENT)
    again = history.run()
    assert (again["assigned"], again["deferred"]) == (2, 0)
    assert world.assignments() == {"a": (right,), "b": (right,)}


def test_what_an_undo_freed_is_carried_for_two_hours_from_the_undo_on(
    world: World, history: History
) -> None:
    (ana,) = world.add_users(1)
    history.log("row")
    done = history.run()
    history.wait(HOUR)
    history.run({"undo": done["run_id"]})
    world.set_reviewers([{"id": ana, "max_open": 0}])
    history.wait(CARRY)
    history.run()
    assert [*history.carried()] == ["row"]
    history.wait(MOMENT)
    history.run()
    assert history.carried() == {}


def test_rows_that_an_undo_freed_are_nobodys_open_rows(world: World, history: History) -> None:
    (ana,) = world.add_users(1)
    world.set_reviewers([{"id": ana, "max_open": 2}])
    history.log("a", "b")
    done = history.run()
    history.run({"undo": done["run_id"]})
    history.log("c", "d", "e")
    assert history.run()["per_reviewer"] == {ana: 2}


def test_an_undo_changes_no_credit(world: World, history: History) -> None:
    ana, bo = world.add_users(2)
    history.log("row")
    done = history.run()
    history.run({"undo": done["run_id"]})
    assert history.plan()["credit"] == {"": {ana: -0.5, bo: 0.5}}
    history.wait(HOUR)
    assert history.run()["per_reviewer"] == {ana: 0, bo: 1}


def test_an_undo_leaves_alone_what_a_later_run_has_planned_whatever_its_read_shows(
    world: World, history: History
) -> None:
    """A saved event, sent again hours later, does not take back what others have by now."""
    ana, bo = world.add_users(2)
    world.set_reviewers([ana])
    history.log("passed on", "given again", "kept")
    done = history.run()
    shown = history.wait(MINUTE)
    for row in ("passed on", "given again"):
        history.take_off(row)
    history.wait(CARRY)
    world.set_reviewers([bo])
    history.run({"max_assignments": 1})
    history.wait(MINUTE)
    world.set_reviewers([ana])
    history.run()
    for _ in range(10):  # a day later, with other plans in between
        history.wait(3 * HOUR)
        history.log(f"new {history.now}")
        history.run({"max_assignments": 1})
    event = {"undo": done["run_id"]}
    assert world.assignments()["passed on"] == (bo,)
    assert history.run(event | {"dry_run": True}, as_of=shown)["deferred"] == 1
    assert told(history.run(event, as_of=shown)) == undone(1, 2, planned_later(2))
    assert (history.review("passed on"), history.review("given again"), history.review("kept")) == (
        ([bo], PENDING),
        ([ana], PENDING),
        ([], PENDING),
    )


def test_rows_that_a_run_has_planned_again_and_not_yet_written_are_its_own(
    world: World, history: History
) -> None:
    _, bo = world.add_users(2)
    history.log("a", "b")
    done = history.refused("b").run_id
    later = history.cut_off(landed=False)
    assert history.given() == [("b", bo)]
    assert told(history.run({"undo": done})) == undone(1, 1, planned_later(1))
    assert {row: (who["run_id"], who["freed"]) for row, who in history.carried().items()} == {
        "a": (done, True),
        "b": (later.run_id, False),
    }
    history.wait(REST + MOMENT)
    history.run()
    assert world.assignments()["b"] == (bo,)


def test_an_undo_also_frees_what_its_run_has_planned_and_not_yet_written(
    world: World, history: History
) -> None:
    """Else the next run would give those rows to the people whom the undo was meant to take them from."""
    wrong, right = world.add_users(2)
    world.set_reviewers([wrong])
    history.log("a", "b", "c")
    done = history.refused("b", "c").run_id
    world.set_reviewers([right, wrong])
    assert told(history.run({"undo": done})) == undone(1, 2, unwritten(2))
    assert history.plan()["freed"] == [{"row_id": "a", "reviewer_id": wrong}]
    assert {row: entry["freed"] for row, entry in history.carried().items()} == {
        "a": True,
        "b": True,
        "c": True,
    }
    history.wait(REST)
    assert history.run()["deferred"] == 3
    history.wait(MOMENT)
    world.set_reviewers([right])
    assert history.run()["per_reviewer"] == {right: 3}
    assert world.assignments() == dict.fromkeys(("a", "b", "c"), (right,))


def test_an_undo_of_a_run_that_wrote_nothing_keeps_its_rows_from_being_given_out(
    world: World, history: History
) -> None:
    wrong, right = world.add_users(2)
    world.set_reviewers([wrong])
    history.log("a", "b")
    done = history.cut_off(landed=False).run_id
    history.wait(20 * MINUTE)
    result = history.run({"undo": done})
    assert told(result) == undone(0, 2, unwritten(2))
    assert sorted(result["audit"]) == ["plan", "run"]
    world.set_reviewers([right])
    history.wait(REST + MOMENT)
    assert history.run()["per_reviewer"] == {right: 2}


def test_a_confirmed_row_that_somebody_took_themself_off_is_no_concern_of_an_undo(
    world: World, history: History
) -> None:
    world.add_users(1)
    history.log("row")
    done = history.run()
    history.take_off("row")
    assert told(history.run({"undo": done["run_id"]})) == undone(0, 1)
    history.wait(CARRY)
    assert history.run()["status"] == "nothing_to_assign"


def test_rows_planned_over_two_hours_ago_that_read_as_unassigned_are_no_concern_of_an_undo(
    world: World, history: History
) -> None:
    """They are given out for that run no more in any case, and nobody looks any more whether they were written."""
    world.add_users(1)
    history.log("row")
    done = history.run()
    history.take_off("row")
    history.wait(CARRY + MOMENT)
    assert told(history.run({"undo": done["run_id"]})) == undone(0, 1)
    assert history.run()["assigned"] == 1


def test_a_row_that_landed_late_is_taken_off_by_the_same_undo_again(
    world: World, history: History
) -> None:
    world.add_users(1)
    history.log("row")
    before = history.wait(MINUTE)
    done = history.cut_off(landed=True).run_id
    history.wait(15 * MINUTE)
    assert told(history.run({"undo": done}, as_of=before)) == undone(0, 1, unwritten(1))
    history.wait(MINUTE)
    assert history.run()["status"] == "nothing_to_assign"
    assert told(history.run({"undo": done})) == undone(1)
    assert history.review("row") == ([], PENDING)
    assert history.carried()["row"]["planned_at"] == history.now


def test_the_same_undo_again_takes_off_what_was_refused_and_prolongs_nothing_else(
    world: World, history: History
) -> None:
    world.add_users(2)
    history.log("a", "b", "c")
    done = history.run()
    event = {"undo": done["run_id"]}
    history.wait(MINUTE)
    first = history.now
    world.braintrust.faults.add("insert", row_id="b", status=400, times=None)
    with pytest.raises(AssignmentError) as failed:
        history.run(event)
    assert str(failed.value).startswith("1 of 3 planned rows could not be written")
    assert str(failed.value).endswith("; send the same undo again")
    world.braintrust.faults.clear()
    assert {*world.assignments()} == {"b"}
    history.wait(MINUTE)
    assert told(history.run(event)) == undone(1, 2)
    assert {row: entry["planned_at"] for row, entry in history.carried().items()} == {
        "a": first,
        "b": history.now,
        "c": first,
    }
    assert world.assignments() == {}
    assert told(history.run(event)) == undone(0, 3)


def test_the_same_undo_again_takes_off_what_a_cut_off_undo_left(
    world: World, history: History
) -> None:
    world.add_users(2)
    history.log("a", "b", "c")
    done = history.run()
    event = {"undo": done["run_id"]}
    history.cut_off(landed=False, event=event)
    assert {entry["freed"] for entry in history.carried().values()} == {True}
    assert {*world.assignments()} == {"a", "b", "c"}
    assert told(history.run(event)) == undone(3)


def test_two_undos_of_one_run_at_once_free_its_rows_once(
    world: World, history: History, aws: RefusingAws
) -> None:
    world.add_users(2)
    history.log("a", "b", "c")
    done = history.run()
    others: list[dict[str, Any]] = []

    def other(method: str, path: str) -> None:
        if method == "PUT" and "/plans/" in path and not others:
            others.append({})
            others[0] = history.run({"undo": done["run_id"]})

    aws.watch = other
    second = history.run({"undo": done["run_id"]})
    assert (told(others[0]), told(second)) == (undone(3), undone(0, 3))
    assert world.assignments() == {}


def test_an_undo_keeps_carrying_what_other_runs_planned(world: World, history: History) -> None:
    world.add_users(2)
    history.log("kept")
    first = history.run()
    history.log("row")
    second = history.run()
    history.run({"undo": second["run_id"]})
    plan = history.plan()
    assert {entry["row_id"]: (entry["run_id"], entry["freed"]) for entry in plan["carried"]} == {
        "kept": (first["run_id"], False),
        "row": (second["run_id"], True),
    }
    assert plan["undoes"] == second["run_id"]
    assert [item["row_id"] for item in plan["freed"]] == ["row"]


def test_a_dry_undo_says_what_it_would_free_and_writes_nothing(world: World) -> None:
    world.add_users(2)
    world.add_rows(3)
    done = world.run()
    before = world.braintrust.store.rows()
    ledger = world.objects("ledger/")
    dry = world.run({"undo": done["run_id"], "dry_run": True})
    assert (dry["status"], dry["given"], dry["undone"], dry["deferred"]) == ("dry_run", 3, 0, 3)
    assert (world.braintrust.store.rows(), world.objects("ledger/")) == (before, ledger)
    (record,) = world.records("dry_runs")
    assert record["assignments"] == [
        {"row_id": line["row_id"], "reviewer_id": line["reviewer_id"]} for line in world.lines(done)
    ]


def test_an_undo_that_is_repeated_has_nothing_to_undo(world: World) -> None:
    world.add_users(2)
    world.add_rows(3)
    done = world.run()
    world.run({"undo": done["run_id"]})
    assert world.run({"undo": done["run_id"]})["status"] == "nothing_to_undo"


def test_an_undo_finds_the_runs_rows_whatever_tag_filter_and_window_are_set_now(
    world: World,
) -> None:
    world.add_users(2)
    world.add_rows(3, hours_ago=30, tags=["wrong tag"])
    done = world.run({"tag": "wrong tag"})
    world.settings = {"DAYS": "1", "FILTER": 'metadata."~__bt_assignments" IS NULL'}
    assert world.run({"undo": done["run_id"]})["undone"] == 3


def test_an_undo_in_which_rows_are_refused_says_so(world: World) -> None:
    world.add_users(2)
    rows = world.add_rows(3)
    done = world.run()
    world.braintrust.faults.add("insert", row_id=rows[1], status=400, times=None, message="no")
    with pytest.raises(AssignmentError, match="1 of 3 planned rows could not be written"):
        world.run({"undo": done["run_id"]})
    assert {row for row, who in world.assignments().items() if who} == {rows[1]}


@pytest.mark.parametrize("run_id", ["20260101T000000Z-nobody", "20261123T070000Z-request-1-2"])
def test_an_undo_of_an_unknown_run_is_refused(world: World, run_id: str) -> None:
    world.add_users(1)
    with pytest.raises(ConfigurationError, match=f"has no plan of a run {run_id}"):
        world.run({"undo": run_id})


@pytest.mark.parametrize("value", ["", "latest", 7, None, "20260101T000000Z-a/../../b"])
def test_an_undo_needs_a_run_id(world: World, value: Any) -> None:
    with pytest.raises(ConfigurationError, match="event field undo is"):
        world.run({"undo": value})


def test_a_run_that_may_still_be_going_on_is_not_undone_and_the_message_says_from_when_on_it_is(
    world: World, history: History
) -> None:
    """Lambda's longest run takes 15 minutes."""
    world.add_users(2)
    history.log("a", "b", "c")
    history.wait(300 * MOMENT)
    done = history.cut_off(landed=True).run_id
    history.wait(15 * MINUTE)
    with pytest.raises(ConfigurationError) as refused:
        history.run({"undo": done})
    assert str(refused.value) == (
        f"undo: run {done} may still be going on: send this again from 2026-11-23 07:15:01 UTC on"
    )
    assert len(world.assignments()) == 3
    history.wait(700 * MOMENT)
    assert told(history.run({"undo": done})) == undone(3)


def test_a_run_that_left_its_record_is_undone_at_once(world: World, history: History) -> None:
    world.add_users(2)
    history.log("a", "b")
    done = history.run()
    history.wait(MOMENT)
    assert told(history.run({"undo": done["run_id"]})) == undone(2)


def test_an_undo_of_an_undo_has_nothing_to_undo(world: World, history: History) -> None:
    world.add_users(2)
    history.log("a", "b")
    done = history.run()
    undo = history.run({"undo": done["run_id"]})
    assert told(history.run({"undo": undo["run_id"]})) == undone(0)


def test_where_the_chain_breaks_off_what_is_older_happened_if_its_record_is_there(
    world: World, history: History
) -> None:
    world.add_users(2)
    history.log("a")
    recorded = history.run()["run_id"]
    history.log("b")
    unrecorded = history.cut_off(landed=True).run_id
    history.wait(3 * HOUR)
    history.log("c")
    gone = history.run()["run_id"]
    history.wait(3 * HOUR)
    history.log("d")
    history.run()
    history.delete(gone, "plans")
    assert told(history.run({"undo": recorded})) == undone(1)
    with pytest.raises(ConfigurationError, match="assigned nothing: its plan was never committed"):
        history.run({"undo": unrecorded})
    assert {*world.assignments()} == {"b", "c", "d"}


def test_without_a_ledger_a_run_with_a_record_can_be_undone(world: World, history: History) -> None:
    world.add_users(2)
    history.log("a", "b")
    done = history.run()
    key = f"{world.prefix}ledger/project_id={world.braintrust.project_id}.json"
    world.client("s3").delete_object(Bucket="audit-bucket", Key=key)
    assert told(history.run({"undo": done["run_id"]})) == undone(2)
