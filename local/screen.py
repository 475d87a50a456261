"""What the local programs print with: tables that fit 100 columns, a bar where it takes long, checks."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

WIDTH = 100
Item = TypeVar("Item")


class Screen:
    """A terminal, or a plain file; and the checks that failed."""

    def __init__(self) -> None:
        # The file by name: otherwise rich follows a redirected sys.stdout into the function's log.
        terminal = sys.stdout.isatty()
        self.console = Console(file=sys.stdout, width=None if terminal else WIDTH, highlight=False)
        self.failed: list[str] = []

    def say(self, text: str = "", style: str = "") -> None:
        self.console.print(escape(text), style=style or None)

    def head(self, text: str) -> None:
        self.console.print()
        self.console.rule(f"[bold]{escape(text)}", align="left")

    def line(self, label: str, text: str) -> None:
        """One line, cut where the screen ends."""
        line = Text(f"{label:<16} ", style="cyan", no_wrap=True, overflow="ellipsis")
        self.console.print(
            line.append(text.strip(), style="default"), no_wrap=True, overflow="ellipsis"
        )

    def fact(self, label: str, text: str) -> None:
        """A line that goes on under itself where it is long."""
        table = Table.grid(padding=(0, 1, 0, 0))
        table.add_column(width=16, style="cyan")
        table.add_column(overflow="fold")
        table.add_row(escape(label), escape(text))
        self.console.print(table)

    def whole(self, label: str, text: str) -> None:
        """One line that can be copied: never broken, cut or filled up."""
        line = Text(f"{label:<16} ", style="cyan").append(text, style="default")
        self.console.print(line, soft_wrap=True)

    def table(
        self, columns: Iterable[str], rows: Iterable[Iterable[object]], left: int = 1
    ) -> None:
        """The first `left` columns are words, the others numbers."""
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for number, column in enumerate(columns):
            table.add_column(column, justify="left" if number < left else "right", overflow="fold")
        for row in rows:
            table.add_row(*(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row))
        self.console.print(table)

    def check(self, text: str, *, ok: bool) -> None:
        """Say that something holds, or remember that it does not."""
        mark = "[green]ok[/]    " if ok else "[bold red]FAILED[/]"
        self.console.print(f"{mark} {escape(text)}")
        if not ok:
            self.failed.append(text)

    def progress(self, items: Sequence[Item], text: str) -> Iterator[Item]:
        """The items, with a bar on a terminal and one line elsewhere."""
        if not self.console.is_terminal:
            self.say(f"{text} ...")
            yield from items
            return
        columns = (TextColumn(text), BarColumn(), TimeRemainingColumn())
        with Progress(*columns, console=self.console, transient=True) as bar:
            yield from bar.track(items)
