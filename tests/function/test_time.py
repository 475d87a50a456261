"""A run ends in time, whatever a server does with its answers."""

import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from botocore.exceptions import ReadTimeoutError

from lib.audit import Audit
from lib.bucket import AuditBucket
from lib.deadline import Deadline
from lib.distribution import Assignment
from lib.errors import AssignmentError, AuditError, QueryError
from lib.plan import Outcome
from tests.world import World


@pytest.fixture
def dripping_url() -> Iterator[str]:
    """A server that sends its headers one byte at a time and never comes to an end."""
    listener = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def drip(connection: socket.socket) -> None:
        head = b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 10_000
        try:
            for byte in head:
                if ended.wait(0.05):
                    return
                connection.send(bytes([byte]))
        except OSError:
            return

    def serve() -> None:
        while not ended.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=drip, args=(connection,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    ended.set()
    listener.close()


def test_headers_that_drip_end_with_the_run(world: World, dripping_url: str) -> None:
    world.add_users(1)
    world.settings = {"BRAINTRUST_API_URL": dripping_url}
    began = time.monotonic()
    with pytest.raises(QueryError, match="no whole answer within"):
        world.run(seconds=3)
    assert time.monotonic() - began < 3


def test_an_answer_that_drips_costs_no_more_than_request_timeout_and_is_asked_for_again(
    world: World,
) -> None:
    world.settings = {"REQUEST_TIMEOUT": "1"}
    world.add_users(1)
    world.add_rows(2)
    world.braintrust.faults.add("query", dribble=0.05, times=1)
    began = time.monotonic()
    assert world.run(seconds=30)["assigned"] == 2
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("seconds", [4, 6])
def test_inserts_that_hang_leave_time_for_an_audit_that_tells_what_is_not_known(
    world: World, seconds: int
) -> None:
    """What was sent is `unknown`, what was not is `not_attempted`; the record is written before the time is over."""
    world.settings = {"BATCH_SIZE": "1", "INSERT_CONCURRENCY": "2"}
    world.add_users(2)
    world.add_rows(6)
    world.braintrust.faults.add("insert", hang=True, times=None)
    began = time.monotonic()
    with pytest.raises(AssignmentError, match="2 of 6 planned rows could not be written"):
        world.run(seconds=seconds)
    assert time.monotonic() - began < seconds
    (record,) = world.records("runs")
    assert (record["status"], record["assigned"], record["failed"], record["deferred"]) == (
        "failed",
        0,
        2,
        4,
    )
    assert [line["status"] for line in world.lines(record)] == ["unknown"] * 2 + [
        "not_attempted"
    ] * 4


def test_what_was_sent_before_the_time_ran_out_is_even(world: World) -> None:
    world.settings = {"BATCH_SIZE": "3", "INSERT_CONCURRENCY": "1"}
    world.add_users(3)
    world.add_rows(60)
    world.braintrust.faults.add("insert", latency=0.5, times=None)
    result = world.run(seconds=5)
    assert result["status"] == "incomplete"
    assert 0 < result["assigned"] < 60
    assert result["assigned"] + result["deferred"] == 60
    assert set(result["per_reviewer"].values()) == {result["assigned"] // 3}


def test_an_insert_that_could_not_be_answered_in_time_is_not_started(world: World) -> None:
    world.settings = {"BATCH_SIZE": "1", "INSERT_CONCURRENCY": "1"}
    world.add_users(1)
    world.add_rows(20)
    world.braintrust.faults.add("insert", latency=1.5, times=None)
    result = world.run(seconds=8)
    assert {line["status"] for line in world.lines(result)} == {"assigned", "not_attempted"}


class Clocks:
    """Lambda's count, a clock of ours and the wall's, each moved by hand."""

    def __init__(self) -> None:
        self.remaining, self.ours = 600.0, 0.0
        self.wall = datetime(2026, 11, 23, 7, tzinfo=UTC)
        self.deadline = Deadline(lambda: self.remaining * 1000, lambda: self.ours).sooner(30)


def test_a_deadline_within_some_seconds_ends_then_or_with_the_whole() -> None:
    clocks = Clocks()
    clocks.ours = 10
    near, far = clocks.deadline.within(60), clocks.deadline.within(10_000)
    assert (near.left(), far.left()) == (60, 560)
    assert near.sooner(5).left() == 55
    clocks.ours = 75
    assert (near.left(), far.left()) == (-5, 495)
    clocks.remaining = 20
    assert (near.left(), far.left()) == (-10, -10)


def test_a_deadline_until_a_moment_ends_then_by_the_wall_or_with_the_whole() -> None:
    clocks = Clocks()
    began = clocks.wall
    near, far = (
        clocks.deadline.until(began + timedelta(seconds=seconds), lambda: clocks.wall)
        for seconds in (60, 10_000)
    )
    assert (near.left(), far.left()) == (60, 570)
    clocks.wall += timedelta(seconds=50)
    assert (near.left(), far.left()) == (10, 570)
    clocks.wall = began - timedelta(hours=1)  # set back: our own clock still ends it
    clocks.ours = 55
    assert near.left() == 5
    clocks.wall = began + timedelta(hours=3)
    assert (near.left(), far.left()) == (60 - 3 * 3600, 10_000 - 3 * 3600)
    assert near.within(60).left() == near.left()


def test_an_s3_that_hung_once_is_not_waited_for_again() -> None:
    """Each of an audit's last writes would wait as long: together longer than the time that is kept for them."""
    asked: list[str] = []

    class Hanging:
        def put_object(self, Key: str, **_: object) -> None:  # noqa: N803 - boto3's own name
            asked.append(Key.partition("/")[0])
            raise ReadTimeoutError(endpoint_url="https://s3.example.com")

    settings = SimpleNamespace(audit_bucket="bucket", audit_prefix="", project_id="p")
    bucket = AuditBucket(Hanging(), settings)  # type: ignore[arg-type] # as much of both as is used
    audit = Audit(bucket, datetime(2026, 11, 23, 7, tzinfo=UTC), "r1")
    planned, outcomes = [Assignment("row", ("ana",))], {"row": Outcome("assigned")}
    with pytest.raises(AuditError, match=r"ReadTimeoutError.*S3 did not answer before"):
        audit.write_outcomes(planned, outcomes, confirming=True)
    assert asked == ["assignments"]
