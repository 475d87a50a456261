"""Whole runs: what comes back, what changed on the server, and what stays secret."""

import json
import os
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import handler
from lib.errors import AssignmentError, ConfigurationError
from tests.world import ASSIGNMENTS, REVIEW_LISTS, TAG, lambda_context

NOW = datetime(2026, 11, 23, 7, tzinfo=UTC)
WINDOW = {"from": "2026-11-16T07:00:00.000Z", "to": "2026-11-23T07:00:00.000Z"}
SECTION_5 = (
    *("run_id", "status", "dry_run", "project_id", "tag", "window", "read", "fetched"),
    *(
        "already_assigned",
        "already_reviewed",
        "unassigned",
        "assigned",
        "failed",
        "deferred",
        "per_reviewer",
        "complete",
    ),
    *("audit", "warnings", "duration_ms"),
)
APPROVED = {REVIEW_LISTS: {"__bt_default_review_list": {"status": "APPROVED"}}}
PENDING = {"__bt_default_review_list": {"status": "PENDING"}}


@pytest.fixture
def seven(world):
    """A world in which it is seven o'clock."""
    world.braintrust.store.clock.set(NOW)
    return world


def run(world, event=None, now=NOW, **how):
    return world.run(event, now=lambda: now, request_id="r1", **how)


def log(world, row_id, minutes_ago, **fields):
    created = NOW - timedelta(minutes=minutes_ago)
    return world.braintrust.store.add_row(row_id, created=created, **({"tags": [TAG]} | fields))


def addresses(world, *kinds):
    base = f"s3://audit-bucket/{world.prefix}{{}}/project_id={world.braintrust.project_id}/date=2026-11-23/20261123T070000Z-r1.{{}}"
    return {
        {"plans": "plan", "runs": "run", "dry_runs": "plan"}.get(kind, kind): base.format(
            kind, "jsonl" if kind == "assignments" else "json"
        )
        for kind in kinds
    }


def expected(world, **fields):
    """Section 5's object of a run at seven o'clock in which nothing happened, but for `fields`."""
    return {
        "run_id": "20261123T070000Z-r1",
        "status": "nothing_to_assign",
        "dry_run": False,
        "project_id": world.braintrust.project_id,
        "tag": TAG,
        "window": WINDOW,
        "read": "full",
        "fetched": 0,
        "already_assigned": 0,
        "already_reviewed": 0,
        "unassigned": 0,
        "assigned": 0,
        "failed": 0,
        "deferred": 0,
        "per_reviewer": dict.fromkeys(world.users, 0),
        "complete": True,
        "audit": addresses(world, "plans", "runs"),
        "warnings": [],
    } | fields


NOTHING_FOUND = (
    "no row of the last 7 days carries the tag 'needs review' (tags are compared letter by letter)"
)


def told(result):
    """Section 5's fields but for the duration, which is a whole number of milliseconds."""
    assert type(result["duration_ms"]) is int
    assert 0 <= result["duration_ms"] < 60_000
    return {field: result[field] for field in SECTION_5 if field != "duration_ms"}


ALL = ("plans", "assignments", "to_assign_ids", "runs")


def test_rows_are_given_out_evenly_and_the_result_says_what_was_seen_and_done(seven):
    ana, bo, cy = seven.add_users(3)
    for number in range(5):
        log(seven, f"new{number}", 60 - number)
    log(seven, "taken", 30, metadata={ASSIGNMENTS: [ana]})
    log(seven, "taken by someone else", 30, metadata={ASSIGNMENTS: ["dee"]} | APPROVED)
    log(seven, "reviewed", 20, metadata=APPROVED)
    log(seven, "untagged", 20, tags=["other"])
    log(seven, "old", 60 * 24 * 7 + 1)
    result = run(seven)
    assert told(result) == expected(
        seven,
        status="assigned",
        fetched=8,
        already_assigned=2,
        already_reviewed=1,
        unassigned=5,
        assigned=5,
        per_reviewer={ana: 2, bo: 2, cy: 1},
        audit=addresses(seven, *ALL),
    )
    assert seven.assignments() == {
        "new0": (ana,),
        "new1": (bo,),
        "new2": (cy,),
        "new3": (ana,),
        "new4": (bo,),
        "taken": (ana,),
        "taken by someone else": ("dee",),
    }


