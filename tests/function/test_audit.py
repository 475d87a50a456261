"""Contract section 6: every object of the audit, what is in it, and when it is written."""

import json
from datetime import UTC, datetime

import pytest

from lib.errors import AssignmentError, AuditError
from tests.world import BUCKET, TAG

NOW = datetime(2026, 11, 23, 7, 15, 30, 250_000, tzinfo=UTC)
RUN_ID = "20261123T071530Z-request-1"
WINDOW = {"from": "2026-11-16T07:15:30.250Z", "to": "2026-11-23T07:15:30.250Z"}

BESIDE_SECTION_6 = ("repeated", "reviewers", "waiting")
"""What a plan says for people who ask why. Documented in docs/design.md."""


@pytest.fixture
def morning(world):
    """A world in which it is a quarter past seven, with three rows from the hour before for two people."""
    world.braintrust.store.clock.set(NOW)
    world.add_users(2)
    for number in range(3):
        world.braintrust.store.add_row(
            f"row{number}", created=f"2026-11-23T06:0{number}:00Z", tags=[TAG]
        )
    return world


def run(world, event=None, request_id="request-1"):
    return world.run(event, now=lambda: NOW, request_id=request_id)


def place(world, kind, run_id=RUN_ID, suffix="json"):
    return f"{kind}/project_id={world.braintrust.project_id}/date=2026-11-23/{run_id}.{suffix}"


def address(world, *args):
    return f"s3://{BUCKET}/{world.prefix}{place(world, *args)}"


def parsed(world, kind, *args):
    return json.loads(world.objects()[place(world, kind, *args)])


def test_a_run_leaves_five_objects_under_keys_that_athena_can_partition(morning):
    result = run(morning)
    assert morning.objects().keys() == {
        place(morning, "plans"),
        place(morning, "assignments", RUN_ID, "jsonl"),
        place(morning, "to_assign_ids"),
        place(morning, "runs"),
        f"ledger/project_id={morning.braintrust.project_id}.json",
    }
    assert result["audit"] == {
        "plan": address(morning, "plans"),
        "assignments": address(morning, "assignments", RUN_ID, "jsonl"),
        "to_assign_ids": address(morning, "to_assign_ids"),
        "run": address(morning, "runs"),
    }


def reading(world, days):
    """What a plan says of how rows are read, where a full read proved the short one."""
    project = world.braintrust.project_id
    what = [world.braintrust.url, project, TAG, "", ["BACKLOG", "PENDING"], False]
    moment = "2026-11-23T07:15:30.250Z"
    return {"query": json.dumps(what), "full_at": moment, "days": days, "proved_at": moment}


def test_the_plan_says_who_is_to_get_which_row(morning):
    ana, bo = morning.users
    run(morning)
    plan = parsed(morning, "plans")
    assert {field: value for field, value in plan.items() if field not in BESIDE_SECTION_6} == {
        "run_id": RUN_ID,
        "created_at": "2026-11-23T07:15:30.250Z",
        "project_id": morning.braintrust.project_id,
        "tag": TAG,
        "window": WINDOW,
        "assignments": [
            {"row_id": "row0", "reviewer_id": ana},
            {"row_id": "row1", "reviewer_id": bo},
            {"row_id": "row2", "reviewer_id": ana},
        ],
        "carried": [],
        "previous": None,
        "credit": {"": {ana: -0.5, bo: 0.5}},
        "reading": [reading(morning, 7)],
        "passed": [],
    }


def test_the_plan_of_an_undo_says_what_is_taken_off(morning):
    ana, bo = morning.users
    run(morning)
    later = NOW.replace(minute=30)
    morning.run({"undo": RUN_ID}, now=lambda: later, request_id="undo")
    plan = parsed(morning, "plans", "20261123T073030Z-undo")
    given = [("row0", ana), ("row1", bo), ("row2", ana)]
    assert {field: value for field, value in plan.items() if field not in BESIDE_SECTION_6} == {
        "run_id": "20261123T073030Z-undo",
        "created_at": "2026-11-23T07:30:30.250Z",
        "project_id": morning.braintrust.project_id,
        "tag": TAG,
        "window": WINDOW,
        "assignments": [],
        "carried": [
            {
                "row_id": row,
                "reviewer_id": reviewer,
                "planned_at": "2026-11-23T07:30:30.250Z",
                "run_id": RUN_ID,
                "confirmed": False,
                "freed": True,
            }
            for row, reviewer in given
        ],
        "previous": morning.prefix + place(morning, "plans"),
        "credit": {"": {ana: -0.5, bo: 0.5}},
        "reading": [reading(morning, 0)],  # as rows were freed since
        "passed": [],
        "undoes": RUN_ID,
        "freed": [{"row_id": row, "reviewer_id": reviewer} for row, reviewer in given],
    }


