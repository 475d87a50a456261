"""One reviewer a row, whatever happens: the three histories that break weaker rules, races, kills at every request."""

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lib.errors import AssignmentError, AuditError
from local.braintrust.server import LocalBraintrust
from tests.processes import Death, start
from tests.refusing_aws import RefusingAws
from tests.soak import scenario
from tests.world import ASSIGNMENTS, TAG, World, invoke

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


class History:
    """A world whose clock stands still between steps."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.start = self.moment = datetime.now(UTC)
        world.braintrust.store.clock.set(self.moment)

    def wait(self, time: timedelta) -> None:
        self.moment += time
        self.world.braintrust.store.clock.set(self.moment)

    def run(self, event: object = None, *, as_of: datetime | None = None) -> dict[str, Any]:
        """One run; with `as_of`, its reads show what was true at that moment."""
        lag = (self.moment - as_of).total_seconds() if as_of else 0.0
        self.world.braintrust.options.read_lag = lag
        return self.world.run(event, now=lambda: self.moment)

    def reviewers_ever(self, row_id: str) -> list[tuple[str, ...]]:
        return self.world.braintrust.store.assignment_history(row_id)


@pytest.fixture
def history(world: World) -> History:
    return History(world)


def latest_plan(world: World) -> dict[str, Any]:
    """The plan that the ledger names."""
    (text,) = world.objects("ledger/").values()
    plan: dict[str, Any] = json.loads(
        world.objects("plans/")[json.loads(text)["plan"].removeprefix(world.prefix)]
    )
    return plan


def test_a_stale_read_two_runs_later_leads_to_the_same_reviewer(
    world: World, history: History
) -> None:
    """Run 1 plans R, run 2 reads fresh and plans only a new row, run 3 reads stale and sees R unassigned."""
    world.add_users(3)
    (row,) = world.add_rows(1)
    before, _ = history.moment, history.wait(MINUTE)
    history.run()
    history.wait(30 * MINUTE)
    world.braintrust.store.add_row(created=history.moment - MINUTE, tags=[TAG])
    assert history.run()["assigned"] == 1
    history.wait(30 * MINUTE)
    third = history.run(as_of=before)
    assert (third["fetched"], third["unassigned"], third["assigned"]) == (1, 1, 1)
    ((), (reviewer,)) = history.reviewers_ever(row)
    assert third["per_reviewer"] == dict.fromkeys(world.users, 0) | {reviewer: 1}
    assert latest_plan(world)["repeated"] == 1


def test_a_row_whose_reviewer_left_the_list_waits_until_the_plan_is_two_hours_old(
    world: World, history: History
) -> None:
    """Run 2 has another roster, reads stale, R's reviewer is not on it."""
    first, second = world.add_users(2)
    world.set_reviewers([first])
    (row,) = world.add_rows(1)
    before, _ = history.moment, history.wait(MINUTE)
    history.run()
    planned_at = history.moment
    world.set_reviewers([second])
    history.wait(HOUR)
    stale = history.run(as_of=before)
    assert (stale["status"], stale["deferred"], stale["assigned"]) == ("incomplete", 1, 0)
    assert latest_plan(world)["carried"] == [
        {
            "row_id": row,
            "reviewer_id": first,
            "planned_at": f"{planned_at:%Y-%m-%dT%H:%M:%S}.{planned_at:%f}"[:-3] + "Z",
        }
    ]
    assert history.reviewers_ever(row) == [(), (first,)]
    history.wait(HOUR + MINUTE)
    late = history.run(as_of=before)  # staler than any read may be: only now the row is anybody's
    assert (late["status"], late["per_reviewer"]) == ("assigned", {second: 1})


