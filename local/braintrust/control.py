"""The control surface under /_local/: what tests do in Python, for other processes, in JSON."""

from __future__ import annotations

from dataclasses import asdict, fields
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.braintrust.merge import format_time, parse_time
from local.braintrust.store import Clock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from local.braintrust.app import BraintrustApp
    from local.braintrust.request_log import Record


def control_routes(app: BraintrustApp) -> list[Route]:
    """Return the routes. A body is the keyword arguments of what the route calls, or a list of such bodies."""
    actions: list[tuple[str, str, Callable[[BraintrustApp, Any], Any]]] = [
        (
            "GET",
            "health",
            lambda app, _: {"project_id": app.project_id, "now": format_time(app.store.clock())},
        ),
        ("POST", "reset", lambda app, _: app.reset()),
        ("POST", "faults", lambda app, how: app.faults.add(**how) and None),
        ("DELETE", "faults", lambda app, _: app.faults.clear()),
        ("GET", "options", lambda app, _: asdict(app.options)),
        ("POST", "options", _set_options),
        ("POST", "clock", _set_clock),
        ("POST", "users", lambda app, user: app.store.add_user(**user)),
        ("POST", "groups", lambda app, group: app.store.add_group(**group)),
        ("POST", "projects", lambda app, project: app.store.add_project(**project)),
        ("POST", "rows", lambda app, row: app.store.add_row(**row)),
        (
            "GET",
            "rows",
            lambda app, asked: app.store.row(asked["id"]) if "id" in asked else app.store.rows(),
        ),
        ("POST", "preload", _preload),
        ("GET", "history", _history),
        ("GET", "assignments", lambda app, _: app.store.assignments()),
        ("GET", "contested", lambda app, _: app.store.contested()),
        ("GET", "requests", _requests),
        ("DELETE", "requests", lambda app, _: app.requests.clear()),
        ("GET", "in_flight", lambda app, _: dict(app.requests.max_in_flight)),
    ]
    return [
        Route(f"/_local/{path}", _endpoint(app, action), methods=[method])
        for method, path, action in actions
    ]


def _endpoint(
    app: BraintrustApp, action: Callable[[BraintrustApp, Any], Any]
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        given: Any = dict(request.query_params)
        if await request.body():
            given = await request.json()
        try:
            result = (
                [action(app, item) for item in given]
                if isinstance(given, list)
                else action(app, given)
            )
        except (TypeError, ValueError, KeyError) as error:
            return JSONResponse({"error": str(error)}, 400)
        return JSONResponse(result)

    return endpoint


def _set_options(app: BraintrustApp, options: dict[str, Any]) -> dict[str, Any]:
    known = {field.name for field in fields(app.options)}
    if unknown := options.keys() - known:
        raise ValueError(f"unknown options: {', '.join(sorted(unknown))}")
    for name, value in options.items():
        setattr(app.options, name, value)
    return asdict(app.options)


def _set_clock(app: BraintrustApp, how: dict[str, Any]) -> str:
    """{"set": <ISO time>} stops the clock there, {"advance": <seconds>} moves it, {"run": true} is real time."""
    clock = app.store.clock
    if not isinstance(clock, Clock) or not how.keys() <= {"set", "advance", "run"}:
        raise ValueError("expected set, advance or run, and a clock that can be set")
    if "run" in how:
        clock.run()
    if "set" in how:
        clock.set(parse_time(how["set"]))
    if "advance" in how:
        clock.advance(how["advance"])
    return format_time(clock())


def _preload(app: BraintrustApp, how: dict[str, Any]) -> None:
    how = dict(how)
    if "days" in how:
        how["span"] = timedelta(days=how.pop("days"))
    app.store.add_rows(**how)


def _history(app: BraintrustApp, asked: dict[str, str]) -> list[dict[str, Any]]:
    versions = app.store.history(asked["id"])
    return [{"at": format_time(v.at), "row": v.row, "reviewers": v.reviewers} for v in versions]


def _requests(app: BraintrustApp, asked: dict[str, str]) -> list[dict[str, Any]]:
    return [_as_json(record) for record in app.requests if asked.get("kind") in {None, record.kind}]


def _as_json(record: Record) -> dict[str, Any]:
    return {**asdict(record), "at": format_time(record.at)}
