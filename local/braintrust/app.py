"""Braintrust's HTTP API over a `Store`, as an ASGI application; beside it the object store that large answers go to."""

import asyncio
import base64
import binascii
import gzip
import json
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
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
from local.braintrust.faults import Call, Fault, Faults
from local.braintrust.hostile import hostile_answer
from local.braintrust.merge import EventError, Row, check_event
from local.braintrust.options import Options
from local.braintrust.parser import BtqlError
from local.braintrust.request_log import Record, RequestLog
from local.braintrust.store import Store

PAGE = 1000  # rows in a query page at most, and where no limit is given
CURSOR_MARK = b"\xfb\xef\xbf"  # makes a cursor start with "++//": clients must take it as it is
QUERY_KEYS = {
    "query",
    "fmt",
    "use_brainstore",
    "brainstore_realtime",
    "lint_mode",
    "tz_offset",
    "disable_limit",
}

Handler = Callable[["Exchange"], Response]


class Exchange:
    """One request on its way to an answer."""

    def __init__(self, request: Request, call: Call, record: Record, effects: Fault) -> None:
        self.request = request
        self.call = call
        self.record = record
        self.effects = effects
        self.compiled: Query | BtqlError | None = None

    @property
    def params(self) -> dict[str, list[str]]:
        return self.record.params

    def param(self, name: str) -> str | None:
        values = self.params.get(name)
        return values[-1] if values else None

    def body(self) -> Row:
        if not isinstance(self.call.parsed, dict):
            raise Refusal(400, "Expected a JSON object as the body", "text")
        return self.call.parsed


