"""Answers that no client should trust: each turns the JSON of a good answer into something else."""

import json
from collections.abc import Callable
from typing import Any

Payload = Any
_Change = Callable[[Payload], object]

DEPTH = 100_000


def _each_row(change: Callable[[dict[str, Any]], object]) -> _Change:
    return lambda payload: {**payload, "data": [change(row) for row in payload["data"]]}


def _some_not_objects(payload: Payload) -> object:
    return {**payload, "data": ["a string", None, 7, ["a", "list"], *payload["data"]]}


CHANGES: dict[str, _Change] = {
    # of any answer
    "array": lambda payload: [payload],
    "string": lambda _: "all is well",
    "null": lambda _: None,
    # of a query
    "no_data": lambda payload: {key: value for key, value in payload.items() if key != "data"},
    "null_data": lambda payload: {**payload, "data": None},
    "data_object": lambda payload: {
        **payload,
        "data": {str(i): row for i, row in enumerate(payload["data"])},
    },
    "rows_not_objects": _some_not_objects,
    "cursor_number": lambda payload: {**payload, "cursor": 42},
    "cursor_object": lambda payload: {**payload, "cursor": {"next": "page"}},
    "empty_page_with_cursor": lambda payload: {
        **payload,
        "data": [],
        "cursor": payload.get("cursor", "more"),
    },
    "newline_ids": _each_row(lambda row: {**row, "id": f"{row.get('id')}\nsecond line\r\n"}),
    "number_ids": _each_row(lambda row: {**row, "id": 12345}),
    "empty_ids": _each_row(lambda row: {**row, "id": ""}),
    "no_ids": _each_row(lambda row: {key: value for key, value in row.items() if key != "id"}),
    "wrong_types": _each_row(lambda row: dict.fromkeys(row, 3.5) | {"id": row.get("id")}),
    "null_columns": _each_row(lambda row: dict.fromkeys(row) | {"id": row.get("id")}),
    # of an insert
    "wrong_row_ids": lambda payload: {
        "row_ids": [f"other-{row_id}" for row_id in payload["row_ids"]]
    },
    "short_row_ids": lambda payload: {"row_ids": payload["row_ids"][:-1]},
    "shuffled_row_ids": lambda payload: {"row_ids": payload["row_ids"][::-1]},
    "no_row_ids": lambda _: {},
    "row_ids_string": lambda _: {"row_ids": "all of them"},
    # of a look-up
    "no_objects": lambda _: {},
    "objects_not_objects": lambda payload: {"objects": ["a string", None, *payload["objects"]]},
    "repeating_objects": lambda payload: payload,  # the look-up itself forgets starting_after
}
RAW: dict[str, bytes] = {
    "html": b"<!doctype html><html><body><h1>Welcome to the hotel wifi</h1></body></html>",
    "empty": b"",
    "not_utf8": b'{"data": [{"id": "\xff\xfe"}]}',
    "not_json": b'{"data": [{"id": "a"}',
    "deep": b'{"data": ' + b"[" * DEPTH + b"]" * DEPTH + b"}",
    "nan": b'{"data": [{"id": "a", "created": NaN}]}',
}
HOSTILE = frozenset(CHANGES) | frozenset(RAW) | {"huge"}


def hostile_answer(name: str, answer: bytes, size: int) -> tuple[bytes, str]:
    """Return the body and the media type of a hostile answer made from a good one."""
    if name in RAW:
        return RAW[name], "text/html" if name == "html" else "application/json"
    if name == "huge":
        return b'{"data": [], "padding": "' + b"x" * size + b'"}', "application/json"
    return json.dumps(CHANGES[name](json.loads(answer))).encode(), "application/json"
