"""Taking back what one run assigned, and nothing else."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lib.errors import AssignmentError, ConfigurationError
from tests.refusing_aws import RefusingAws
from tests.world import ASSIGNMENTS, REVIEW_LISTS, TAG, World


def reassign(world: World, row_id: str, *reviewers: str) -> None:
    path = [["metadata", ASSIGNMENTS]]
    metadata = {ASSIGNMENTS: list(reviewers)}
    world.braintrust.store.insert(
        [{"id": row_id, "_is_merge": True, "_merge_paths": path, "metadata": metadata}]
    )


def review(world: World, row_id: str) -> None:
    status = {"__bt_default_review_list": {"status": "APPROVED"}}
    world.braintrust.store.insert(
        [{"id": row_id, "_is_merge": True, "metadata": {REVIEW_LISTS: status}}]
    )


def test_an_undo_frees_exactly_the_rows_that_still_have_that_reviewer_and_no_finished_review(
    world: World,
) -> None:
    first, second = world.add_users(2)
    rows = world.add_rows(6, metadata={"model": "m", "nested": {"a": [1]}})
    before = {row["id"]: row for row in world.braintrust.store.rows()}
    done = world.run()
    given = world.assignments()
    reassign(world, rows[0], "someone else")
    reassign(world, rows[1], given[rows[1]][0], "and a second")
    review(world, rows[2])
    world.braintrust.store.insert([{"id": rows[3], "_object_delete": True}])
    kept = {row_id: world.braintrust.store.row(row_id) for row_id in rows[:4]}
    undone = world.run({"undo": done["run_id"]})
    audit = undone["audit"]
    assert undone == {
        "run_id": undone["run_id"],
        "status": "undone",
        "dry_run": False,
        "project_id": world.braintrust.project_id,
        "tag": TAG,
        "window": done["window"],
        "undoes": done["run_id"],
        "fetched": 5,
        "given": 6,
        "undone": 2,
        "left_alone": 4,
        "failed": 0,
        "deferred": 0,
        "complete": True,
        "audit": audit,
        "warnings": [],
        "duration_ms": undone["duration_ms"],
    }
    assert sorted(audit) == ["assignments", "plan", "run", "to_assign_ids"]
    assert {row_id: world.braintrust.store.row(row_id) for row_id in rows[:4]} == kept
    for row_id in rows[4:]:
        row = world.braintrust.store.row(row_id)
        assert row is not None
        assert row["metadata"].pop(ASSIGNMENTS) == []
        assert row["metadata"].pop(REVIEW_LISTS) == {
            "__bt_default_review_list": {"status": "PENDING"}
        }
        assert {**row, "_xact_id": ""} == {**before[row_id], "_xact_id": ""}
    assert [
        (line["row_id"], line["reviewer_id"], line["status"]) for line in world.lines(undone)
    ] == [(row_id, given[row_id][0], "undone") for row_id in rows[4:]]
    assert {first, second} == {who[0] for who in given.values()}


def test_rows_that_an_undo_freed_are_anybodys_at_once(world: World) -> None:
    """A wrong roster is repaired in a minute: undo, correct the list, run."""
    wrong, right = world.add_users(2)
    world.set_reviewers([wrong])
    rows = world.add_rows(4)
    done = world.run()
    world.set_reviewers("[]")
    world.run({"undo": done["run_id"]})
    world.set_reviewers([right])
    again = world.run()
    assert (again["assigned"], again["deferred"]) == (4, 0)
    assert world.assignments() == dict.fromkeys(rows, (right,))


def test_an_undo_keeps_carrying_what_other_runs_planned(world: World) -> None:
    world.add_users(2)
    (kept,) = world.add_rows(1)
    world.run()
    world.add_rows(1)
    second = world.run()
    undone = world.run({"undo": second["run_id"]})
    plan = json.loads(world.objects("plans/")[undone["audit"]["plan"].split(world.prefix)[1]])
    assert [entry["row_id"] for entry in plan["carried"]] == [kept]
    assert plan["undoes"] == second["run_id"]
    assert [item["row_id"] for item in plan["freed"]] == [
        line["row_id"] for line in world.lines(second)
    ]


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


def test_a_run_that_may_still_be_going_on_is_not_undone(world: World, aws: RefusingAws) -> None:
    """Its late writes would bring the reviewers back. After Lambda's longest run they cannot come any more."""
    world.add_users(2)
    world.add_rows(3)
    aws.refuse("PUT", "/runs/")
    with pytest.raises(Exception, match="could not be recorded"):
        world.run(request_id="killed")
    aws.reset()
    (plan,) = world.records("plans")
    with pytest.raises(ConfigurationError, match="may still be going on"):
        world.run({"undo": plan["run_id"]})
    later = datetime.now(UTC) + timedelta(minutes=16)
    assert world.run({"undo": plan["run_id"]}, now=lambda: later)["undone"] == 3
