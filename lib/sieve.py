"""What is kept of each row that comes in, and what cannot be used, counted and named. Pure."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from lib.authors import names_of, value_at
from lib.names import is_text, shown
from lib.rows import (
    ASSIGNMENTS,
    REVIEW_FIELDS,
    Json,
    Row,
    UnreadableError,
    get_assignments,
    get_status,
)
from lib.rules import FINISHED

MOST_WORDS = 5  # that warnings name
NOTHING: tuple[object, ...] = (None, "", [], {})
NO_VERSION = -1

Seen = tuple[Row, int]
"""What is kept of a row, and its version: `_xact_id`, which rises with every write, or NO_VERSION
where nothing about the row makes sense. The version is of no use once everything is read, so that
rows do without it."""


class Sieve:
    """Reads what the rows of one read say, and remembers what cannot be used."""

    def __init__(self, open_statuses: Iterable[str], author: str = "") -> None:
        """`author`: where the metadata says who made a row, keys joined by dots; empty: nowhere."""
        self._open = frozenset(open_statuses)
        self._author = author
        self._people: dict[tuple[str, ...], tuple[str, ...]] = {}
        """Rows of the same people share one tuple."""
        self.words: dict[str, str] = {}
        """Status words that nobody has documented, by row id."""
        self._nameless: list[str] = []
        """What rows have in place of an id that is text."""
        self.large: dict[str, None] = {}
        """Rows that are too large to be read."""
        self.stale = False
        """The server said that an answer may be old."""

    def row(self, row: Any) -> Seen | None:  # noqa: ANN401 - whatever the server calls a row
        """What is kept of a row, and its version; None if it has no id.

        One that cannot be used otherwise is not `readable`.
        """
        row_id = row.get("id") if isinstance(row, dict) else None
        if not (isinstance(row_id, str) and row_id):
            self._nameless.append(shown(row_id))
            return None
        try:
            moment = datetime.fromisoformat(row["created"])
            created = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
            version = int(row.get("_xact_id") or 0)
        except (KeyError, TypeError, ValueError, OverflowError):
            return Row(0.0, row_id, readable=False), NO_VERSION
        if not (row_id.isascii() or is_text(row_id)):
            return Row(created, row_id, readable=False), NO_VERSION
        metadata = row.get("metadata")
        if not self._author and isinstance(metadata, dict) and REVIEW_FIELDS.isdisjoint(metadata):
            return Row(created, row_id), version  # most rows
        return self._kept(created, row_id, row), version

    def too_large(self, row: object) -> Seen | None:
        """What is kept of a row whose metadata cannot be read: it is left alone."""
        pair = self.row(row)
        if pair is None:
            return None
        kept, version = pair
        self.large[kept.id] = None
        return kept._replace(readable=False), version

    def add(self, other: "Sieve") -> None:
        """What another one remembers of its rows, too."""
        self.words |= other.words
        self.large |= other.large

    def _kept(self, created: float, row_id: str, row: Json) -> Row:
        """What is kept of a row, given its age and its id."""
        try:
            reviewers = tuple(get_assignments(row))
            reviewed = self._is_reviewed(row_id, get_status(row))
        except UnreadableError:
            return Row(created, row_id, readable=False)
        people = self._people.setdefault(reviewers, reviewers)
        authors = None if people or reviewed else self._authors(row)
        return Row(created, row_id, people, reviewed, emptied=is_emptied(row), authors=authors)

    def _authors(self, row: Json) -> tuple[str, ...] | None:
        """Whom a row names at AUTHOR; None if nothing is there."""
        metadata = row.get("metadata")
        if not self._author or not isinstance(metadata, dict):
            return None
        value = value_at(metadata, self._author)
        if value in NOTHING:
            return None
        names = names_of(value)
        return self._people.setdefault(names, names)

    def _is_reviewed(self, row_id: str, status: str | None) -> bool:
        """The default review list has a status, and it is not one of those that are open."""
        if status is None or status in self._open:
            return False
        if status not in FINISHED:
            self.words[row_id] = status
        return True

    def warnings(self, rows: Iterable[Row]) -> list[str]:
        """What had to be left alone, in sentences."""
        rows = list(rows)
        odd = [row.id for row in rows if not row.readable and row.id not in self.large]
        warnings = []
        if odd:
            warnings.append(
                f"{len(odd)} rows have an id, review fields, a created or an _xact_id of an "
                f"unexpected kind and are left alone, such as {shown(odd[0])}"
            )
        if self.large:
            warnings.append(
                f"{len(self.large)} rows are too large to be read and are left alone, such as "
                f"{shown(next(iter(self.large)))}"
            )
        if self._nameless:
            warnings.append(
                f"{len(self._nameless)} rows have no id that is text and are left alone; the first "
                f"has {self._nameless[0]}"
            )
        warnings += self._words_of(rows)
        if self.stale:
            warnings.append(
                "Braintrust said that its answer may be stale (realtime_state exhausted_timeout)"
            )
        return warnings

    def _words_of(self, rows: Iterable[Row]) -> list[str]:
        if not self.words:
            return []
        words = Counter(self.words[row.id] for row in rows if row.id in self.words)
        warnings = [
            f"{count} rows have the review status {shown(word)}, which nobody has documented: it "
            "is taken for a finished review; if it is not, add it to OPEN_STATUSES"
            for word, count in words.most_common(MOST_WORDS)
        ]
        if len(words) > MOST_WORDS:
            warnings.append(f"{len(words) - MOST_WORDS} more such status words are taken alike")
        return warnings


def is_emptied(row: Json) -> bool:
    """The row's reviewer list is there and empty, as whoever is taken off leaves it."""
    metadata = row.get("metadata")
    return isinstance(metadata, dict) and metadata.get(ASSIGNMENTS) == []
