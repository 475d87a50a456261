"""What happens to one project's log: insert, fetch, feedback."""

from typing import Any

from starlette.responses import Response

from local.braintrust.answers import Refusal
from local.braintrust.cursors import decode_cursor, encode_cursor
from local.braintrust.exchange import PAGE, Exchange, json_answer
from local.braintrust.merge import EventError, check_event


def insert(exchange: Exchange) -> Response:
    exchange.authenticate()
    if len(exchange.call.body) > exchange.options.insert_max_bytes:
        raise Refusal(413, "Request Too Long", "gateway")
    project_id = exchange.project()
    events = exchange.items("events")
    try:
        checked = [check_event(event) for event in events]
    except EventError as error:
        raise Refusal(400, str(error)) from error
    return json_answer({"row_ids": exchange.store.insert(checked, project_id)})


def fetch(exchange: Exchange) -> Response:
    exchange.authenticate()
    project_id = exchange.project()
    posted = exchange.request.method == "POST"
    asked: dict[str, Any] = (
        exchange.body() if posted else {n: v[-1] for n, v in exchange.params.items()}
    )
    if unknown := asked.keys() - {"limit", "cursor"}:
        raise Refusal(400, f"Not supported by the local server: {', '.join(sorted(unknown))}")
    limit = exchange.record.limit or PAGE
    start = decode_cursor(asked.get("cursor"))
    if start is not None and not start.isdecimal():
        raise Refusal(400, "Invalid cursor")
    offset = int(start or 0)
    rows = exchange.store.row_versions(project_id)[offset : offset + limit]
    exchange.record.rows = len(rows)
    return json_answer(
        {"events": rows, "cursor": encode_cursor(str(offset + len(rows))) if rows else None}
    )


def feedback(exchange: Exchange) -> Response:
    exchange.authenticate()
    project_id = exchange.project()
    items = exchange.items("feedback")
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
        exchange.store.give_feedback(item, project_id)
    return json_answer({"status": "success"})