def test_without_rows_there_is_nothing_to_assign(seven):
    seven.add_users(2)
    assert told(run(seven)) == expected(seven, warnings=[NOTHING_FOUND])
    assert seven.braintrust.requests.count("insert") == 0


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ({"tag": "needs reviw"}, "no row of the last 7 days carries the tag 'needs reviw' (tags"),
        (
            {"tag": "a", "days": 1, "dry_run": True},
            "no row of the last 1 days carries the tag 'a' (",
        ),
        (
            {"filter": "id = 'none'"},
            "no row of the last 7 days carries the tag 'needs review' and meets FILTER (tags are",
        ),
    ],
)
def test_a_tag_that_no_row_carries_is_said(seven, event, words):
    seven.add_users(1)
    log(seven, "there", 3)
    (warning,) = run(seven, event)["warnings"]
    assert warning.startswith(words)


def test_nothing_is_said_of_the_tag_where_not_everything_was_asked_for(seven):
    seven.add_users(1)
    log(seven, "there", 60)
    assert run(seven)["assigned"] == 1
    idle = run(seven)
    assert (idle["read"], idle["fetched"], idle["warnings"]) == ("short", 0, [])


def test_with_every_row_assigned_or_reviewed_there_is_nothing_to_assign(seven):
    (ana,) = seven.add_users(1)
    log(seven, "a", 3, metadata={ASSIGNMENTS: [ana]})
    log(seven, "b", 2, metadata=APPROVED)
    assert told(run(seven)) == expected(seven, fetched=2, already_assigned=1, already_reviewed=1)


def test_a_dry_run_says_what_would_be_given_and_writes_nothing_to_braintrust(seven):
    ana, bo = seven.add_users(2)
    for number in range(3):
        log(seven, f"new{number}", 60 - number)
    before = seven.braintrust.store.rows()
    result = run(seven, {"dry_run": True})
    assert told(result) == expected(
        seven,
        status="dry_run",
        dry_run=True,
        fetched=3,
        unassigned=3,
        deferred=3,
        per_reviewer={ana: 2, bo: 1},
        audit=addresses(seven, "dry_runs"),
    )
    assert seven.braintrust.store.rows() == before
    assert seven.braintrust.requests.count("insert") == 0


def test_a_dry_run_plans_exactly_what_the_next_run_does(seven):
    seven.add_users(3)
    for number in range(7):
        log(seven, f"new{number}", 60 - number)
    run(seven, {"dry_run": True})
    run(seven)
    (dry,), (plan,) = seven.records("dry_runs"), seven.records("plans")
    assert dry["assignments"] == plan["assignments"]


def test_a_dry_run_with_nothing_to_give_is_still_a_dry_run(seven):
    seven.add_users(1)
    assert run(seven, {"dry_run": True})["status"] == "dry_run"


def test_the_cap_hands_out_the_oldest_and_leaves_the_rest_for_the_next_run(seven):
    ana, bo = seven.add_users(2)
    for number in range(7):
        log(seven, f"new{number}", 60 - number)
    result = run(seven, {"max_assignments": 3})
    assert told(result) == expected(
        seven,
        status="incomplete",
        fetched=7,
        unassigned=7,
        assigned=3,
        deferred=4,
        per_reviewer={ana: 2, bo: 1},
        warnings=["4 rows wait: MAX_ASSIGNMENTS is reached"],
        audit=addresses(seven, *ALL),
    )
    assert seven.assignments().keys() == {"new0", "new1", "new2"}
    later = seven.run(now=lambda: NOW + timedelta(hours=1))
    assert [later[field] for field in ("status", "unassigned", "assigned", "per_reviewer")] == [
        "assigned",
        4,
        4,
        {ana: 2, bo: 2},
    ]


