"""A Braintrust on 127.0.0.1, in a thread of this process.

with LocalBraintrust() as braintrust:             # api_key=, project_id=, clock=, port= if they
matter braintrust.url, braintrust.api_key, braintrust.project_id ana =
braintrust.store.add_user("ana@example.com")            # returns the id; user_id=, given_name=, ...
braintrust.store.add_group("reviewers", [ana], None)          # name, member_users, member_groups
row = braintrust.store.add_row(created=..., tags=["review"], metadata={...})   # takes anything,
unchecked braintrust.store.add_rows(100_000, tag="review")              # quick
braintrust.store.insert([{"id": row, "_is_merge": True, ...}])    # what the API does, unchecked
braintrust.store.row(row), braintrust.store.rows()            # deep copies; newest first
braintrust.store.history(row)                                 # [Version(at, row, .reviewers)],
oldest first braintrust.store.assignment_history(row)                      # [(), ("ana",)]: changes
only braintrust.store.assignments()                                # {row id: reviewers now}
braintrust.store.contested()                                  # {row id: history} of rows with two
reviewers ever braintrust.store.clock.set(moment) / .advance(seconds) / .run()   # or give your own
clock: () -> datetime braintrust.faults.add("query", status=503, times=2)           # see
faults.Fault for every field; times=None: always braintrust.faults.add("insert", drop=True,
applied=True)      # carried out, then the connection is reset braintrust.faults.add("query",
limit_over=500, status=504, times=None) braintrust.faults.add("insert", row_id=row, status=400,
times=None) braintrust.faults.clear() braintrust.options.read_lag = 30
# see options.Options: what is open or varies braintrust.requests.of("insert"),
braintrust.requests.count("query")   # request_log.Record, in order
braintrust.requests.max_in_flight["insert"] braintrust.reset()
# everything forgotten; same address and key

Kinds of requests: query, insert, fetch, feedback, user, group, project, overflow (the object
store's GET). `store`, `options` and the like are the current ones: fetch them anew from
`braintrust` after a reset.
"""

import asyncio
import socket
import threading
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any, Self

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from local.braintrust.answers import Transports
from local.braintrust.app import BraintrustApp
from local.braintrust.faults import Faults
from local.braintrust.options import Options
from local.braintrust.request_log import RequestLog
from local.braintrust.state import State
from local.braintrust.store import Store
from local.listen import listen

HOST = "127.0.0.1"
API_KEY = "sk-local-0123456789abcdef"


class LocalBraintrust:
    """The server and everything that steers it; the module's docstring shows how."""

    def __init__(
        self,
        *,
        api_key: str = API_KEY,
        project_id: str | None = None,
        clock: Callable[[], datetime] | None = None,
        host: str = HOST,
        port: int = 0,
    ) -> None:
        """Listens at once. Raises CannotListenError."""
        self.state = State(api_key, project_id or str(uuid.uuid4()), clock)
        self.app = BraintrustApp(self.state)
        self._sockets = [listen(host, port), listen(HOST, 0)]
        self.state.objects_address = self._sockets[1].getsockname()
        self.url = f"http://{host}:{self._sockets[0].getsockname()[1]}"
        self.objects_url = "http://{}:{}".format(*self.state.objects_address)
        self._server = _Server(self.app)
        self._thread = threading.Thread(target=self.serve, name="local-braintrust", daemon=True)

    @property
    def api_key(self) -> str:
        return self.state.api_key

    @property
    def project_id(self) -> str:
        return self.state.project_id

    @property
    def store(self) -> Store:
        return self.state.store

    @property
    def faults(self) -> Faults:
        return self.state.faults

    @property
    def options(self) -> Options:
        return self.state.options

    @property
    def requests(self) -> RequestLog:
        return self.state.requests

    def reset(self) -> None:
        self.state.reset()

    def serve(self) -> None:
        """Serve in this thread until `stop`."""
        asyncio.run(self._server.serve(sockets=self._sockets))

    def start(self) -> Self:
        self._thread.start()
        self._server.ready.wait()
        return self

    def stop(self) -> None:
        self._server.stop()
        self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


class _Server(uvicorn.Server):
    """uvicorn, but it starts and stops at once.

    Its own loop and shutdown look around every 0.1 seconds only.
    """

    def __init__(self, app: BraintrustApp) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=_protocol(app.transports),
                log_config=None,
                log_level="critical",
                access_log=False,
                lifespan="off",
                proxy_headers=False,
            )
        )
        self.ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped = asyncio.Event()

    async def main_loop(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.ready.set()
        while not (self.should_exit or self._stopped.is_set()):
            await self.on_tick(0)
            try:
                await asyncio.wait_for(self._stopped.wait(), timeout=0.5)
            except TimeoutError:
                continue

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for listener in sockets or ():
            listener.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()

    def stop(self) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stopped.set)


def _protocol(transports: Transports) -> type[H11Protocol]:
    class Protocol(H11Protocol):
        """Notes the connections, so that answers can break them."""

        def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - as uvicorn has it
            super().connection_made(transport)
            if self.client is not None:
                transports.opened(self.client, transport)

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            if self.client is not None:
                transports.closed(self.client)

    return Protocol
