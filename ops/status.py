"""`python -m ops.status` (`make status`): the last runs, from the audit, a line each."""

import argparse
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from ops.health import newest_of_queues
from ops.names import Names, kept_here, named
from ops.places import AuditUnreadableError, NothingRecordedError, Place, add_arguments, open_audit
from ops.records import Run, full_reads, newest_records, projects
from ops.table import GAP, UNBOUND, Column, table, width, wrapped

LOOKED_BACK = 200  # runs, for the last one that read everything: more than a week of hours
MOST_PEOPLE, HOUR = 20, timedelta(hours=1)
SHOWN = ("fetched", "unassigned", "assigned", "failed", "deferred")
KEPT = 300  # characters of a warning
SECOND = len("20260101T000000")  # of a run id: when it began

COLUMNS = (
    Column("UTC"),
    Column("status"),
    Column("read", drop=3),
    Column("fetched", number=True, drop=2),
    *(Column(name, number=True) for name in SHOWN[1:]),
    Column("seconds", number=True, drop=1),
)
PEOPLE = (
    Column("Person", wraps=True),
    Column("open", number=True),
    Column("oldest", number=True, drop=2),
    Column("reviewed", number=True, drop=1),
)

LONGEST = len("nothing_to_take_back")
"""Letters of a status that are shown: all of each that a run of this version has."""
QUEUES = (
    Column("Queue"),
    Column("newest record", number=True),
    Column("status"),
    Column("waiting", number=True),
    Column("project", drop=1),
)

parser = argparse.ArgumentParser(
    prog="python -m ops.status", description="The last runs, newest first."
)
add_arguments(parser)
parser.add_argument("--last", type=int, default=10, metavar="N", help="so many runs (10)")


def main(arguments: list[str] | None = None) -> int:
    """Print them; 1 if the audit cannot be read."""
    chosen = parser.parse_args(arguments)
    most = width() if sys.stdout.isatty() else UNBOUND  # a line a run for whatever reads it
    try:
        place = open_audit(chosen.audit, chosen.stack)
        print(status(place, max(1, chosen.last), datetime.now(UTC), kept_here(), most))
        sys.stdout.flush()
    except BrokenPipeError:  # such as `make status | head`; nothing is left to be flushed at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except NothingRecordedError as error:
        print(error)
    except AuditUnreadableError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def status(
    place: Place, last: int, now: datetime, names: Names | None = None, most: int = UNBOUND
) -> str:
    """The table, each run with what it warned about beneath it; `most` columns wide."""
    by_project = {project: newest_records(place, project, last, now) for project in projects(place)}
    lines = [
        (run.run_id[:SECOND], run.order, project, run)
        for project, records in by_project.items()
        for run in records.runs
    ] + [
        (run_id[:SECOND], (), project, run_id)
        for project, records in by_project.items()
        for run_id in records.unfinished
    ]
    newest = [it[2:] for it in sorted(lines, key=lambda it: it[:2], reverse=True)[:last]]
    unreadable = [key for records in by_project.values() for key in records.unreadable]
    people = [
        text
        for project, records in by_project.items()
        for run in full_reads(records.runs)
        or full_reads(newest_records(place, project, LOOKED_BACK, now).runs)
        for text in people_of(run, project if len(by_project) > 1 else "", names or {}, most)
    ]
    return "\n".join(
        [
            *lines_of(newest, names or {}, most, several=len(by_project) > 1),
            *(f"cannot be read: {key}" for key in unreadable),
            *people,
            *health(
                [
                    (project, run)
                    for project, records in by_project.items()
                    if any(run.queue for run in records.runs)
                    for run in newest_of_queues(place, project, now)
                ],
                now,
                most,
            ),
            place.address,
        ]
    )


def health(newest: Sequence[tuple[str, Run]], now: datetime, most: int) -> list[str]:
    """Each queue's newest record, whichever has waited longest first.

    One that fails before its plan leaves none.
    """
    rows = [
        (run.queue, f"{(now - run.at) / HOUR:,.1f} hours", run.status[:LONGEST], run.left, project)
        for project, run in sorted(newest, key=lambda it: it[1].at)
    ]
    return ["", *table(QUEUES, rows, most)] if rows else []


