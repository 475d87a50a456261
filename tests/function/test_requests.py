"""What a run asks for, request by request."""

import re

from tests.history import HOUR, MOMENT, History
from tests.refusing_aws import RefusingAws
from tests.world import World


class Watch:
    """Every request of a run, to AWS in their order, then to Braintrust in theirs."""

    def __init__(self, world: World, aws: RefusingAws) -> None:
        self._world = world
        self._aws: list[str] = []
        aws.watch = self.see

    def see(self, method: str, path: str) -> None:
        self._aws.append(f"{method} {path}")

    def run(self, event: object = None) -> list[str]:
        self._aws.clear()
        self._world.braintrust.requests.clear()
        self.result = self._world.run(event)
        asked = [f"{record.method} {record.path}" for record in self._world.braintrust.requests]
        return [self._short(request) for request in (*self._aws, *asked)]

    def _short(self, request: str) -> str:
        request = request.replace(self._world.prefix, "").replace(
            self._world.braintrust.project_id, "<project>"
        )
        return re.sub(r"date=[^/]+/[^/]+\.json", "<date>/<run>.json", request)


AT_FIRST = [
    "POST /",  # SSM, for the list
    "POST /",  # Secrets Manager, for the key
]
USERS = ["GET /v1/user", "GET /v1/user"]


def test_an_idle_run_makes_exactly_these_requests(world: World, aws: RefusingAws) -> None:
    world.add_users(2)
    world.add_rows(3)
    watch = Watch(world, aws)
    watch.run()
    assert watch.run() == [
        *AT_FIRST,
        "GET /audit-bucket/ledger/project_id=<project>.json",
        "GET /audit-bucket/plans/project_id=<project>/<date>/<run>.json",
        "GET /audit-bucket/to_assign_ids/project_id=<project>/<date>/<run>.json",
        "HEAD /audit-bucket/dry_runs/project_id=<project>/<date>/<run>.json",
        "HEAD /audit-bucket/plans/project_id=<project>/<date>/<run>.json",
        "PUT /audit-bucket/runs/project_id=<project>/<date>/<run>.json",
        "POST /btql",  # the short read
        *USERS,
    ]
    assert watch.result["status"] == "nothing_to_assign"


def test_the_record_of_a_run_is_read_only_where_its_list_of_assigned_rows_lacks_some(
    world: World, history: History, aws: RefusingAws
) -> None:
    world.add_users(2)
    history.log("a", "b")
    first = history.refused("b").run_id
    seen: list[str] = []
    aws.watch = lambda method, path: seen.append(f"{method} {path.split(world.prefix)[-1]}")
    second = history.run()["run_id"]
    history.run()
    ledger = f"GET ledger/project_id={world.braintrust.project_id}.json"
    assert [request for request in seen if request.startswith("GET")] == [
        ledger,
        *(f"GET {history.key(first, kind)}" for kind in ("plans", "to_assign_ids", "assignments")),
        ledger,
        *(f"GET {history.key(second, kind)}" for kind in ("plans", "to_assign_ids")),
    ]


def test_no_record_of_a_run_is_read_that_was_planned_over_two_hours_ago(
    world: World, history: History, aws: RefusingAws
) -> None:
    world.add_users(2)
    history.log("a", "b")
    ended = history.cut_off(landed=True)
    history.wait(2 * HOUR + MOMENT)
    seen: list[str] = []
    aws.watch = lambda method, path: seen.append(f"{method} {path.split(world.prefix)[-1]}")
    history.run()
    assert [request for request in seen if request.startswith("GET")] == [
        f"GET ledger/project_id={world.braintrust.project_id}.json",
        f"GET {history.key(ended.run_id, 'plans')}",
    ]


def test_the_list_counts_as_it_is_at_each_run(world: World) -> None:
    first, second = world.add_users(2)
    assert world.run()["per_reviewer"].keys() == {first, second}
    world.set_reviewers(second)
    assert world.run()["per_reviewer"].keys() == {second}


def test_nothing_is_looked_up_twice_in_a_run_that_starts_again(
    world: World, aws: RefusingAws
) -> None:
    world.add_users(2)
    world.add_rows(1)
    world.run()
    world.add_rows(1)
    watch = Watch(world, aws)
    races = iter([True, False])

    def lose(method: str, path: str) -> None:
        watch.see(method, path)
        if method == "PUT" and "/plans/" in path and next(races, False):
            aws.watch = watch.see
            world.run()  # another run commits its plan first
            aws.watch = lose

    aws.watch = lose
    asked = watch.run()
    assert asked.count("GET /v1/user") == 2 * len(USERS)  # once for each of the two runs