def test_the_cap_holds_in_a_dry_run_too(seven):
    (ana,) = seven.add_users(1)
    log(seven, "old", 9)
    log(seven, "new", 8)
    result = run(seven, {"max_assignments": 1, "dry_run": True})
    assert (result["unassigned"], result["deferred"], result["per_reviewer"]) == (2, 2, {ana: 1})
    assert seven.records("dry_runs")[0]["assignments"] == [{"row_id": "old", "reviewer_id": ana}]


def test_oldest_first_whatever_order_the_pages_come_in(seven):
    seven.add_users(1)
    store = seven.braintrust.store
    for key, (row, minutes) in enumerate({"c": 1, "a": 9, "d": 1, "b": 5}.items()):
        created = NOW - timedelta(minutes=minutes)
        store.add_row(row, created=created, tags=[TAG], pagination_key=f"p{key}")
    run(seven, {"limit": 1})
    assert [item["row_id"] for item in seven.records("plans")[0]["assignments"]] == [
        "a",
        "b",
        "c",
        "d",
    ]


def test_the_page_cap_is_said_and_the_rows_that_were_seen_are_given_out(seven):
    (ana,) = seven.add_users(1)
    for number in range(6):
        log(seven, f"new{number}", 60 - number)
    result = run(seven, {"limit": 2, "max_pages": 2})
    assert told(result) == expected(
        seven,
        status="incomplete",
        fetched=4,
        unassigned=4,
        assigned=4,
        per_reviewer={ana: 4},
        complete=False,
        audit=addresses(seven, *ALL),
        warnings=[
            "MAX_PAGES (2) was reached with rows left: newer rows were not seen; raise MAX_PAGES or LIMIT"
        ],
    )
    assert seven.assignments().keys() == {"new0", "new1", "new2", "new3"}


def test_the_page_cap_makes_a_run_incomplete_even_if_no_row_that_was_seen_needs_anyone(seven):
    (ana,) = seven.add_users(1)
    for number in range(4):
        log(seven, f"taken{number}", 9, metadata={ASSIGNMENTS: [ana]})
    result = run(seven, {"limit": 2, "max_pages": 1})
    assert (result["status"], result["complete"], result["unassigned"]) == ("incomplete", False, 0)


def test_time_that_runs_out_between_pages_is_said_and_the_rows_that_were_seen_are_given_out(seven):
    seven.add_users(1)
    for number in range(4):
        log(seven, f"new{number}", 60 - number)
    seven.braintrust.faults.add("query", status=429, retry_after=3600, after=1)
    result = run(seven, {"limit": 2})
    assert (result["status"], result["complete"], result["assigned"]) == ("incomplete", False, 2)
    assert result["warnings"] == [
        "time ran out after 1 pages of rows (Made to fail); newer rows were not seen"
    ]
    assert seven.assignments().keys() == {"new0", "new1"}


def test_a_failed_run_leaves_its_record_and_raises(seven):
    ana, bo = seven.add_users(2)
    for number in range(4):
        log(seven, f"new{number}", 60 - number)
    seven.braintrust.faults.add("insert", row_id="new1", status=400, times=None)
    with pytest.raises(AssignmentError):
        run(seven)
    (record,) = seven.records("runs")
    assert told(record) == expected(
        seven,
        status="failed",
        fetched=4,
        unassigned=4,
        assigned=3,
        failed=1,
        per_reviewer={ana: 2, bo: 1},
        audit=addresses(seven, *ALL),
    )


def test_everyone_away_or_full_defers_the_rows_and_is_no_error(seven):
    ana, bo = seven.add_users(2)
    seven.set_reviewers(
        [
            {"id": ana, "away": [{"from": "2026-11-23", "until": "2026-11-24"}]},
            {"id": bo, "max_open": 1},
        ]
    )
    log(seven, "held by bo", 50, metadata={ASSIGNMENTS: [bo]})
    log(seven, "new", 9)
    result = run(seven)
    assert (result["status"], result["deferred"], result["per_reviewer"]) == (
        "incomplete",
        1,
        {ana: 0, bo: 0},
    )
    assert seven.assignments() == {"held by bo": (bo,)}


