"""Nothing is sent once it is too late: what an attempt waits for may take as long as it likes."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lib.braintrust import Braintrust, NotStarted, RequestFailed
from lib.deadline import Deadline
from lib.errors import AssignerError
from lib.wire import THREAD
from tests.listeners import self_signed
from tests.world import World

PAYLOAD = b'{"events": [{"id": "r"}]}'


class SlowResolver:
    """Name look-ups of the client's attempts that end when a test says so; those of others are as quick as ever."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.answers = threading.Event()
        self.slow: Callable[[], bool] = lambda: True
        self._look_up = socket.getaddrinfo

    def __call__(self, *args: Any, **how: Any) -> Any:
        if threading.current_thread().name == THREAD and self.slow():
            self.asked.set()
            assert self.answers.wait(30)
        return self._look_up(*args, **how)

    def answer(self) -> None:
        """Let every look-up go on, and see their attempts out."""
        self.answers.set()
        see_out()


def see_out() -> None:
    """Wait until no attempt is under way any more."""
    for thread in threading.enumerate():
        if thread.name == THREAD:
            thread.join(10)
            assert not thread.is_alive()


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowResolver]:
    slow = SlowResolver()
    monkeypatch.setattr(socket, "getaddrinfo", slow)
    yield slow
    slow.answer()


class Background:
    """A call in a thread of its own."""

    def __init__(self, call: Callable[[], object]) -> None:
        self._pool = ThreadPoolExecutor(1)
        self._future = self._pool.submit(call)

    def failure(self) -> RequestFailed:
        error = self._future.exception(10)
        assert isinstance(error, RequestFailed)
        return error


def test_an_attempt_that_still_looks_up_the_name_when_the_client_is_closed_sends_nothing(
    world: World, resolver: SlowResolver
) -> None:
    client = world.connect()
    call = Background(lambda: client.insert(PAYLOAD))
    assert resolver.asked.wait(5)
    began = time.monotonic()
    client.close()
    failure = call.failure()
    assert time.monotonic() - began < 5  # nobody goes on waiting for it either
    assert (type(failure), failure.may_have_landed) == (NotStarted, False)
    resolver.answer()
    assert world.braintrust.requests.count("insert") == 0


def test_an_attempt_that_was_given_up_after_request_timeout_sends_nothing_later(
    world: World, resolver: SlowResolver
) -> None:
    world.settings["REQUEST_TIMEOUT"] = "1"
    looked_up: list[bool] = []
    resolver.slow = lambda: not looked_up.append(True) and len(looked_up) == 1
    assert world.connect().insert(PAYLOAD) == {"row_ids": ["r"]}
    resolver.answer()
    assert len(looked_up) == 2
    assert world.braintrust.requests.count("insert") == 1


def test_an_attempt_sends_nothing_past_its_end_even_if_nobody_could_tell_it(
    world: World, resolver: SlowResolver
) -> None:
    """A container that was frozen meanwhile: Lambda's own count has run out, our clock stood still."""
    left = [60_000.0]
    client = world.connect(deadline=Deadline(lambda: left[0], clock=lambda: 0.0))
    call = Background(lambda: client.insert(PAYLOAD))
    assert resolver.asked.wait(5)
    left[0] = -3 * 3_600_000.0
    resolver.answer()
    failure = call.failure()
    assert (type(failure), failure.out_of_time, failure.may_have_landed) == (
        NotStarted,
        True,
        False,
    )
    assert world.braintrust.requests.count("insert") == 0


def test_an_attempt_sends_nothing_after_the_end_that_its_caller_gave_by_the_wall_clock(
    world: World, resolver: SlowResolver
) -> None:
    now = [datetime(2026, 11, 23, 7, tzinfo=UTC)]
    client = world.connect()
    until = client.deadline.until(now[0] + timedelta(minutes=15), lambda: now[0])
    call = Background(lambda: client.insert(PAYLOAD, deadline=until))
    assert resolver.asked.wait(5)
    now[0] += timedelta(minutes=15, seconds=1)
    resolver.answer()
    assert isinstance(call.failure(), NotStarted)
    assert world.braintrust.requests.count("insert") == 0


def test_a_run_that_has_ended_assigns_nothing_when_its_container_thaws(
    world: World, resolver: SlowResolver
) -> None:
    """Of two inserts side by side one has the run's connection; the other one looks up the name for its own."""
    world.settings |= {"BATCH_SIZE": "1", "INSERT_CONCURRENCY": "2"}
    world.add_users(1)
    world.add_rows(2)
    world.braintrust.faults.add("insert", latency=1, times=None)
    resolver.slow = lambda: world.braintrust.requests.count("user") > 0
    with suppress(AssignerError):
        world.run(seconds=4)
    assert resolver.asked.is_set()
    before = (world.braintrust.requests.count("insert"), world.assignments())
    resolver.answer()
    time.sleep(0.2)
    assert (world.braintrust.requests.count("insert"), world.assignments()) == before
    assert before[0] == 1


