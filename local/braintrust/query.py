"""POST /btql: a page of rows, the cursor of the next one, and what stands around them."""

import json
from datetime import datetime, timedelta

from starlette.responses import Response

from local.braintrust.answers import Refusal, retry_after
from local.braintrust.btql import Query
from local.braintrust.cursors import decode_cursor, encode_cursor
from local.braintrust.exchange import PAGE, Exchange, json_answer
from local.braintrust.faults import Fault
from local.braintrust.merge import Row
from local.braintrust.overflow import overflown
from local.braintrust.state import State
from local.braintrust.tokens import BtqlError
from local.braintrust.versions import Position

QUERY_KEYS = {
    "query",
    "fmt",
    "use_brainstore",
    "brainstore_realtime",
    "lint_mode",
    "tz_offset",
    "disable_limit",
}


def answer_query(exchange: Exchange) -> Response:
    exchange.authenticate()
    state = exchange.state
    _spend_query(state)
    body, effects = exchange.body(), exchange.effects
    if unknown := body.keys() - QUERY_KEYS:
        raise Refusal(400, f"Unrecognized key: {', '.join(sorted(unknown))}")
    if (fmt := body.get("fmt", "json")) not in {"json", "jsonl"}:
        raise Refusal(400, f"fmt {fmt!r} is not supported by the local server")
    query = exchange.compiled
    if not isinstance(query, Query):
        raise query or BtqlError("query: required")
    exchange.authorize(query.project_id)
    warnings = []
    if not query.bounded:
        warnings.append("The query has no bound on created: it scans the whole log")
        if body.get("lint_mode") == "strict":
            raise BtqlError(warnings[0])
    rows, cursor = _page(state, query, effects)
    exchange.record.rows = len(rows)
    payload = _envelope(
        state, query, [query.project(row) for row in rows], cursor, warnings, effects
    )
    most = state.options.query_max_bytes
    if most is not None and len(json.dumps(payload["data"])) > most:
        raise Refusal(413, "Request Too Long", "gateway")
    if fmt == "jsonl":
        lines = "".join(json.dumps(row) + "\n" for row in payload["data"])
        return Response(lines, media_type="application/x-ndjson", headers=_cursor_header(cursor))
    if effects.overflow:
        return overflown(state, payload, cursor, effects)
    return json_answer(payload, _cursor_header(cursor))


def _spend_query(state: State) -> None:
    """Count a query against the organisation's allowance, and refuse it when that is spent."""
    allowed = state.options.queries_per_minute
    if allowed is None:
        return
    now = state.store.clock()
    minute = timedelta(seconds=state.options.minute)
    while state.queried and state.queried[0] <= now - minute:
        state.queried.popleft()
    if len(state.queried) < allowed:
        state.queried.append(now)
        return
    how = state.options.rate_limit_retry_after
    seconds = (
        (state.queried[0] + minute - now).total_seconds() if state.queried else state.options.minute
    )
    headers = {} if how == "none" else retry_after(-(-seconds // 1), now, as_date=how == "date")
    raise Refusal(
        429, "Rate limit exceeded: too many queries for this organization", headers=headers
    )


def _page(state: State, query: Query, effects: Fault) -> tuple[list[Row], str | None]:
    """Return the rows of one page and the cursor of the next."""
    limit = _page_limit(state, query, effects)
    lag = state.options.read_lag if effects.stale is None else effects.stale
    as_of = state.store.clock() - timedelta(seconds=lag) if lag else None
    if query.sort is not None:
        return _sorted_page(state, query, limit, as_of), None
    after, rising = decode_cursor(query.cursor, rising=query.rising), query.rising
    place = Position(query.project_id, after, rising=rising)
    rows = state.store.page(place, query.matches, limit + 1, as_of)
    if rows and after is not None:
        # One new row at least, or the pages would never end
        count = min(effects.duplicates, max(limit - 1, 0))
        rows = state.store.page_before(place, query.matches, count) + rows
    more, rows = len(rows) > limit, rows[:limit]
    if not rows or (state.options.end_of_results == "no_cursor" and not more):
        return rows, None
    if query.sorted and not state.options.sorts_with_cursor:
        return rows, None
    if effects.stuck_cursor and query.cursor is not None:
        return rows, query.cursor
    return rows, encode_cursor(rows[-1]["_pagination_key"], rising=rising)


def _page_limit(state: State, query: Query, effects: Fault) -> int:
    limit = PAGE if query.limit is None else query.limit
    if limit > PAGE and state.options.over_limit == "refuse":
        raise BtqlError(f"limit: at most {PAGE}")
    return min(limit, PAGE, effects.short_page or PAGE)


def _sorted_page(state: State, query: Query, limit: int, as_of: datetime | None) -> list[Row]:
    if query.cursor is not None:
        raise BtqlError("cursor: not supported together with sort")
    rows = state.store.page(Position(query.project_id), query.matches, None, as_of)
    for key, descending in reversed(query.sort or ()):
        rows.sort(key=lambda row: (key(row) is not None, key(row)), reverse=descending)
    return rows[:limit]


def _envelope(
    state: State,
    query: Query,
    data: list[Row],
    cursor: str | None,
    warnings: list[str],
    effects: Fault,
) -> Row:
    xact = str(state.store.last_xact)
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


def _cursor_header(cursor: str | None) -> dict[str, str]:
    return {} if cursor is None else {"x-bt-cursor": cursor}
