"""The commands for a deployed stack, against moto's CloudFormation, S3 and a Lambda that the test plays."""

import io
import json
import re
import socket
import sys
import threading

import boto3
import pytest
from botocore.exceptions import NoCredentialsError, NoRegionError
from urllib3.util import connection

from ops import stack as script
from tests.template.cloudformation import ROOT
from tests.world import BUCKET


@pytest.fixture
def deployment(world, monkeypatch):
    """A world that is a stack; `invoked` is what its function was called with."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", world.aws_url)
    world.add_users(2)
    world.invoked = []
    monkeypatch.setattr(
        script,
        "outputs",
        lambda _: {"FunctionName": "f", "AuditBucketName": BUCKET, "AuditPrefix": world.prefix},
    )

    class PlayedLambda:
        def invoke(self, **call):
            world.invoked.append(call)
            return world.answer

    real = boto3.client
    monkeypatch.setattr(
        boto3,
        "client",
        lambda name, **how: PlayedLambda() if name == "lambda" else real(name, **how),
    )
    return world


def call(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["ops.stack", *arguments])
    return script.main()


def test_invoke_sends_the_event_and_prints_the_result(deployment, monkeypatch, capsys):
    deployment.answer = {"Payload": io.BytesIO(b'{"status": "dry_run"}')}
    assert call(monkeypatch, "invoke", "the-stack", str(ROOT / "events" / "dry-run.json")) == 0
    assert deployment.invoked == [{"FunctionName": "f", "Payload": b'{"dry_run": true}'}]
    assert json.loads(capsys.readouterr().out) == {"status": "dry_run"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_an_event_may_be_written_by_any_editor(deployment, monkeypatch, tmp_path, encoding):
    file = tmp_path / "mein Ereignis.json"
    file.write_text('{\r\n  "tag": "на проверку"\r\n}\r\n', encoding)
    deployment.answer = {"Payload": io.BytesIO(b"{}")}
    assert call(monkeypatch, "invoke", "the-stack", str(file)) == 0
    assert json.loads(deployment.invoked[0]["Payload"]) == {"tag": "на проверку"}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot be read: No such file or directory"),
        (b'{"tag": "x",\n "days": 2,}', "is no JSON: .*: line 2 column [0-9]+"),
        (b"", r"is no JSON: Expecting value: line 1 column 1 \(char 0\)"),
        (b'{"tag": "\xe4"}', "is no JSON: .*0xe4 in position 9"),
        (b"[" * 100_000, "is no JSON: "),
        (b"9" * 5000, "is no JSON: "),
    ],
    ids=["not there", "comma", "empty", "Latin-1", "deep", "long"],
)
def test_what_is_no_event_is_said_with_its_file_and_place(
    deployment, monkeypatch, tmp_path, content, says
):
    file = tmp_path / "event.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SystemExit, match=f"^error: the event {re.escape(str(file))} {says}"):
        call(monkeypatch, "invoke", "the-stack", str(file))
    assert deployment.invoked == []


@pytest.mark.parametrize(("encoding", "shown"), [("utf-8", "проверка ☃"), ("ascii", r"\u2603")])
def test_a_terminal_without_the_letters_still_gets_json(deployment, monkeypatch, encoding, shown):
    result = {"tag": "проверка ☃"}
    deployment.answer = {"Payload": io.BytesIO(json.dumps(result).encode())}
    terminal = io.TextIOWrapper(io.BytesIO(), encoding)
    monkeypatch.setattr(sys, "stdout", terminal)
    assert call(monkeypatch, "invoke", "the-stack", str(ROOT / "events" / "empty.json")) == 0
    terminal.seek(0)
    said = terminal.read()
    assert shown in said
    assert json.loads(said) == result


def test_a_run_that_raised_fails_with_its_message(deployment, monkeypatch, capsys):
    error = {"errorType": "QueryError", "errorMessage": "BTQL query failed (401): check the key"}
    deployment.answer = {
        "FunctionError": "Unhandled",
        "Payload": io.BytesIO(json.dumps(error).encode()),
    }
    assert call(monkeypatch, "invoke", "the-stack", str(ROOT / "events" / "empty.json")) == 1
    assert capsys.readouterr().err == "QueryError: BTQL query failed (401): check the key\n"


def test_an_invocation_is_never_repeated_by_the_sdk():
    assert script.PATIENT.retries["total_max_attempts"] == 1  # botocore adds to it
    assert script.PATIENT.read_timeout > 900


def test_an_invocations_idle_connection_is_probed_before_a_nat_gateway_forgets_it(monkeypatch):
    """After 350 seconds; a run may take 900, and nothing is said meanwhile."""
    probes, connect = [], connection.create_connection

    def recorded(*where, **how):
        opened = connect(*where, **how)
        idle = getattr(socket, "TCP_KEEPIDLE", getattr(socket, "TCP_KEEPALIVE", None))
        probes.append(
            (
                opened.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) != 0,
                opened.getsockopt(socket.IPPROTO_TCP, idle),
            )
        )
        return opened

    monkeypatch.setattr(connection, "create_connection", recorded)
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.getsockname()[1]}")

        def hang_up():
            server.accept()[0].close()

        threading.Thread(target=hang_up).start()
        monkeypatch.setattr(script, "outputs", lambda _: {"FunctionName": "f"})
        with pytest.raises(SystemExit, match="AWS: "):
            call(monkeypatch, "invoke", "the-stack", str(ROOT / "events" / "empty.json"))

    assert probes == [(True, 60)]


@pytest.mark.parametrize(("options", "dry"), [([], False), (["--dry-run"], True)])
def test_undo_takes_back_one_run(deployment, monkeypatch, options, dry):
    deployment.answer = {"Payload": io.BytesIO(b"{}")}
    call(monkeypatch, "undo", "the-stack", "20261123T080000Z-r1", *options)
    assert json.loads(deployment.invoked[0]["Payload"]) == {
        "undo": "20261123T080000Z-r1",
        "dry_run": dry,
    }


def test_undo_wants_to_know_which(deployment, monkeypatch):
    with pytest.raises(SystemExit, match="which run"):
        call(monkeypatch, "undo", "the-stack")
    assert deployment.invoked == []


@pytest.mark.parametrize(
    ("options", "event"),
    [
        (["--reviewer", "bo@example.com"], {"take_back": {"reviewer": "bo@example.com"}}),
        (["--days", "3"], {"take_back": {"days": 3}}),
        (["--reviewer", "b", "--days", "3"], {"take_back": {"reviewer": "b", "days": 3}}),
    ],
)
@pytest.mark.parametrize("dry", [False, True])
def test_take_back_says_whose_rows_how_many_and_that_it_cannot_be_undone(
    deployment, monkeypatch, capsys, options, event, dry
):
    result = {
        "dry_run": dry,
        "taken_back": 0 if dry else 5,
        "deferred": 5 if dry else 0,
        "taken_from": {"bo": 3, "cleo": 2},
    }
    deployment.answer = {"Payload": io.BytesIO(json.dumps(result).encode())}
    only_say = ["--dry-run"] if dry else []
    assert call(monkeypatch, "take-back", "the-stack", *options, *only_say) == 0
    assert json.loads(deployment.invoked[0]["Payload"]) == event | {"dry_run": dry}
    out, said = capsys.readouterr()
    assert json.loads(out) == result
    words = " ".join(f"{name.upper()}={value}" for name, value in event["take_back"].items())
    assert said.splitlines() == [
        f"5 rows {'would be' if dry else 'were'} taken back",
        "      3 from bo",
        "      2 from cleo",
        "A take-back cannot be undone: the next run gives its rows to others.",
        *[f"Nothing was written. To take them back: make take-back {words} STACK=the-stack"] * dry,
    ]


def test_a_dry_undo_says_how_many_rows_it_would_take_back_and_the_command_that_does(
    deployment, monkeypatch, capsys
):
    result = {"dry_run": True, "undone": 0, "deferred": 2, "taken_from": {"bo": 2}}
    deployment.answer = {"Payload": io.BytesIO(json.dumps(result).encode())}
    call(monkeypatch, "undo", "the-stack", "r1", "--dry-run")
    assert capsys.readouterr().err.splitlines() == [
        "2 rows would be taken back",
        "      2 from bo",
        "Nothing was written. To take them back: make undo RUN_ID=r1 STACK=the-stack",
    ]


@pytest.mark.parametrize("options", [[], ["--reviewer", ""]])
def test_take_back_wants_to_know_whose_rows(deployment, monkeypatch, options):
    with pytest.raises(SystemExit, match="whose rows"):
        call(monkeypatch, "take-back", "the-stack", *options)
    assert deployment.invoked == []


@pytest.mark.usefixtures("deployment")
def test_outputs_are_printed_one_a_line(monkeypatch, capsys):
    assert call(monkeypatch, "outputs", "the-stack") == 0
    assert f"AuditBucketName: {BUCKET}\n" in capsys.readouterr().out
    assert call(monkeypatch, "outputs", "--quiet", "the-stack") == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (NoRegionError(), "No region: export AWS_REGION="),
        (NoCredentialsError(), "No AWS credentials: set AWS_PROFILE"),
        (script.NoStackError("no stack the-stack in region x"), "^no stack the-stack"),
    ],
)
def test_what_is_missing_is_said_with_what_to_do(monkeypatch, error, says):
    def outputs(_):
        raise error

    monkeypatch.setattr(script, "outputs", outputs)
    with pytest.raises(SystemExit, match=says):
        call(monkeypatch, "outputs", "the-stack")


def test_a_stack_that_is_not_there_is_named_with_its_region(world, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", world.aws_url)
    with pytest.raises(SystemExit, match=r"^no stack nowhere in region \S+; name another: STACK="):
        call(monkeypatch, "outputs", "nowhere")
