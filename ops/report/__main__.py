"""`python -m ops.report` (`make report`): one HTML page from an audit, for the reviewers' lead."""

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

from ops import names
from ops.places import AuditUnreadableError, add_arguments, open_audit
from ops.records import projects, shown
from ops.report.page import report

OUT = Path(".local/report.html")

parser = argparse.ArgumentParser(
    prog="python -m ops.report", description="One HTML page from an audit."
)
add_arguments(parser)
parser.add_argument(
    "--days", type=int, default=30, metavar="N", help="the last N days, today included (30)"
)
parser.add_argument(
    "-o", "--out", type=Path, default=OUT, metavar="FILE", help=f"where the page goes ({OUT})"
)
parser.add_argument("--project", help="this project only; without it, those with the newest runs")
parser.add_argument(
    "--names",
    type=Path,
    metavar="FILE",
    help=(
        'a JSON object that names people: {"<user id>": "Ana"} '
        f"({names.FILE}, which make names writes)"
    ),
)


def main(arguments: list[str] | None = None) -> int:
    """Write the page; 1 if there is no audit to read."""
    chosen = parser.parse_args(arguments)
    try:
        known = names.read(chosen.names) if chosen.names else names.kept_here()
        place = open_audit(chosen.audit, chosen.stack)
    except (AuditUnreadableError, names.NamesUnreadableError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    known_projects = projects(place)
    if chosen.project and chosen.project not in known_projects:
        there = ", ".join(map(shown, known_projects[:10]))
        print(
            f"error: no run of a project {chosen.project} is in {place.address}; of these: {there}",
            file=sys.stderr,
        )
        return 1
    text = report(place, datetime.now(UTC), min(max(1, chosen.days), 3660), known, chosen.project)
    try:
        chosen.out.parent.mkdir(parents=True, exist_ok=True)
        chosen.out.write_text(text, "utf-8")
    except OSError as error:
        print(f"error: {chosen.out} cannot be written: {error.strerror}", file=sys.stderr)
        return 1
    print(f"{chosen.out}: {len(text) / 1000:,.0f} kB, from {place.address}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
