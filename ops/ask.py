"""`python -m ops.ask QUESTION`: one of docs/sql/duckdb put to a folder with a copy of the audit."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import duckdb
from rich.cells import cell_len

from ops.names import Names, kept_here
from ops.places import AuditUnreadableError, open_audit
from ops.records import shown
from ops.table import UNBOUND, Column, table, width, wrapped

SQL = Path(__file__).parents[1] / "docs/sql/duckdb"
VIEWS = "create_views"
QUESTIONS = sorted(path.stem for path in SQL.glob("[!.]*.sql") if path.stem != VIEWS)
NEEDS_ROW, NEEDS_OVERLAP = "which_run_assigned_this_row", "rows_in_overlap"

parser = argparse.ArgumentParser(
    prog="python -m ops.ask", description="Ask the audit, with DuckDB."
)
parser.add_argument("question", choices=QUESTIONS)
parser.add_argument(
    "audit",
    nargs="?",
    default=".local/audit",
    help="a folder with a copy of the audit (.local/audit)",
)
parser.add_argument("--row-id", default="", help=f"the row, for {NEEDS_ROW}")
parser.add_argument("--overlap", type=float, help=f"the share, such as 0.2, for {NEEDS_OVERLAP}")


def main(arguments: list[str] | None = None) -> int:
    """Print the answer; 1 if it cannot be had."""
    chosen = parser.parse_args(arguments)
    if chosen.question == NEEDS_ROW and not chosen.row_id:
        parser.error(f"{NEEDS_ROW} needs --row-id ROW_ID")
    if chosen.question == NEEDS_OVERLAP and chosen.overlap is None:
        parser.error(f"{NEEDS_OVERLAP} needs --overlap SHARE")
    try:
        connection = connect(open_audit(chosen.audit).address)
        connection.execute("SET VARIABLE row_id = ?", [chosen.row_id])
        connection.execute("SET VARIABLE overlap = ?", [chosen.overlap])
        answer = connection.sql((SQL / f"{chosen.question}.sql").read_text("utf-8"))
        most = width() if sys.stdout.isatty() else UNBOUND
        print(*told(answer.columns, answer.fetchall(), kept_here(), most), sep="\n", flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (AuditUnreadableError, duckdb.Error) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def told(
    heads: Sequence[str], rows: Sequence[Sequence[object]], names: Names, most: int
) -> list[str]:
    """The answer as a table; where that is wider than `most` columns, each row as its own list."""
    cells = [[_text(value, names) for value in row] for row in rows]
    numbers = [any(isinstance(row[at], int | float) for row in rows) for at in range(len(heads))]
    columns = [Column(head, number=number) for head, number in zip(heads, numbers, strict=True)]
    lines = table(columns, cells, UNBOUND)
    if max(map(cell_len, lines)) > most:
        longest = max(map(len, heads))
        lines = []
        for row in cells:
            for head, text in zip(heads, row, strict=True):
                lines += wrapped(f"{head:{longest}}  {text}".rstrip(), longest + 2, most)
            lines.append("")
        lines = lines[:-1]
    return [*lines, "", f"{len(rows)} rows"]


def _text(value: object, names: Names) -> str:
    """A cell: people by their names, lists with semicolons between what is in them."""
    if isinstance(value, list):
        return "; ".join(_text(each, names) for each in value)
    if value is None:
        return ""
    return shown(names.get(value, value) if isinstance(value, str) else value)


def connect(audit: str) -> duckdb.DuckDBPyConnection:
    """A connection with the views on the audit in this folder."""
    connection = duckdb.connect()
    connection.execute("SET VARIABLE audit = ?", [audit])
    connection.execute((SQL / f"{VIEWS}.sql").read_text("utf-8"))
    return connection


if __name__ == "__main__":
    sys.exit(main())