def test_a_run_for_another_tag_in_between_carries_the_plan_along(
    world: World, history: History
) -> None:
    """A run for another tag between two runs."""
    world.add_users(3)
    (row,) = world.add_rows(1)
    before, _ = history.moment, history.wait(MINUTE)
    history.run()
    history.wait(MINUTE)
    world.add_rows(2, tags=["other"])
    history.run({"tag": "other"})
    assert [entry["row_id"] for entry in latest_plan(world)["carried"]] == [row]
    history.wait(MINUTE)
    assert history.run(as_of=before)["assigned"] == 1
    assert len(history.reviewers_ever(row)) == 2


def test_a_planned_row_that_a_stale_read_does_not_show_still_counts_as_open(
    world: World, history: History
) -> None:
    first, second, third = world.add_users(3)
    world.set_reviewers([{"id": user, "max_open": 2} for user in world.users])
    store = world.braintrust.store
    store.add_row(created=history.moment - HOUR, tags=[TAG], metadata={ASSIGNMENTS: [first]})
    store.add_row(created=history.moment - HOUR, tags=[TAG], metadata={ASSIGNMENTS: [first]})
    store.add_row(created=history.moment - HOUR, tags=[TAG], metadata={ASSIGNMENTS: [third]})
    before, _ = history.moment, history.wait(2 * MINUTE)
    new = [store.add_row(created=history.moment - MINUTE, tags=[TAG]) for _ in range(2)]
    history.run()
    assert {world.assignments()[row] for row in new} == {(second,), (third,)}
    history.wait(MINUTE)
    late_tag = store.add_row(created=before - HOUR, tags=[TAG])
    history.run(as_of=before)  # shows first with two rows, third with one, second with none
    plan = latest_plan(world)
    assert {why["reviewer_id"]: why["open_before"] for why in plan["reviewers"]} == {
        first: 2,
        second: 1,
        third: 2,
    }
    assert [item["row_id"] for item in plan["assignments"]] == [late_tag]
    assert world.assignments()[late_tag] == (second,)


def test_the_plan_of_a_run_that_died_is_carried_out_by_the_next_one(world: World) -> None:
    world.add_users(3)
    world.add_rows(7)
    world.braintrust.faults.add("insert", drop=True, times=None)
    with pytest.raises(Exception, match="could not be written"):
        world.run(seconds=3)
    planned = {item["row_id"]: (item["reviewer_id"],) for item in latest_plan(world)["assignments"]}
    world.braintrust.faults.clear()
    world.set_reviewers(world.users[::-1])
    result = world.run()
    assert world.assignments() == planned
    assert result["previous_plan"] == {
        "run_id": result["previous_plan"]["run_id"],
        "landed": 0,
        "reassigned": 0,
        "unassigned": 7,
        "unseen": 0,
    }


def test_each_run_says_what_became_of_the_plan_before(world: World) -> None:
    world.add_users(2)
    rows = world.add_rows(4)
    first = world.run()
    store = world.braintrust.store
    path = [["metadata", ASSIGNMENTS]]
    store.insert(
        [
            {
                "id": rows[0],
                "_is_merge": True,
                "_merge_paths": path,
                "metadata": {ASSIGNMENTS: ["someone"]},
            }
        ]
    )
    store.insert(
        [{"id": rows[1], "_is_merge": True, "_merge_paths": path, "metadata": {ASSIGNMENTS: []}}]
    )
    store.insert([{"id": rows[2], "_object_delete": True}])
    assert world.run()["previous_plan"] == {
        "run_id": first["run_id"],
        "landed": 1,
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
    assert latest_plan(world)["run_id"] == rivals[0]["run_id"]


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
            s3.put_object(
                Bucket="audit-bucket", Key=ledger, Body=json.dumps(entry | {"committed_at": path})
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
    (row,) = world.add_rows(1)
    before, _ = history.moment, history.wait(MINUTE)
    history.run()
    history.wait(MINUTE)
    assert (
        history.run({"project_id": world.braintrust.project_id.upper()}, as_of=before)["assigned"]
        == 1
    )
    assert len(history.reviewers_ever(row)) == 2


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
    assert world.assignments().items() <= planned.items()
    world.run()
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
