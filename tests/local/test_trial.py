"""A trial that assigns, ended in every way: what it planned is on the disk first, and what it did can be taken back."""

import fcntl
import json
import os
import pty
import re
import resource
import signal
import subprocess
import sys
import termios
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from botocore.exceptions import ClientError

from lib.load import AUDIT_RESERVE
from local.aws import BUCKET, LocalAws
from local.demo import stop
from local.demo.play import main
from local.demo.stop import Stop
from local.keep import InUseError, Keep
from ops.places import Folder
from ops.status import status
from tests.template.cloudformation import ROOT
from tests.world import TAG, World

ROWS, SENT = 12, 3
TRIAL = (sys.executable, "-m", "local.demo")


class Finished(NamedTuple):
    exit_code: int
    out: str
    err: str


class Trial:
    """`DRY_RUN=false make run` in an empty folder, of 12 rows, one a batch and one batch at a time.

    `run` plays it in this process, `start` in one of its own, for what this one would not outlive.
    """

    def __init__(self, world: World, folder: Path, read: Callable[[], tuple[str, str]]) -> None:
        self.world = world
        self._read = read
        self.folder = folder
        self.audit = folder / ".local/audit-trial/audit"
        self.process: subprocess.Popen[str] | None = None
        self.on_disk: list[set[str]] = []
        """What was kept when each insert came in, by kinds."""
        world.add_users(2)
        world.add_rows(ROWS, hours_ago=2)

    @property
    def environ(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "BRAINTRUST_API_KEY": self.world.braintrust.api_key,
            "PROJECT_ID": self.world.braintrust.project_id,
            "TAG": TAG,
            "REVIEWERS": "user0@example.com, user1@example.com",
            "BRAINTRUST_API_URL": self.world.braintrust.url,
            "DRY_RUN": "false",
            "BATCH_SIZE": "1",
            "INSERT_CONCURRENCY": "1",
        }

    def start(self, **how: Any) -> int:
        """The exit code of a process of its own."""
        self.process = subprocess.Popen(TRIAL, cwd=self.folder, env=self.environ, **how)
        return self.process.wait(60)

    def run(self, *arguments: str) -> Finished:
        before, here = dict(os.environ), Path.cwd()
        environ = self.environ
        os.environ.clear()
        os.environ |= environ
        os.chdir(self.folder)
        try:
            code = main(list(arguments))
        finally:
            os.chdir(here)
            os.environ.clear()
            os.environ |= before
        return Finished(code, *self._read())

    def when(self, kind: str, number: int, act: Callable[[], object], **how: Any) -> None:
        """`act` while the request of this kind and number is answered, which takes half a second then."""
        met: list[None] = []

        def fits(_: object) -> bool:
            met.append(None)
            if kind == "insert":
                self.on_disk.append({path.name for path in self.audit.iterdir()})
            if len(met) == number:
                act()
            return len(met) == number

        self.world.braintrust.faults.add(kind, times=None, when=fits, **({"latency": 0.5} | how))

    def signal(self, sent: signal.Signals) -> Callable[[], object]:
        return lambda: os.kill(self.process.pid if self.process else os.getpid(), sent)

    def kept(self, kind: str) -> Any:
        """The one object of a kind."""
        (path,) = (self.audit / kind).rglob("*.json")
        return json.loads(path.read_text("utf-8"))

    def outcomes(self) -> Counter[str]:
        (path,) = (self.audit / "assignments").rglob("*.jsonl")
        return Counter(json.loads(line)["status"] for line in path.read_text("utf-8").splitlines())


@pytest.fixture
def real(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Trial]:
    real = Trial(world, tmp_path, lambda: tuple(capsys.readouterr()))
    yield real
    world.braintrust.faults.clear()
    if real.process and real.process.poll() is None:
        real.process.kill()
        real.process.wait()


def run_id_of(text: str) -> str:
    return re.search(r"^Run +(\S+)$", text, re.MULTILINE)[1]


def way_back(text: str) -> str:
    """The run that the printed command takes back."""
    return re.search(r'DRY_RUN=false make run ARGS="--undo (\S+)"$', text, re.MULTILINE)[1]


def test_plan_and_ledger_are_on_the_disk_before_the_first_insert(real):
    real.when("insert", 1, lambda: None)
    ended = real.run()

    assert (ended.exit_code, ended.err) == (0, "")
    assert real.on_disk == [{"plans", "ledger"}] * ROWS
    assert real.outcomes() == {"assigned": ROWS}


