"""Contract section 9: one invocation, many runs."""

import io
import json
from collections import Counter
from collections.abc import Collection
from itertools import combinations
from types import SimpleNamespace
from typing import Any

import pytest

import lib.handout
from lib.braintrust import Braintrust
from lib.deadline import Deadline
from lib.errors import AssignerError, AssignmentError, ConfigurationError, QueryError, QueuesError
from lib.load import AUDIT_RESERVE, AUDIT_SHARE, INSERT_SHARE
from lib.queues import part_of, run_queues
from lib.telemetry import Meter, logger
from lib.turns import Waits
from tests.history import HOUR, MINUTE, PENDING, History
from tests.refusing_aws import RefusingAws
from tests.world import ASSIGNMENTS, BUCKET, QUEUES, REVIEW_LISTS, TAG, World

DE, FR, IT = {"name": "de"}, {"name": "fr"}, {"name": "it"}
COUNTS = ("status", "fetched", "unassigned", "assigned", "deferred")


@pytest.fixture
def two(history: History) -> History:
    """Two people, who both have both queues."""
    history.world.add_users(2)
    history.world.set_queues(DE, FR)
    return history


def log(history: History, queue: str, *names: str, **fields: Any) -> None:
    history.log(*names, **{"tags": [queue]} | fields)


def counts(result: dict[str, Any]) -> dict[str, list[Any]]:
    """What came of each queue."""
    return {name: [own[each] for each in COUNTS] for name, own in result["queues"].items()}


def plans(world: World) -> dict[str, dict[str, Any]]:
    """The newest plan of each queue."""
    found = sorted(world.records("plans"), key=lambda plan: plan["created_at"])
    return {plan.get("queue", ""): plan for plan in found}


def metrics(capsys: pytest.CaptureFixture[str]) -> list[dict[str, float]]:
    """What each line of metrics says that was printed since."""
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    names = [
        [metric["Name"] for metric in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]]
        for line in lines
    ]
    return [{name: line[name][0] for name in own} for line, own in zip(lines, names, strict=True)]


