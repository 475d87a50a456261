"""Contract section 4, posting the digest: once, twice at most, to one place, in time; and its address is nowhere."""

import json
import logging
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest

from lib import webhook as posting
from lib.deadline import Deadline
from lib.errors import DigestError
from lib.webhook import Webhook
from tests.listeners import Listener, self_signed
from tests.world import Naps

SECRET = "/services/T0123/RECOGNISE-me?key=RECOGNISE-too"
TRAPS = ("RECOGNISE", "127.0.0.1", "T0123")
"""Parts of the address, none of which may be said."""


@pytest.fixture
def hook() -> Iterator[Listener]:
    with Listener().serving() as hook:
        yield hook


@pytest.fixture(autouse=True)
def loud(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> pytest.LogCaptureFixture:
    """Whatever can be made to speak of requests does."""
    monkeypatch.setattr(HTTPConnection, "debuglevel", 1)
    for name in (None, "urllib3", "requests", "http.client", "asyncio"):
        caplog.set_level(logging.DEBUG, logger=name)
    return caplog


@pytest.fixture
def silence(
    loud: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> Callable[[BaseException | None], None]:
    """Asserts that the address is in no log line, on no stream, and nowhere in an error or in what led to it."""

    def hold(error: BaseException | None = None) -> None:
        told = [*capfd.readouterr(), *(record.getMessage() for record in loud.records)]
        while error is not None:
            told += [*traceback.format_exception(error), repr(error), repr(error.args)]
            error = error.__cause__ or error.__context__
        assert [text for text in told if any(trap in text for trap in TRAPS)] == []

    return hold


def refused(to: Webhook, seconds: float = 60, naps: Naps | None = None) -> DigestError:
    naps = naps or Naps()
    with pytest.raises(DigestError) as error:
        to.post("hello", naps.deadline(seconds), naps)
    return error.value


def test_the_text_is_posted_once_as_json_to_path_and_query(hook: Listener) -> None:
    hook.reply = lambda _: (200, {}, b"ok")
    Webhook(hook.url + SECRET).post("Ana: 3\nBen\u2039: 2", Deadline(lambda: 60_000))
    (heard,) = hook.heard
    assert (heard.method, heard.path) == ("POST", SECRET)
    assert heard.headers == {
        "host": f"127.0.0.1:{hook.port}",
        "accept-encoding": "identity",
        "content-type": "application/json; charset=UTF-8",
        "user-agent": "braintrust-review-assigner",
        "connection": "close",
        "content-length": str(len(json.dumps({"text": "Ana: 3\nBen\u2039: 2"}))),
    }


@pytest.mark.parametrize("status", [201, 204])
def test_any_2xx_will_do(hook: Listener, status: int) -> None:
    hook.reply = lambda _: (status, {}, b"")
    Webhook(hook.url).post("hello", Deadline(lambda: 60_000))
    assert [heard.path for heard in hook.heard] == ["/"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 400, 401, 403, 404, 410, 413, 600])
def test_any_other_refusal_is_final_and_names_its_status_only(
    hook: Listener, silence: Callable[..., None], status: int
) -> None:
    """A redirect, too: the message would go where nobody wanted it."""
    said = f"no_service at {hook.url}{SECRET}".encode()
    hook.reply = lambda _: (status, {"Location": hook.url + SECRET, "Retry-After": "1"}, said)
    error = refused(Webhook(hook.url + SECRET))
    assert str(error) == (
        f"the webhook refused the digest ({status}): "
        "check that it still exists and that WEBHOOK_PARAMETER holds its address"
    )
    assert len(hook.heard) == 1
    silence(error)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 599])
def test_a_throttled_or_broken_webhook_is_asked_once_more(
    hook: Listener, silence: Callable[..., None], status: int
) -> None:
    hook.reply = lambda _: (status if len(hook.heard) == 1 else 200, {}, b"")
    naps = Naps()
    Webhook(hook.url + SECRET).post("hello", naps.deadline(60), naps)
    first, second = naps.taken
    assert (len(hook.heard), first) == (2, 0)
    assert 0.5 <= second <= 1
    hook.heard.clear()
    hook.reply = lambda _: (status, {}, SECRET.encode())
    error = refused(Webhook(hook.url + SECRET))
    assert f"({status})" in str(error)
    assert len(hook.heard) == 2
    silence(error)


def test_it_waits_as_long_as_it_is_asked_to_and_not_beyond_its_time(hook: Listener) -> None:
    hook.reply = lambda _: (429, {"Retry-After": "30"}, b"")
    naps = Naps()
    refused(Webhook(hook.url), 60, naps)
    assert (len(hook.heard), naps.taken) == (2, [0, 30])
    hook.heard.clear()
    naps = Naps()
    assert "(429)" in str(refused(Webhook(hook.url), 30, naps))
    assert (len(hook.heard), naps.taken) == (1, [0])


