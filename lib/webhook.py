"""The webhook that the digest is posted to.

Its address is a secret: it appears in no error, log line or repr.

The standard library's client, because requests puts address and path into its exceptions and
urllib3 logs them. What an attempt raises is told by its class alone, in a value: no exception that
knows the address is in anybody's chain.
"""

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPConnection, HTTPSConnection
from queue import Empty, SimpleQueue
from typing import NamedTuple
from urllib.parse import urlsplit

from lib.deadline import Deadline
from lib.errors import DigestError
from lib.pauses import asked_pause, own_pause

LONGEST_ATTEMPT = 10.0  # seconds, from looking up the host to the end of the answer's headers
LEAST_TIME = 0.1  # seconds that an attempt must have to be worth starting
ATTEMPTS = 2
THREAD = "webhook-attempt"
HEADERS = {
    "Content-Type": "application/json; charset=UTF-8",
    "User-Agent": "braintrust-review-assigner",
    "Connection": "close",
}


class _Came(NamedTuple):
    """What one attempt came to."""

    status: int = 0
    """0: no answer."""
    retry_after: str | None = None
    trouble: str = ""
    """Without an answer: the class of what was raised."""

    @property
    def passes(self) -> bool:
        """It may be otherwise in a moment."""
        return self.status == 429 or 500 <= self.status < 600


class Webhook:
    """Posts messages to one address, which the caller has checked."""

    def __init__(self, address: str, timeout: float = LONGEST_ATTEMPT) -> None:
        """`timeout`: seconds for one attempt, if LONGEST_ATTEMPT is not less."""
        self._timeout = timeout
        parts = urlsplit(address)
        self._tls = parts.scheme == "https"
        self._host, self._port = parts.hostname or "", parts.port
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    def post(
        self, text: str, deadline: Deadline, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        """Post `{"text": text}`, once more where it is throttled or broken for the moment.

        It is never posted by a redirect. Where no answer came, it may have been posted: it is not
        sent again. Raises DigestError.
        """
        body, reply, pause = json.dumps({"text": text}).encode(), None, 0.0
        for tries in range(1, ATTEMPTS + 1):
            if deadline.left() - pause < LEAST_TIME:
                break
            sleep(pause)
            reply = self._attempt(body, min(LONGEST_ATTEMPT, self._timeout, deadline.left()))
            if 200 <= reply.status < 300:
                return
            if not reply.passes:
                break
            pause = max(own_pause(tries, throttled_query=False), asked_pause(reply.retry_after))
        raise DigestError(_words(reply))

    def _attempt(self, body: bytes, seconds: float) -> _Came:
        """Send once, within so many seconds as a whole, whatever the server or a look-up does."""
        connection = self._connection(seconds)
        connection.set_debuglevel(0)  # whatever somebody has set for all: it prints the path
        replies: SimpleQueue[_Came] = SimpleQueue()
        over = threading.Event()

        def work() -> None:
            try:
                replies.put(self._exchange(connection, body, over))
            except BaseException as error:  # noqa: BLE001 - its text may hold the address
                replies.put(_Came(trouble=type(error).__name__))

        threading.Thread(target=work, name=THREAD, daemon=True).start()
        try:
            return replies.get(timeout=seconds)
        except Empty:
            over.set()
        if (lent := connection.sock) is not None:
            with suppress(OSError):  # not TLS's own shutdown, which waits for the other side
                socket.socket.shutdown(lent, socket.SHUT_RDWR)
        return _Came(trouble="TimeoutError")

    def _exchange(self, connection: HTTPConnection, body: bytes, over: threading.Event) -> _Came:
        try:
            connection.connect()
            if over.is_set():
                return _Came()
            connection.request("POST", self._path, body, HEADERS)
            answer = connection.getresponse()
            return _Came(answer.status, answer.headers.get("Retry-After"))
        finally:
            connection.close()

    def _connection(self, seconds: float) -> HTTPConnection:
        if not self._tls:
            return HTTPConnection(self._host, self._port, timeout=seconds)
        context = ssl.create_default_context()
        return HTTPSConnection(self._host, self._port, timeout=seconds, context=context)


def _words(reply: _Came | None) -> str:
    """What to say of a digest not posted: of a refusal its status, and nothing the server said."""
    if reply is None:
        return "there was no time left to post the digest"
    if reply.status:
        return (
            f"the webhook refused the digest ({reply.status}): "
            "check that it still exists and that WEBHOOK_PARAMETER holds its address"
        )
    return (
        f"the webhook gave no answer ({reply.trouble}): "
        "the digest is not sent again, as it may have been posted"
    )
