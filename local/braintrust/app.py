"""Braintrust's HTTP API over a `State`, as an ASGI application.

Beside it is the object store that large answers go to.
"""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from local.braintrust.answers import (
    Dribbled,
    Dropped,
    Hanging,
    Refusal,
    Transports,
    Truncated,
    retry_after,
)
from local.braintrust.btql import Query, compile_query
from local.braintrust.control import control_routes
from local.braintrust.exchange import PAGE, Exchange, Handler
from local.braintrust.faults import Call, Fault
from local.braintrust.hostile import hostile_answer
from local.braintrust.log import feedback, fetch, insert
from local.braintrust.organisation import list_groups, list_users, projects
from local.braintrust.overflow import elsewhere, stored_object
from local.braintrust.query import answer_query
from local.braintrust.request_log import Record
from local.braintrust.state import State
from local.braintrust.tokens import BtqlError

LOGS = "/v1/project_logs/{project_id}"


class BraintrustApp:
    """The ASGI application: it takes a request in, lets faults strike, and sees the answer out."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.transports = Transports()
        self._api = Starlette(routes=[*self._routes(), *control_routes(state)])
        self._object_store = Starlette(
            routes=[
                Route("/objects/{name}", self._endpoint("overflow", stored_object)),
                Route("/{path:path}", self._endpoint("overflow", elsewhere)),
            ]
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        server = tuple(scope["server"] or ())
        app = self._object_store if server == self.state.objects_address else self._api
        await app(scope, receive, send)

    def _routes(self) -> list[Route]:
        return [
            Route("/btql", self._endpoint("query", answer_query), methods=["POST"]),
            Route(f"{LOGS}/insert", self._endpoint("insert", insert), methods=["POST"]),
            Route(f"{LOGS}/fetch", self._endpoint("fetch", fetch), methods=["GET", "POST"]),
            Route(f"{LOGS}/feedback", self._endpoint("feedback", feedback), methods=["POST"]),
            Route("/v1/user", self._endpoint("user", list_users), methods=["GET"]),
            Route("/v1/group", self._endpoint("group", list_groups), methods=["GET"]),
            Route("/v1/project", self._endpoint("project", projects), methods=["GET", "POST"]),
        ]

    def _endpoint(self, kind: str, handler: Handler) -> ASGIApp:
        return _Endpoint(self, kind, handler)

    async def answer(
        self, kind: str, handler: Handler, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Answer one request; it counts as in flight until its answer is out."""
        request = Request(scope, receive)
        with self.state.requests.watch(self._record(kind, request)) as record:
            exchange = self._exchange(kind, request, await request.body(), record)
            store = self.state.store
            if exchange.effects.latency:
                await asyncio.sleep(exchange.effects.latency)
            # A straggler from before a reset must not write into what came after it
            response = (
                self._respond(exchange, handler)
                if store is self.state.store
                else Dropped(self.transports)
            )
            response.headers.update(exchange.effects.headers or {})
            record.status = 0 if isinstance(response, Dropped | Hanging) else response.status_code
            await response(scope, receive, send)

    def _record(self, kind: str, request: Request) -> Record:
        headers = {name.lower(): value for name, value in request.headers.items()}
        return Record(
            kind=kind,
            method=request.method,
            path=request.url.path,
            at=self.state.store.clock(),
            authorization=headers.pop("authorization", None) is not None,
            headers=headers,
            params={name: request.query_params.getlist(name) for name in request.query_params},
        )

    def _exchange(self, kind: str, request: Request, body: bytes, record: Record) -> Exchange:
        parsed = _parsed(body)
        compiled = None
        if kind == "query" and isinstance(parsed, dict):
            record.query = parsed.get("query")
            compiled = self._compiled(record.query)
            record.limit = (compiled.limit or PAGE) if isinstance(compiled, Query) else None
        if kind == "fetch":
            limit = (
                parsed.get("limit")
                if isinstance(parsed, dict)
                else request.query_params.get("limit")
            )
            record.limit = int(str(limit)) if str(limit).isdecimal() else None
        events = parsed.get("events") if kind == "insert" and isinstance(parsed, dict) else None
        row_ids = [str(event.get("id")) for event in _list(events) if isinstance(event, dict)]
        record.events, record.bytes = len(_list(events)), len(body)
        call = Call(
            kind, request.url.path, body, record.limit, tuple(row_ids), record.events, parsed
        )
        exchange = Exchange(self.state, request, call, record, self.state.faults.strike(call))
        exchange.compiled = compiled
        return exchange

    def _compiled(self, query: object) -> Query | BtqlError:
        try:
            return compile_query(query, self.state.store.clock(), self.state.options)
        except BtqlError as error:
            return error
        except RecursionError:
            return BtqlError("Query is nested too deeply")

    def _respond(self, exchange: Exchange, handler: Handler) -> Response:
        effects, path = exchange.effects, exchange.call.path
        if not effects.applied and (strike := self._strike(effects, path)):
            return strike
        try:
            self._check_url(exchange.request)
            response = handler(exchange)
        except Refusal as refusal:
            response = refusal.response(path)
        except BtqlError as error:
            response = Refusal(400, str(error)).response(path)
        if effects.applied and (strike := self._strike(effects, path)):
            return strike
        return self._disturbed(response, effects)

    def _check_url(self, request: Request) -> None:
        if len(str(request.url)) > self.state.options.url_max_bytes:
            raise Refusal(414, "URI Too Long", "text")

    def _strike(self, effects: Fault, path: str) -> Response | None:
        """Return what a fault answers in place of the server, if it does."""
        if effects.drop:
            return Dropped(self.transports)
        if effects.hang:
            return Hanging()
        if effects.status is None:
            return None
        headers = {}
        if effects.retry_after is not None:
            headers = retry_after(
                effects.retry_after, self.state.store.clock(), as_date=effects.retry_after_date
            )
        message = effects.message.replace("{api_key}", self.state.api_key)
        return Refusal(effects.status, message, effects.style, headers).response(path)

    def _disturbed(self, response: Response, effects: Fault) -> Response:
        """Return an answer changed in content or in the way it travels."""
        if effects.redirect is not None:
            return RedirectResponse(effects.redirect, 303)
        if effects.body is not None:
            response = Response(effects.body, response.status_code, media_type="application/json")
        if effects.hostile is not None and response.status_code == 200:
            body, media_type = hostile_answer(effects.hostile, bytes(response.body), effects.size)
            response = Response(body, media_type=media_type)
        if effects.truncate:
            return Truncated(response, self.transports)
        return response if effects.dribble is None else Dribbled(response, effects.dribble)


@dataclass(frozen=True)
class _Endpoint:
    """A route's end as an ASGI application of its own: it sees the answer out."""

    app: BraintrustApp
    kind: str
    handler: Handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app.answer(self.kind, self.handler, scope, receive, send)


def _parsed(body: bytes) -> Any:  # noqa: ANN401 - any JSON
    try:
        return json.loads(body) if body else None
    except (ValueError, RecursionError):
        return None


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
