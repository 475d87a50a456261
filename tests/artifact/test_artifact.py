"""What is packed, and that it does the whole job under Lambda's emulator."""

import json
import random
import re
import shutil
import stat
import subprocess
import sys
import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lib import telemetry
from local.braintrust.server import LocalBraintrust
from local.chat import PATH, Chat
from tests.artifact.emulator import RIE, ROOT, Emulator
from tests.template.cloudformation import Stack
from tests.world import ASSIGNMENTS, QUEUES, REVIEW_LISTS, TAG, World, aws_client

KEY = "sk-RECOGNISE-me-5d1f7e0c3b9a"
PENDING = {"__bt_default_review_list": {"status": "PENDING"}}
APPROVED = {"__bt_default_review_list": {"status": "APPROVED"}}


def locked():
    lines = (ROOT / "requirements.txt").read_text("utf-8").splitlines()
    return {line.split(" ")[0] for line in lines if "==" in line}


def test_holds_the_code_and_the_locked_requirements_and_nothing_else(artifact):
    ours = {"handler.py", "lib"}
    modules = {"six.py", "typing_extensions.py"}
    packages = {path.name for path in artifact.iterdir()} - ours - modules - {"__pycache__"}
    infos = {name for name in packages if name.endswith(".dist-info")}
    assert {
        tuple(name.removesuffix(".dist-info").replace("_", "-").rsplit("-", 1)) for name in infos
    } == {tuple(requirement.split("==")) for requirement in locked()}
    assert packages - infos == {
        *(
            "aws_lambda_powertools",
            "boto3",
            "botocore",
            "certifi",
            "charset_normalizer",
            "dateutil",
        ),
        *("idna", "jmespath", "requests", "s3transfer", "tzdata", "urllib3"),
    }
    code = {path.relative_to(artifact / "lib") for path in (artifact / "lib").rglob("*.py")}
    assert code == {path.relative_to(ROOT / "lib") for path in (ROOT / "lib").rglob("[!.]*.py")}


def test_can_be_read_by_whoever_lambda_runs_it_as(artifact):
    assert [path for path in artifact.rglob("*") if not path.stat().st_mode & stat.S_IROTH] == []


def test_runs_on_any_processor_and_knows_no_service_that_is_not_used(artifact):
    assert not [*artifact.rglob("*.so")]
    described = {path.name for path in (artifact / "botocore" / "data").iterdir() if path.is_dir()}
    assert described == {"s3", "ssm", "secretsmanager"}