def lines_of(
    newest: Sequence[tuple[str, Run | str]], names: Names, most: int, *, several: bool
) -> list[str]:
    """A line a run, with its id and what it is of at its end, or below it if there is no room."""
    rows = [counts_of(run) for _, run in newest]
    ends = [what_it_is(run, project if several else "") for project, run in newest]
    heads, *lines = table(COLUMNS, rows, UNBOUND)
    room = most - len(heads) - len(GAP)
    if all(len(GAP.join(end)) <= room for end in ends):
        lines = [
            GAP.join([line.ljust(len(heads)), *end]) for line, end in zip(lines, ends, strict=True)
        ]
        heads, ends = f"{heads}{GAP}run", [[] for _ in ends]
    else:
        heads, *lines = table(COLUMNS, rows, most)
    texts = [heads]
    for line, end, (_, run) in zip(lines, ends, newest, strict=True):
        texts += [line, *packed(end, most), *warned(run, names, most)]
    return texts


def packed(parts: Sequence[str], most: int) -> list[str]:
    """The parts in indented lines, as many in each as there is room for."""
    lines: list[str] = []
    for part in parts:
        if lines and len(lines[-1]) + len(GAP) + len(part) <= most:
            lines[-1] += GAP + part
        else:
            lines.append(f"    {part}")
    return lines


def counts_of(run: Run | str) -> tuple[object, ...]:
    """One run's cells; what its record does not have is a dash."""
    if isinstance(run, str):  # a plan only: rows may have been assigned
        at = f"{run[:4]}-{run[4:6]}-{run[6:8]} {run[9:11]}:{run[11:13]}"
        return at, "no record", "-", *["-"] * len(SHOWN), "-"
    counts = (run.counts.get(name, "-") for name in SHOWN)
    return (
        f"{run.at:%Y-%m-%d %H:%M}", run.status[:LONGEST], run.read[:5] or "-", *counts,
        f"{run.seconds:.1f}",
    )  # fmt: skip


def what_it_is(run: Run | str, project: str) -> list[str]:
    """Its id; its tag, with its project where there are several; what else is to be known of it."""
    if isinstance(run, str):
        return [run, *filter(None, [project and f"project {project}"]), "killed, or not over yet"]
    queue = run.queue and f"queue {run.queue},"
    of = " ".join(
        filter(None, [queue, f"tag {run.tag[:60]!r}", project and f"of project {project}"])
    )
    return list(filter(None, [run.run_id, of, taken(run)]))


def taken(run: Run) -> str:
    """What an undo or a take-back took off, or in a dry run would; empty for any other run."""
    dry = run.kind == "dry run"
    if run.undoes:
        verb, count = ("would take back", "deferred") if dry else ("takes back", "undone")
        return f"{verb} {run.counts.get(count, 0)} rows of {run.undoes}"
    if run.takes_back:
        verb, count = ("would hand over", "deferred") if dry else ("hands over", "taken_back")
        return f"{verb} {run.counts.get(count, 0)} {run.takes_back}"
    return ""


def people_of(run: Run, project: str, names: Names, most: int) -> list[str]:
    """Who had how many open rows when a run read everything; with the project, if several."""
    of_project = f" of project {project}" if project else ""
    more = run.people[MOST_PEOPLE:]
    rows = [
        (
            names.get(has.person, has.person),
            has.open,
            "-" if has.oldest is None else f"{has.oldest / HOUR:,.1f} hours",
            has.reviewed,
        )
        for has in run.people[:MOST_PEOPLE]
    ]
    if more:
        rows.append(
            (
                f"{len(more)} more people",
                sum(has.open for has in more),
                "-",
                sum(has.reviewed for has in more),
            )
        )
    return [
        "",
        *wrapped(f"Open rows {whose(run)}{of_project}, as {run.run_id} saw them:", most=most),
        *table(PEOPLE, rows, most),
    ]


def whose(run: Run) -> str:
    """Of which queue, or else with which tag."""
    return f"of the queue {run.queue}" if run.queue else f"with the tag {run.tag[:60]!r}"


def warned(run: Run | str, names: Names, most: int) -> list[str]:
    """What it warned about, a line each, or more where there is no room."""
    warnings = () if isinstance(run, str) else run.warnings
    return [
        f"    {line}"
        for it in warnings
        for line in wrapped(f"warning: {named(it[:KEPT], names)}", 2, most - 4)
    ]


if __name__ == "__main__":
    sys.exit(main())