def test_the_next_plan_carries_what_this_one_gave_out(morning):
    ana, bo = morning.users
    run(morning)
    later = NOW.replace(hour=8)
    morning.braintrust.store.clock.set(later)
    morning.braintrust.store.add_row("row3", created="2026-11-23T08:00:00Z", tags=[TAG])
    morning.run(now=lambda: later, request_id="later")
    plan = parsed(morning, "plans", "20261123T081530Z-later")
    assert plan["carried"] == [
        {
            "row_id": row,
            "reviewer_id": reviewer,
            "planned_at": "2026-11-23T07:15:30.250Z",
            "run_id": RUN_ID,
            "confirmed": True,
            "freed": False,
        }
        for row, reviewer in [("row0", ana), ("row1", bo), ("row2", ana)]
    ]
    assert plan["assignments"] == [{"row_id": "row3", "reviewer_id": bo}]


def test_the_ledger_names_the_plan(morning):
    run(morning)
    assert parsed_ledger(morning) == {
        "run_id": RUN_ID,
        "plan": morning.prefix + place(morning, "plans"),
        "committed_at": "2026-11-23T07:15:30.250Z",
    }


def parsed_ledger(world):
    return json.loads(world.objects()[f"ledger/project_id={world.braintrust.project_id}.json"])


def test_there_is_one_line_a_planned_row(morning):
    ana, bo = morning.users
    result = run(morning)
    assert morning.lines(result) == [
        {
            "run_id": RUN_ID,
            "row_id": row,
            "reviewer_id": reviewer,
            "status": "assigned",
            "assigned_at": "2026-11-23T07:15:30.250Z",
            "error": None,
        }
        for row, reviewer in [("row0", ana), ("row1", bo), ("row2", ana)]
    ]


def test_the_ids_that_were_assigned_are_a_json_array(morning):
    run(morning)
    assert parsed(morning, "to_assign_ids") == ["row0", "row1", "row2"]


def test_the_run_record_is_what_came_back(morning):
    assert run(morning) == parsed(morning, "runs")


def test_a_run_in_which_rows_only_wait_leaves_a_plan_too(morning):
    morning.set_reviewers([{"id": user, "max_open": 0} for user in morning.users])
    result = run(morning)
    assert morning.objects().keys() == {
        place(morning, "plans"),
        place(morning, "runs"),
        f"ledger/project_id={morning.braintrust.project_id}.json",
    }
    assert result["audit"] == {"plan": address(morning, "plans"), "run": address(morning, "runs")}
    assert parsed(morning, "plans")["waiting"] == {"every reviewer is away or full": 3}


def test_an_idle_run_leaves_its_record_and_nothing_else(morning):
    run(morning)
    before = morning.objects()
    result = run(morning, request_id="request-2")
    run_id = "20261123T071530Z-request-2"
    assert morning.objects() == before | {place(morning, "runs", run_id): json.dumps(result) + "\n"}
    assert result["audit"] == {"run": address(morning, "runs", run_id)}


def test_a_dry_run_leaves_its_record_with_the_plan_in_it_and_nothing_else(morning):
    ana, bo = morning.users
    result = run(morning, {"dry_run": True})
    assert morning.objects().keys() == {place(morning, "dry_runs")}
    assert result["audit"] == {"plan": address(morning, "dry_runs")}
    assert parsed(morning, "dry_runs") == result | {
        "assignments": [
            {"row_id": "row0", "reviewer_id": ana},
            {"row_id": "row1", "reviewer_id": bo},
            {"row_id": "row2", "reviewer_id": ana},
        ]
    }


