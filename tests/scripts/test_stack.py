"""The commands for a deployed stack, against moto's CloudFormation, S3 and a Lambda that the test plays."""

import importlib.util
import io
import json
import sys

import boto3
import pytest

from tests.template.cloudformation import ROOT
from tests.world import BUCKET

spec = importlib.util.spec_from_file_location("stack_script", ROOT / "scripts" / "stack.py")
script = importlib.util.module_from_spec(spec)
spec.loader.exec_module(script)


@pytest.fixture
def deployed(world, monkeypatch):
    """A world that is a stack; `invoked` is what its function was called with."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", world.aws_url)
    world.add_users(2)
    world.invoked = []
    monkeypatch.setattr(
        script,
        "outputs",
        lambda _: {"FunctionName": "f", "AuditBucketName": BUCKET, "AuditPrefix": world.prefix},
    )

    class Function:
        def invoke(self, **call):
            world.invoked.append(call)
            return world.answer

    real = boto3.client
    monkeypatch.setattr(
        boto3, "client", lambda name, **how: Function() if name == "lambda" else real(name, **how)
    )
    return world


def call(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["stack.py", *arguments])
    return script.main()


def test_status_shows_the_last_runs_newest_first(deployed, monkeypatch, capsys):
    deployed.add_rows(5)
    first, dry, second = deployed.run(), deployed.run({"dry_run": True}), deployed.run()
    assert capsys.readouterr()
    assert call(monkeypatch, "status", "the-stack") == 0
    lines = capsys.readouterr().out.splitlines()
    told = [line.split()[:7] for line in lines[1:4]]
    assert sorted(told) == sorted(
        [run["run_id"][:38], run["status"], *(str(run[name]) for name in ("fetched", "unassigned", "assigned", "failed", "deferred"))]
        for run in (first, dry, second)
    )  # fmt: skip
    assert [line[0] for line in told] == sorted((line[0] for line in told), reverse=True)


def test_status_shows_as_many_as_asked_and_their_warnings(deployed, monkeypatch, capsys):
    deployed.run()
    deployed.set_reviewers([*deployed.users, "nobody@example.com"])
    deployed.run(request_id="zz")
    capsys.readouterr()
    call(monkeypatch, "status", "the-stack", "--last", "1")
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if "nothing_to_assign" in line]) == 1


def test_status_of_a_stack_that_never_ran(deployed, monkeypatch, capsys):
    assert call(monkeypatch, "status", "the-stack") == 0
    assert capsys.readouterr().out == f"no run has been recorded yet in s3://{BUCKET}/{deployed.prefix}\n"


def test_invoke_sends_the_event_and_prints_the_result(deployed, monkeypatch, capsys):
    deployed.answer = {"Payload": io.BytesIO(b'{"status": "dry_run"}')}
    assert call(monkeypatch, "invoke", "the-stack", str(ROOT / "events" / "dry-run.json")) == 0
    assert deployed.invoked == [{"FunctionName": "f", "Payload": b'{"dry_run": true}'}]
    assert json.loads(capsys.readouterr().out) == {"status": "dry_run"}


def test_a_run_that_raised_fails_with_its_message(deployed, monkeypatch, capsys):
    error = {"errorType": "QueryError", "errorMessage": "BTQL query failed (401): check the key"}
    deployed.answer = {"FunctionError": "Unhandled", "Payload": io.BytesIO(json.dumps(error).encode())}
    assert call(monkeypatch, "invoke", "the-stack", str(ROOT / "events" / "empty.json")) == 1
    assert capsys.readouterr().err == "QueryError: BTQL query failed (401): check the key\n"


def test_an_invocation_is_never_repeated_by_the_sdk():
    assert script.PATIENT.retries == {"total_max_attempts": 1}
    assert script.PATIENT.read_timeout > 900


@pytest.mark.parametrize(("options", "dry"), [([], False), (["--dry-run"], True)])
def test_undo_takes_back_one_run(deployed, monkeypatch, options, dry):
    deployed.answer = {"Payload": io.BytesIO(b"{}")}
    call(monkeypatch, "undo", "the-stack", "20261123T080000Z-r1", *options)
    assert json.loads(deployed.invoked[0]["Payload"]) == {"undo": "20261123T080000Z-r1", "dry_run": dry}


def test_undo_wants_to_know_which(deployed, monkeypatch):
    with pytest.raises(SystemExit, match="which run"):
        call(monkeypatch, "undo", "the-stack")
    assert deployed.invoked == []