def test_without_time_nothing_is_sent(hook: Listener) -> None:
    assert str(refused(Webhook(hook.url), 0)) == "there was no time left to post the digest"
    assert hook.heard == []


# Servers that give no answer


def silent(_: socket.socket) -> None:
    time.sleep(5)


def slow(connection: socket.socket) -> None:
    """A byte at a time, each before any timeout of the socket's."""
    for byte in b"HTTP/1.1 200 OK\r\nX-Filler: " + b"x" * 400:
        connection.sendall(bytes([byte]))
        time.sleep(0.02)


def hangs_up(_: socket.socket) -> None:
    """Closes what it has accepted."""


def talks_nonsense(connection: socket.socket) -> None:
    connection.sendall(b"SSH-2.0-OpenSSH_9.6 " + SECRET.encode() + b"\r\n")


def sends_headers_without_end(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n" + b"X-Filler: x\r\n" * 200 + b"\r\n")


@contextmanager
def odd_server(behave: Callable[[socket.socket], None]) -> Iterator[tuple[int, list[bytes]]]:
    """Its port, and what was sent to it, a connection each."""
    got: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        with connection:
            connection.settimeout(5)
            try:
                got.append(connection.recv(65536))
                behave(connection)
            except OSError:
                pass

    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    connection = server.accept()[0]
                except OSError:
                    return
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1], got
        server.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    "behave", [silent, slow, hangs_up, talks_nonsense, sends_headers_without_end]
)
def test_where_no_answer_came_it_is_not_sent_again_and_does_not_take_for_ever(
    monkeypatch: pytest.MonkeyPatch,
    silence: Callable[..., None],
    behave: Callable[[socket.socket], None],
    scheme: str,
) -> None:
    monkeypatch.setattr(posting, "LONGEST_ATTEMPT", 0.4)
    with odd_server(behave) as (port, got):
        began = time.monotonic()
        error = refused(Webhook(f"{scheme}://127.0.0.1:{port}{SECRET}"))
        took = time.monotonic() - began
    assert str(error).startswith("the webhook gave no answer (")
    assert len(got) == 1
    assert took < 4
    silence(error)


def test_a_request_s_own_bound_holds_here_too() -> None:
    with odd_server(silent) as (port, _):
        began = time.monotonic()
        refused(Webhook(f"http://127.0.0.1:{port}", timeout=0.3))
    assert time.monotonic() - began < 4


def test_nobody_there(silence: Callable[..., None]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    error = refused(Webhook(f"http://127.0.0.1:{port}{SECRET}"))
    assert str(error) == (
        "the webhook gave no answer (ConnectionRefusedError): "
        "the digest is not sent again, as it may have been posted"
    )
    silence(error)


def test_a_name_look_up_that_never_ends_is_given_up_and_sends_nothing_later(
    hook: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posting, "LONGEST_ATTEMPT", 0.1)
    known, look_up = threading.Event(), socket.getaddrinfo

    def late(*where: object, **how: object) -> object:
        known.wait(5)
        return look_up(*where, **how)  # type: ignore[arg-type] # as it was called

    monkeypatch.setattr(socket, "getaddrinfo", late)
    assert "(TimeoutError)" in str(refused(Webhook(hook.url)))
    known.set()
    for thread in threading.enumerate():
        if thread.name == posting.THREAD:
            thread.join(5)
    assert hook.heard == []


# TLS


def test_a_certificate_that_does_not_hold_is_shown_nothing(
    tmp_path: Path, silence: Callable[..., None]
) -> None:
    with Listener(self_signed(tmp_path)[0]).serving() as hook:
        error = refused(Webhook(hook.url + SECRET))
    assert "(SSLCertVerificationError)" in str(error)
    assert hook.heard == []
    silence(error)


def test_over_tls_that_holds_it_is_posted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, silence: Callable[..., None]
) -> None:
    server, certificate = self_signed(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with Listener(server).serving() as hook:
        hook.reply = lambda _: (200, {}, b"ok")
        Webhook(hook.url + SECRET).post("hello", Deadline(lambda: 60_000))
    assert [heard.path for heard in hook.heard] == [SECRET]
    silence()


def test_no_proxy_of_the_environment_and_no_netrc_learns_of_it(
    hook: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("default login somebody password else\n", "ascii")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with Listener().serving() as proxy:
        for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(variable, proxy.url)
        hook.reply = lambda _: (200, {}, b"")
        Webhook(hook.url).post("hello", Deadline(lambda: 60_000))
    assert proxy.heard == []
    assert "authorization" not in hook.heard[0].headers


def test_a_webhook_does_not_show_its_address() -> None:
    hook = Webhook("https://127.0.0.1" + SECRET)
    assert not [trap for trap in TRAPS if trap in repr(hook) + str(hook)]
