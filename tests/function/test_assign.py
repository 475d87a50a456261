"""Assigning: what is sent, in which batches, and what becomes of each row when Braintrust does not take it."""

import re
from datetime import timedelta
from types import SimpleNamespace

import pytest

from lib.assign import NO_ANSWER, assign_all, assign_batch, build_event
from lib.braintrust import RequestFailed
from lib.deadline import Deadline
from lib.distribution import Assignment
from lib.errors import AssignmentError
from lib.run import utc_now
from tests.world import ASSIGNMENTS, REVIEW_LISTS, TAG


def outcomes(world) -> list[tuple[str, str, bool]]:
    """Of the only run there was: row, status, whether a time is given."""
    (record,) = world.records("runs")
    return [
        (line["row_id"], line["status"], line["assigned_at"] is not None)
        for line in world.lines(record)
    ]


def batches(world) -> list[int]:
    return [record.events for record in world.braintrust.requests.of("insert")]


def test_the_event_is_exactly_the_documented_one():
    assert build_event("row", "ana") == {
        "id": "row",
        "metadata": {
            "~__bt_assignments": ["ana"],
            "~__bt_review_lists": {"__bt_default_review_list": {"status": "PENDING"}},
        },
        "_is_merge": True,
        "_merge_paths": [["metadata", "~__bt_assignments"]],
    }


def test_what_is_sent_is_the_events_and_nothing_else(world):
    heard = world.overhear("insert")
    (ana,) = world.add_users(1)
    rows = world.add_rows(3)
    world.run()
    assert heard == [{"events": [build_event(row, ana) for row in rows]}]
    (record,) = world.braintrust.requests.of("insert")
    assert (record.method, record.path, record.headers["content-type"]) == (
        "POST",
        f"/v1/project_logs/{world.braintrust.project_id}/insert",
        "application/json",
    )


def test_assigning_keeps_all_other_metadata_and_every_other_review_list(world):
    (ana,) = world.add_users(1)
    metadata = {
        "model": {"name": "x", "temperature": [0.1]},
        ASSIGNMENTS: [],
        REVIEW_LISTS: {
            "another": {"status": "APPROVED", "by": ["bo"]},
            "__bt_default_review_list": {"status": None, "note": "keep"},
        },
    }
    (row,) = world.add_rows(1, metadata=metadata, scores={"quality": 1}, input={"a": [1]})
    before = world.braintrust.store.row(row)
    world.run()
    after = world.braintrust.store.row(row)
    assert after == before | {
        "_xact_id": after["_xact_id"],
        "metadata": {
            "model": {"name": "x", "temperature": [0.1]},
            ASSIGNMENTS: [ana],
            REVIEW_LISTS: {
                "another": {"status": "APPROVED", "by": ["bo"]},
                "__bt_default_review_list": {"status": "PENDING", "note": "keep"},
            },
        },
    }


@pytest.mark.parametrize(("size", "sent"), [(1, [1] * 7), (3, [3, 3, 1]), (7, [7]), (1000, [7])])
def test_rows_go_out_oldest_first_in_batches_of_the_size_that_was_set(world, size, sent):
    world.settings |= {"INSERT_CONCURRENCY": "1", "BATCH_SIZE": str(size)}
    heard = world.overhear("insert")
    world.add_users(2)
    rows = world.add_rows(7)
    world.run()
    assert [len(body["events"]) for body in heard] == sent
    assert [event["id"] for body in heard for event in body["events"]] == rows


def test_the_documented_helper_sends_one_batch(world):
    rows = world.add_rows(2)
    batch = [Assignment(rows[0], ("ana",)), Assignment(rows[1], ("bo", "cy"))]
    outcomes = assign_batch(world.connect(), batch, utc_now)
    assert {row: what.status for row, what in outcomes.items()} == dict.fromkeys(rows, "assigned")
    assert batches(world) == [2]
    assert world.assignments() == {rows[0]: ("ana",), rows[1]: ("bo", "cy")}


