"""`make run` as a person sees it: its output, its exit code, the files it leaves; once in a process of its own."""

import errno
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from local.demo import __main__ as program
from local.demo import play
from local.demo.play import main
from local.traffic import TEAM
from ops import names
from tests.world import TAG, World

ROOT = Path(__file__).parents[2]
PASSED_ON = ("PATH", "HOME")


class Screenful(NamedTuple):
    """What a person has before them when it has ended."""

    exit_code: int
    out: str
    err: str


@pytest.fixture
def demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Screenful]:
    """It runs in an empty folder, where it puts its .local/, with these variables and no others."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, **environ: str) -> Screenful:
        before = dict(os.environ)
        os.environ.clear()
        os.environ |= {name: before[name] for name in PASSED_ON if name in before} | environ
        try:
            exit_code = main(list(arguments))
        finally:
            os.environ.clear()
            os.environ |= before
        return Screenful(exit_code, *capsys.readouterr())

    return run


@pytest.fixture
def trial(world: World) -> dict[str, str]:
    """The environment of a trial against a Braintrust with three rows and two reviewers."""
    world.add_users(2)
    world.add_rows(3, hours_ago=2)
    return {
        "BRAINTRUST_API_KEY": world.braintrust.api_key,
        "PROJECT_ID": world.braintrust.project_id,
        "TAG": TAG,
        "REVIEWERS": "user0@example.com, user1@example.com",
        "BRAINTRUST_API_URL": world.braintrust.url,
    }


def test_everything_runs_on_one_machine_and_every_check_holds(tmp_path):
    unwanted = {
        "FILTER": "this is no filter",
        "BRAINTRUST_API_KEY": "sk-x",
        "DAYS": "none",
        "AWS_PROFILE": "production",
        "LOG_LEVEL": "ERROR",
        "POWERTOOLS_LOG_LEVEL": "CRITICAL",
        "POWERTOOLS_METRICS_DISABLED": "true",
        "PYTHONIOENCODING": "ascii:backslashreplace",  # as make has it where the locale is C
        "ALL_PROXY": "socks5://127.0.0.1:1",  # which would need a library of its own
        "COLUMNS": "80",
    }
    ran = subprocess.run(
        [sys.executable, "-m", "local.demo"],
        env={name: os.environ[name] for name in PASSED_ON if name in os.environ}
        | {"PYTHONPATH": str(ROOT)}
        | unwanted,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )

    assert (ran.returncode, ran.stderr) == (0, "")
    assert "FAILED" not in ran.stdout
    assert ran.stdout.count("\nok ") == 12
    assert max(map(len, ran.stdout.encode("ascii").decode("unicode-escape").splitlines())) <= 80
    assert "nothing_to_assign  short" in ran.stdout
    assert "{" not in ran.stdout.split("What to try next")[1]
    kinds = {path.name for path in (tmp_path / ".local/audit/audit").iterdir()}
    assert kinds == {"plans", "assignments", "to_assign_ids", "runs", "dry_runs", "ledger"}
    for log in ("hours", "week", "teams"):
        lines = (tmp_path / f".local/logs/{log}.jsonl").read_text("utf-8").splitlines()
        assert "run finished" in {json.loads(line).get("message") for line in lines}
    hours = [
        line.split()[0]
        for line in ran.stdout.splitlines()
        if re.match(r"\d\d:\d\d  (by|sch)", line)
    ]
    records = [*tmp_path.glob(".local/audit/audit/*runs/*/*/*.json")]
    assert len(hours) == 7
    assert {hour.replace(":", "") for hour in hours} <= {path.name[9:13] for path in records}
    kept = names.read(tmp_path / ".local/names.json")
    assert {*kept.values()} == {person.name for person in TEAM}


def test_with_a_key_a_project_a_tag_and_reviewers_it_is_a_dry_run_there(
    demo, tmp_path, world, trial
):
    ran = demo(**trial)

    assert (ran.exit_code, ran.err) == (0, "")
    said = [line.split() for line in ran.out.splitlines()]
    first, second = sorted(world.users)  # of equals, the lower id gets the extra row
    for user, rows in ((first, "2"), (second, "1")):
        assert [f"user{world.users.index(user)}@example.com", rows] in said
    assert not world.assignments()
    assert world.braintrust.requests.count("insert") == 0
    (record,) = (tmp_path / ".local/audit-trial/audit/dry_runs").rglob("*.json")
    assert len(json.loads(record.read_text("utf-8"))["assignments"]) == 3


def test_dry_run_false_means_it(demo, world, trial):
    ran = demo(**trial, DRY_RUN="false")

    assert ran.exit_code == 0
    assert "rows ARE assigned" in ran.out
    first, second = sorted(world.users)
    assert Counter(world.assignments().values()) == {(first,): 2, (second,): 1}


def test_what_a_trial_assigned_can_be_taken_back(demo, world, trial):
    ran = demo(**trial, DRY_RUN="false")
    (run_id,) = [line.split()[1] for line in ran.out.splitlines() if line.startswith("Run  ")]

    assert demo("--undo", run_id, **trial).exit_code == 0
    assert len(world.assignments()) == 3
    undone = demo("--undo", run_id, **trial, DRY_RUN="false")
    assert (undone.exit_code, undone.err) == (0, "")
    assert not any(world.assignments().values())


def test_a_second_trial_that_reads_stale_rows_knows_what_the_first_one_planned(demo, world, trial):
    demo(**(trial | {"REVIEWERS": "user0@example.com"}), DRY_RUN="false")
    world.braintrust.faults.add("query", stale=3600, times=None)
    demo(**trial, DRY_RUN="false")

    assert set(world.assignments().values()) == {(world.users[0],)}
    assert not world.braintrust.store.contested()


def test_a_trial_whose_tag_no_row_carries_shows_those_that_rows_do_carry(demo, trial):
    ran = demo(**(trial | {"TAG": "needs reviw", "COLUMNS": "80"}))

    assert ran.exit_code == 0
    assert "warning: no row of the last 7 days carries the tag 'needs reviw'" in ran.out
    assert f"'{TAG}'" in ran.out
    assert f"Did you mean '{TAG}'?\n" in ran.out


def test_two_plays_in_one_folder_at_a_time_are_refused(demo, tmp_path):
    (tmp_path / ".local").mkdir()
    with (tmp_path / ".local/.demo.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        ran = demo()

    assert (ran.exit_code, ran.err) == (1, "")
    assert ran.out.startswith("error: another `make run` is running in this folder")


def test_a_folder_that_cannot_be_written_is_said(demo, tmp_path):
    (tmp_path / ".local").touch()

    assert demo() == Screenful(1, "error: .local cannot be written: File exists\n", "")


def test_a_disk_that_fills_up_is_said(demo, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(play.hours, "play", full)
    ran = demo()

    said = "error: .local cannot be written: No space left on device"
    assert (ran.exit_code, ran.out.splitlines()[-1]) == (1, said)


def test_ctrl_c_ends_it_with_a_word(demo, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(play.hours, "play", stopped)
    ran = demo()

    assert (ran.exit_code, ran.out.splitlines()[-1]) == (128 + signal.SIGINT, "Stopped.")


def test_so_does_ctrl_c_while_it_loads(monkeypatch):
    def stopped(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(program.importlib, "import_module", stopped)
    assert program.main() == 128 + signal.SIGINT


def test_a_proxy_of_a_kind_that_is_not_spoken_is_said(demo, trial):
    there = {
        "BRAINTRUST_API_URL": "https://braintrust.invalid",
        "ALL_PROXY": "socks5://127.0.0.1:1",
    }
    ran = demo(**(trial | there))

    assert ran.exit_code == 1
    assert "cannot be asked through this terminal's proxy" in ran.out


def test_what_is_missing_is_named(demo):
    ran = demo(BRAINTRUST_API_KEY="sk-x", TAG=TAG)

    assert ran.exit_code == 1
    assert ran.out.startswith("error: PROJECT_ID and REVIEWERS must be set too")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (
            {"BRAINTRUST_API_KEY": "sk-wrong"},
            "error: BTQL query failed (401): check that the API key is correct",
        ),
        ({"BRAINTRUST_API_URL": "http://127.0.0.1:1"}, "error: http://127.0.0.1:1 does not answer"),
        ({"BRAINTRUST_API_URL": "http://example.com", "DAYS": "x"}, "error: 2 wrong settings:"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(demo, trial, wrong, says):
    ran = demo(**(trial | wrong))

    assert ran.exit_code == 1
    assert says in ran.out
    assert "Traceback" not in ran.out + ran.err
    assert trial["BRAINTRUST_API_KEY"] not in ran.out + ran.err
