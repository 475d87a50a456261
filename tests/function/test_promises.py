"""One reviewer a row, whatever happens: the three histories that break weaker rules, races, kills at every request."""

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lib.errors import AssignmentError, AuditError
from local.braintrust.server import LocalBraintrust
from tests.history import HOUR, MINUTE, History, chain
from tests.processes import Death, start
from tests.refusing_aws import RefusingAws
from tests.soak import scenario
from tests.world import World, invoke


def later(world: World, time: timedelta) -> datetime:
    """The time, so much later, for the server, too."""
    world.braintrust.store.clock.advance(time.total_seconds())  # type: ignore[attr-defined]
    return datetime.now(UTC) + time


def test_a_stale_read_two_runs_later_leads_to_the_same_reviewer(
    world: World, history: History
) -> None:
    """Run 1 plans R, run 2 reads fresh and plans only a new row, run 3 reads stale and sees R unassigned."""
    world.add_users(3)
    history.log("row")
    before = history.wait(MINUTE)
    history.cut_off(landed=True)
    ((_, reviewer),) = history.given()
    history.wait(30 * MINUTE)
    history.log("new")
    assert history.run()["assigned"] == 1
    history.wait(30 * MINUTE)
    third = history.run(as_of=before)
    assert (third["fetched"], third["unassigned"], third["assigned"]) == (1, 1, 1)
    assert third["per_reviewer"] == dict.fromkeys(world.users, 0) | {reviewer: 1}
    assert (history.given(), history.plan()["repeated"]) == ([("row", reviewer)], 1)
    assert history.reviewers_ever("row") == [(), (reviewer,)]


def test_the_plan_of_a_run_that_died_is_carried_out_by_the_next_one(world: World) -> None:
    world.add_users(3)
    world.add_rows(7)
    world.braintrust.faults.add("insert", drop=True, times=None)
    with pytest.raises(Exception, match="could not be written"):
        world.run(seconds=3)
    planned = {item["row_id"]: (item["reviewer_id"],) for item in next(chain(world))["assignments"]}
    world.braintrust.faults.clear()
    world.set_reviewers(world.users[::-1])
    moment = later(world, 46 * MINUTE)
    result = world.run(now=lambda: moment)
    assert world.assignments() == planned
    assert result["previous_plan"] == {
        "run_id": result["previous_plan"]["run_id"],
        "landed": 0,
        "reassigned": 0,
        "unassigned": 7,
        "unseen": 0,
    }


def test_each_run_says_what_became_of_the_plan_before(world: World, history: History) -> None:
    """A row that took it has landed, also where its reviewer has taken themself off since."""
    world.add_users(2)
    history.log("taken over", "left", "deleted", "refused", "landed")
    first = history.refused("refused")
    history.assign("taken over", "someone")
    history.take_off("left")
    world.braintrust.store.insert([{"id": "deleted", "_object_delete": True}])
    world.settings = {"FULL_READ_HOURS": "0"}
    assert history.run()["previous_plan"] == {
        "run_id": first.run_id,
        "landed": 2,
        "reassigned": 1,
        "unassigned": 1,
        "unseen": 1,
    }


def test_whoever_loses_the_race_starts_again_from_the_ledger_and_keeps_to_the_winners_plan(
    world: World, aws: RefusingAws
) -> None:
    world.add_users(3)
    world.add_rows(5)
    rivals: list[dict[str, Any]] = []

    def rival(method: str, path: str) -> None:
        if method == "PUT" and "/plans/" in path and not rivals:
            rivals.append({})
            rivals[0] = world.run()

    aws.watch = rival
    result = world.run()
    assert (rivals[0]["status"], rivals[0]["assigned"]) == ("assigned", 5)
    assert (result["status"], result["assigned"]) == ("nothing_to_assign", 0)
    assert world.braintrust.store.contested() == {}
    assert (
        len(world.records("plans")) == 2
    )  # the loser's plan was never committed, and nothing of it was sent
    assert next(chain(world))["run_id"] == rivals[0]["run_id"]