@pytest.mark.parametrize("concurrency", [1, 3])
def test_never_more_inserts_are_in_flight_than_were_set_and_queries_go_one_at_a_time(
    world, concurrency
):
    world.settings |= {"INSERT_CONCURRENCY": str(concurrency), "BATCH_SIZE": "1"}
    world.braintrust.faults.add("insert", latency=0.05, times=None)
    world.add_users(2)
    rows = world.add_rows(9)
    world.run({"limit": 2})
    most = world.braintrust.requests.max_in_flight
    assert (most["insert"], most["query"], len(world.assignments())) == (concurrency, 1, len(rows))


def test_a_batch_too_large_for_the_api_is_split_until_it_fits_and_never_sent_again_unchanged(world):
    world.settings["INSERT_CONCURRENCY"] = "1"
    world.braintrust.faults.add("insert", events_over=3, status=413, style="gateway", times=None)
    heard = world.overhear("insert")
    world.add_users(3)
    rows = world.add_rows(10)
    result = world.run()
    assert [len(body["events"]) for body in heard] == [10, 5, 2, 3, 5, 2, 3]
    assert (result["status"], result["assigned"]) == ("assigned", 10)
    assert world.assignments().keys() == set(rows)


def test_bodies_beyond_the_apis_six_megabytes_are_not_even_sent(world):
    world.braintrust.faults.add(
        "insert", bytes_over=6_000_000, status=413, style="gateway", times=None
    )
    world.add_users(1)
    for number in range(40):
        hour_ago = utc_now() - timedelta(hours=1)
        world.braintrust.store.add_row(f"{number:02d}" * 100_000, created=hour_ago, tags=[TAG])
    result = world.run()
    assert (result["assigned"], result["failed"]) == (40, 0)
    assert {record.status for record in world.braintrust.requests.of("insert")} == {200}


def test_a_row_that_is_too_large_by_itself_fails_and_the_others_are_assigned(world):
    world.add_users(1)
    rows = world.add_rows(5)
    world.braintrust.faults.add(
        "insert",
        row_id=rows[2],
        status=413,
        style="gateway",
        message="Request Too Long",
        times=None,
    )
    with pytest.raises(AssignmentError, match=r"^1 of 5 planned rows"):
        world.run()
    assert outcomes(world) == [
        (row, "failed" if row == rows[2] else "assigned", row != rows[2]) for row in rows
    ]


@pytest.mark.parametrize("refused", [[0], [4], [9], [0, 9], [3, 4], [2, 5, 7]])
def test_rows_that_are_refused_are_found_and_the_rest_is_assigned(world, refused):
    ana, bo = world.add_users(2)
    rows = world.add_rows(10)
    for place in refused:
        world.braintrust.faults.add(
            "insert", row_id=rows[place], status=400, message="metadata: too deep", times=None
        )
    with pytest.raises(AssignmentError) as failed:
        world.run()
    (record,) = world.records("runs")
    assert str(failed.value) == (
        f"{len(refused)} of 10 planned rows could not be written, the first because: "
        f"insert failed (400): metadata: too deep. See {record['audit']['assignments']}; "
        "the next run sends them to the same reviewers again"
    )
    expected = [
        (row, (ana, bo)[place % 2], "failed", "insert failed (400): metadata: too deep")
        if place in refused
        else (row, (ana, bo)[place % 2], "assigned", None)
        for place, row in enumerate(rows)
    ]
    assert [
        (line["row_id"], line["reviewer_id"], line["status"], line["error"])
        for line in world.lines(record)
    ] == expected
    taken = {row: (user,) for row, user, status, _ in expected if status == "assigned"}
    assert world.assignments() == taken
    assert (record["status"], record["assigned"], record["failed"], record["deferred"]) == (
        "failed",
        10 - len(refused),
        len(refused),
        0,
    )
    assert world.records("to_assign_ids") == [list(taken)]


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_that_every_batch_would_meet_ends_the_assigning(world, status):
    world.settings |= {"INSERT_CONCURRENCY": "1", "BATCH_SIZE": "2"}
    world.braintrust.faults.add("insert", status=status, after=1, times=None)
    world.add_users(2)
    rows = world.add_rows(8)
    with pytest.raises(
        AssignmentError, match=rf"^2 of 8 planned rows .* insert failed \({status}\): "
    ):
        world.run()
    assert outcomes(world) == [
        *((row, "assigned", True) for row in rows[:2]),
        *((row, "failed", False) for row in rows[2:4]),
        *((row, "not_attempted", False) for row in rows[4:]),
    ]
    (record,) = world.records("runs")
    assert [record[field] for field in ("unassigned", "assigned", "failed", "deferred")] == [
        8,
        2,
        2,
        4,
    ]
    assert batches(world) == [2, 2]