def test_a_client_that_is_closed_while_an_insert_waits_for_its_next_try_sends_no_other(
    world: World,
) -> None:
    world.braintrust.faults.add("insert", status=503, retry_after=20, times=None)
    client = Braintrust(world.load(), world.braintrust.api_key, Deadline(lambda: 60_000))
    call = Background(lambda: client.insert(PAYLOAD))
    while world.braintrust.requests.count("insert") == 0:
        time.sleep(0.01)
    time.sleep(0.2)
    client.close()
    failure = call.failure()  # at once: nobody sleeps on
    assert (failure.status, failure.out_of_time) == (503, True)
    assert world.braintrust.requests.count("insert") == 1


def test_a_closed_client_starts_nothing(world: World) -> None:
    client = world.connect()
    client.close()
    with pytest.raises(NotStarted):
        client.insert(PAYLOAD)
    assert len(world.braintrust.requests) == 0


def test_an_attempt_that_still_shakes_hands_when_the_client_is_closed_sends_nothing(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, certificate = self_signed(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        world.settings["BRAINTRUST_API_URL"] = f"https://127.0.0.1:{listener.getsockname()[1]}"
        client = world.connect()
        call = Background(lambda: client.insert(PAYLOAD))
        connection, _ = listener.accept()
        client.close()
        assert isinstance(call.failure(), NotStarted)
        connection.settimeout(10)
        with context.wrap_socket(connection, server_side=True) as shaken:
            assert received(shaken) == b""
    see_out()


def test_an_attempt_that_waits_for_a_proxy_when_the_client_is_closed_sends_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.getsockname()[1]}")
        monkeypatch.setenv("NO_PROXY", "")
        world.settings["BRAINTRUST_API_URL"] = "https://braintrust.example"
        client = world.connect()
        call = Background(lambda: client.insert(PAYLOAD))
        connection, _ = proxy.accept()
        connection.settimeout(10)
        assert connection.recv(65536).startswith(b"CONNECT braintrust.example:443 ")
        client.close()
        failure = call.failure()
        assert (type(failure), failure.may_have_landed) == (NotStarted, False)
        with suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 Go on\r\n\r\n")
        assert received(connection) == b""
    see_out()


def test_of_a_body_that_is_half_sent_when_the_client_is_closed_the_rest_stays_here(
    world: World,
) -> None:
    payload = b"x" * 64 * 2**20  # far more than sockets take in advance
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        world.settings["BRAINTRUST_API_URL"] = f"http://127.0.0.1:{listener.getsockname()[1]}"
        client = world.connect()
        call = Background(lambda: client.insert(payload))
        connection, _ = listener.accept()
        connection.settimeout(10)
        first = connection.recv(1000)
        client.close()
        assert call.failure().may_have_landed
        assert len(first) + len(received(connection)) < len(payload)
    see_out()


@pytest.mark.parametrize("tls", [False, True])
def test_the_connection_of_an_answer_that_nobody_waits_for_any_more_is_shut_down(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, tls: bool
) -> None:
    context, certificate = self_signed(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    world.settings["REQUEST_TIMEOUT"] = "1"
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        scheme = "https" if tls else "http"
        world.settings["BRAINTRUST_API_URL"] = f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"
        client = world.connect(deadline=Deadline(lambda: 1500))
        call = Background(lambda: client.insert(PAYLOAD))
        connection, _ = listener.accept()
        connection = context.wrap_socket(connection, server_side=True) if tls else connection
        connection.settimeout(10)
        assert b"".join(iter_until(connection, PAYLOAD)).endswith(PAYLOAD)
        began = time.monotonic()
        assert received(connection) == b""
        assert time.monotonic() - began < 5
        assert call.failure().may_have_landed
    see_out()


def test_a_connection_goes_on_to_serve_the_next_request(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An attempt that is answered ends without a trace: its connection is used again."""
    connected: list[Any] = []
    connect = socket.socket.connect

    def note(self: socket.socket, address: Any) -> None:
        connected.append(address)
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", note)
    client = world.connect()
    for _ in range(5):
        client.insert(PAYLOAD)
    assert (world.braintrust.requests.count("insert"), len(connected)) == (5, 1)


def iter_until(connection: socket.socket, end: bytes) -> Iterator[bytes]:
    """What comes in, until a piece ends so."""
    while piece := connection.recv(65536):
        yield piece
        if piece.endswith(end):
            return


def received(connection: socket.socket) -> bytes:
    """Everything until the other side hangs up."""
    content = b""
    with suppress(ConnectionError, ssl.SSLError):
        while piece := connection.recv(2**20):
            content += piece
    return content
