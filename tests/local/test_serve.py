"""`make local` as a person uses it: a process that stays up, its env.json, the commands it prints, Ctrl-C."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pytest
import requests

from local import invoke, serve
from local.screen import Screen

ROOT = Path(__file__).parents[2]
ENVIRON = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": "/nonexistent"}
FREE = ("--braintrust-port", "0", "--aws-port", "0")
SERVE = (sys.executable, "-u", "-m", "local.serve", "--host", "127.0.0.1", "--rows", "100")


class Served:
    """The process in a folder of its own, from the moment it has said everything."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self.process = process
        self.folder = folder
        lines = iter(process.stdout.readline, "")
        self.said = ""
        while "list-type" not in self.said:
            self.said += next(lines)
        self.variables = json.loads((folder / "env.json").read_text("utf-8"))[
            "ReviewAssignerFunction"
        ]

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            env=ENVIRON,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def invoke(self, event: str) -> subprocess.CompletedProcess[str]:
        """As a person does it: in a process of its own."""
        return self.run(sys.executable, "-m", "local.invoke", event)


@contextmanager
def serving(folder: Path) -> Iterator[Served]:
    with subprocess.Popen(
        [*SERVE, "--braintrust-port", "0", "--aws-port", "0"],
        env=ENVIRON,
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Served(process, folder)
        process.kill()


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("served")) as served:
        yield served


class Called(NamedTuple):
    """What a program that ran in this process ended with, and said."""

    code: int
    out: str
    err: str


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """A program in this process, in a folder of its own; the environment and the signals stay as they were."""
    monkeypatch.chdir(tmp_path)
    signals = {sent: signal.getsignal(sent) for sent in (signal.SIGINT, signal.SIGTERM)}
    environ = dict(os.environ)

    def run(program, *arguments):
        try:
            code = program.main([*map(str, arguments)])
        except SystemExit as ended:
            code = ended.code
        return Called(code, *capsys.readouterr())

    yield run
    os.environ.clear()
    os.environ |= environ
    for sent, handler in signals.items():
        signal.signal(sent, handler)


def test_the_function_runs_against_it_by_the_env_file_alone(served):
    tried, ran = served.invoke('{"dry_run": true}'), served.invoke("{}")

    result = json.loads(ran.stdout)
    assert json.loads(tried.stdout)["deferred"] == result["assigned"] == result["unassigned"] > 0
    url = served.variables["BRAINTRUST_API_URL"].replace("host.docker.internal", "127.0.0.1")
    held = requests.get(f"{url}/_local/assignments", timeout=10).json().values()
    holders = Counter(reviewer for reviewers in held for reviewer in reviewers)
    assert all(holders[reviewer] >= count > 0 for reviewer, count in result["per_reviewer"].items())


def test_a_run_that_is_refused_says_why_and_ends_with_1(served, call):
    refused = call(invoke, "--env-file", served.folder / "env.json", '{"days": "two"}')

    assert (refused.code, refused.out) == (1, "")
    assert "event field days is 'two': must be an integer >= 1" in refused.err.splitlines()[-1]


def test_the_env_file_sends_containers_to_the_host_and_sets_only_what_the_template_declares(served):
    template = (ROOT / "template.yaml").read_text("utf-8")

    assert [name for name in served.variables if f"\n          {name}: " not in template] == []
    for name in ("BRAINTRUST_API_URL", "AWS_ENDPOINT_URL"):
        assert served.variables[name].startswith("http://host.docker.internal:")


@pytest.mark.parametrize(
    ("machine", "architecture"),
    [("x86_64", "x86_64"), ("AMD64", "x86_64"), ("arm64", "arm64"), ("aarch64", "arm64")],
)
def test_the_container_that_it_prints_is_one_for_this_machine(
    tmp_path, monkeypatch, capsys, machine, architecture
):
    """The template's default is arm64, which a machine of another kind only hangs on."""
    monkeypatch.setattr(serve.platform, "machine", lambda: machine)
    said = explained(capsys, "--env-file", str(tmp_path / "env.json"))

    assert f"  make build ARCH={architecture}\n" in said
    (line,) = [line for line in said.splitlines() if "sam local invoke" in line]
    words = shlex.split(line)
    assert words[words.index("--parameter-overrides") + 1 :] == [f"Architecture={architecture}"]


def explained(capsys, *arguments):
    options = serve.parser.parse_args(arguments)
    aws = SimpleNamespace(url="http://127.0.0.1:1", port=1)
    serve.explain(Screen(), options, "sk-local", 2, aws)
    return capsys.readouterr().out