@pytest.mark.parametrize(
    "fault", [{"status": 503}, {"drop": True}, {"drop": True, "applied": True}]
)
def test_a_passing_fault_costs_no_row(world, fault):
    world.braintrust.faults.add("insert", **fault)
    world.add_users(1)
    rows = world.add_rows(3)
    result = world.run()
    assert (result["status"], result["assigned"]) == ("assigned", 3)
    assert [world.braintrust.store.assignment_history(row) for row in rows] == [
        [(), (world.users[0],)]
    ] * 3


def test_rows_that_were_sent_without_an_answer_in_time_are_unknown_and_count_as_failed(world):
    world.settings |= {"INSERT_CONCURRENCY": "1", "BATCH_SIZE": "2"}
    world.braintrust.faults.add("insert", hang=True, applied=True, after=1, times=None)
    world.add_users(1)
    rows = world.add_rows(6)
    with pytest.raises(AssignmentError) as failed:
        world.run(seconds=3)
    assert re.match(
        r"2 of 6 planned rows could not be written, the first because: .+", str(failed.value)
    )
    assert outcomes(world) == [
        *((row, "assigned", True) for row in rows[:2]),
        *((row, "unknown", False) for row in rows[2:4]),
        *((row, "not_attempted", False) for row in rows[4:]),
    ]
    (record,) = world.records("runs")
    assert [
        record[field] for field in ("status", "unassigned", "assigned", "failed", "deferred")
    ] == ["failed", 6, 2, 2, 2]


def test_a_refusal_after_a_try_that_may_have_landed_is_unknown_not_failed(world):
    world.braintrust.faults.add("insert", drop=True, applied=True)
    world.braintrust.faults.add("insert", after=1, status=403)
    world.add_users(1)
    rows = world.add_rows(1)
    with pytest.raises(AssignmentError):
        world.run()
    assert outcomes(world) == [(rows[0], "unknown", False)]


@pytest.mark.parametrize(
    "answer", ["wrong_row_ids", "short_row_ids", "shuffled_row_ids", "no_row_ids", "row_ids_string"]
)
def test_an_answer_that_does_not_name_the_rows_that_were_sent_proves_nothing(world, answer):
    world.settings["INSERT_CONCURRENCY"] = "1"
    world.add_users(1)
    rows = world.add_rows(4)
    world.braintrust.faults.add("insert", hostile=answer)
    with pytest.raises(AssignmentError, match="the answer does not name this row"):
        world.run({"batch_size": 2})
    assert outcomes(world) == [
        *((row, "unknown", False) for row in rows[:2]),
        *((row, "assigned", True) for row in rows[2:]),
    ]


def test_an_answer_too_large_to_hold_proves_nothing(world):
    world.add_users(1)
    rows = world.add_rows(2)
    world.braintrust.faults.add("insert", hostile="huge", size=34_000_000, times=None)
    with pytest.raises(AssignmentError, match="the answer is larger than 33554432 bytes"):
        world.run()
    assert world.assignments() == dict.fromkeys(rows, (world.users[0],))
    assert outcomes(world) == [(row, "unknown", False) for row in rows]


@pytest.mark.parametrize("fault", [RequestFailed("gone", may_have_landed=True), SystemExit()])
def test_rows_that_were_sent_count_as_sent_whatever_goes_wrong_after_that(fault):
    """Even a thread that dies of an error while it writes down what happened takes nothing back."""

    def insert(*_: object, **__: object) -> None:
        raise fault

    client = SimpleNamespace(insert=insert, explain=lambda *_: 1 / 0, close=lambda: None)
    plan = [Assignment(row, ("ana",)) for row in "ab"]
    became = assign_all(client, plan, 2, 1, utc_now, Deadline(lambda: 60_000))
    assert became == dict.fromkeys("ab", NO_ANSWER)
