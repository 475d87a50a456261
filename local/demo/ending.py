"""What a trial says when it has ended, in whatever way: what was done, and how to take it back."""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TextIO

from local.aws import BUCKET
from local.aws import REVIEWERS as PARAMETER
from local.demo.stop import Stop
from local.function import LAMBDA_SECONDS
from local.keep import Keep
from local.screen import Screen
from ops.names import named

LOG = Path(".local/logs/trial.jsonl")
WRITTEN = ("assigned", "failed", "deferred")
COUNTS = (
    *("fetched", "already_assigned", "already_reviewed", "unassigned"),
    *WRITTEN,
    *("given", "left_alone", "undone"),
)
SHOWN = 10  # assignments


@dataclass
class Ending:
    """How a run ended. What it wrote is read from the disk: it may have ended anywhere."""

    keep: Keep
    stop: Stop
    result: dict[str, Any] | None = None
    """What the function returned."""
    problem: str = ""
    names: Mapping[str, str] = field(default_factory=dict)
    """By user id."""
    instead: list[str] = field(default_factory=list)
    """Where no row carries the tag: what rows do carry."""

    @property
    def exit_code(self) -> int:
        return self.stop.exit_code or (1 if self.problem else 0)

    @property
    def plan(self) -> dict[str, Any] | None:
        """The plan that was committed, if one was: else nothing can have been assigned."""
        if self.keep.put_last("ledger") is None:
            return None
        return self._read(self.keep.put_last("plans"))

    @property
    def record(self) -> dict[str, Any] | None:
        """What the run says of itself."""
        return self.result or self._read(self.keep.put_last("runs"))

    def _read(self, key: str | None) -> dict[str, Any] | None:
        if key is None:
            return None
        stored: dict[str, Any] = json.loads((self.keep.folder / key).read_text("utf-8"))
        return stored


def tell(screen: Screen, ending: Ending) -> int:
    """Say it; the exit code.

    Where nobody reads standard output, standard error gets what is needed for an undo.
    """
    last_words = [f"{label:<16} {text}" for label, text in to_take_back(ending)]
    try:
        say(screen, ending)
        sys.stdout.flush()
    except (OSError, SystemExit):  # rich ends the program where a pipe is closed
        silence(sys.stdout)
        try:
            print(*last_words, sep="\n", file=sys.stderr, flush=True)
        except OSError:  # the terminal is gone
            silence(sys.stderr)
        return ending.exit_code or 1
    return ending.exit_code


def silence(stream: TextIO) -> None:
    """Let what it still holds go nowhere, so that flushing it at exit is no error."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def say(screen: Screen, ending: Ending) -> None:
    if ending.stop.signal:
        screen.say(f"Stopped by {ending.stop.signal.name}.", "yellow")
    if ending.problem:
        screen.say(f"error: {ending.problem}", "red")
    if ending.record:
        show(screen, ending, ending.record)
    elif ending.plan is None:
        screen.say("Nothing was written to Braintrust.")
    if ending.problem:
        screen.whole("Runs so far", f"make status ARGS={ending.keep.folder}")
    for label, text in to_take_back(ending):
        screen.whole(label, text)


def to_take_back(ending: Ending) -> Iterator[tuple[str, str]]:
    """The run's id and the command that takes back what it did.

    Of an undo, the one that goes on with it.
    """
    record, plan = ending.record, ending.plan
    if record is None and plan is None:
        return
    yield "Run", (record or plan or {})["run_id"]
    if record and record["dry_run"] and record.get("undoes") and record["deferred"]:
        yield "Would take back", f"{record['deferred']} rows"
        yield "To take it back", f'DRY_RUN=false make run ARGS="--undo {record["undoes"]}"'
    if plan is None:
        return
    run_id, label = plan["run_id"], "To take it back"
    if "undoes" in plan:
        if record and not record["failed"] and not record["deferred"]:
            return
        run_id, label = plan["undoes"], "To go on"
    elif record and not record["assigned"] and not record["failed"]:
        return
    if record is None:
        rows = len({item["row_id"] for item in plan.get("freed") or plan["assignments"]})
        yield "No record", f"which of {rows} planned rows were written is not known"
        if "undoes" not in plan:
            ends = datetime.fromisoformat(plan["created_at"]) + timedelta(seconds=LAMBDA_SECONDS)
            label = f"From {ends + timedelta(minutes=1):%H:%M} UTC"
            yield "To take it back", "once it is certain that it is over:"
    yield label, f'DRY_RUN=false make run ARGS="--undo {run_id}"'


def in_words(text: object) -> str:
    """A message of the function, about what the person here has set: no SSM parameter."""
    return str(text).replace(f"SSM parameter {PARAMETER}", "REVIEWERS")


def show(screen: Screen, ending: Ending, result: dict[str, Any]) -> None:
    """The result, as a person reads it."""
    known, dry = ending.names, result["dry_run"]
    counts = [name for name in COUNTS if name in result]
    if dry:
        counts = [name for name in counts if name not in {*WRITTEN, "undone"}]
    screen.table(("Rows found", ""), ((name.replace("_", " "), result[name]) for name in counts))
    screen.say()
    given = result.get("per_reviewer")
    if given is not None:
        screen.table(
            ("Reviewer", "would be given" if dry else "given"),
            ((known.get(user_id, user_id), count) for user_id, count in given.items()),
        )
    for warning in result["warnings"]:
        screen.say(f"warning: {named(in_words(warning), known)}", "yellow", indent=4)
    for line in ending.instead:
        screen.say(line)
    address = result["audit"].get("plan")
    if address and given is not None:
        path = ending.keep.folder / address.removeprefix(f"s3://{BUCKET}/")
        assignments = json.loads(path.read_text("utf-8"))["assignments"]
        first = [
            (item["row_id"], known.get(item["reviewer_id"], item["reviewer_id"]))
            for item in assignments[:SHOWN]
        ]
        if first:
            screen.say()
            screen.table(("Oldest rows", "would go to" if dry else "planned for"), first, left=2)
        if len(assignments) > SHOWN:
            screen.say(f"... and {len(assignments) - SHOWN:,} more")
        screen.say()
        screen.whole("Whole plan", str(path))
    screen.whole("Function's log", str(LOG))
    screen.fact("Status", f"{result['status']}, after {result['duration_ms'] / 1000:.1f} s")