def test_knows_every_time_zone_whatever_the_machine_has(artifact):
    code = (
        "import datetime; from lib.zones import names, zone\n"
        "print(len(names()) > 400, datetime.datetime(2026, 7, 1, tzinfo=zone('Pacific/Kiritimati')))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={"PYTHONTZPATH": "", "PYTHONPATH": str(artifact)},
        cwd=artifact,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "True 2026-07-01 00:00:00+14:00\n"


def test_is_small(artifact, tmp_path):
    packed = shutil.make_archive(str(tmp_path / "artifact"), "zip", artifact)
    # 3.1 MB, with bytecode 5.9; Lambda takes 50, botocore whole is 19
    assert Path(packed).stat().st_size < 7_000_000


def test_is_refused_a_folder_that_holds_something(artifact):
    again = subprocess.run(
        ["make", "build-ReviewAssignerFunction", f"ARTIFACTS_DIR={artifact}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert again.returncode != 0
    assert "is not empty" in again.stderr


@pytest.fixture
def busy_world(aws_url):
    """2,103 rows to hand out among a thousand that are none of the product's business."""
    with LocalBraintrust(api_key=KEY) as braintrust:
        secret = f"recognisable/{uuid.uuid4()}"
        aws_client("secretsmanager", aws_url).create_secret(Name=secret, SecretString=KEY)
        settings = {"LIMIT": "500", "BATCH_SIZE": "300", "BRAINTRUST_API_KEY_SECRET_ID": secret}
        world = World(braintrust, aws_url, settings=settings)
        world.add_users(7)
        now = datetime.now(UTC)
        kinds = [
            (2103, {}),
            (300, {"metadata": {ASSIGNMENTS: ["somebody"], "model": "large"}}),
            (200, {"metadata": {REVIEW_LISTS: APPROVED}}),
            (300, {"tags": ["something else"]}),
            (100, {"tags": None}),
            (100, {"days_ago": 8}),
        ]
        planted = [fields for count, fields in kinds for _ in range(count)]
        random.Random(2).shuffle(planted)  # noqa: S311 - a mixture that is the same every time
        for number, special in enumerate(planted):
            fields = {
                "tags": [TAG],
                "metadata": {"number": number, "nested": {"as": ["it", "was"]}},
            } | special
            created = now - timedelta(days=fields.pop("days_ago", 0), seconds=60 + number)
            braintrust.store.add_row(
                created=created, input=f"question {number}", scores={"Factuality": 0.5}, **fields
            )
        yield world


def content(world):
    """Every row by id, without the stamp that each write leaves."""
    return {
        row["id"]: {k: v for k, v in row.items() if k != "_xact_id"}
        for row in world.braintrust.store.rows()
    }


def test_hands_out_two_thousand_rows_evenly_and_touches_nothing_else(
    artifact, busy_world, tmp_path
):
    if not RIE.exists():
        pytest.fail("there is no emulator: make .venv/bin/aws-lambda-rie")
    world, before = busy_world, content(busy_world)
    due = {
        row["id"]
        for row in before.values()
        if TAG in (row["tags"] or [])
        and not {ASSIGNMENTS, REVIEW_LISTS} & (row["metadata"] or {}).keys()
        and datetime.fromisoformat(row["created"]) > datetime.now(UTC) - timedelta(days=7)
    }
    assert len(due) == 2103

    with Emulator(artifact, world.environ, tmp_path) as emulator:
        schedule = json.loads((ROOT / "events" / "schedule.json").read_text("utf-8"))
        result = emulator.invoke(schedule)
        second = emulator.invoke({})
        refused = emulator.invoke({"limit": 5000})

    assert result["status"] == "assigned", result
    counts = {
        name: result[name]
        for name in ("fetched", "already_assigned", "already_reviewed", "unassigned", "assigned")
    }
    assert counts == {
        "fetched": 2603,
        "already_assigned": 300,
        "already_reviewed": 200,
        "unassigned": 2103,
        "assigned": 2103,
    }

    given = {row_id: who for row_id, who in world.assignments().items() if row_id in due}
    assert given.keys() == due
    per_reviewer = Counter(who for (who,) in given.values())
    assert sorted(per_reviewer.values()) == [300] * 4 + [301] * 3
    assert result["per_reviewer"] == per_reviewer

    expected = before | {
        row_id: before[row_id]
        | {
            "metadata": before[row_id]["metadata"]
            | {ASSIGNMENTS: [*given[row_id]], REVIEW_LISTS: PENDING}
        }
        for row_id in due
    }
    assert content(world) == expected
    assert all(len(world.braintrust.store.assignment_history(row_id)) == 2 for row_id in due)

    lines = {
        line["row_id"]: (line["reviewer_id"],)
        for line in world.lines(result)
        if line["status"] == "assigned"
    }
    planned = {
        item["row_id"]: (item["reviewer_id"],) for item in world.records("plans")[0]["assignments"]
    }
    assert lines == planned == given
    assert sorted(world.records("to_assign_ids")[0]) == sorted(due)
    assert result in world.records("runs")

    assert second["status"] == "nothing_to_assign"
    assert refused["errorType"] == "ConfigurationError"
    assert "event field limit is 5000: must be an integer from 1 to 1000" in refused["errorMessage"]

    log = emulator.log.read_text("utf-8")
    assert '"run finished"' in log
    assert '"RowsAssigned":[2103' in log.replace(" ", "")
    told = [log, json.dumps([result, second, refused]), *world.objects().values()]
    assert not [text for text in told if KEY in text or "RECOGNISE" in text]


def test_the_deployed_functions_environment_emits_what_the_alarms_watch(
    artifact, busy_world, tmp_path
):
    """The template's variables, but for where the two servers are; every metric, namespace and dimension."""
    stack = Stack({"QueuesParameter": QUEUES})
    busy_world.set_queues({"name": "all", "tag": TAG})
    (function,) = stack.of_type("AWS::Lambda::Function").values()
    local = {name: value for name, value in busy_world.environ.items() if name != "LIMIT"}
    local["FULL_READ_HOURS"] = "0"  # a short read says less of the plan before
    with Emulator(artifact, function["Environment"]["Variables"] | local, tmp_path) as emulator:
        emulator.invoke({})
        emulator.invoke({})  # which also says what became of the first one's plan
    lines = [
        json.loads(line)
        for line in emulator.log.read_text("utf-8").splitlines()
        if line.startswith("{")
    ]
    emitted = {
        (
            directive["Namespace"],
            metric["Name"],
            tuple(dimensions),
            tuple(line[name] for name in dimensions),
        )
        for line in lines
        if "_aws" in line
        for directive in line["_aws"]["CloudWatchMetrics"]
        for dimensions in directive["Dimensions"]
        for metric in directive["Metrics"]
    }
    assert emitted == {
        (telemetry.NAMESPACE, name, ("service",), ("the-stack",)) for name in telemetry.METRICS
    }
    watched = json.dumps(list(stack.of_type("AWS::CloudWatch::Alarm").values()))
    ours = re.findall(r'"Namespace": "BraintrustReviewAssigner", "MetricName": "(\w+)"', watched)
    assert (
        {*ours}
        == {"RunDuration", "RowsFailed", "OldestWaitingAge", "UnknownReviewers", "QueuesFailed"}
        <= {name for _, name, _, _ in emitted}
    )


def test_at_lambdas_log_level_debug_neither_key_nor_session_token_nor_webhook_is_printed(
    artifact, busy_world, tmp_path
):
    """Lambda's runtime client sets the root logger to it, and botocore would print whatever it sends and gets."""
    aws_client("ssm", busy_world.aws_url).put_parameter(
        Name="/recognisable", Value=KEY, Type="SecureString", Overwrite=True
    )
    loud = {
        "AWS_LAMBDA_LOG_FORMAT": "JSON",
        "AWS_LAMBDA_LOG_LEVEL": "DEBUG",
        "POWERTOOLS_LOG_LEVEL": "DEBUG",
        "AWS_SESSION_TOKEN": "RECOGNISE-this-session-token",
        "AWS_SECRET_ACCESS_KEY": "RECOGNISE-this-secret-key",
    }
    parameter = {
        "BRAINTRUST_API_KEY_SECRET_ID": "",
        "BRAINTRUST_API_KEY_PARAMETER": "/recognisable",
    }
    with Chat() as chat:
        for kept_in in ({}, parameter):
            folder = tmp_path / str(len(kept_in))
            folder.mkdir()
            busy_world.set_webhook(chat.address)
            with Emulator(artifact, busy_world.environ | loud | kept_in, folder) as emulator:
                assert emulator.invoke({"dry_run": True})["unassigned"] == 2103
                posted = emulator.invoke({"digest": True})
                busy_world.set_webhook(f"{chat.address}/RECOGNISE-this-path?and=RECOGNISE")
                refused = emulator.invoke({"digest": True})
            log = emulator.log.read_text()
            assert '"run finished"' in log
            assert (posted["status"], refused["errorType"]) == ("posted", "DigestError")
            said = log + json.dumps([posted, refused])
            assert not [trap for trap in ("RECOGNISE", PATH, "user0@") if trap in said]
    assert [message.splitlines()[0] for message in chat.messages] == [
        f"{TAG}: 300 open, 2103 waiting for a reviewer"
    ] * 2


def test_a_wrong_key_is_said_without_the_key(artifact, busy_world, tmp_path):
    busy_world.braintrust.state.api_key = "sk-another"
    with Emulator(artifact, busy_world.environ, tmp_path) as emulator:
        error = emulator.invoke(None)
    assert error["errorType"] == "QueryError"
    assert (
        "BTQL query failed (401): check that the API key is correct and has not expired"
        in error["errorMessage"]
    )
    assert KEY not in emulator.log.read_text("utf-8") + json.dumps(error)


def test_the_emulator_sees_only_what_was_packed(artifact, tmp_path):
    """Else a requirement that is missing in the artifact would come from this machine."""
    emulator = Emulator(artifact, {}, tmp_path)
    found = subprocess.run(
        [
            *emulator.python,
            "-c",
            "import boto3, requests, urllib3, sys; print(boto3.__file__, requests.__file__, urllib3.__file__, sep='\\n')\nimport pytest",
        ],
        env=emulator.environ,
        cwd=artifact,
        capture_output=True,
        text=True,
        check=False,
    )
    assert [path.startswith(str(artifact)) for path in found.stdout.splitlines()] == [True] * 3
    assert "No module named 'pytest'" in found.stderr
    assert sys.prefix not in found.stdout