def test_a_run_that_loses_every_race_leaves_its_rows_to_the_next_one(
    world: World, aws: RefusingAws
) -> None:
    world.add_users(2)
    world.add_rows(3)
    ledger = f"{world.prefix}ledger/project_id={world.braintrust.project_id}.json"
    world.run({"max_assignments": 1})

    def rival(method: str, path: str) -> None:
        if method == "PUT" and "/plans/" in path:
            s3 = world.client("s3")
            entry = json.loads(s3.get_object(Bucket="audit-bucket", Key=ledger)["Body"].read())
            moment = datetime.fromisoformat(entry["committed_at"]) + timedelta(milliseconds=1)
            s3.put_object(
                Bucket="audit-bucket",
                Key=ledger,
                Body=json.dumps(entry | {"committed_at": moment.isoformat()}),
            )

    aws.watch = rival
    result = world.run()
    assert (result["status"], result["assigned"], result["deferred"]) == ("incomplete", 0, 2)
    assert "other runs committed their plans first" in "; ".join(result["warnings"])
    assert world.braintrust.requests.count("insert") == 1


@pytest.mark.parametrize("kind", ["plans/", "ledger/"])
def test_when_the_plan_or_its_commit_is_refused_nothing_is_assigned(
    world: World, aws: RefusingAws, kind: str
) -> None:
    world.add_users(2)
    world.add_rows(3)
    aws.refuse("PUT", f"/{kind}")
    with pytest.raises(AuditError, match="could not be written"):
        world.run()
    assert world.braintrust.requests.count("insert") == 0


@pytest.mark.parametrize("kind", ["plans/", "ledger/", "runs/"])
def test_a_write_whose_answer_was_lost_is_known_as_our_own(
    world: World, aws: RefusingAws, kind: str
) -> None:
    """The SDK repeats the write and meets what it wrote itself; that is no other run."""
    world.add_users(2)
    world.add_rows(3)
    aws.refuse("PUT", f"/{kind}", times=1, applied=True)
    result = world.run(request_id="once")
    assert (result["status"], result["assigned"]) == ("assigned", 3)
    assert [record["run_id"] for record in world.records("runs")] == [result["run_id"]]
    assert [plan["run_id"] for plan in world.records("plans")] == [result["run_id"]]


def test_a_ledger_that_cannot_be_read_stops_the_run(world: World) -> None:
    world.add_users(2)
    world.add_rows(3)
    key = f"{world.prefix}ledger/project_id={world.braintrust.project_id}.json"
    world.client("s3").put_object(Bucket="audit-bucket", Key=key, Body=b"not json")
    with pytest.raises(AuditError, match="nothing was assigned"):
        world.run()
    assert world.assignments() == {}


def test_a_project_has_one_ledger_however_its_id_is_spelt(world: World, history: History) -> None:
    world.add_users(2)
    history.log("row")
    before = history.wait(MINUTE)
    history.run()
    history.wait(MINUTE)
    again = history.run({"project_id": world.braintrust.project_id.upper()}, as_of=before)
    assert (again["fetched"], again["already_assigned"], again["unassigned"]) == (1, 1, 0)
    assert len(history.reviewers_ever("row")) == 2


def test_rows_that_are_refused_do_not_keep_the_rows_behind_them_waiting(world: World) -> None:
    world.settings = {"BATCH_SIZE": "10"}
    world.add_users(2)
    bad, good = world.add_rows(40, hours_ago=2), world.add_rows(20)
    world.braintrust.faults.add(
        "insert", status=400, times=None, when=lambda call: {*bad} & {*call.row_ids}
    )
    with pytest.raises(AssignmentError, match="40 of 60 planned rows could not be written"):
        world.run()
    assert world.assignments().keys() == set(good)


def test_runs_of_one_request_id_and_second_never_share_a_run_id(world: World) -> None:
    """A repeated invocation can carry the same request id; a plan, a record and a dry run's record each take it."""
    world.add_users(2)
    world.add_rows(3)
    noon = datetime.now(UTC).replace(microsecond=0)
    events = [{"dry_run": True}, {"max_assignments": 1}, {}, {}, {"dry_run": True}]
    runs = [world.run(event, now=lambda: noon, request_id="same") for event in events]
    base = f"{noon:%Y%m%dT%H%M%SZ}-same"
    assert [run["run_id"] for run in runs] == [
        base,
        *(f"{base}-{number}" for number in (2, 3, 4, 5)),
    ]