def test_max_open_counts_rows_that_are_assigned_and_not_yet_reviewed(seven):
    ana, bo = seven.add_users(2)
    seven.set_reviewers([{"id": ana, "max_open": 2}, {"id": bo, "max_open": 3}])
    log(seven, "open", 50, metadata={ASSIGNMENTS: [ana]})
    log(seven, "finished", 49, metadata={ASSIGNMENTS: [bo]} | APPROVED)
    for number in range(6):
        log(seven, f"new{number}", 40 - number)
    result = run(seven)
    assert (result["status"], result["assigned"], result["deferred"]) == ("incomplete", 4, 2)
    assert result["per_reviewer"] == {ana: 1, bo: 3}
    assert seven.assignments().keys() == {"open", "finished", "new0", "new1", "new2", "new3"}


def test_someone_away_is_passed_over_and_half_the_weight_gets_half_the_rows(seven):
    ana, bo, cy = seven.add_users(3)
    seven.set_reviewers(
        [
            {"email": "user0@example.com"},
            {"id": bo, "weight": 0.5},
            {"id": cy, "away": [{"from": "2026-11-20", "until": "2026-12-01"}]},
        ]
    )
    for number in range(30):
        log(seven, f"new{number:02d}", 40 - number)
    assert run(seven)["per_reviewer"] == {ana: 20, bo: 10, cy: 0}


def test_the_extra_rows_go_to_those_who_are_owed_most_whatever_they_took_themselves(seven):
    ana, bo, cy = seven.add_users(3)
    for number in range(3):
        log(seven, f"held{number}", 50, metadata={ASSIGNMENTS: [cy]})
    log(seven, "new0", 9)
    assert run(seven)["per_reviewer"] == {ana: 1, bo: 0, cy: 0}
    log(seven, "new1", 8)
    log(seven, "new2", 7)
    assert run(seven)["per_reviewer"] == {ana: 0, bo: 1, cy: 1}
    (last,) = (plan for plan in seven.records("plans") if len(plan["assignments"]) == 2)
    assert last["credit"] == {"": {ana: 0.0, bo: 0.0, cy: 0.0}}


def test_an_unknown_reviewer_gets_nothing_and_is_warned_about(seven):
    (ana,) = seven.add_users(1)
    ghost = "99999999-9999-4999-8999-999999999999"
    seven.set_reviewers([ghost, ana])
    log(seven, "new", 9)
    result = run(seven)
    assert (result["per_reviewer"], result["warnings"]) == (
        {ana: 1},
        [f"unknown reviewer left out: id {ghost}"],
    )


def test_a_key_that_may_not_list_users_is_warned_about_and_ids_are_used(seven):
    (ana,) = seven.add_users(1)
    seven.braintrust.faults.add("user", status=403, times=None)
    log(seven, "new", 9)
    result = run(seven)
    assert (result["per_reviewer"], result["warnings"]) == (
        {ana: 1},
        [
            "the key may not list users (403): reviewer ids are used unchecked, e-mails cannot be resolved"
        ],
    )


def test_rows_that_leave_the_window_without_a_reviewer_are_warned_about(seven):
    (ana,) = seven.add_users(1)
    seven.set_reviewers([{"id": ana, "max_open": 0}])
    log(seven, "leaving", 7 * 24 * 60 - 60)
    log(seven, "leaving too", 6 * 24 * 60 + 1)
    log(seven, "staying", 6 * 24 * 60 - 1)
    assert run(seven)["warnings"] == [
        "3 rows wait: every reviewer is away or full",
        "2 rows without a reviewer leave the window within 24 hours: raise DAYS or add reviewers",
    ]