def test_a_kill_leaves_the_plan_status_names_the_run_and_the_next_one_keeps_to_the_plan(real):
    real.when("insert", SENT, real.signal(signal.SIGKILL))
    assert real.start(stdout=subprocess.DEVNULL) == -signal.SIGKILL

    plan = real.kept("plans")
    planned = {(item["row_id"], (item["reviewer_id"],)) for item in plan["assignments"]}
    given = real.world.assignments().items()
    assert SENT - 1 <= len(given) <= SENT
    assert given <= planned
    assert not (real.audit / "runs").exists()
    (line,) = status(Folder(real.audit), 10, datetime.now(UTC)).splitlines()[1:-1]
    assert re.search(rf"  no record  .*  {plan['run_id']}  killed, or not over yet$", line)

    real.process = None
    real.world.braintrust.faults.clear()
    assert real.run().exit_code == 0
    assert real.world.assignments().items() <= planned


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_sending_and_what_was_done_is_recorded_and_said(real, sent):
    real.when("insert", SENT, real.signal(sent))
    ended = real.run()

    assert ended.exit_code == 128 + sent
    assert len(real.world.assignments()) == SENT
    record = real.kept("runs")
    assert (record["status"], record["assigned"], record["deferred"]) == (
        "incomplete",
        SENT,
        ROWS - SENT,
    )
    assert real.outcomes() == {"assigned": SENT, "not_attempted": ROWS - SENT}
    assert f"Stopped by {sent.name}." in ended.out
    assert run_id_of(ended.out) == way_back(ended.out) == record["run_id"]


def test_a_signal_while_rows_are_read_ends_it_at_once(real):
    real.when("query", 1, real.signal(signal.SIGINT), latency=30)
    ended = real.run()

    assert (ended.exit_code, ended.err) == (128 + signal.SIGINT, "")
    assert ended.out.endswith("Stopped by SIGINT.\nNothing was written to Braintrust.\n")
    assert real.world.assignments() == {}


def test_a_second_signal_does_not_wait_for_answers(real, monkeypatch):
    left: list[int] = []
    monkeypatch.setattr(os, "_exit", left.append)
    stopping = threading.Event()
    monkeypatch.setattr(stop, "say", stopping.set)

    def twice() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        stopping.wait(30)
        os.kill(os.getpid(), signal.SIGINT)

    real.when("insert", SENT, twice, latency=0, hang=True)
    ended = real.run()

    assert left == [ended.exit_code] == [128 + signal.SIGINT]
    plan = real.kept("plans")
    assert run_id_of(ended.out) == way_back(ended.out) == plan["run_id"]
    over = datetime.fromisoformat(plan["created_at"]) + timedelta(minutes=16)
    assert f"From {over:%H:%M} UTC " in ended.out


def test_what_was_done_until_a_signal_can_be_taken_back_and_an_undo_that_is_stopped_goes_on(real):
    real.when("insert", SENT, real.signal(signal.SIGINT))
    run_id = way_back(real.run().out)
    real.world.braintrust.faults.clear()
    real.when("insert", 1, real.signal(signal.SIGTERM))
    ended = real.run("--undo", run_id)

    assert ended.exit_code == 128 + signal.SIGTERM
    assert len(real.world.assignments()) == SENT - 1
    assert re.search(rf'^To go on +.*--undo {run_id}"$', ended.out, re.MULTILINE)
    assert way_back(ended.out) == run_id
    assert real.run("--undo", run_id).exit_code == 0
    assert real.world.assignments() == {}


def test_a_disk_without_room_refuses_the_plan_so_that_nothing_is_assigned(real):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        ended = real.run()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert (ended.exit_code, ended.err) == (1, "")
    assert "error: .local/audit-trial cannot be written (File too large)" in ended.out
    assert "Nothing was written to Braintrust." in ended.out
    assert real.world.assignments() == {}
    assert real.world.braintrust.requests.count("insert") == 0


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    if not mounted:
        pytest.skip("only root may mount a small disk; the same is tried with a limit on files")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.skipif(sys.platform != "linux", reason="tmpfs is Linux's")
def test_so_does_a_disk_that_is_full(real):
    with small_disk(real.folder / ".local", "64k"):
        with suppress_full(), (real.folder / ".local/filling").open("wb") as file:
            while True:
                file.write(bytes(4096))
                file.flush()
        ended = real.run()

    assert ended.exit_code == 1
    assert "(No space left on device)" in ended.out
    assert real.world.assignments() == {}


@contextmanager
def suppress_full() -> Iterator[None]:
    with pytest.raises(OSError, match="No space left"):
        yield


def test_where_the_disk_refuses_the_record_the_plan_says_what_may_have_been_done(real):
    def in_the_way() -> None:
        for kind in ("assignments", "to_assign_ids", "runs"):
            (real.audit / kind).touch()

    real.when("insert", ROWS, in_the_way)
    ended = real.run()

    assert (ended.exit_code, ended.err) == (1, "")
    assert "error: .local/audit-trial cannot be written (File exists)" in ended.out
    assert f"which of {ROWS} planned rows were written is not known" in ended.out
    assert run_id_of(ended.out) == way_back(ended.out) == real.kept("plans")["run_id"]