def test_a_run_without_a_plan_does_not_take_the_run_id_of_one_that_is_still_going_on(
    world: World, aws: RefusingAws
) -> None:
    world.add_users(2)
    world.add_rows(3)
    noon = datetime.now(UTC).replace(microsecond=0)
    idle: list[dict[str, Any]] = []

    def repeated(method: str, path: str) -> None:
        if method == "PUT" and "/assignments/" in path and not idle:
            idle.append({})
            idle[0] = world.run(now=lambda: noon, request_id="same")

    aws.watch = repeated
    result = world.run(now=lambda: noon, request_id="same")
    assert (result["status"], idle[0]["status"]) == ("assigned", "nothing_to_assign")
    assert idle[0]["run_id"] == f"{result['run_id']}-2"
    assert [plan["run_id"] for plan in world.records("plans")] == [result["run_id"]]


def test_a_ledger_whose_plan_was_cleaned_up_long_ago_is_no_obstacle(world: World) -> None:
    world.add_users(2)
    world.add_rows(2, hours_ago=5)
    world.run(now=lambda: datetime.now(UTC) - 3 * HOUR)
    world.add_rows(1)
    (key,) = world.objects("plans/")
    world.client("s3").delete_object(Bucket="audit-bucket", Key=world.prefix + key)
    assert world.run()["status"] == "assigned"


def test_a_fresh_ledger_whose_plan_is_missing_stops_the_run(world: World) -> None:
    world.add_users(2)
    world.add_rows(2)
    world.run()
    (key,) = world.objects("plans/")
    world.client("s3").delete_object(Bucket="audit-bucket", Key=world.prefix + key)
    with pytest.raises(AuditError, match=r"is missing.*nothing was assigned"):
        world.run()


@pytest.mark.parametrize(
    "answered", [False, True], ids=["before it is sent", "after it is answered"]
)
@pytest.mark.parametrize("request_number", range(1, 14))
def test_a_run_killed_at_any_of_its_requests_is_made_good_by_the_next(
    world: World, request_number: int, *, answered: bool
) -> None:
    """SIGKILL before the plan, between plan and ledger, between ledger and insert, between inserts, before the audit."""
    world.settings = {"BATCH_SIZE": "3", "INSERT_CONCURRENCY": "1"}
    world.add_users(3)
    rows = world.add_rows(8)
    killed = start(world.environ, death=Death(request_number, answered=answered)).join()
    assert (killed.process.exitcode, killed.result) == (-9, None)
    planned = {
        item["row_id"]: (item["reviewer_id"],)
        for plan in world.records("plans")
        for item in plan["assignments"]
    }
    written, committed = world.assignments(), [*chain(world)]
    assert written.items() <= planned.items()
    world.run()
    assert world.assignments().keys() == (written.keys() if committed else {*rows})
    moment = later(world, 46 * MINUTE)
    world.run(now=lambda: moment)
    assert Counter(len(who) for who in world.assignments().values()) == {1: len(rows)}
    assert sorted(Counter(who[0] for who in world.assignments().values()).values()) == [2, 3, 3]
    assert world.braintrust.store.contested() == {}


def test_two_to_four_runs_side_by_side_give_every_row_to_one_person(world: World) -> None:
    world.settings = {"BATCH_SIZE": "5"}
    world.add_users(3)
    world.add_rows(31)
    runs = [start(world.environ).join for _ in range(4)]
    ended = [join() for join in runs]
    assert [run.error for run in ended] == [None] * 4
    assert world.braintrust.store.contested() == {}
    assert sorted(Counter(who[0] for who in world.assignments().values()).values()) == [10, 10, 11]


def test_runs_side_by_side_in_one_process_share_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add_users(2)
    world.add_rows(12)
    for name, value in world.environ.items():
        monkeypatch.setenv(name, value)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: invoke(), range(4)))
    assert {result["status"] for result in results} <= {"assigned", "nothing_to_assign"}
    assert len({result["run_id"] for result in results}) == 4
    assert world.braintrust.store.contested() == {}
    assert Counter(who[0] for who in world.assignments().values()) == dict.fromkeys(world.users, 6)


@pytest.mark.parametrize("decade", range(10))
def test_a_hundred_random_scenarios_keep_every_promise(
    shared_braintrust: LocalBraintrust, shared_aws: RefusingAws, decade: int
) -> None:
    for seed in range(decade * 10, decade * 10 + 10):
        verdict = scenario(seed, shared_braintrust, shared_aws)
        assert not verdict.broken, verdict
