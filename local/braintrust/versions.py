"""The rows of one project, each with all its versions."""

from bisect import bisect_left
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from local.braintrust.merge import Row, reviewers


class Version(NamedTuple):
    """A row as it was written at a moment; `row` is None where it was deleted."""

    at: datetime
    row: Row | None

    @property
    def reviewers(self) -> tuple[str, ...]:
        return reviewers(self.row)


class Log:
    """The rows of one project, each with all its versions, in the order of their pagination keys."""

    def __init__(self) -> None:
        self.versions: dict[str, list[Version]] = {}
        self._order: list[tuple[str, str]] = []
        self._sorted = True

    def append(self, version: Version, row_id: str, pagination_key: str) -> None:
        if row_id not in self.versions:
            entry = (pagination_key, row_id)
            self._sorted = self._sorted and (not self._order or self._order[-1] <= entry)
            self._order.append(entry)
            self.versions[row_id] = []
        self.versions[row_id].append(version)

    def pagination_key(self, row_id: str) -> str | None:
        """Return where a row stands in the order: a row that was deleted and is born again stands there again."""
        rows = (version.row for version in self.versions.get(row_id, []))
        return next((row["_pagination_key"] for row in rows if row is not None), None)

    def current(self, row_id: str) -> Row | None:
        known = self.versions.get(row_id)
        return known[-1].row if known else None

    def as_of(self, row_id: str, moment: datetime) -> Row | None:
        return next(
            (version.row for version in reversed(self.versions[row_id]) if version.at <= moment),
            None,
        )

    def older(self, row_id: str) -> Row:
        """Return an outdated version of a row: the one before, or else itself with a lower transaction id."""
        *_, row = (version.row for version in self.versions[row_id][:-1] or self.versions[row_id])
        current = self.versions[row_id][-1].row or {}
        return (
            row
            if row and row is not current
            else {**current, "_xact_id": str(int(current["_xact_id"]) - 1)}
        )

    def below(self, pagination_key: str | None, as_of: datetime | None = None) -> Iterator[Row]:
        """Yield the rows before a pagination key, newest first; all of them without a key."""
        self._sort()
        start = (
            len(self._order)
            if pagination_key is None
            else bisect_left(self._order, (pagination_key, ""))
        )
        for index in range(start - 1, -1, -1):
            row_id = self._order[index][1]
            row = self.versions[row_id][-1].row if as_of is None else self.as_of(row_id, as_of)
            if row is not None:
                yield row

    def from_(self, pagination_key: str) -> Iterator[str]:
        """Yield the ids of the rows at a pagination key and above it, in rising order."""
        self._sort()
        for index in range(bisect_left(self._order, (pagination_key, "")), len(self._order)):
            yield self._order[index][1]

    def _sort(self) -> None:
        if not self._sorted:
            self._order.sort()
            self._sorted = True
