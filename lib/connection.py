"""Connections that send nothing once their attempt is over.

The last look is just before the bytes go out.
"""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

from requests.adapters import HTTPAdapter
from requests.exceptions import InvalidSchema
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection


class NotSentError(Exception):
    """Raised in place of sending.

    The attempt was given up, or its client closed, while it got its connection.
    """


class Attempt:
    """One request on its way.

    Once it has ended, it sends nothing more, whatever its thread was waiting for.
    """

    def __init__(self, may_send: Callable[[], bool]) -> None:
        self.sent = False
        """Some of the request may have reached the server."""
        self.store = ""
        """The host of the object store that the attempt has gone on to."""
        self._may_send = may_send
        self._lock = threading.Lock()
        self._ended = False
        self._socket: socket.socket | None = None

    def last_look(self, connected: Any, *, to_proxy: bool) -> None:  # noqa: ANN401 - a socket or urllib3's TLS in TLS
        """Raise NotSentError unless bytes may go out now; from here on `end` shuts the socket down.

        In this order nothing slips through: either the end is seen here, or the end finds the
        socket.
        """
        with self._lock:
            self._socket = getattr(connected, "socket", connected)
            if self._ended or not self._may_send():
                raise NotSentError("its time was over before it could be sent")
            self.sent = self.sent or not to_proxy

    def let_go(self) -> None:
        """The exchange is over: its socket belongs to the pool again."""
        with self._lock:
            self._socket = None

    def end(self) -> None:
        """Send nothing from now on. A socket that is still out on loan is shut down."""
        with self._lock:
            self._ended, lent, self._socket = True, self._socket, None
        if lent is not None:
            with suppress(OSError):
                # Not TLS's own shutdown, after which a write would go out in plain text.
                socket.socket.shutdown(lent, socket.SHUT_RDWR)


current_attempt: ContextVar[Attempt] = ContextVar("current_attempt")
"""The attempt of this thread. Without one a connection sends nothing."""


class _Connection(HTTPConnection):
    def send(self, data: Any) -> None:  # noqa: ANN401 - as http.client has it
        if self.sock is None:
            self.connect()
        to_proxy = isinstance(data, bytes) and data.startswith(b"CONNECT ")
        current_attempt.get().last_look(self.sock, to_proxy=to_proxy)
        super().send(data)


class _TlsConnection(_Connection, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class Adapter(HTTPAdapter):
    """Makes every connection of a session, through a proxy or not, one of these."""

    def init_poolmanager(self, *args: Any, **how: Any) -> None:  # noqa: ANN401 - as requests has it
        super().init_poolmanager(*args, **how)
        _use_our_pools(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **how: Any) -> Any:  # noqa: ANN401 - as requests has it
        if proxy.lower().startswith("socks"):  # its pools are others, which know no last look
            raise InvalidSchema("SOCKS proxies are not supported")
        manager = super().proxy_manager_for(proxy, **how)
        _use_our_pools(manager)
        return manager


def _use_our_pools(manager: Any) -> None:  # noqa: ANN401 - urllib3's PoolManager, which requests hands out untyped
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