def test_where_nobody_reads_what_it_says_standard_error_tells_how_to_take_it_back(
    real, monkeypatch
):
    theirs, ours = os.pipe()
    with os.fdopen(ours, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        real.when("insert", SENT, lambda: os.close(theirs))
        ended = real.run()

    assert ended.exit_code == 1
    assert len(real.world.assignments()) == ROWS
    assert run_id_of(ended.err) == way_back(ended.err) == real.kept("runs")["run_id"]


def test_without_a_standard_output_it_speaks_on_standard_error(real, monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    ended = real.run()

    assert (ended.exit_code, ended.out) == (0, "")
    assert way_back(ended.err) == real.kept("runs")["run_id"]


def test_a_terminal_that_is_closed_ends_it_in_order(real):
    ours, theirs = pty.openpty()
    real.when("insert", SENT, lambda: os.close(ours))
    exit_code = real.start(
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        preexec_fn=partial(fcntl.ioctl, theirs, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(theirs)

    assert exit_code == 128 + signal.SIGHUP
    assert len(real.world.assignments()) == real.kept("runs")["assigned"] == SENT


def test_two_at_a_time_are_refused(real):
    with Keep(real.folder / ".local/audit-trial"):
        ended = real.run()

    said = "error: .local/audit-trial is in use: wait until the other run has ended\n"
    assert ended == Finished(1, said, "")


def test_what_nohup_has_switched_off_stays_off():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Stop(lambda: True) as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert (stop.signal, stop.exit_code) == (None, 0)
            os.kill(os.getpid(), signal.SIGTERM)
            assert (stop.signal, stop.remaining_ms()) == (signal.SIGTERM, AUDIT_RESERVE * 1000)
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[tuple[Any, Path]]:
    """An S3 client, and the folder that keeps its bucket."""
    with Keep(tmp_path / "kept") as keep, LocalAws() as aws:
        aws.prepare("sk-x", "ana@example.com")
        aws.keep_in(keep)
        yield aws.client("s3"), keep.folder


def files(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_what_s3_refuses_is_not_kept(kept):
    s3, folder = kept
    first = s3.put_object(Bucket=BUCKET, Key="a/é.json", Body=b"1", IfNoneMatch="*")
    for condition in ({"IfNoneMatch": "*"}, {"IfMatch": '"another"'}):
        with pytest.raises(ClientError, match="PreconditionFailed"):
            s3.put_object(Bucket=BUCKET, Key="a/é.json", Body=b"2", **condition)
    assert files(folder) == {"a/é.json": b"1"}

    s3.put_object(Bucket=BUCKET, Key="a/é.json", Body=b"3", IfMatch=first["ETag"])
    assert files(folder) == {"a/é.json": b"3"}


@pytest.mark.parametrize("key", ["../outside.json", "a//b.json", "a/./b.json"])
def test_a_key_that_is_no_files_name_is_refused_at_once(kept, key):
    s3, folder = kept
    with pytest.raises(ClientError, match="EINVAL") as refused:
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"1")

    assert refused.value.response["ResponseMetadata"]["RetryAttempts"] == 0
    assert files(folder.parent) == {}


def test_what_a_killed_process_left_half_written_is_cleared_and_never_read(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / ".1234.part").write_bytes(b'{"half')
    (tmp_path / "a" / "whole.json").write_bytes(b"{}")
    with Keep(tmp_path) as keep:
        assert list(keep.objects()) == [("a/whole.json", b"{}")]
        with pytest.raises(InUseError), Keep(tmp_path):
            pass
    assert files(tmp_path) == {"a/whole.json": b"{}"}


@pytest.mark.parametrize("of_a_trial", [True, False])
def test_make_clean_keeps_the_record_of_a_trial_with_a_word(tmp_path, of_a_trial):
    (tmp_path / "Makefile").write_bytes((ROOT / "Makefile").read_bytes())
    for name in (".venv/bin", ".local/logs", ".local/audit/audit", "lib/__pycache__"):
        (tmp_path / name).mkdir(parents=True)
    record = tmp_path / ".local/audit-trial/audit/plans/p.json"
    if of_a_trial:
        record.parent.mkdir(parents=True)
        record.write_text("{}", "utf-8")
    made = subprocess.run(
        ["make", "clean"], cwd=tmp_path, capture_output=True, text=True, check=True
    )

    left = {"Makefile", ".local/audit-trial/audit/plans/p.json"} if of_a_trial else {"Makefile"}
    assert set(files(tmp_path)) == left
    folders = sorted(path.name for path in tmp_path.iterdir())
    assert folders == ([".local"] if of_a_trial else []) + ["Makefile", "lib"]
    assert ("kept: .local/audit-trial;" in made.stdout) == of_a_trial
