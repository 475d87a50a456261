"""What the local programs print with.

Prose and tables as wide as the terminal, a bar where it takes long, checks.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from ops.table import Column, table, width, wrapped

LABEL = 17  # columns
Item = TypeVar("Item")


class Screen:
    """A terminal, or a plain file; and the checks that failed."""

    def __init__(self) -> None:
        self.width = width()
        # The file by name: otherwise rich follows a redirected sys.stdout into the function's log.
        self.console = Console(file=sys.stdout, width=self.width, highlight=False)
        self.failed: list[str] = []

    def say(self, text: str = "", style: str = "", indent: int = 0) -> None:
        """Prose. Lines after the first are indented."""
        for line in text.splitlines() or [""]:
            for part in wrapped(line, indent, self.width):
                self.console.print(Text(part, style=style), soft_wrap=True)

    def head(self, text: str) -> None:
        self.console.print()
        self.console.rule(f"[bold]{escape(text)}", align="left")

    def fact(self, label: str, text: str) -> None:
        """A word, and what there is to say of it: under itself where it is long."""
        first, *rest = wrapped(text, 0, max(20, self.width - LABEL))
        self.whole(label, first)
        for line in rest:
            self.console.print(" " * LABEL + line, soft_wrap=True, markup=False)

    def whole(self, label: str, text: str) -> None:
        """One line that can be copied: never broken, cut or filled up."""
        line = Text(f"{label:<{LABEL - 1}} ", style="cyan").append(text, style="default")
        self.console.print(line, soft_wrap=True)

    def table(
        self, heads: Iterable[str | Column], rows: Iterable[Iterable[object]], left: int = 1
    ) -> None:
        """A table.

        Of columns that are heads alone the first `left` are words, the others numbers.
        """
        columns = [
            head if isinstance(head, Column) else Column(head, number=at >= left)
            for at, head in enumerate(heads)
        ]
        lines = table(columns, rows, self.width)
        height = max(column.head.count("\n") for column in columns) + 1
        for number, line in enumerate(lines):
            self.console.print(Text(line, style="bold" if number < height else ""), soft_wrap=True)

    def check(self, text: str, *, ok: bool) -> None:
        """Say that something holds, or remember that it does not."""
        mark, style = ("ok", "green") if ok else ("FAILED", "bold red")
        for number, line in enumerate(wrapped(text, 0, self.width - 7)):
            label = Text(f"{'' if number else mark:<7}", style=style)
            self.console.print(label.append(line, style="default"), soft_wrap=True)
        if not ok:
            self.failed.append(text)

    def progress(self, items: Sequence[Item], text: str) -> Iterator[Item]:
        """The items, with a bar on a terminal and one line elsewhere."""
        if not self.console.is_terminal:
            self.say(f"{text} ...")
            yield from items
            return
        columns = (TextColumn(text), BarColumn(20), TimeRemainingColumn())
        with Progress(*columns, console=self.console, transient=True) as bar:
            yield from bar.track(items)