def test_a_full_read_says_what_everybody_has(seven):
    """Everybody on the list, and whoever else has open rows; ages from creation."""
    ana, bo, cy = seven.add_users(3)
    log(seven, "old", 60 * 50, metadata={ASSIGNMENTS: [ana], REVIEW_LISTS: PENDING})
    log(seven, "young", 3, metadata={ASSIGNMENTS: [ana]})
    log(seven, "shared", 60 * 24 + 3, metadata={ASSIGNMENTS: [bo, "dee", bo]})
    log(seven, "finished", 60 * 100, metadata={ASSIGNMENTS: [bo, "eve"]} | APPROVED)
    log(seven, "nobody's", 60 * 100, metadata=APPROVED)
    log(seven, "odd", 60 * 100, metadata={ASSIGNMENTS: cy})
    people = {
        ana: {"open": 2, "reviewed": 0, "oldest_open_hours": 50.0},
        bo: {"open": 1, "reviewed": 1, "oldest_open_hours": 24.1},
        cy: {"open": 0, "reviewed": 0, "oldest_open_hours": None},
        "dee": {"open": 1, "reviewed": 0, "oldest_open_hours": 24.1},
    }
    dry = run(seven, {"dry_run": True})
    assert dry["people"] == people
    assert run(seven)["people"] == people
    assert seven.records("runs")[0]["people"] == people
    assert "people" not in run(seven, {"limit": 2, "max_pages": 2})


def test_open_rows_that_leave_the_window_and_open_rows_of_strangers_are_warned_about(seven):
    (ana,) = seven.add_users(1)
    log(seven, "leaving", 7 * 24 * 60 - 60, metadata={ASSIGNMENTS: [ana]})
    log(seven, "a stranger's", 6 * 24 * 60 + 1, metadata={ASSIGNMENTS: ["dee", "eve"]})
    log(seven, "shared with one", 6 * 24 * 60 - 1, metadata={ASSIGNMENTS: [ana, "eve"]})
    log(seven, "finished", 7 * 24 * 60 - 60, metadata={ASSIGNMENTS: ["fay"]} | APPROVED)
    assert run(seven)["warnings"] == [
        "2 rows that nobody has finished leave the window within 24 hours: ask whoever has them, or raise DAYS",
        "2 open rows are with people who are not on the list, such as 'eve', 'dee'",
    ]


def test_a_full_read_that_is_cut_short_warns_of_the_open_rows_that_it_has_seen(seven):
    (ana,) = seven.add_users(1)
    log(seven, "leaving", 7 * 24 * 60 - 60, metadata={ASSIGNMENTS: [ana, "dee"]})
    log(seven, "unseen", 60, metadata={ASSIGNMENTS: ["eve"]})
    cut_short = run(seven, {"limit": 1, "max_pages": 1, "dry_run": True})
    assert cut_short["warnings"][1:] == [
        "1 rows that nobody has finished leave the window within 24 hours: ask whoever has them, or raise DAYS",
        "1 open rows are with people who are not on the list, such as 'dee'",
    ]


def test_a_short_read_warns_of_no_open_rows_as_it_sees_none(seven):
    (ana,) = seven.add_users(1)
    log(seven, "new", 9)
    log(seven, "leaving", 7 * 24 * 60 - 60, metadata={ASSIGNMENTS: ["dee"]})
    assert len(run(seven)["warnings"]) == 2
    later = seven.run(now=lambda: NOW + timedelta(minutes=30))
    assert (later["read"], later["warnings"], later["per_reviewer"]) == ("short", [], {ana: 0})


def test_rows_that_are_given_out_in_time_are_not_warned_about(seven):
    seven.add_users(1)
    log(seven, "leaving", 7 * 24 * 60 - 60)
    assert run(seven)["warnings"] == []


def test_reviewers_in_the_event_replace_the_parameters_for_this_run(seven):
    ana, bo = seven.add_users(2)
    log(seven, "new", 9)
    assert run(seven, {"reviewers": ["user1@example.com"]})["per_reviewer"] == {bo: 1}
    log(seven, "newer", 8)
    assert seven.run(now=lambda: NOW)["per_reviewer"] == {ana: 1, bo: 0}


