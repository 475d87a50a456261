"""What a warm container asks for again, and what it does not."""

import re
import uuid

import pytest

from tests.refusing_aws import RefusingAws
from tests.world import World


class Watch:
    """Every request of a run, to AWS in their order, then to Braintrust in theirs."""

    def __init__(self, world: World, aws: RefusingAws) -> None:
        self._world = world
        self._aws: list[str] = []
        aws.watch = lambda method, path: self._aws.append(f"{method} {path}")

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


@pytest.fixture
def warm(world: World) -> World:
    """A world in a container that keeps what it read, as the template sets it."""
    name = f"/warm/{uuid.uuid4()}"
    world.settings = {"POWERTOOLS_PARAMETERS_MAX_AGE": "300", "REVIEWERS_PARAMETER": name}
    world.settings |= {"BRAINTRUST_API_KEY_SECRET_ID": name}
    world.client("ssm").put_parameter(Name=name, Value=" ".join(world.add_users(2)), Type="String")
    world.client("secretsmanager").create_secret(Name=name, SecretString=world.braintrust.api_key)
    return world


IDLE = [
    "GET /audit-bucket/ledger/project_id=<project>.json",
    "GET /audit-bucket/plans/project_id=<project>/<date>/<run>.json",
    "HEAD /audit-bucket/dry_runs/project_id=<project>/<date>/<run>.json",
    "HEAD /audit-bucket/plans/project_id=<project>/<date>/<run>.json",
    "PUT /audit-bucket/runs/project_id=<project>/<date>/<run>.json",
    "POST /btql",
    "POST /btql",  # the page after a short one: only an empty page is the end
]


def test_an_idle_warm_run_makes_exactly_these_requests(warm: World, aws: RefusingAws) -> None:
    warm.add_rows(3)
    watch = Watch(warm, aws)
    watch.run()
    assert watch.run() == IDLE
    assert watch.result["status"] == "nothing_to_assign"


def test_a_cold_run_reads_the_parameter_the_secret_and_the_users_as_well(
    warm: World, aws: RefusingAws
) -> None:
    """SSM and Secrets Manager are asked with POST /."""
    assert Watch(warm, aws).run() == [
        "POST /",
        "POST /",
        "GET /audit-bucket/ledger/project_id=<project>.json",
        "HEAD /audit-bucket/dry_runs/project_id=<project>/<date>/<run>.json",
        "HEAD /audit-bucket/plans/project_id=<project>/<date>/<run>.json",
        "PUT /audit-bucket/runs/project_id=<project>/<date>/<run>.json",
        "POST /btql",
        "GET /v1/user",
        "GET /v1/user",
    ]


def test_a_warm_container_goes_on_with_the_reviewers_it_read(warm: World) -> None:
    first, second = warm.users
    warm.run()
    name = warm.settings["REVIEWERS_PARAMETER"]
    warm.client("ssm").put_parameter(Name=name, Value=second, Type="String", Overwrite=True)
    assert warm.run()["per_reviewer"].keys() == {first, second}
    warm.settings.pop("POWERTOOLS_PARAMETERS_MAX_AGE")
    assert warm.run()["per_reviewer"].keys() == {second}


def test_reviewers_of_an_event_are_looked_up_although_others_are_kept(warm: World) -> None:
    warm.run()
    assert warm.run({"reviewers": warm.users[0]})["per_reviewer"].keys() == {warm.users[0]}
