"""Checks what runs left behind, by rules of its own: nothing here comes from lib/."""

import copy
from collections.abc import Collection, Mapping
from typing import Any

ASSIGNMENTS, LISTS, DEFAULT = "~__bt_assignments", "~__bt_review_lists", "__bt_default_review_list"
Row = dict[str, Any]


def needs_reviewer(row: Row, tag: str, since: str) -> bool:
    """The row carries the tag, is of the window, has no reviewer and no finished review."""
    metadata = row["metadata"] or {}
    status = metadata.get(LISTS, {}).get(DEFAULT, {}).get("status")
    return (
        tag in (row["tags"] or [])
        and row["created"] >= since
        and not metadata.get(ASSIGNMENTS)
        and status in {None, "PENDING"}
    )


def wrong_rows(
    before: Mapping[str, Row],
    after: Mapping[str, Row],
    needy: Collection[str],
    reviewers: Collection[str],
) -> list[str]:
    """Ids of rows that are not what one run must make of them.

    That is: one reviewer where one was needed, else untouched.
    """
    wrong = [row_id for row_id in after if row_id not in before]
    for row_id, row in before.items():
        found = after.get(row_id, {})
        expected = assigned(row, found, reviewers) if row_id in needy else row
        if found != expected:
            wrong.append(row_id)
    return wrong


def assigned(row: Row, found: Row, reviewers: Collection[str]) -> Row | None:
    """`row` with the one reviewer that `found` has; None if that is not one of `reviewers`."""
    given = (found.get("metadata") or {}).get(ASSIGNMENTS)
    if not isinstance(given, list) or len(given) != 1 or given[0] not in reviewers:
        return None
    expected = copy.deepcopy(row) | {"_xact_id": found["_xact_id"]}
    expected["metadata"] = expected["metadata"] or {}
    expected["metadata"][ASSIGNMENTS] = given
    expected["metadata"].setdefault(LISTS, {})[DEFAULT] = {"status": "PENDING"}
    return expected