@pytest.mark.parametrize(("system", "first"), [("Linux", True), ("Darwin", False)])
def test_it_listens_on_loopback_and_says_how_containers_get_in_where_they_do_not(
    monkeypatch, capsys, system, first
):
    monkeypatch.setattr(serve.platform, "system", lambda: system)
    said = explained(capsys)

    assert "this machine only" in said
    assert ("make local ARGS=--containers" in said) == first
    assert "make local ARGS=--containers" not in explained(capsys, "--host", serve.EVERYWHERE)
    assert "EVERYBODY who can reach 0.0.0.0" in explained(capsys, "--host", serve.EVERYWHERE)


@pytest.mark.usefixtures("curl")
def test_the_curl_commands_it_prints_work(served):
    commands = re.findall(r"^  (curl .*)$", served.said, re.MULTILINE)
    answers = [served.run(*shlex.split(command), "--fail") for command in commands]

    assert [answer.returncode for answer in answers] == [0, 0, 0, 0]
    rows, events, assignments, bucket = (answer.stdout for answer in answers)
    assert len(json.loads(rows)["data"]) == 2
    assert len(json.loads(events)["events"]) == 1
    assert len(json.loads(assignments)) > 100
    assert "ListBucketResult" in bucket


@pytest.mark.parametrize("option", ["--braintrust-port", "--aws-port"])
def test_a_port_that_is_taken_is_said(served, call, option):
    port = re.search(r"127\.0\.0\.1:(\d+)", served.said)[1]
    said = f"error: 127.0.0.1:{port}: Address already in use; see {option}\n"

    assert call(serve, *FREE, option, port) == Called(1, said, "")


def test_nor_does_a_braintrust_alone_take_a_port_twice(served):
    port = re.search(r"127\.0\.0\.1:(\d+)", served.said)[1]
    second = served.run(sys.executable, "-m", "local.braintrust", "--port", port)

    assert (second.returncode, second.stdout) == (1, "")
    assert second.stderr == f"error: 127.0.0.1:{port}: Address already in use; see --port\n"


def test_an_env_file_that_cannot_be_written_is_said(call, tmp_path):
    (tmp_path / "there").mkdir()
    ended = call(serve, *FREE, "--rows", "10", "--env-file", "there")

    assert ended == Called(
        1, "error: there cannot be written: Is a directory; see --env-file\n", ""
    )


@pytest.mark.parametrize(
    ("where", "says"),
    [
        (("--braintrust-port", "65536"), "127.0.0.1:65536: bind(): port must be 0-65535; see"),
        (("--host", "nowhere.invalid"), "nowhere.invalid:8787: "),
    ],
)
def test_what_is_no_address_is_said(call, where, says):
    ended = call(serve, *where)
    assert (ended.code, ended.err) == (1, "")
    assert ended.out.startswith(f"error: {says}")


@pytest.mark.parametrize(
    ("event", "says"),
    [
        *(("{", "is no JSON: "), ('{"days": 2,}', "is no JSON: ")),
        ("nowhere.json", "is neither JSON nor a file that can be read: No such file or directory"),
        ("comma.json", "comma.json is no JSON: "),
    ],
)
def test_what_is_no_event_is_said(served, call, tmp_path, event, says):
    (tmp_path / "comma.json").write_bytes(b'{"days": 2,}')
    refused = call(invoke, "--env-file", served.folder / "env.json", event)

    assert (refused.code, refused.out) == (2, "")
    assert says in refused.err


def test_an_event_may_begin_with_a_byte_order_mark(served, call, tmp_path):
    (tmp_path / "event.json").write_text('{"dry_run": true}', "utf-8-sig")

    ran = call(invoke, "--env-file", served.folder / "env.json", "event.json")
    assert json.loads(ran.out)["dry_run"] is True


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "env.json is not there: start `make local` in another terminal"),
        ("{", "env.json is not what `make local` writes: start"),
        ("{}", "env.json is not what `make local` writes: start"),
        ("[]", "env.json is not what `make local` writes: start"),
        ('{"ReviewAssignerFunction": {"A": 7}}', "env.json is not what `make local` writes: start"),
        (
            '{"ReviewAssignerFunction": {"AWS_ENDPOINT_URL": "http://host.docker.internal:1"}}',
            "env.json is of a `make local` that has ended: start `make local` in another terminal",
        ),
    ],
)
def test_what_is_no_env_file_of_servers_that_are_up_is_said(call, tmp_path, text, says):
    if text is not None:
        (tmp_path / "env.json").write_text(text)
    refused = call(invoke, "{}")

    assert (refused.code, refused.out) == (2, "")
    assert says in refused.err


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_cleanly_when_told_to(call, monkeypatch, sent):
    monkeypatch.setattr(serve, "wait", lambda: os.kill(os.getpid(), sent) or time.sleep(30))
    ended = call(serve, *FREE, "--rows", "10")

    assert (ended.code, ended.err) == (0, "")
    assert ended.out.endswith("Both servers have ended; what they held is gone.\n")
