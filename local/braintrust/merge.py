"""What one insert event makes of a row: birth, replace, deep merge, removal of array values.

Pure: rows that go in are never changed, so that every version of a row can be kept as it was.
"""

import uuid
from datetime import UTC, datetime
from typing import Any

Row = dict[str, Any]

DEFAULTS: Row = {
    "span_parents": None,
    "is_root": True,
    "tags": None,
    "metadata": None,
    "span_attributes": None,
    "scores": None,
    "input": None,
    "output": None,
    "expected": None,
    "error": None,
    "metrics": None,
    "context": None,
    "origin": None,
    "log_id": "g",
}
SET_BY_SERVER = frozenset(
    {"id", "created", "is_root", "_xact_id", "_pagination_key", "project_id", "org_id", "log_id"}
)
WRITABLE = (frozenset(DEFAULTS) - SET_BY_SERVER) | {"id", "created", "span_id", "root_span_id"}
CONTROLS = frozenset({"_is_merge", "_merge_paths", "_array_delete", "_object_delete"})
FIELDS = WRITABLE | SET_BY_SERVER


class EventError(ValueError):
    """Raised for an insert event that Braintrust would refuse with a 400."""


def check_event(event: object) -> Row:
    """Return the event as it is, or raise `EventError` saying which field is wrong."""
    if not isinstance(event, dict):
        raise EventError(f"Expected object, received {type(event).__name__}")
    for field in event:
        if field not in WRITABLE | CONTROLS:
            raise EventError(f"Unrecognized key in event: {field!r}")
    for field, (fits, wanted) in _CHECKS.items():
        if event.get(field) is not None and not fits(event[field]):
            raise EventError(f"{field}: expected {wanted}")
    return event


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _is_path(value: object) -> bool:
    return _are_texts(value) and value != []


def _are_paths(value: object) -> bool:
    return isinstance(value, list) and all(_is_path(path) for path in value)


def _are_deletions(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(item, dict)
        and item.keys() == {"path", "delete"}
        and _is_path(item["path"])
        and isinstance(item["delete"], list)
        for item in value
    )


def _are_scores(value: object) -> bool:
    return isinstance(value, dict) and all(
        score is None
        or (isinstance(score, int | float) and not isinstance(score, bool) and 0 <= score <= 1)
        for score in value.values()
    )


def _is_time(value: object) -> bool:
    try:
        parse_time(str(value))
    except ValueError:
        return False
    return isinstance(value, str)


_CHECKS = {
    "id": (_is_text, "non-empty string"),
    "span_id": (_is_text, "non-empty string"),
    "root_span_id": (_is_text, "non-empty string"),
    "span_parents": (_are_texts, "array of strings"),
    "tags": (_are_texts, "array of strings"),
    "metadata": (_is_object, "object"),
    "metrics": (_is_object, "object"),
    "span_attributes": (_is_object, "object"),
    "context": (_is_object, "object"),
    "origin": (_is_object, "object"),
    "scores": (_are_scores, "object of numbers from 0 to 1"),
    "created": (_is_time, "ISO 8601 timestamp"),
    "_is_merge": (_is_flag, "boolean"),
    "_object_delete": (_is_flag, "boolean"),
    "_merge_paths": (_are_paths, "array of non-empty arrays of strings"),
    "_array_delete": (_are_deletions, 'array of {"path": [...], "delete": [...]}'),
}


def parse_time(text: str) -> datetime:
    """Read an ISO 8601 timestamp; one without an offset is UTC."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def format_time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def new_row(created: datetime) -> Row:
    """A row with nothing in it; the store says where it belongs."""
    span_id = str(uuid.uuid4())
    return {
        **DEFAULTS,
        "span_id": span_id,
        "root_span_id": span_id,
        "created": format_time(created),
        "_xact_id": "",
    }


def replace_row(row: Row, event: Row) -> Row:
    """Return `event` in the place of `row`, of which only stays what the server sets."""
    span_id = event.get("span_id") or row["span_id"]
    return {
        **DEFAULTS,
        **{field: row[field] for field in SET_BY_SERVER},
        **{field: event[field] for field in event.keys() & WRITABLE - SET_BY_SERVER},
        "span_id": span_id,
        "root_span_id": event.get("root_span_id") or span_id,
    }


def merge_event(row: Row, event: Row) -> Row:
    """Return `row` with `event` merged in, as `_is_merge: true` does."""
    whole = frozenset(tuple(path) for path in event.get("_merge_paths") or ())
    merged = dict(row)
    for field in event.keys() & WRITABLE - SET_BY_SERVER:
        if field == "tags" and ("tags",) not in whole:
            merged[field] = _union(row.get(field), event[field])
        else:
            merged[field] = _merge(row.get(field), event[field], (field,), whole)
    for deletion in event.get("_array_delete") or ():
        merged = _without(merged, deletion["path"], deletion["delete"])
    return merged


def _union(old: object, new: object) -> object:
    if not isinstance(new, list):
        return new
    kept = old if isinstance(old, list) else []
    return kept + [tag for tag in dict.fromkeys(new) if tag not in kept]


def _merge(
    old: object, new: object, path: tuple[str, ...], whole: frozenset[tuple[str, ...]]
) -> object:
    if path in whole or not isinstance(old, dict) or not isinstance(new, dict):
        return new
    merged = dict(old)
    for key, value in new.items():
        merged[key] = _merge(old.get(key), value, (*path, key), whole)
    return merged


def _without(node: Row, path: list[str], values: list[object]) -> Row:
    """Return `node` with `values` taken out of the array at `path`; no array there, no change."""
    head, *rest = path
    child = node.get(head)
    if rest and isinstance(child, dict):
        return {**node, head: _without(child, rest, values)}
    if not rest and isinstance(child, list):
        return {**node, head: [item for item in child if item not in values]}
    return node


def reviewers(row: Row | None) -> tuple[str, ...]:
    """Return whom a row is assigned to: the ids in the list, or what is in its place, as text."""
    metadata = (row or {}).get("metadata")
    assigned = metadata.get("~__bt_assignments") if isinstance(metadata, dict) else None
    if assigned is None:
        return ()
    return (
        tuple(str(reviewer) for reviewer in assigned)
        if isinstance(assigned, list)
        else (str(assigned),)
    )
