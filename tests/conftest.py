"""Servers that the whole test session shares, and a fresh world for each test."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from local.braintrust.server import LocalBraintrust
from tests.refusing_aws import RefusingAws
from tests.weeks import Weeks, play
from tests.world import BUCKET, SECRET, World, aws_client

os.environ |= {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "POWERTOOLS_SERVICE_NAME": "review-assigner-tests",
}
settings.register_profile(
    "product", deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
settings.load_profile("product")


@pytest.fixture(scope="session")
def shared_braintrust() -> Iterator[LocalBraintrust]:
    with LocalBraintrust() as braintrust:
        yield braintrust


@pytest.fixture(scope="session")
def shared_aws(shared_braintrust: LocalBraintrust) -> Iterator[RefusingAws]:
    with RefusingAws() as aws:
        aws_client("s3", aws.url).create_bucket(Bucket=BUCKET)
        aws_client("secretsmanager", aws.url).create_secret(
            Name=SECRET, SecretString=shared_braintrust.api_key
        )
        yield aws


@pytest.fixture(scope="session")
def aws_url(shared_aws: RefusingAws) -> str:
    return shared_aws.url


@pytest.fixture
def aws(shared_aws: RefusingAws) -> Iterator[RefusingAws]:
    """The local AWS, for tests that watch it or make it refuse something."""
    yield shared_aws
    shared_aws.reset()


@pytest.fixture
def world(shared_braintrust: LocalBraintrust, aws_url: str) -> World:
    shared_braintrust.reset()
    return World(shared_braintrust, aws_url)


@pytest.fixture(scope="session")
def weeks(shared_braintrust: LocalBraintrust, aws_url: str) -> Weeks:
    """Five weeks of an audit. Only its bucket stays: the Braintrust behind it is reset."""
    shared_braintrust.reset()
    return play(World(shared_braintrust, aws_url))


@pytest.fixture(scope="session")
def weeks_folder(weeks: Weeks, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of that audit, to be read only."""
    return weeks.copy(tmp_path_factory.mktemp("weeks"))


@pytest.fixture
def curl() -> None:
    """For tests of commands that are documented with curl; where checks are complete, it has to be there."""
    if shutil.which("curl") is None:
        reason = "curl is not installed: apt-get install curl"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(
            f"THE CURL COMMANDS WERE NOT TRIED. {reason}"
        )
