"""Tables as plain text: as wide as the terminal at most.

A narrow one drops columns before it breaks words.
"""

import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rich.cells import cell_len

WIDTH = 100  # where nothing tells, as in a file
UNBOUND = 10_000  # columns, for what reads lines
GAP = "  "


class Column(NamedTuple):
    """A column's head, of one line or more."""

    head: str
    number: bool = False
    """Its cells stand at the right."""
    drop: int = 0
    """Where there is no room, columns with 1 go first, then those with 2; those with 0 stay."""
    wraps: bool = False
    """What remains too wide is broken between words here."""


def width() -> int:
    """Columns to write in: those of the terminal, or of COLUMNS; in a file a hundred."""
    if sys.stdout.isatty() or "COLUMNS" in os.environ:
        return max(20, shutil.get_terminal_size((WIDTH, 24)).columns)
    return WIDTH


def table(
    columns: Sequence[Column], rows: Iterable[Iterable[object]], most: int | None = None
) -> list[str]:
    """The lines of a table at most `most` columns wide (by default as wide as there is room)."""
    most = width() if most is None else most
    cells = [[_text(cell) for cell in row] for row in rows]
    kept = list(range(len(columns)))
    wide = [
        max(_widest(text) for text in (column.head, *(row[at] for row in cells)))
        for at, column in enumerate(columns)
    ]

    def excess() -> int:
        return sum(wide[at] for at in kept) + len(GAP) * (len(kept) - 1) - most

    for at in sorted((at for at in kept if columns[at].drop), key=lambda at: columns[at].drop):
        if excess() > 0:
            kept.remove(at)
    for at in kept:
        if columns[at].wraps and excess() > 0:
            words = (word for row in cells for word in row[at].split())
            wide[at] = max(wide[at] - excess(), *map(cell_len, words), _widest(columns[at].head), 8)
    heads = [column.head for column in columns]
    return [
        line
        for number, row in enumerate([heads, *cells])
        for line in _lines(row, kept, wide, columns, at_bottom=number == 0)
    ]


def wrapped(text: str, indent: int = 0, most: int | None = None) -> list[str]:
    """The text in lines between words, later lines indented; what has no blank stays whole."""
    most = width() if most is None else most
    lines: list[str] = []
    for word in text.split(" "):
        if lines and cell_len(lines[-1]) + 1 + cell_len(word) <= most:
            lines[-1] += f" {word}"
        else:
            lines.append(f"{' ' * indent if lines else ''}{word}")
    return lines


def _lines(
    row: Sequence[str],
    kept: Sequence[int],
    wide: Sequence[int],
    columns: Sequence[Column],
    *,
    at_bottom: bool,
) -> list[str]:
    broken = [
        [line for part in row[at].split("\n") for line in wrapped(part, most=wide[at])]
        for at in kept
    ]
    height = max(map(len, broken))
    filled = [
        [""] * (height - len(lines)) + lines if at_bottom else lines + [""] * (height - len(lines))
        for lines in broken
    ]
    return [
        GAP.join(
            _placed(text, wide[at], at_right=columns[at].number)
            for text, at in zip(line, kept, strict=True)
        ).rstrip()
        for line in zip(*filled, strict=True)
    ]


def _placed(text: str, room: int, *, at_right: bool) -> str:
    blanks = " " * (room - cell_len(text))
    return blanks + text if at_right else text + blanks


def _text(cell: object) -> str:
    if isinstance(cell, int) and not isinstance(cell, bool):
        return f"{cell:,}"
    return "" if cell is None else str(cell)


def _widest(text: str) -> int:
    return max(map(cell_len, text.split("\n")))