def test_another_tag_and_project_can_be_asked_for_by_event(seven):
    (ana,) = seven.add_users(1)
    other = seven.braintrust.store.add_project("Other")
    log(seven, "here", 9, tags=["rush"])
    log(seven, "there", 9, tags=["rush"], project_id=other)
    result = run(seven, {"project_id": other, "tag": "rush", "days": 1})
    assert (result["project_id"], result["tag"], result["assigned"]) == (other, "rush", 1)
    assert result["window"] == {
        "from": "2026-11-22T07:00:00.000Z",
        "to": "2026-11-23T07:00:00.000Z",
    }
    assert seven.assignments() == {}
    assert seven.braintrust.store.assignments(other) == {"there": (ana,)}


def test_rows_that_came_in_after_the_run_began_wait_for_the_next(seven):
    seven.add_users(1)
    log(seven, "just after", -0.01)
    assert told(run(seven)) == expected(seven, warnings=[NOTHING_FOUND])


# The main job


def full_project(world, unassigned):
    """A project with every kind of row there is; returns the ids that need a reviewer."""
    store, start = world.braintrust.store, datetime.now(UTC) - timedelta(days=6)
    needy = []
    kinds = [
        {},
        {"metadata": {"model": "x", "nested": {"deep": [1, None]}}, "scores": {"quality": 0.5}},
        {"metadata": []},
        {"metadata": {ASSIGNMENTS: []}},
        {
            "metadata": {
                ASSIGNMENTS: None,
                REVIEW_LISTS: {"other": {"status": "APPROVED"}} | PENDING,
            }
        },
    ]
    others = [
        {"tags": ["other"]},
        {"tags": None},
        {"metadata": {ASSIGNMENTS: [world.users[0]]}},
        {"metadata": {ASSIGNMENTS: ["someone else", world.users[1]], REVIEW_LISTS: PENDING}},
        {"metadata": APPROVED},
        {"metadata": "unreadable"},
        {"metadata": {ASSIGNMENTS: "a bare string"}},
        {"created": start - timedelta(days=2)},
    ]
    for number in range(unassigned):
        created = start + timedelta(seconds=number * 60)
        fields = {"created": created, "tags": [TAG, "more"], "input": {"question": number}}
        needy.append(store.add_row(**fields | kinds[number % len(kinds)]))
        store.add_row(**fields | others[number % len(others)])
    return needy


def assigned_version(row, reviewer):
    """What a row must be after it was assigned, by what is promised."""
    metadata = row["metadata"] or {}
    lists = metadata.get(REVIEW_LISTS) or {}
    return row | {"metadata": metadata | {ASSIGNMENTS: [reviewer], REVIEW_LISTS: lists | PENDING}}


def without_version(rows):
    return {
        row["id"]: {name: value for name, value in row.items() if name != "_xact_id"}
        for row in rows
    }


def test_two_thousand_rows_get_exactly_one_reviewer_each_and_nothing_else_changes(world):
    users = world.add_users(7)
    needy = full_project(world, 2100)
    store = world.braintrust.store
    before = {row["id"]: row for row in store.rows()}
    world.settings["BATCH_SIZE"] = "300"
    result = world.run({"limit": 500})

    after = store.rows()
    plan, (ids,) = world.records("plans")[0], world.records("to_assign_ids")
    reviewer = {item["row_id"]: item["reviewer_id"] for item in plan["assignments"]}
    assert [item["row_id"] for item in plan["assignments"]] == needy == ids
    assert without_version(after) == without_version(
        assigned_version(row, reviewer[row_id]) if row_id in reviewer else row
        for row_id, row in before.items()
    )
    assert [row for row in after if row["id"] not in reviewer] == [
        row for row_id, row in before.items() if row_id not in reviewer
    ]
    assert {row: store.assignment_history(row) for row in needy} == {
        row: [(), (reviewer[row],)] for row in needy
    }

    received = Counter(
        user for row, held in store.assignments().items() if row in reviewer for user in held
    )
    assert result["per_reviewer"] == received == dict.fromkeys(users, 300)
    assert [
        (line["row_id"], line["reviewer_id"], line["status"]) for line in world.lines(result)
    ] == [(row, reviewer[row], "assigned") for row in needy]
    assert [
        result[field]
        for field in ("status", "complete", "unassigned", "assigned", "failed", "deferred")
    ] == ["assigned", True, 2100, 2100, 0, 0]

    again = world.run({"limit": 500})
    unreadable = 262  # rows whose metadata is text: a server sees no reviewer there
    assert [again[field] for field in ("status", "read", "fetched", "unassigned")] == [
        "nothing_to_assign",
        "short",
        unreadable,
        0,
    ]
    assert store.rows() == after


