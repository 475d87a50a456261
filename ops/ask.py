"""`python -m ops.ask QUESTION`: a question of docs/sql/duckdb put to a folder with a copy of the audit."""

import argparse
import sys
from pathlib import Path

import duckdb

from ops.places import AuditUnreadableError, open_audit

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
        connection.sql((SQL / f"{chosen.question}.sql").read_text("utf-8")).show(
            max_width=200, max_rows=1000
        )
    except (AuditUnreadableError, duckdb.Error) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def connect(audit: str) -> duckdb.DuckDBPyConnection:
    """A connection with the views on the audit in this folder."""
    connection = duckdb.connect()
    connection.execute("SET VARIABLE audit = ?", [audit])
    connection.execute((SQL / f"{VIEWS}.sql").read_text("utf-8"))
    return connection


if __name__ == "__main__":
    sys.exit(main())