def test_the_plan_and_the_ledger_come_before_the_first_insert_and_the_record_comes_last(
    morning, aws
):
    seen = []
    aws.watch = lambda method, path: seen.append(
        (
            method,
            path.split(morning.prefix)[-1].split("/")[0],
            morning.braintrust.requests.count("insert"),
        )
    )
    run(morning, {"batch_size": 1})
    assert [(kind, inserts) for method, kind, inserts in seen if method == "PUT"] == [
        ("plans", 0),
        ("ledger", 0),
        ("assignments", 3),
        ("to_assign_ids", 3),
        ("runs", 3),
    ]


def test_a_plan_is_created_never_overwritten_and_so_is_a_record(morning):
    s3 = morning.client("s3")
    for kind in ("plans", "runs"):
        s3.put_object(Bucket=BUCKET, Key=morning.prefix + place(morning, kind), Body=b"taken")
    result = run(morning)
    assert {morning.objects()[place(morning, kind)] for kind in ("plans", "runs")} == {"taken"}
    assert result["run_id"] == f"{RUN_ID}-2"


@pytest.mark.parametrize("taken", [["plans"], ["runs"], ["plans", "runs"]])
def test_a_run_id_that_is_taken_gets_a_suffix_in_every_object(morning, taken):
    for kind in taken:
        for run_id in (RUN_ID, f"{RUN_ID}-2"):
            key = morning.prefix + place(morning, kind, run_id)
            morning.client("s3").put_object(Bucket=BUCKET, Key=key, Body=b"{}")
    before = morning.objects().keys()
    result = run(morning)
    third = f"{RUN_ID}-3"
    assert result["run_id"] == third
    assert morning.objects().keys() - before == {
        place(morning, "plans", third),
        place(morning, "assignments", third, "jsonl"),
        place(morning, "to_assign_ids", third),
        place(morning, "runs", third),
        f"ledger/project_id={morning.braintrust.project_id}.json",
    }
    assert {parsed(morning, kind, third)["run_id"] for kind in ("plans", "runs")} == {third}
    assert {line["run_id"] for line in morning.lines(result)} == {third}
    assert parsed_ledger(morning)["run_id"] == third


def test_a_repeated_dry_or_idle_invocation_gets_a_suffix_too(morning):
    dry = [run(morning, {"dry_run": True})["run_id"] for _ in range(3)]
    idle = [run(morning, request_id="request-2")["run_id"] for _ in range(3)]
    assert dry == [RUN_ID, f"{RUN_ID}-2", f"{RUN_ID}-3"]
    other = "20261123T071530Z-request-2"
    assert idle == [other, f"{other}-2", f"{other}-3"]


def test_run_ids_sort_by_time(morning):
    second = morning.run(now=lambda: NOW.replace(minute=16), request_id="a")["run_id"]
    assert second == "20261123T071630Z-a"
    assert run(morning)["run_id"] < second


@pytest.mark.parametrize("prefix", ["", "deep/er/", "with space/"])
def test_everything_lies_under_the_prefix(morning, prefix):
    morning.prefix += prefix
    result = run(morning)
    assert len(morning.objects()) == 5
    assert result["audit"]["run"] == address(morning, "runs")


# Refusals


@pytest.mark.parametrize("refused", ["/plans/", "/ledger/"])
def test_when_the_plan_cannot_be_written_nothing_is_assigned(morning, aws, refused):
    aws.refuse("PUT", refused)
    with pytest.raises(AuditError) as failed:
        run(morning)
    key = (
        place(morning, "plans")
        if refused == "/plans/"
        else f"ledger/project_id={morning.braintrust.project_id}.json"
    )
    assert str(failed.value) == (
        f"s3://{BUCKET}/{morning.prefix}{key} could not be written (AccessDenied): "
        f"check that AUDIT_BUCKET {BUCKET} exists and that the function may read and write it; nothing was assigned"
    )
    assert (morning.braintrust.requests.count("insert"), morning.assignments()) == (0, {})


def test_when_the_ledger_cannot_be_read_nothing_is_assigned(morning, aws):
    aws.refuse("GET", "/ledger/")
    with pytest.raises(
        AuditError, match=r"could not be read \(AccessDenied\): check that AUDIT_BUCKET"
    ):
        run(morning)
    assert (len(morning.braintrust.requests), morning.objects()) == (0, {})


