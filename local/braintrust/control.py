"""The control surface under /_local/: what tests do in Python, for other processes, in JSON."""

from collections.abc import Awaitable, Callable
from dataclasses import asdict, fields
from datetime import timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.braintrust.clock import Clock
from local.braintrust.merge import format_time, parse_time
from local.braintrust.request_log import Record
from local.braintrust.state import State


def control_routes(state: State) -> list[Route]:
    """Return the routes.

    A body is the keyword arguments of what the route calls, or a list of such bodies.
    """
    actions: list[tuple[str, str, Callable[[State, Any], Any]]] = [
        ("GET", "health", _health),
        ("POST", "reset", lambda state, _: state.reset()),
        ("POST", "faults", lambda state, how: state.faults.add(**how) and None),
        ("DELETE", "faults", lambda state, _: state.faults.clear()),
        ("GET", "options", lambda state, _: asdict(state.options)),
        ("POST", "options", _set_options),
        ("POST", "clock", _set_clock),
        ("POST", "users", lambda state, user: state.store.add_user(**user)),
        ("POST", "groups", lambda state, group: state.store.add_group(**group)),
        ("POST", "projects", lambda state, project: state.store.add_project(**project)),
        ("POST", "rows", lambda state, row: state.store.add_row(**row)),
        ("GET", "rows", _rows),
        ("POST", "preload", _preload),
        ("GET", "history", _history),
        ("GET", "assignments", lambda state, _: state.store.assignments()),
        ("GET", "contested", lambda state, _: state.store.contested()),
        ("GET", "requests", _requests),
        ("DELETE", "requests", lambda state, _: state.requests.clear()),
        ("GET", "in_flight", lambda state, _: dict(state.requests.max_in_flight)),
    ]
    return [
        Route(f"/_local/{path}", _endpoint(state, action), methods=[method])
        for method, path, action in actions
    ]


def _endpoint(
    state: State, action: Callable[[State, Any], Any]
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        given: Any = dict(request.query_params)
        if await request.body():
            given = await request.json()
        try:
            result = (
                [action(state, item) for item in given]
                if isinstance(given, list)
                else action(state, given)
            )
        except (TypeError, ValueError, KeyError) as error:
            return JSONResponse({"error": str(error)}, 400)
        return JSONResponse(result)

    return endpoint


def _health(state: State, _: object) -> dict[str, str]:
    return {"project_id": state.project_id, "now": format_time(state.store.clock())}


def _rows(state: State, asked: dict[str, str]) -> object:
    return state.store.row(asked["id"]) if "id" in asked else state.store.rows()


def _set_options(state: State, options: dict[str, Any]) -> dict[str, Any]:
    known = {field.name for field in fields(state.options)}
    if unknown := options.keys() - known:
        raise ValueError(f"unknown options: {', '.join(sorted(unknown))}")
    for name, value in options.items():
        setattr(state.options, name, value)
    return asdict(state.options)


def _set_clock(state: State, how: dict[str, Any]) -> str:
    """{"set": <ISO time>} stops the clock there, {"advance": <seconds>} moves it.

    {"run": true} is real time.
    """
    clock = state.store.clock
    if not isinstance(clock, Clock) or not how.keys() <= {"set", "advance", "run"}:
        raise ValueError("expected set, advance or run, and a clock that can be set")
    if "run" in how:
        clock.run()
    if "set" in how:
        clock.set(parse_time(how["set"]))
    if "advance" in how:
        clock.advance(how["advance"])
    return format_time(clock())


def _preload(state: State, how: dict[str, Any]) -> None:
    how = dict(how)
    if "days" in how:
        how["span"] = timedelta(days=how.pop("days"))
    state.store.add_rows(**how)


def _history(state: State, asked: dict[str, str]) -> list[dict[str, Any]]:
    versions = state.store.history(asked["id"])
    return [{"at": format_time(v.at), "row": v.row, "reviewers": v.reviewers} for v in versions]


def _requests(state: State, asked: dict[str, str]) -> list[dict[str, Any]]:
    return [
        _as_json(record) for record in state.requests if asked.get("kind") in {None, record.kind}
    ]


def _as_json(record: Record) -> dict[str, Any]:
    return {**asdict(record), "at": format_time(record.at)}
