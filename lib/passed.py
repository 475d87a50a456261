"""Who has passed a row: it was taken back from them, or they took themself off it.

They do not get it again. Pure.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from enum import Enum
from typing import Any, NamedTuple, Self

from lib.names import compared
from lib.rows import iso


class By(Enum):
    """How a row left somebody; the value is the word for it in plans."""

    REVIEWER = "reviewer"
    """A take-back that named them."""
    DAYS = "days"
    """A take-back that named no one."""
    LEFT = "left"
    """They took themself off it."""


class Passed(NamedTuple):
    """A row, and somebody whom it has left: an entry of the plans' `passed`."""

    row_id: str
    reviewer_id: str
    at: datetime
    by: By
    until: datetime
    """When plans forget it: `at`, and the length of that run's window."""

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote. Raises KeyError, TypeError or ValueError for anything else."""
        return cls(
            stored["row_id"],
            stored["reviewer_id"],
            datetime.fromisoformat(stored["at"]),
            By(stored["by"]),
            datetime.fromisoformat(stored["until"]),
        )


def json_passed(passed: Iterable[Passed]) -> Iterator[str]:
    """An object for each."""
    for each in passed:
        facts = {"at": iso(each.at), "by": each.by.value, "until": iso(each.until)}
        yield json.dumps({"row_id": each.row_id, "reviewer_id": each.reviewer_id, **facts})


def joined(before: Iterable[Passed], new: Iterable[Passed]) -> list[Passed]:
    """What plans know after it: of the same row, person and way in which it left, what is new."""
    known = {
        (each.row_id, compared("id", each.reviewer_id), each.by): each for each in (*before, *new)
    }
    return list(known.values())


def passed_by(
    passed: Iterable[tuple[str, str]], listed: Collection[str]
) -> Mapping[str, frozenset[str]]:
    """Who of those on the list has passed which row; rows that all have passed are left out.

    `passed`: rows and people. That a row is passed by everybody on the list is decided before
    dealing: it may go to any of them, whoever is there.
    """
    names = {compared("id", user_id): user_id for user_id in listed}
    people: dict[str, set[str]] = {}
    for row_id, user_id in passed:
        if name := names.get(compared("id", user_id)):
            people.setdefault(row_id, set()).add(name)
    return {row_id: frozenset(who) for row_id, who in people.items() if len(who) < len(names)}