def test_a_bucket_that_does_not_exist_is_named_and_nothing_is_assigned(morning):
    morning.settings["AUDIT_BUCKET"] = "no-such-bucket"
    with pytest.raises(
        AuditError, match=r"\(NoSuchBucket\): check that AUDIT_BUCKET no-such-bucket exists"
    ):
        run(morning)
    assert morning.assignments() == {}


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"plan": "audit/gone.json"}'])
def test_a_ledger_that_makes_no_sense_is_an_error_and_nothing_is_assigned(morning, text):
    key = f"{morning.prefix}ledger/project_id={morning.braintrust.project_id}.json"
    morning.client("s3").put_object(Bucket=BUCKET, Key=key, Body=text.encode())
    with pytest.raises(AuditError, match=r"cannot be read .*nothing was assigned"):
        run(morning)
    assert morning.assignments() == {}


@pytest.mark.parametrize("refused", ["assignments", "to_assign_ids", "runs"])
def test_when_what_happened_cannot_be_recorded_the_rest_is_and_the_message_says_so(
    morning, aws, refused
):
    aws.refuse("PUT", f"/{refused}/")
    with pytest.raises(AuditError) as failed:
        run(morning)
    key = place(morning, refused, RUN_ID, "jsonl" if refused == "assignments" else "json")
    assert str(failed.value) == (
        "3 rows were assigned, but what happened could not be recorded: "
        f"s3://{BUCKET}/{morning.prefix}{key} could not be written (AccessDenied): "
        f"check that AUDIT_BUCKET {BUCKET} exists and that the function may read and write it"
    )
    assert len(morning.assignments()) == 3
    kinds = {"plans", "ledger", "assignments", "to_assign_ids", "runs"} - {refused}
    assert {key.split("/")[0] for key in morning.objects()} == kinds
    if refused != "runs":
        name = {"assignments": "assignments", "to_assign_ids": "to_assign_ids"}[refused]
        assert parsed(morning, "runs")["audit"].keys() == {
            "plan",
            "assignments",
            "to_assign_ids",
            "run",
        } - {name}


def test_rows_that_failed_are_told_also_when_they_could_not_be_recorded(morning, aws):
    aws.refuse("PUT", "/runs/")
    morning.braintrust.faults.add(
        "insert", row_id="row1", status=400, message="Bad row", times=None
    )
    with pytest.raises(AuditError) as failed:
        run(morning)
    assert str(failed.value).startswith(
        "2 rows were assigned, but what happened could not be recorded: "
    )
    assert (
        "1 of 3 planned rows could not be written, the first because: insert failed (400): Bad row"
        in str(failed.value)
    )


@pytest.mark.parametrize("refused", ["/dry_runs/", "/runs/"])
def test_a_dry_or_idle_run_that_cannot_be_recorded_is_an_error(world, aws, refused):
    aws.refuse("PUT", refused)
    world.add_users(1)
    with pytest.raises(
        AuditError, match=r"0 rows were assigned, but what happened could not be recorded"
    ):
        world.run({"dry_run": refused == "/dry_runs/"})


def test_the_audit_is_written_before_the_assignment_error_is_raised(morning):
    morning.braintrust.faults.add("insert", status=400, times=None)
    with pytest.raises(AssignmentError):
        run(morning)
    assert {key.split("/")[0] for key in morning.objects()} == {
        "plans",
        "ledger",
        "assignments",
        "to_assign_ids",
        "runs",
    }
    assert parsed(morning, "to_assign_ids") == []
    assert parsed(morning, "runs")["status"] == "failed"


def test_odd_row_ids_survive_the_audit(world):
    world.add_users(1)
    rows = ['quo"te', "back\\slash", "ünïcode ☃", "a,b", "x" * 300]
    for place_, row in enumerate(rows):
        world.braintrust.store.add_row(row, created=f"2026-11-23T06:0{place_}:00Z", tags=[TAG])
    world.braintrust.store.clock.set(NOW)
    result = run(world)
    assert [line["row_id"] for line in world.lines(result)] == rows
    assert parsed(world, "to_assign_ids") == rows
    assert [item["row_id"] for item in parsed(world, "plans")["assignments"]] == rows
