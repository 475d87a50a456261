"""`python -m ops.status` (`make status`): the last runs, from the audit, a line each."""

import argparse
import os
import sys
from datetime import UTC, datetime, timedelta

from ops.places import AuditUnreadableError, NothingRecordedError, Place, add_arguments, open_audit
from ops.records import Run, full_reads, newest_records, projects

LOOKED_BACK = 200  # runs, for the last one that read everything: more than a week of hours
MOST_PEOPLE, HOUR = 20, timedelta(hours=1)
SHOWN = ("fetched", "unassigned", "assigned", "failed", "deferred")
KEPT = 300  # characters of a warning
SECOND = len("20260101T000000")  # of a run id: when it began

parser = argparse.ArgumentParser(
    prog="python -m ops.status", description="The last runs, newest first."
)
add_arguments(parser)
parser.add_argument("--last", type=int, default=10, metavar="N", help="so many runs (10)")


def main(arguments: list[str] | None = None) -> int:
    """Print them; 1 if the audit cannot be read."""
    chosen = parser.parse_args(arguments)
    try:
        print(
            status(open_audit(chosen.audit, chosen.stack), max(1, chosen.last), datetime.now(UTC))
        )
        sys.stdout.flush()
    except BrokenPipeError:  # such as `make status | head`; nothing is left to be flushed at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except NothingRecordedError as error:
        print(error)
    except AuditUnreadableError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def status(place: Place, last: int, now: datetime) -> str:
    """The table, each run with what it warned about beneath it."""
    by_project = [newest_records(place, project, last, now) for project in projects(place)]
    told = [
        (run.run_id[:SECOND], run.order, [line(run), *warned(run)])
        for records in by_project
        for run in records.runs
    ] + [
        (run_id[:SECOND], (), [line_without_record(run_id)])
        for records in by_project
        for run_id in records.unfinished
    ]
    newest = sorted(told, key=lambda it: it[:2], reverse=True)[:last]
    unreadable = [key for records in by_project for key in records.unreadable]
    heads = (
        f"{'UTC':16}  {'status':18} {'read':5} "
        + "".join(f"{name:>11}" for name in SHOWN)
        + f"{'seconds':>9}  run"
    )
    notes = [f"cannot be read: {key}" for key in unreadable]
    lines = [text for *_, texts in newest for text in texts]
    people = [
        text
        for project, records in zip(projects(place), by_project, strict=True)
        for run in full_reads(records.runs)
        or full_reads(newest_records(place, project, LOOKED_BACK, now).runs)
        for text in people_of(run)
    ]
    return "\n".join([heads, *lines, *notes, *people, f"{place.address}"])


def line(run: Run) -> str:
    """One run; what its record does not have is a dash."""
    counts = "".join(f"{run.counts.get(name, '-'):>11}" for name in SHOWN)
    return f"{run.at:%Y-%m-%d %H:%M}  {run.status:18.18} {run.read or '-':5.5} {counts}{run.seconds:>9.1f}  {run.run_id}{taken(run)}"


def taken(run: Run) -> str:
    """What an undo or a take-back took off; empty for any other run."""
    if run.undoes:
        return f"  takes back {run.counts.get('undone', 0)} rows of {run.undoes}"
    if run.takes_back:
        return f"  hands over {run.counts.get('taken_back', 0)} {run.takes_back}"
    return ""


def people_of(run: Run) -> list[str]:
    """Who had how many open rows when a run read everything."""
    lines = [f"open rows with the tag {run.tag!r}, as {run.run_id} saw them:"]
    for has in run.people[:MOST_PEOPLE]:
        hours = "" if has.oldest is None else f", the oldest for {has.oldest / HOUR:,.1f} hours"
        lines.append(f"{has.open:>11} {has.person}{hours}; reviewed: {has.reviewed}")
    if more := run.people[MOST_PEOPLE:]:
        lines.append(f"{sum(has.open for has in more):>11} {len(more)} more people")
    return lines


def warned(run: Run) -> list[str]:
    """What it warned about, a line each."""
    return [f"    warning: {it[:KEPT]}" for it in run.warnings]


def line_without_record(run_id: str) -> str:
    """A run that has a plan only: rows may have been assigned."""
    at = f"{run_id[:4]}-{run_id[4:6]}-{run_id[6:8]} {run_id[9:11]}:{run_id[11:13]}"
    dashes = f"{'-':>11}" * len(SHOWN)
    return f"{at}  {'no record':18} {'-':5} {dashes}{'-':>9}  {run_id}  killed, or not over yet"


if __name__ == "__main__":
    sys.exit(main())