def test_a_remainder_makes_a_difference_of_one(world):
    users = world.add_users(6)
    world.add_rows(27)
    assert sorted(world.run()["per_reviewer"].values()) == [4, 4, 4, 5, 5, 5]
    assert len(users) == 6


# Through the handler


@pytest.fixture
def lambda_(world, monkeypatch):
    for name, value in world.environ.items():
        monkeypatch.setenv(name, value)
    return world


def test_the_handler_returns_what_the_run_did_as_json(lambda_):
    lambda_.add_users(1)
    lambda_.add_rows(2)
    result = handler.lambda_handler({}, lambda_context(request_id="abc"))
    assert json.loads(json.dumps(result)) == result
    assert result in lambda_.records("runs")
    assert result["run_id"].endswith("Z-abc")
    assert result["assigned"] == 2


@pytest.mark.usefixtures("lambda_")
@pytest.mark.filterwarnings("ignore:No application metrics")
def test_the_handler_raises_what_the_run_raises():
    with pytest.raises(ConfigurationError, match=r"event field 'typo' is unknown"):
        handler.lambda_handler({"typo": 1}, lambda_context())


SCRIPT = """
import json, sys, types, uuid
import handler
for event in json.load(sys.stdin):
    context = types.SimpleNamespace(
        aws_request_id=str(uuid.uuid4()), get_remaining_time_in_millis=lambda: 10_000,
        function_name="f", memory_limit_in_mb=256, invoked_function_arn="arn", function_version="1",
    )
    try:
        print("RETURNED", json.dumps(handler.lambda_handler(event, context)))
    except Exception as error:
        import traceback
        traceback.print_exc()
        print("RAISED", type(error).__name__)
"""


def test_the_key_is_in_no_log_line_error_metric_or_audit_object(world):
    """A process of its own, with debug logging, through success and every kind of failure that quotes the server."""
    faults, key = world.braintrust.faults, world.braintrust.api_key
    world.add_users(2)
    world.add_rows(
        6, input="what the customer said", metadata={"customer": "what the customer said"}
    )
    quoting = {"message": "Key {api_key} may not do this", "retry_after": 0}
    faults.add("query", status=503, times=2, **quoting)
    faults.add("query", status=400, contains="provoke-query", times=None, **quoting)
    faults.add("user", status=400, after=4, **quoting)
    faults.add("insert", status=400, events_over=1, times=None, **quoting)
    faults.add("insert", status=400, times=2, after=4, **quoting)
    events = [
        {"tag": "provoke-query"},
        {"days": key, key: key},
        {"reviewers": f"{key} ana"},
        {},
        {"dry_run": True},
        {},
        {},
    ]
    environ = world.environ | {
        name: value for name, value in os.environ.items() if name.startswith(("AWS_", "PATH"))
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input=json.dumps(events),
        env=environ
        | {
            "LOG_LEVEL": "DEBUG",
            "POWERTOOLS_LOG_LEVEL": "DEBUG",
            "POWERTOOLS_SERVICE_NAME": "test",
        },
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    said = done.stdout + done.stderr
    raised = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("RAISED")]
    assert raised == [
        "QueryError",
        "ConfigurationError",
        "ConfigurationError",
        "AssignmentError",
        "QueryError",
    ]
    assert done.stdout.count("RETURNED") == 2
    assert '"CloudWatchMetrics"' in said
    assert "Key *** may not do this" in said
    assert "what the customer said" not in said
    assert "@example.com" not in said
    audit = "".join(name + text for name, text in world.objects().items())
    assert "Key *** may not do this" in audit
    for secret in (key, key.removeprefix("sk-"), key[-12:]):
        assert secret not in said
        assert secret not in audit