class BraintrustApp:
    """The ASGI application. What tests change while it runs, `store`, `faults`, `options`, is replaced by `reset`."""

    def __init__(
        self, api_key: str, project_id: str, clock: Callable[[], datetime] | None = None
    ) -> None:
        self.api_key = api_key
        self.project_id = project_id
        self.transports = Transports()
        self.requests = RequestLog()
        self.faults = Faults()
        self.options = Options()
        self.objects_address: tuple[str, int] = ("", 0)
        self._clock = clock
        self.reset()
        self._api = Starlette(routes=[*self._routes(), *control_routes(self)])
        self._object_store = Starlette(
            routes=[
                Route("/objects/{name}", self._endpoint("overflow", self._object)),
                Route("/{path:path}", self._endpoint("overflow", self._elsewhere)),
            ]
        )

    def reset(self) -> None:
        """Forget everything: rows, users, groups, faults, options, requests."""
        self.store = Store(self.project_id, self._clock)
        self.faults.clear()
        self.options = Options()
        self.requests.clear()
        self._objects: dict[str, Response] = {}
        self._queried: deque[datetime] = deque()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        server = tuple(scope["server"] or ())
        await (self._object_store if server == self.objects_address else self._api)(
            scope, receive, send
        )

    def _routes(self) -> list[Route]:
        logs = "/v1/project_logs/{project_id}"
        return [
            Route("/btql", self._endpoint("query", self._query), methods=["POST"]),
            Route(f"{logs}/insert", self._endpoint("insert", self._insert), methods=["POST"]),
            Route(f"{logs}/fetch", self._endpoint("fetch", self._fetch), methods=["GET", "POST"]),
            Route(f"{logs}/feedback", self._endpoint("feedback", self._feedback), methods=["POST"]),
            Route("/v1/user", self._endpoint("user", self._list_users), methods=["GET"]),
            Route("/v1/group", self._endpoint("group", self._list_groups), methods=["GET"]),
            Route(
                "/v1/project", self._endpoint("project", self._projects), methods=["GET", "POST"]
            ),
        ]

    # From a request to its answer

    def _endpoint(self, kind: str, handler: Handler) -> ASGIApp:
        return _Endpoint(self, kind, handler)

    async def answer(
        self, kind: str, handler: Handler, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Answer one request; it counts as in flight until its answer is out."""
        request = Request(scope, receive)
        with self.requests.watch(self._record(kind, request)) as record:
            exchange = self._exchange(kind, request, await request.body(), record)
            store = self.store
            if exchange.effects.latency:
                await asyncio.sleep(exchange.effects.latency)
            # A straggler from before a reset must not write into what came after it
            response = (
                self._respond(exchange, handler)
                if store is self.store
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
            at=self.store.clock(),
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
        exchange = Exchange(request, call, record, self.faults.strike(call))
        exchange.compiled = compiled
        return exchange

    def _compiled(self, query: object) -> Query | BtqlError:
        try:
            return compile_query(query, self.store.clock(), escapes=self.options.string_escapes)
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
        if len(str(request.url)) > self.options.url_max_bytes:
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
                effects.retry_after, self.store.clock(), as_date=effects.retry_after_date
            )
        message = effects.message.replace("{api_key}", self.api_key)
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

    # Who may

    def _authenticate(self, exchange: Exchange) -> None:
        if exchange.request.headers.get("authorization") != f"Bearer {self.api_key}":
            raise Refusal(401, "Unauthorized: invalid API key", self.options.unauthorized_style)
        user = exchange.record.impersonated
        known = {value for row in self.store.users for value in (row["id"], row["email"]) if value}
        if user is not None and (user not in known or not self.options.may_impersonate):
            raise Refusal(403, f"Cannot impersonate {user}: it needs the Owner role")

    def _authorize(self, project_id: str) -> None:
        if project_id not in self.store.logs:
            raise Refusal(
                403,
                f"User service@example.com does not have permission to read project_logs {project_id}",
            )

    # POST /btql

    def _query(self, exchange: Exchange) -> Response:
        self._authenticate(exchange)
        self._spend_query()
        body, effects = exchange.body(), exchange.effects
        if unknown := body.keys() - QUERY_KEYS:
            raise Refusal(400, f"Unrecognized key: {', '.join(sorted(unknown))}")
        if (fmt := body.get("fmt", "json")) not in {"json", "jsonl"}:
            raise Refusal(400, f"fmt {fmt!r} is not supported by the local server")
        query = exchange.compiled
        if not isinstance(query, Query):
            raise query or BtqlError("query: required")
        self._authorize(query.project_id)
        warnings = []
        if not query.bounded:
            warnings.append("The query has no bound on created: it scans the whole log")
            if body.get("lint_mode") == "strict":
                raise BtqlError(warnings[0])
        rows, cursor = self._page(query, effects)
        exchange.record.rows = len(rows)
        payload = self._envelope(
            query, [query.project(row) for row in rows], cursor, warnings, effects
        )
        if fmt == "jsonl":
            lines = "".join(json.dumps(row) + "\n" for row in payload["data"])
            return Response(
                lines, media_type="application/x-ndjson", headers=_cursor_header(cursor)
            )
        if effects.overflow:
            return self._overflown(payload, cursor, effects)
        return _json(payload, _cursor_header(cursor))

    def _spend_query(self) -> None:
        """Count a query against the organisation's allowance, and refuse it when that is spent."""
        allowed = self.options.queries_per_minute
        if allowed is None:
            return
        now = self.store.clock()
        minute = timedelta(seconds=self.options.minute)
        while self._queried and self._queried[0] <= now - minute:
            self._queried.popleft()
        if len(self._queried) < allowed:
            self._queried.append(now)
            return
        how = self.options.rate_limit_retry_after
        seconds = (
            (self._queried[0] + minute - now).total_seconds()
            if self._queried
            else self.options.minute
        )
        headers = {} if how == "none" else retry_after(-(-seconds // 1), now, as_date=how == "date")
        raise Refusal(
            429, "Rate limit exceeded: too many queries for this organization", headers=headers
        )

    def _page(self, query: Query, effects: Fault) -> tuple[list[Row], str | None]:
        """Return the rows of one page and the cursor of the next."""
        limit = PAGE if query.limit is None else query.limit
        if limit > PAGE and self.options.over_limit == "refuse":
            raise BtqlError(f"limit: at most {PAGE}")
        limit = min(limit, PAGE, effects.short_page or PAGE)
        lag = self.options.read_lag if effects.stale is None else effects.stale
        as_of = self.store.clock() - timedelta(seconds=lag) if lag else None
        if query.sort is not None:
            return self._sorted_page(query, limit, as_of), None
        below = _decode_cursor(query.cursor)
        rows = self.store.page(query.project_id, query.matches, limit + 1, below, as_of)
        more, rows = len(rows) > limit, rows[:limit]
        if effects.duplicates and rows and below is not None:
            count = min(
                effects.duplicates, limit - 1
            )  # one new row at least, or the pages would never end
            repeated = self.store.page_before(query.project_id, query.matches, count, below)
            more = more or len(repeated) + len(rows) > limit
            rows = [*repeated, *rows][:limit]
        if not rows or (self.options.end_of_results == "no_cursor" and not more):
            return rows, None
        if effects.stuck_cursor and query.cursor is not None:
            return rows, query.cursor
        return rows, _encode_cursor(rows[-1]["_pagination_key"])

    def _sorted_page(self, query: Query, limit: int, as_of: datetime | None) -> list[Row]:
        if query.cursor is not None:
            raise BtqlError("cursor: not supported together with sort")
        rows = self.store.page(query.project_id, query.matches, None, None, as_of)
        for key, descending in reversed(query.sort or ()):
            rows.sort(key=lambda row: (key(row) is not None, key(row)), reverse=descending)
        return rows[:limit]

    def _envelope(
        self, query: Query, data: list[Row], cursor: str | None, warnings: list[str], effects: Fault
    ) -> Row:
        xact = str(self.store.last_xact)
        payload: Row = {
            "data": data,
            "schema": {
                "type": "array",
                "items": {"type": "object", "properties": {name: {} for name in query.columns}},
            },
            "realtime_state": {
                "type": "exhausted_timeout" if effects.exhausted_timeout else "on",
                "minimum_xact_id": None,
                "read_bytes": 0,
                "actual_xact_id": xact,
            },
            "freshness_state": {"last_processed_xact_id": xact, "last_considered_xact_id": xact},
        }
        if warnings:
            payload["warnings"] = warnings
        if cursor is not None and not effects.no_cursor_in_body:
            payload["cursor"] = cursor
        return payload

    # Overflow: the object store

    def _overflown(self, payload: Row, cursor: str | None, effects: Fault) -> Response:
        payload.pop("cursor", None)
        body = json.dumps(payload).encode()
        stored = _json_bytes(gzip.compress(body) if effects.overflow_gzip else body)
        if cursor is not None:
            stored.headers[effects.overflow_header] = cursor
        name = uuid.uuid4().hex
        self._objects[name] = stored
        host, port = self.objects_address
        return RedirectResponse(f"http://{host}:{port}/objects/{name}?X-Amz-Signature=local", 303)

    def _object(self, exchange: Exchange) -> Response:
        if exchange.record.authorization:
            raise Refusal(400, "Only one auth mechanism allowed", "text")
        stored = self._objects.get(exchange.request.path_params["name"])
        if stored is None or exchange.param("X-Amz-Signature") != "local":
            raise Refusal(403, "AccessDenied", "text")
        return stored

    def _elsewhere(self, exchange: Exchange) -> Response:
        raise Refusal(404, f"Nothing at {exchange.call.path}", "text")

    # What happens to one project's log

    def _insert(self, exchange: Exchange) -> Response:
        self._authenticate(exchange)
        if len(exchange.call.body) > self.options.insert_max_bytes:
            raise Refusal(413, "Request Too Long", "gateway")
        project_id = exchange.request.path_params["project_id"]
        self._authorize(project_id)
        events = _only(exchange.body(), "events")
        try:
            checked = [check_event(event) for event in events]
        except EventError as error:
            raise Refusal(400, str(error)) from error
        return _json({"row_ids": self.store.insert(checked, project_id)})

    def _fetch(self, exchange: Exchange) -> Response:
        self._authenticate(exchange)
        project_id = exchange.request.path_params["project_id"]
        self._authorize(project_id)
        posted = exchange.request.method == "POST"
        asked: dict[str, Any] = (
            exchange.body() if posted else {n: v[-1] for n, v in exchange.params.items()}
        )
        if unknown := asked.keys() - {"limit", "cursor"}:
            raise Refusal(400, f"Not supported by the local server: {', '.join(sorted(unknown))}")
        limit = exchange.record.limit or PAGE
        start = _decode_cursor(asked.get("cursor"))
        if start is not None and not start.isdecimal():
            raise Refusal(400, "Invalid cursor")
        offset = int(start or 0)
        rows = self.store.row_versions(project_id)[offset : offset + limit]
        exchange.record.rows = len(rows)
        return _json(
            {"events": rows, "cursor": _encode_cursor(str(offset + len(rows))) if rows else None}
        )

    def _feedback(self, exchange: Exchange) -> Response:
        self._authenticate(exchange)
        project_id = exchange.request.path_params["project_id"]
        self._authorize(project_id)
        items = _only(exchange.body(), "feedback")
        allowed = {"id", "scores", "expected", "comment", "metadata", "source", "tags"}
        for item in items:
            if (
                not isinstance(item, dict)
                or not isinstance(item.get("id"), str)
                or item.keys() - allowed
            ):
                raise Refusal(
                    400, f"feedback: expected objects with id and {', '.join(sorted(allowed))}"
                )
        for item in items:
            self.store.give_feedback(item, project_id)
        return _json({"status": "success"})

    # GET /v1/user, /v1/group, /v1/project

    def _list_users(self, exchange: Exchange) -> Response:
        self._authenticate(exchange)
        self._know_params(exchange, "email", "given_name", "family_name", "org_name")
        wanted = _several(exchange.params.get("email"))
        if self.options.refuse_odd_user_ids and not all(
            map(_is_uuid, _several(exchange.params.get("ids")))
        ):
            raise Refusal(400, "ids: invalid uuid")
        fold = str if self.options.emails_mind_case else str.lower
        emails = {fold(email) for email in wanted}
        users = [
            user for user in self.store.users if not wanted or fold(user["email"] or "") in emails
        ]
        for name in ("given_name", "family_name"):
            if names := exchange.params.get(name):
                users = [user for user in users if user[name] in names]
        return self._objects_page(exchange, users)

    def _list_groups(self, exchange: Exchange) -> Response:
        self._authenticate(exchange)
        self._know_params(exchange, "group_name", "org_name")
        name = exchange.param("group_name")
        return self._objects_page(
            exchange, [g for g in self.store.groups if name in {None, g["name"]}]
        )

    def _projects(self, exchange: Exchange) -> Response:
        self._authenticate(exchange)
        if exchange.request.method == "POST":
            return self._create_project(exchange.body())
        self._know_params(exchange, "project_name", "org_name")
        name = exchange.param("project_name")
        return self._objects_page(
            exchange, [p for p in self.store.projects if name in {None, p["name"]}]
        )

    def _create_project(self, body: Row) -> Response:
        name = body.get("name")
        if not isinstance(name, str) or not name:
            raise Refusal(400, "name: required")
        if not any(project["name"] == name for project in self.store.projects):
            self.store.add_project(name)
        return _json(next(project for project in self.store.projects if project["name"] == name))

    def _know_params(self, exchange: Exchange, *names: str) -> None:
        if unknown := exchange.params.keys() - {"ids", "limit", "starting_after", *names}:
            raise Refusal(400, f"Not supported by the local server: {', '.join(sorted(unknown))}")

    def _objects_page(self, exchange: Exchange, objects: list[Row]) -> Response:
        ids = _several(exchange.params.get("ids"))
        chosen = [found for found in objects if not ids or found["id"] in ids]
        limit = exchange.param("limit") or str(self.options.objects_per_page)
        if not limit.isdecimal():
            raise Refusal(400, "limit: expected a non-negative integer")
        after = exchange.param("starting_after")
        if after is not None and exchange.effects.hostile != "repeating_objects":
            position = next((i for i, found in enumerate(chosen) if found["id"] == after), None)
            if position is None:
                raise Refusal(400, f"starting_after: no object {after}")
            chosen = chosen[position + 1 :]
        page = chosen[: min(int(limit), self.options.objects_per_page)]
        exchange.record.rows = len(page)
        return _json({"objects": page})


@dataclass(frozen=True)
class _Endpoint:
    """A route's end as an ASGI application of its own: it sees the answer out."""

    app: BraintrustApp
    kind: str
    handler: Handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app.answer(self.kind, self.handler, scope, receive, send)


def _json(payload: object, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse(payload, headers=headers)


def _json_bytes(body: bytes) -> Response:
    return Response(body, media_type="application/json")


def _parsed(body: bytes) -> Any:  # noqa: ANN401 - any JSON
    try:
        return json.loads(body) if body else None
    except (ValueError, RecursionError):
        return None


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _only(body: Row, key: str) -> list[Any]:
    """Return the one thing a body may hold, a list."""
    if body.keys() != {key} or not isinstance(body[key], list):
        raise Refusal(400, f'Expected {{"{key}": [...]}}')
    found: list[Any] = body[key]
    return found


def _several(values: list[str] | None) -> list[str]:
    """Return a repeatable parameter's values; the official Python client joins them with commas instead."""
    return [part for value in values or () for part in value.split(",")]


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


def _cursor_header(cursor: str | None) -> dict[str, str]:
    return {} if cursor is None else {"x-bt-cursor": cursor}


def _encode_cursor(key: str) -> str:
    return base64.b64encode(CURSOR_MARK + key.encode()).decode()


def _decode_cursor(cursor: object) -> str | None:
    if cursor is None:
        return None
    try:
        raw = base64.b64decode(str(cursor), validate=True)
    except binascii.Error as error:
        raise Refusal(400, "Invalid cursor") from error
    if not raw.startswith(CURSOR_MARK):
        raise Refusal(400, "Invalid cursor")
    return raw.removeprefix(CURSOR_MARK).decode(errors="replace")
