"""Servers that the whole test session shares, and a fresh world for each test.

Where a behaviour is tested:

function/    the function, over the wire and whole; contract sections by their numbers
    test_settings, test_event       2 and 4: the variables, the fields of an event
    test_names                      3: ids and addresses as people paste them
    test_roster, test_directory     3: the list of reviewers; who they are, whom nobody knows
    test_errors                     5: what a run says that could not do its work
    test_audit                      6: every object of the audit, and when it is written
    test_run                        whole runs: result, rows, secrets
    test_reading                    8: full and short reads, the proof, the ways back
    test_queue_list, test_queues    9: what a queue may be; one invocation, many runs
    test_rows, test_large_results   which rows are selected, the pages they come in; results from an object store
    test_distribution, test_fairness   who gets which row; even over weeks
    test_lots, test_several         row by row: the rule; several reviewers a row, whole runs
    test_authors, test_days         nobody reviews what they made; whose day of the week it is
    test_assign, test_retries, test_time   inserts and their batches; what is tried again; the end in time
    test_requests, test_pure_core   how often is asked for what; what decides loads neither HTTP nor AWS
    test_promises, test_chain       one reviewer a row whatever happens; what the chain of plans holds happened
    test_undo, test_take_back       taking a run back; rows of a person, or what has lain
    test_digest, test_message, test_webhook   4: the message for the team, its text, where it is posted
    test_explore                    the same in every order of their requests; the explorer itself is in explore/
    test_sending                    nothing goes out late, whatever a connection waits for
    test_security, test_words       where the key may go; whose words an error and a log line may say
local/       the Braintrust and the AWS of this machine
    test_local_query, test_local_insert, test_local_organisation, test_local_faults, test_local_dialects   the Braintrust, by kinds of requests
    test_demo, test_serve           `make run` and `make local`, as processes
    test_trial                      `DRY_RUN=false make run`, however it ends
ops/         what operators run
    test_stack, test_settle         `make invoke`, `make undo`, `make outputs`; what `make deploy` asks and keeps
    test_people                     `make names`, `make dry-run`, `make reviewers`: who is who, who would get what, the list
    test_check_queues               `make queues`: a file with queues, checked before it is stored
    test_tell                       `make digest`, with the names that the operator's own key may see
    test_report, test_audit_queries `make report` and `make status`; the SQL of the documents
template/    template.yaml: test_function, test_permissions, test_watching (dashboard, queries), test_alarms (played by
             the minute), test_keeping (buckets, logs); through_sam.py (what SAM itself reads; `make template`)
artifact/    test_artifact: what is packed, built in an untidy place, run under Lambda's emulator
repository/  what is around the code
    test_deploy, test_environments  the Makefile's targets; virtual environments, pip, files that git leaves out
    test_house, test_code_figures   what imports what, what is named once; the figures of the code
    test_docs, test_locks, test_map, test_advisories, test_benchmarks

Beside them: world.py, history.py and weeks.py (what a run touches, a clock that tests move, weeks of runs),
near_s3.py (S3 without HTTP, for very many runs), listeners.py, processes.py (runs that are killed), soak.py
(`make soak`), machine.py (what is kept from the tests). A test holds on other people's machines: it reads no file that
people are asked to change, takes no port, compares no time at its very edge.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from lib.settings import VARIABLES
from tests import machine

machine.forget(*VARIABLES)
os.environ |= {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "POWERTOOLS_SERVICE_NAME": "review-assigner-tests",
}

from lib.aws import Aws
from local.braintrust.server import LocalBraintrust
from local.chat import Chat
from tests.history import History
from tests.near_s3 import NearS3
from tests.refusing_aws import RefusingAws
from tests.weeks import Weeks, play
from tests.world import BUCKET, SECRET, World, aws_client

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
        os.environ["AWS_ENDPOINT_URL"] = aws.url  # where the SDK looks
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


@pytest.fixture
def chat(world: World) -> Iterator[Chat]:
    """A chat whose webhook the world's settings name."""
    with Chat() as chat:
        world.set_webhook(chat.address)
        yield chat


@pytest.fixture
def history(world: World, aws: RefusingAws) -> History:
    """A world whose clock a test moves."""
    return History(world, aws)


@pytest.fixture
def near_s3(monkeypatch: pytest.MonkeyPatch) -> None:
    """For plays of very many runs: what they ask of S3 takes no HTTP."""
    monkeypatch.setattr(Aws, "s3", lambda _: NearS3())


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