@pytest.fixture
def log_lines(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What was logged since, line by line."""
    stream = io.StringIO()
    for handler in logger._logger.handlers:  # noqa: SLF001 - Powertools has no public way
        monkeypatch.setattr(handler, "stream", stream)
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


# One after another


def test_each_queue_is_a_run_of_its_own_with_its_own_plan_and_record(two: History) -> None:
    world, (ana, ben) = two.world, two.world.users
    log(two, "fr", "x")
    log(two, "de", "a", "b", "c")
    result = two.run(request_id="r1")

    assert (list(result), result["status"]) == (["status", "queues"], "assigned")
    assert counts(result) == {"de": ["assigned", 3, 3, 3, 0], "fr": ["assigned", 1, 1, 1, 0]}
    ids = {name: f"20261123T070000Z-r1-{name}" for name in ("de", "fr")}
    runs = world.records("runs")
    assert runs == list(result["queues"].values())
    assert {run["queue"]: (run["run_id"], run["tag"]) for run in runs} == {
        name: (ids[name], name) for name in ("de", "fr")
    }
    made = plans(world)
    assert {name: plan["run_id"] for name, plan in made.items()} == ids
    assert [plan["previous"] for plan in made.values()] == [
        None,
        world.prefix + two.key(ids["de"], "plans"),
    ]
    assert made["fr"]["credit"] == {
        "de": {ana: -0.5, ben: 0.5},
        "fr": {ana: 0.5, ben: -0.5},  # whoever is owed most over all queues goes first
    }
    assert {entry["row_id"]: entry["confirmed"] for entry in made["fr"]["carried"]} == {
        "a": True,
        "b": True,
        "c": True,
    }


def test_an_idle_hour_asks_one_query_a_queue(two: History) -> None:
    log(two, "de", "a")
    log(two, "fr", "x")
    two.run()
    two.wait(HOUR)
    two.world.braintrust.requests.clear()
    result = two.run()
    assert [own["read"] for own in result["queues"].values()] == ["short", "short"]
    assert result["status"] == "nothing_to_assign"
    assert two.world.braintrust.requests.count("query") == 2


def test_without_queues_nothing_says_queue(history: History) -> None:
    history.world.add_users(1)
    history.log("row")
    result = history.run(request_id="r1")
    assert result["run_id"] == "20261123T070000Z-r1"
    for told in (result, history.plan(), *history.world.records("runs")):
        assert "queue" not in told


def test_a_queue_may_be_in_a_project_of_its_own(history: History) -> None:
    world = history.world
    world.add_users(1)
    other = world.braintrust.store.add_project("Other")
    world.set_queues(DE, FR | {"project_id": other})
    history.log("a", tags=["de"])
    history.log("x", tags=["fr"], project_id=other)
    result = history.run()
    assert counts(result) == {"de": ["assigned", 1, 1, 1, 0], "fr": ["assigned", 1, 1, 1, 0]}
    assert [plan["previous"] for plan in plans(world).values()] == [None, None]
    assert len(world.objects("ledger/")) == 2


def test_reviewers_stand_in_the_queue_or_below_the_queues_parameter_or_in_the_one_for_all(
    history: History,
) -> None:
    world = history.world
    ana, ben, cleo = world.add_users(3)
    world.set_reviewers([cleo])
    world.set_parameter(f"{QUEUES}/de", [ana])
    world.set_queues(DE | {"reviewers_parameter": f"{QUEUES}/de"}, FR | {"reviewers": [ben]}, IT)
    result = history.run()
    assert [own["per_reviewer"] for own in result["queues"].values()] == [
        {ana: 0},
        {ben: 0},
        {cleo: 0},
    ]


# Time


def test_a_queue_has_half_of_the_time_that_is_left_and_the_last_one_all_of_it() -> None:
    now = [0.0]
    deadline = Deadline(lambda: 900_000, clock=lambda: now[0])
    given = []
    for left in (4, 3, 2, 1):
        given.append(part_of(deadline, left).left())
        now[0] += given[-1] - 10  # it leaves ten seconds of it
    assert given == [450.0, 230.0, 120.0, 130.0]


def test_what_a_queue_does_not_use_the_others_have() -> None:
    deadline = Deadline(lambda: 900_000, clock=lambda: 3.0)
    assert [part_of(deadline, left).left() for left in (3, 2, 1)] == [450.0, 450.0, 900.0]


def missing_their_hour(heavy: Collection[int], queues: int = 20) -> list[int]:
    """Those that get no page where the `heavy` ones never have enough, at 20 queries a minute.

    A clock that only waiting moves. What is heavy asks for pages until the time for reading is over, and writes until
    that for writing is; what is light asks for one page, which takes a second. Nothing of an hour is left to the next.
    """
    now, used, missing = 0.0, 0, []
    deadline = Deadline(lambda: 900_000, clock=lambda: now)

    def ask(until: float) -> bool:
        """One query, once there is an allowance for it; False where the time is over first."""
        nonlocal now, used
        if used == 20:
            now, used = (now // 60 + 1) * 60, 0
        if now + 1 > until:
            return False
        now, used = now + 1, used + 1
        return True

    for place in range(queues):
        part = part_of(deadline, queues - place)
        working = part.sooner(min(AUDIT_RESERVE, AUDIT_SHARE * part.left()))
        until = now + working.sooner(INSERT_SHARE * part.left()).left()
        end = now + working.left()
        if not ask(until):
            missing.append(place)
        while place in heavy and ask(until):
            pass
        now = end if place in heavy else now
    return missing


@pytest.mark.parametrize("heavy", [1, 2, 3, 4])
def test_queues_that_are_heavy_for_ever_keep_no_other_from_its_hour_wherever_they_stand(
    heavy: int,
) -> None:
    assert [each for each in combinations(range(20), heavy) if missing_their_hour(each)] == []


def without_pages(history: History, *, seconds: float, event: object = None) -> dict[str, Any]:
    """A run in which the first queue's queries are not answered in its time."""
    history.world.braintrust.faults.add("query", hang=True, contains='"de"', times=None)
    try:
        return history.world.run(event, now=lambda: history.moment, seconds=seconds)
    finally:
        history.world.braintrust.faults.clear()


def test_a_queue_that_gets_no_page_in_its_time_is_incomplete_and_keeps_its_proof(
    two: History,
) -> None:
    log(two, "de", "a")
    log(two, "fr", "x")
    two.run()
    two.wait(HOUR)
    log(two, "de", "b")
    log(two, "fr", "y")
    proof = [read for read in two.plan()["reading"] if '"de"' in read["query"]]
    result = without_pages(two, seconds=3)
    assert result["status"] == "incomplete"
    assert counts(result) == {"de": ["incomplete", 0, 0, 0, 0], "fr": ["assigned", 1, 1, 1, 0]}
    lost = result["queues"]["de"]
    assert (lost["complete"], list(lost["audit"])) == (False, ["run"])
    (warning,) = lost["warnings"]
    assert warning.startswith("there was no time for a page of rows, so this queue waits for the ")
    assert [read for read in two.plan()["reading"] if '"de"' in read["query"]] == proof
    assert two.run()["queues"]["de"]["read"] == "short"


def test_nor_is_it_an_error_in_a_take_back_which_says_to_repeat_it(two: History) -> None:
    (ana, _) = two.world.users
    log(two, "fr", "x", **open_row(ana))
    result = without_pages(two, seconds=3, event={"take_back": {"reviewer": ana}})
    lost, taken = result["queues"].values()
    assert (result["status"], lost["status"], taken["taken_back"]) == (
        "incomplete",
        "incomplete",
        1,
    )
    assert lost["warnings"][0].startswith(
        "there was no time for a page of rows: run the same take-back again: BTQL query failed"
    )


def test_a_run_alone_that_gets_no_page_is_an_error(two: History) -> None:
    two.world.braintrust.faults.add("query", hang=True, times=None)
    for queues, event in ((True, {"queue": "de"}), (False, {})):
        if not queues:
            del two.world.settings["QUEUES_PARAMETER"]
        with pytest.raises(QueryError):
            two.world.run(event, now=lambda: two.moment, seconds=1)


def fulls(result: dict[str, Any]) -> list[str]:
    return [name for name, own in result["queues"].items() if own["read"] == "full"]


@pytest.mark.usefixtures("near_s3")
def test_each_queue_makes_its_full_read_once_in_an_hour_of_its_own(history: History) -> None:
    """At 7:00 the hours since 1970 are 7 modulo 24; three queues have the hours 0, 8 and 16."""
    history.world.add_users(1)
    history.world.set_queues(DE, FR, IT)
    read = {}
    for hour in range(7, 7 + 60):
        if hour == 7:
            for name in ("de", "fr", "it"):
                log(history, name, f"{name} row")
        read[hour] = fulls(history.run())
        if hour in {24, 30}:
            history.wait(MINUTE)
            assert fulls(history.run()) == []  # once an hour
            history.wait(-MINUTE)
        history.wait(HOUR)
    assert {hour: names for hour, names in read.items() if names} == {
        7: ["de", "fr", "it"],
        8: ["fr"],
        16: ["it"],
        24: ["de"],
        32: ["fr"],
        40: ["it"],
        48: ["de"],
        56: ["fr"],
        64: ["it"],
    }


# People


def test_people_are_looked_up_once_an_invocation(history: History) -> None:
    world = history.world
    ana, ben = world.add_users(2)
    world.braintrust.store.add_group("QA", [ana], None)
    world.set_queues(
        DE | {"reviewers": [ana]}, FR | {"reviewers": [{"group": "QA"}]}, IT | {"reviewers": [ben]}
    )
    history.run()
    alone = Counter(request.kind for request in world.braintrust.requests)
    assert (alone["user"], alone["group"]) == (2, 2)  # a page, and one that is empty
    history.run()  # the next invocation looks again
    assert world.braintrust.requests.count("user") == 4


def test_a_look_up_that_failed_is_not_tried_again_for_the_next_queue(history: History) -> None:
    world = history.world
    (ana,) = world.add_users(1)
    group = {"reviewers": [{"group": "QA"}]}
    world.set_queues(DE | group, FR | {"reviewers": [ana]}, IT | group)
    log(history, "fr", "x")
    world.braintrust.faults.add("group", status=400, message="no", times=None)
    with pytest.raises(QueuesError) as failed:
        history.run()
    assert str(failed.value) == (
        "2 of 3 queues failed:\n"
        "- de: QueryError: group look-up failed (400): no\n"
        "- it: QueryError: group look-up failed (400): no"
    )
    assert world.braintrust.requests.count("group") == 1
    assert world.assignments() == {"x": (ana,)}


def test_a_look_up_that_hangs_takes_the_time_of_its_own_queue_only(history: History) -> None:
    world = history.world
    (ana,) = world.add_users(1)
    world.set_queues(DE | {"reviewers": [{"group": "QA"}]}, FR | {"reviewers": [ana]})
    log(history, "fr", "x")
    world.braintrust.faults.add("group", hang=True, times=None)
    with pytest.raises(QueuesError) as failed:
        world.run(now=lambda: history.moment, seconds=4)
    assert str(failed.value).startswith("1 of 2 queues failed:\n- de: QueryError: group look-up")
    assert world.assignments() == {"x": (ana,)}


def test_what_the_look_up_left_out_every_queue_tells(two: History) -> None:
    page = {"objects": [{"id": who} for who in (*two.world.users, 7)]}
    two.world.braintrust.faults.add("user", body=json.dumps(page))
    result = two.run()
    told = "1 users without a usable id were left out of the look-up"
    assert [told in own["warnings"] for own in result["queues"].values()] == [True, True]


# Failures


def break_project(history: History) -> str:
    history.world.set_queues(DE | {"project_id": "99999999-9999-4999-8999-999999999999"}, FR)
    return "QueryError: BTQL query failed (403): verify that PROJECT_ID 99999999-"


def refuse_queries(history: History) -> str:
    history.world.braintrust.faults.add("query", status=400, contains='"de"', times=None)
    return "QueryError: BTQL query failed (400): "


def refuse_rows(history: History) -> str:
    history.world.braintrust.faults.add("insert", status=400, row_id="a", message="no", times=None)
    return "AssignmentError: 1 of 1 planned rows could not be written, the first because: insert failed (400): no"


def empty_list(history: History) -> str:
    history.world.set_queues(DE | {"reviewers_parameter": f"{QUEUES}/de"}, FR)
    history.world.set_parameter(f"{QUEUES}/de", [])
    return f"ConfigurationError: no reviewers: add at least one reviewer id to SSM parameter {QUEUES}/de"


def no_such_list(history: History) -> str:
    history.world.set_queues(DE | {"reviewers_parameter": f"{QUEUES}/nowhere"}, FR)
    return f"ConfigurationError: the reviewers of queue de: SSM parameter {QUEUES}/nowhere cannot be read (ParameterNotFound)"


BREAKS = [break_project, refuse_queries, refuse_rows, empty_list, no_such_list]


@pytest.mark.parametrize("breaks", BREAKS)
def test_a_queue_that_fails_does_not_keep_the_others_from_their_work(
    two: History, breaks: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    log(two, "de", "a")
    log(two, "fr", "x")
    words = breaks(two)
    with pytest.raises(QueuesError) as failed:
        two.run()
    assert str(failed.value).startswith(f"1 of 2 queues failed:\n- de: {words}")
    assert list(two.world.assignments()) == ["x"]
    (values,) = metrics(capsys)
    assert (values["QueuesFailed"], values["RunSucceeded"], values["RowsAssigned"]) == (1, 0, 1)


def test_what_nobody_foresaw_fails_its_own_queue(
    two: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_plan = lib.handout.make_plan

    def broken(draft: Any, *others: Any, **more: Any) -> Any:
        if draft.queue == "de":
            raise KeyError("what the customer said")
        return make_plan(draft, *others, **more)

    monkeypatch.setattr(lib.handout, "make_plan", broken)
    log(two, "de", "a")
    log(two, "fr", "x")
    with pytest.raises(QueuesError) as failed:
        two.run()
    assert str(failed.value).startswith(
        "1 of 2 queues failed:\n- de: AssignerError: unexpected KeyError in lib.handout:"
    )
    assert "customer" not in str(failed.value)
    assert list(two.world.assignments()) == ["x"]


def test_an_audit_that_refuses_one_queue_lets_the_others_work(
    history: History, aws: RefusingAws
) -> None:
    world = history.world
    world.add_users(1)
    other = world.braintrust.store.add_project("Other")
    world.set_queues(DE | {"project_id": other}, FR)
    log(history, "de", "a", project_id=other)
    log(history, "fr", "x")
    aws.refuse("PUT", f"project_id={other}")
    with pytest.raises(QueuesError, match="1 of 2 queues failed:\n- de: AuditError: "):
        history.run()
    assert list(world.assignments()) == ["x"]


def test_no_queue_runs_where_one_is_wrong(two: History) -> None:
    log(two, "fr", "x")
    two.world.set_queues(DE | {"days": 0}, FR)
    with pytest.raises(ConfigurationError) as refused:
        two.run()
    assert str(refused.value) == (
        "1 wrong setting:\n- field days of queue de is 0: must be an integer >= 1"
    )
    assert two.world.assignments() == {}


def test_a_parameter_that_is_not_there_is_told(two: History) -> None:
    two.world.settings["QUEUES_PARAMETER"] = "/nowhere"
    with pytest.raises(ConfigurationError, match="QUEUES_PARAMETER: SSM parameter /nowhere cannot"):
        two.run()


# What is made of several results


def settings(name: str, *, dry_run: bool = False) -> Any:
    return SimpleNamespace(queue=name, dry_run=dry_run)


def played(*ends: str | AssignerError) -> tuple[Any, dict[str, float]]:
    """What comes of queues that end so, and their metrics."""
    names = [f"q{number}" for number in range(len(ends))]
    results = dict(zip(names, ends, strict=True))
    deadline = Deadline(lambda: 60_000)
    runs = tuple(settings(name, dry_run=results[name] == "dry_run") for name in names)
    meter = Meter()

    def one(run: Any, _: Deadline) -> Any:
        end = results[run.queue]
        if isinstance(end, AssignerError):
            raise end
        if not run.dry_run:
            meter.add({"RunSucceeded": 1})
        return {"status": end}

    invocation: Any = SimpleNamespace(runs=runs, deadline=deadline)
    try:
        came: Any = run_queues(invocation, one, meter)
    except QueuesError as error:
        came = str(error)
    return came, meter._values  # noqa: SLF001 - what it would write


@pytest.mark.parametrize(
    ("ends", "status"),
    [
        (["assigned", "incomplete", "dry_run"], "incomplete"),
        (["nothing_to_assign", "assigned", "dry_run"], "assigned"),
        (["nothing_to_take_back", "taken_back"], "taken_back"),
        (["dry_run", "nothing_to_assign"], "nothing_to_assign"),
        (["nothing_to_take_back", "nothing_to_take_back"], "nothing_to_take_back"),
        (["dry_run", "dry_run"], "dry_run"),
    ],
)
def test_the_status_is_that_of_the_queue_that_has_most_to_tell(
    ends: list[str], status: str
) -> None:
    came, _ = played(*ends)
    assert came["status"] == status
    assert [own["status"] for own in came["queues"].values()] == ends


def test_every_failed_queue_is_named_with_its_class_and_300_characters() -> None:
    came, _ = played(QueryError("a" * 301), "assigned", AssignmentError("b" * 300))
    assert came == (
        f"2 of 3 queues failed:\n- q0: QueryError: {'a' * 300}\n- q2: AssignmentError: {'b' * 300}"
    )


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        (["assigned", "incomplete"], {"QueuesFailed": 0, "RunSucceeded": 1}),
        (["assigned", "dry_run"], {"QueuesFailed": 0, "RunSucceeded": 1}),
        (["dry_run", "dry_run"], {"QueuesFailed": 0}),
        (["assigned", QueryError("no")], {"QueuesFailed": 1, "RunSucceeded": 0}),
        ([QueryError("no"), "assigned"], {"QueuesFailed": 1, "RunSucceeded": 0}),
        ([QueryError("a"), "assigned", QueryError("b")], {"QueuesFailed": 2, "RunSucceeded": 0}),
    ],
)
def test_an_invocation_succeeds_where_every_queue_that_is_not_dry_does(
    ends: list[Any], expected: dict[str, float]
) -> None:
    assert played(*ends)[1] == expected


def test_a_dry_queue_that_fails_is_no_failure_of_the_invocations_work() -> None:
    meter = Meter()
    invocation: Any = SimpleNamespace(
        runs=(settings("a", dry_run=True), settings("b")), deadline=Deadline(lambda: 60_000)
    )

    def one(run: Any, _: Deadline) -> Any:
        if run.dry_run:
            raise QueryError("no")
        meter.add({"RunSucceeded": 1})
        return {"status": "assigned"}

    with pytest.raises(QueuesError):
        run_queues(invocation, one, meter)
    assert meter._values == {"QueuesFailed": 1, "RunSucceeded": 1}  # noqa: SLF001


def test_metrics_come_once_an_invocation_counts_summed_ages_and_spread_the_largest(
    two: History, capsys: pytest.CaptureFixture[str]
) -> None:
    two.world.set_queues(DE | {"max_assignments": 1}, FR)
    log(two, "de", "a", "b", "c")
    two.wait(MINUTE)
    log(two, "fr", "x")
    two.run()
    (values,) = metrics(capsys)
    took = values.pop("RunDuration")
    assert took == sum(run["duration_ms"] for run in two.world.records("runs"))
    assert values == {
        "RowsFetched": 4,
        "RowsUnassigned": 4,
        "RowsAssigned": 2,
        "RowsFailed": 0,
        "RowsDeferred": 2,
        "OldestWaitingAge": 60,
        "Spread": 1,
        "UnknownReviewers": 0,
        "PlanLost": 0,
        "PlanLanded": 1,
        "PlanReassigned": 0,
        "Queries": 6,  # each: a page, one that is empty, and the proof's
        "Retries": 0,
        "Throttles": 0,
        "QueuesFailed": 0,
        "RunSucceeded": 1,
    }


def test_every_line_of_the_log_says_whose_it_is(two: History, log_lines: Any) -> None:
    refuse_queries(two)
    log(two, "fr", "x")
    with pytest.raises(QueuesError):
        two.run()
    two.world.braintrust.faults.clear()
    two.run({"queue": "fr"})
    del two.world.settings["QUEUES_PARAMETER"]
    two.run()
    said = [(line["message"], line.get("queue")) for line in log_lines()]
    assert [each for each in said if each[0] != "run warned"] == [
        ("run started", "de"),
        ("run failed", "de"),
        ("run started", "fr"),
        ("run finished", "fr"),
        ("run started", "fr"),
        ("run finished", "fr"),
        ("run started", None),
        ("run finished", None),
    ]


# Whose row


def test_a_row_in_two_queues_goes_to_the_first_that_can_give_it(history: History) -> None:
    ana, ben = history.world.add_users(2)
    history.world.set_queues(
        DE | {"reviewers": [ana], "max_assignments": 1}, FR | {"reviewers": [ben]}
    )
    log(history, "de", "a", "b", tags=["de", "fr"])
    result = history.run()
    assert counts(result) == {"de": ["incomplete", 2, 2, 1, 1], "fr": ["assigned", 2, 1, 1, 0]}
    assert history.world.assignments() == {"a": (ana,), "b": (ben,)}


def test_a_confirmed_row_is_left_alone_by_the_next_queue_though_its_read_lags(
    history: History,
) -> None:
    ana, ben = history.world.add_users(2)
    history.world.set_queues(DE | {"reviewers": [ana]}, FR | {"reviewers": [ben]})
    log(history, "de", "a", tags=["de", "fr"])
    history.wait(MINUTE)
    result = history.run(as_of=history.moment - MINUTE / 2)
    assert result["queues"]["fr"]["already_assigned"] == 1
    assert history.reviewers_ever("a") == [(), (ana,)]


@pytest.mark.parametrize("landed", [True, False])
def test_a_row_that_another_queue_planned_and_did_not_confirm_rests_first(
    history: History,
    landed: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    ana, ben = history.world.add_users(2)
    history.world.set_queues(DE | {"reviewers": [ana]}, FR | {"reviewers": [ana, ben]})
    log(history, "de", "a", tags=["de", "fr"])
    history.cut_off(landed=landed, event={"queue": "de"})
    result = history.run({"queue": "fr"})
    assert result["assigned"] == 0
    assert history.reviewers_ever("a") == ([(), (ana,)] if landed else [()])


def test_then_it_goes_to_the_people_it_was_planned_for_where_they_are_on_this_list(
    history: History,
) -> None:
    ana, ben = history.world.add_users(2)
    history.world.set_queues(DE | {"reviewers": [ben]}, FR | {"reviewers": [ana, ben]})
    log(history, "de", "a", tags=["de", "fr"])
    history.refused(event={"queue": "de"})
    assert history.run({"queue": "fr"})["per_reviewer"] == {ana: 0, ben: 1}
    assert history.plan()["repeated"] == 1
    assert history.world.assignments() == {"a": (ben,)}


def test_else_it_is_left_to_that_queue_and_after_two_hours_to_anyone(history: History) -> None:
    ana, ben = history.world.add_users(2)
    history.world.set_queues(DE | {"reviewers": [ana]}, FR | {"reviewers": [ben]})
    log(history, "de", "a", tags=["de", "fr"])
    history.refused(event={"queue": "de"})
    result = history.run({"queue": "fr"})
    assert [result[each] for each in COUNTS] == ["incomplete", 1, 1, 0, 1]
    assert result["warnings"] == [f"1 rows wait: {Waits.ELSEWHERE.value}"]
    history.wait(2 * HOUR)
    history.refused(event={"queue": "de"})
    assert history.run({"queue": "de"})["assigned"] == 1
    assert history.world.assignments() == {"a": (ana,)}


def test_two_hours_later_anyone_may_get_it(history: History) -> None:
    ana, ben = history.world.add_users(2)
    history.world.set_queues(DE | {"reviewers": [ana]}, FR | {"reviewers": [ben]})
    log(history, "de", "a", tags=["de", "fr"])
    history.refused(event={"queue": "de"})
    history.wait(2 * HOUR + MINUTE)
    assert history.run({"queue": "fr"})["assigned"] == 1
    assert history.world.assignments() == {"a": (ben,)}


def test_a_dry_run_plans_each_queue_as_if_those_before_had_not_run(two: History) -> None:
    log(two, "de", "a", tags=["de", "fr"])
    result = two.run({"dry_run": True})
    assert counts(result) == {"de": ["dry_run", 1, 1, 0, 1], "fr": ["dry_run", 1, 1, 0, 1]}
    assert [len(record["assignments"]) for record in two.world.records("dry_runs")] == [1, 1]
    assert two.world.objects("plans/") == {}


def test_filters_that_exclude_each_other_give_every_row_one_home(history: History) -> None:
    ana, ben = history.world.add_users(2)
    others = "metadata.language IS NULL OR metadata.language != 'de'"
    history.world.set_queues(
        DE | {"tag": "review", "filter": "metadata.language = 'de'", "reviewers": [ana]},
        {"name": "others", "tag": "review", "filter": others, "reviewers": [ben]},
    )
    for name, metadata in {"a": {"language": "de"}, "b": {"language": "fr"}, "c": {}}.items():
        history.log(name, tags=["review"], metadata=metadata)
    assert counts(history.run()) == {
        "de": ["assigned", 1, 1, 1, 0],
        "others": ["assigned", 2, 2, 2, 0],
    }
    assert history.world.assignments() == {"a": (ana,), "b": (ben,), "c": (ben,)}


# Whose turn


@pytest.mark.usefixtures("near_s3")
def test_three_people_in_three_queues_get_their_share_of_each_and_of_all(history: History) -> None:
    """With one credit a project, each would get all rows of one queue for ever."""
    people = history.world.add_users(3)
    history.world.set_queues(DE, FR, IT)
    got: dict[str, Counter[str]] = {name: Counter() for name in ("de", "fr", "it")}
    for hour in range(30):
        for name in got:
            log(history, name, f"{name} {hour}")
        for name, own in history.run()["queues"].items():
            got[name].update(own["per_reviewer"])
            assert max(got[name].values()) - min(got[name].values()) <= 1
        total = got["de"] + got["fr"] + got["it"]
        assert max(total.values()) - min(total[who] for who in people) <= 3
        history.wait(HOUR)
    assert got == {name: Counter(dict.fromkeys(people, 10)) for name in got}


def test_max_open_and_max_assignments_hold_in_each_queue(history: History) -> None:
    (ana,) = history.world.add_users(1)
    history.world.set_queues(
        DE | {"reviewers": [{"id": ana, "max_open": 2}]},
        FR | {"reviewers": [{"id": ana, "max_open": 1}]},
        IT | {"max_assignments": 1},
    )
    for name in ("de", "fr", "it"):
        log(history, name, *(f"{name} {number}" for number in range(4)))
    assert [own["assigned"] for own in history.run()["queues"].values()] == [2, 1, 1]


def test_rows_that_another_queue_gave_fill_nobody_up_where_a_read_was_cut_short(
    history: History,
) -> None:
    (ana,) = history.world.add_users(1)
    most = {"reviewers": [{"id": ana, "max_open": 2}]}
    cut_short = {"limit": 1, "max_pages": 1}
    history.world.set_queues(DE | most, FR | most | cut_short)
    log(history, "de", "a", "b")
    log(history, "fr", "x", "y", "z")
    assert counts(history.run()) == {
        "de": ["assigned", 2, 2, 2, 0],
        "fr": ["incomplete", 1, 1, 1, 0],
    }


@pytest.mark.parametrize(
    ("run_id", "is_taken"),
    [
        ("20261123T070000Z-r-fr", True),
        ("20261123T070000Z-r-fr-2", True),
        ("20261123T070000Z-r-fr-de", False),
        ("20261123T070000Z-r-de", False),
        ("20261123T070000Z-r-pre-fr", True),
        ("", True),
    ],
)
def test_a_run_may_be_of_the_queue_that_its_id_ends_with(run_id: str, *, is_taken: bool) -> None:
    assert lib.handout.may_be_of("fr", run_id) is is_taken
    assert lib.handout.may_be_of("", run_id)


# Coming from one tag, and from several stacks


def test_from_one_tag_to_queues_the_chain_goes_on_and_planned_rows_keep_their_people(
    history: History,
) -> None:
    ana, ben = history.world.add_users(2)
    history.log("first", "second", "third")
    history.run()
    history.log("refused")
    before = history.refused()
    history.world.set_queues({"name": "support", "tag": TAG})
    history.wait(HOUR)
    history.log("new")
    result = history.run()["queues"]["support"]
    assert (result["status"], result["assigned"]) == ("assigned", 2)
    plan = history.plan()
    assert plan["previous"] == history.world.prefix + history.key(before.run_id, "plans")
    assert history.given() == [("refused", ben), ("new", ana)]  # owed alike: by the lower id
    assert plan["credit"] == {"": {ana: 0.0, ben: 0.0}, "support": {ana: -0.5, ben: 0.5}}
    assert history.reviewers_ever("refused") == [(), (ben,)]


def test_what_was_owed_before_decides_where_the_queues_credits_are_equal(history: History) -> None:
    ana, ben = history.world.add_users(2)
    history.log("one")
    history.run()
    history.world.set_queues({"name": "support", "tag": TAG})
    history.log("two")
    assert history.run()["queues"]["support"]["per_reviewer"] == {ana: 0, ben: 1}


def test_from_several_stacks_to_one_the_ledger_and_its_plan_are_copied_to_the_same_keys(
    history: History,
) -> None:
    """The other stack has a bucket of its own, and was cut off before anybody knew what became of its rows."""
    world = history.world
    ana, ben = world.add_users(2)
    other = world.braintrust.store.add_project("Other")
    s3 = world.client("s3")
    s3.create_bucket(Bucket="old-bucket")
    world.settings = {"AUDIT_BUCKET": "old-bucket", "PROJECT_ID": other}
    history.log("landed", "lost", project_id=other)
    world.braintrust.faults.add("insert", row_id="lost", status=400, message="no", times=None)
    with pytest.raises(AssignmentError):
        world.run(now=lambda: history.moment)
    world.braintrust.faults.clear()
    given = dict(world.braintrust.store.assignments(other))
    (owner,) = {ana, ben} - {who for people in given.values() for who in people}

    ledger = f"{world.prefix}ledger/project_id={other}.json"
    plan = json.loads(s3.get_object(Bucket="old-bucket", Key=ledger)["Body"].read())["plan"]
    for key in (ledger, plan):
        s3.copy_object(Bucket=BUCKET, Key=key, CopySource={"Bucket": "old-bucket", "Key": key})
    world.settings = {}
    world.set_queues(DE, {"name": "other", "tag": TAG, "project_id": other})
    assert counts(history.run())["other"] == ["incomplete", 1, 1, 0, 1]  # it rests
    history.wait(HOUR)
    assert counts(history.run())["other"] == ["assigned", 1, 1, 1, 0]
    assert world.braintrust.store.assignments(other) == given | {"lost": (owner,)}
    assert plans(world)["other"]["credit"][""] == {ana: 0.0, ben: 0.0}


# Events


def test_with_a_queue_that_queue_alone_runs_and_its_object_itself_comes_back(
    two: History, capsys: pytest.CaptureFixture[str]
) -> None:
    log(two, "de", "a")
    log(two, "fr", "x")
    result = two.run({"queue": "fr"})
    assert (result["queue"], result["assigned"]) == ("fr", 1)
    assert list(two.world.assignments()) == ["x"]
    (values,) = metrics(capsys)
    assert (values["QueuesFailed"], values["RunSucceeded"]) == (0, 1)


def test_and_its_error_is_raised_as_it_is(two: History, capsys: pytest.CaptureFixture[str]) -> None:
    refuse_queries(two)
    with pytest.raises(QueryError, match=r"^BTQL query failed \(400\)"):
        two.run({"queue": "de"})
    assert metrics(capsys) == [{"RunSucceeded": 0, "QueuesFailed": 1}]


def test_an_undo_finds_its_run_in_whatever_queue_it_was(history: History) -> None:
    world = history.world
    (ana,) = world.add_users(1)
    other = world.braintrust.store.add_project("Other")
    world.set_queues(DE, FR | {"project_id": other}, IT | {"project_id": other})
    log(history, "de", "a")
    log(history, "it", "x", "y", project_id=other)
    given = history.run()["queues"]["it"]["run_id"]
    history.wait(HOUR)
    result = history.run({"undo": given}, request_id="u")
    assert (result["status"], result["undone"], result["queue"]) == ("undone", 2, "it")
    assert (result["project_id"], result["tag"]) == (other, "it")
    assert result["run_id"] == "20261123T080000Z-u-it"
    assert plans(world)["it"]["freed"] == [
        {"row_id": "x", "reviewer_id": ana},
        {"row_id": "y", "reviewer_id": ana},
    ]
    assert world.assignments() == {"a": (ana,)}


def test_an_undo_finds_a_run_of_the_time_before_there_were_queues(history: History) -> None:
    world = history.world
    world.add_users(1)
    history.log("old")
    given = history.run()["run_id"]
    other = world.braintrust.store.add_project("Other")
    world.set_queues(DE | {"project_id": other})
    history.wait(HOUR)
    result = history.run({"undo": given})
    assert (result["undone"], "queue" in result) == (1, False)


def test_an_undo_of_a_queue_that_was_renamed_is_no_dry_run_of_its_neighbours(
    history: History,
) -> None:
    world = history.world
    world.add_users(1)
    world.set_queues(FR)
    log(history, "fr", "a")
    given = history.run()["queues"]["fr"]["run_id"]
    world.set_queues(DE | {"dry_run": True}, IT | {"tag": "fr"})
    history.wait(HOUR)
    result = history.run({"undo": given})
    assert (result["status"], result["queue"], result["undone"]) == ("undone", "fr", 1)


def test_a_project_beside_an_undo_is_where_it_looks(history: History) -> None:
    world = history.world
    world.add_users(1)
    other = world.braintrust.store.add_project("Other")
    world.set_queues(DE | {"project_id": other})
    log(history, "de", "a", project_id=other)
    given = history.run()["queues"]["de"]["run_id"]
    world.set_queues(DE)
    history.wait(HOUR)
    with pytest.raises(ConfigurationError) as refused:
        history.run({"undo": given})
    project = world.braintrust.project_id
    assert str(refused.value) == (
        f"undo: none of the projects {project} has a plan of a run {given}"
    )
    assert history.run({"undo": given, "project_id": other})["undone"] == 1


def test_an_undo_for_one_queue_looks_in_its_project_only(two: History) -> None:
    log(two, "de", "a")
    given = two.run()["queues"]["de"]["run_id"]
    two.wait(HOUR)
    assert two.run({"undo": given, "queue": "de"})["undone"] == 1


def test_no_connection_outlives_its_queue(two: History) -> None:
    closed: list[Braintrust] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Braintrust, "close", lambda client: closed.append(client))  # noqa: PLW0108 - a method
        two.run()
    assert len(set(map(id, closed))) == 2


# The digest


def open_row(*people: str) -> dict[str, Any]:
    return {"metadata": {ASSIGNMENTS: [*people], REVIEW_LISTS: PENDING}}


def test_a_digest_is_one_message_a_line_a_queue_then_a_line_a_person_over_all(
    two: History, chat: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    ana, ben = two.world.users
    log(two, "de", "a", "b", **open_row(ana))
    log(two, "de", "both", **{"tags": ["de", "fr"]} | open_row(ana, ben))
    log(two, "fr", "x", **open_row(ben))
    log(two, "fr", "y")
    result = two.run({"digest": True}, request_id="r1")
    assert chat.messages == [
        "de: 3 open, 0 waiting for a reviewer\nfr: 2 open, 1 waiting for a reviewer\nuser0: 3\nuser1: 2"
    ]
    assert result["status"] == "posted"
    assert [(own["queue"], own["open"]) for own in result["queues"].values()] == [
        ("de", 3),
        ("fr", 2),
    ]
    assert result["queues"]["de"]["run_id"] == "20261123T070000Z-r1-de"
    assert two.world.objects() == {}
    assert metrics(capsys) == [{"Queries": 4, "Retries": 0, "Throttles": 0}]
    assert two.world.braintrust.requests.count("user") == 2


def test_a_queue_that_cannot_be_read_is_named_in_it_and_raised_after_it_was_posted(
    two: History, chat: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    log(two, "fr", "x", **open_row(two.world.users[0]))
    refuse_queries(two)
    with pytest.raises(QueuesError, match=r"1 of 2 queues failed:\n- de: QueryError: BTQL query"):
        two.run({"digest": True})
    assert chat.messages == [
        "de: could not be read\nfr: 1 open, 0 waiting for a reviewer\nuser0: 1"
    ]
    assert metrics(capsys) == [{"Queries": 4, "Retries": 0, "Throttles": 0}]


def test_a_digest_of_one_queue_is_that_queues_own(two: History, chat: Any) -> None:
    log(two, "fr", "x", **open_row(two.world.users[0]))
    result = two.run({"digest": True, "queue": "fr"})
    assert chat.messages == ["fr: 1 open, 0 waiting for a reviewer\nuser0: 1"]
    assert (result["status"], result["queue"]) == ("posted", "fr")


def test_a_dry_digest_says_its_text_once(two: History) -> None:
    (ana, _) = two.world.users
    log(two, "fr", "x", **open_row(ana))
    result = two.run({"digest": True, "dry_run": True})
    assert (result["status"], result["text"]) == (
        "dry_run",
        f"de: 0 open, 0 waiting for a reviewer\nfr: 1 open, 0 waiting for a reviewer\n{ana}: 1",
    )


def test_without_a_webhook_a_digest_of_queues_is_refused_once(two: History) -> None:
    with pytest.raises(
        ConfigurationError, match=r"^1 wrong setting:\n- WEBHOOK_PARAMETER is not set"
    ):
        two.run({"digest": True})


# The take-back


def test_a_take_back_goes_through_all_queues(
    two: History, capsys: pytest.CaptureFixture[str]
) -> None:
    ana, ben = two.world.users
    log(two, "de", "a", **open_row(ana))
    log(two, "fr", "x", "y", **open_row(ana))
    log(two, "fr", "z", **open_row(ben))
    result = two.run({"take_back": {"reviewer": ana}}, request_id="r1")
    assert result["status"] == "taken_back"
    assert [
        (own["queue"], own["run_id"], own["status"], own["taken_back"], own["taken_from"])
        for own in result["queues"].values()
    ] == [
        ("de", "20261123T070000Z-r1-de", "taken_back", 1, {ana: 1}),
        ("fr", "20261123T070000Z-r1-fr", "taken_back", 2, {ana: 2}),
    ]
    assert {name: plan["queue"] for name, plan in plans(two.world).items()} == {
        "de": "de",
        "fr": "fr",
    }
    assert two.world.assignments() == {"z": (ben,)}
    (values,) = metrics(capsys)
    assert "RunSucceeded" not in values
    two.wait(HOUR)
    assert counts(two.run()) == {"de": ["assigned", 1, 1, 1, 0], "fr": ["assigned", 3, 2, 2, 0]}
    assert two.world.assignments() == dict.fromkeys("axyz", (ben,))


def test_a_take_back_of_one_queue_leaves_the_others_alone(two: History) -> None:
    (ana, _) = two.world.users
    log(two, "de", "a", **open_row(ana))
    log(two, "fr", "x", **open_row(ana))
    result = two.run({"take_back": {"reviewer": ana}, "queue": "fr"})
    assert (result["queue"], result["taken_back"]) == ("fr", 1)
    assert two.world.assignments() == {"a": (ana,)}


def test_where_nobody_has_anything_nothing_is_taken_back(two: History) -> None:
    result = two.run({"take_back": {"reviewer": two.world.users[0]}})
    assert result["status"] == "nothing_to_take_back"


def test_days_are_held_against_the_window_of_each_queue(two: History) -> None:
    two.world.set_queues(DE | {"days": 3}, FR)
    with pytest.raises(ConfigurationError) as refused:
        two.run({"take_back": {"days": 3}})
    assert str(refused.value) == (
        "1 wrong setting:\n- event field take_back: days is 3: must be less than the window's 3 days "
        "(DAYS of queue de)"
    )
