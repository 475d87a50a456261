"""Bars: who may not have which row, and why one waits that nobody there may have. Pure."""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import cache

from lib.lots import NOBODY
from lib.names import compared
from lib.roster import Reviewer
from lib.turns import Waits


@dataclass(frozen=True)
class Bars:
    """By row id, the user ids of those who may not have it."""

    authors: Mapping[str, frozenset[str]] = field(default_factory=dict)
    passed: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Somebody may not have some row."""
        return bool(self.authors or self.passed)

    def of(self, row_id: str) -> frozenset[str]:
        """Who may not have the row, for whatever reason."""
        return self.authors.get(row_id, NOBODY) | self.passed.get(row_id, NOBODY)

    def why(self, row_id: str, there: AbstractSet[str]) -> Waits:
        """Why a row waits that nobody of those `there`, who have room, may have."""
        made_it = there <= self.authors.get(row_id, NOBODY)
        return Waits.PASSED if row_id in self.passed and not made_it else Waits.AUTHOR


def people_named(
    names: Mapping[str, tuple[str, ...]], reviewers: Iterable[Reviewer]
) -> dict[str, frozenset[str]]:
    """Who on the list is named by each row.

    `names` holds ids and addresses, as they are compared, by row id.
    """
    known: dict[str, set[str]] = {}
    for person in reviewers:
        for name in filter(None, (compared("id", person.id), person.email)):
            known.setdefault(name, set()).add(person.id)

    @cache  # rows of one author share one tuple
    def people(these: tuple[str, ...]) -> frozenset[str]:
        return NOBODY.union(*(known.get(name, NOBODY) for name in these))

    named = ((row_id, people(these)) for row_id, these in names.items())
    return {row_id: who for row_id, who in named if who}
