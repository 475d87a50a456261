"""`python -m local.demo` (`make run`): the whole product on this machine; or a dry run against a real Braintrust.

The second needs BRAINTRUST_API_KEY, PROJECT_ID, TAG and REVIEWERS in the environment.
"""

import argparse
import io
import json
import os
import re
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

from local.aws import BUCKET, REVIEWERS, LocalAws, forget_real_aws
from local.braintrust.server import LocalBraintrust
from local.demo import hours, trial, week
from local.screen import Screen
from local.traffic import TEAM

LOGS, AUDIT = Path(".local/logs"), Path(".local/audit")
NAMES = Path(".local/names.json")  # for the report: the audit knows people by their ids only
SHOWN: dict[str, tuple[str, ...]] = {
    "plans": ("tag", "assignments", "carried"),
    "assignments": ("row_id", "reviewer_id", "status", "assigned_at"),
    "to_assign_ids": (),
    "runs": ("status", "unassigned", "assigned", "warnings", "duration_ms"),
    "dry_runs": ("status", "unassigned", "assignments"),
    "ledger": ("plan", "committed_at"),
}
"""The kinds of audit objects, and which of their fields fit on a line."""


parser = argparse.ArgumentParser(prog="python -m local.demo", description=__doc__)
parser.add_argument(
    "--undo", metavar="RUN_ID", help="take back what this run against a real Braintrust assigned"
)


def main(arguments: list[str] | None = None) -> int:
    """Run what the environment asks for; 1 if anything was not as it must be, 128 and more if it was stopped."""
    options = parser.parse_args(arguments)
    if sys.stdout is None:  # closed: a file that is opened next would be taken for it
        sys.stdout = sys.stderr or io.StringIO()
    screen = Screen()
    try:
        return play(screen, options.undo)
    except KeyboardInterrupt:
        screen.say("Stopped.", "yellow")
        return 128 + signal.SIGINT


def play(screen: Screen, undo: str | None) -> int:
    """The trial, or both acts."""
    if undo or any(os.environ.get(name) for name in trial.ASKING):
        return trial.main(screen, undo)
    if os.environ.get("BRAINTRUST_API_KEY"):
        screen.say(
            "BRAINTRUST_API_KEY is not used here: with PROJECT_ID, TAG and REVIEWERS too, this is a dry run there."
        )
    began = time.monotonic()
    forget_real_aws()
    shutil.rmtree(AUDIT, ignore_errors=True)
    with LocalBraintrust() as braintrust, LocalAws() as aws:
        people = {
            braintrust.store.add_user(
                person.email, given_name=person.given_name, family_name=person.family_name
            ): person.name
            for person in TEAM
        }
        NAMES.parent.mkdir(exist_ok=True)
        NAMES.write_text(json.dumps(people), "utf-8")
        aws.prepare(braintrust.api_key, ", ".join(person.email for person in TEAM))
        screen.say(
            "The review assigner on this machine: nothing leaves it, nothing has to be set up.",
            "bold",
        )
        screen.line(
            "Braintrust", f"{braintrust.url}  local stand-in, project {braintrust.project_id}"
        )
        screen.line("AWS", f"{aws.url}  moto: bucket, secret, parameter")
        screen.line("Reviewers", f"{', '.join(people.values())}  ({REVIEWERS})")
        run_ids = hours.play(screen, braintrust, aws, people, LOGS / "hours.jsonl")
        aws.copy_bucket(AUDIT)
        show_audit(screen, run_ids)
        week.play(screen, braintrust, aws, people, LOGS / "week.jsonl", AUDIT)
    show_files(screen)
    screen.say()
    if screen.failed:
        screen.say(f"{len(screen.failed)} checks FAILED.", "bold red")
        return 1
    screen.say(f"All checks passed, in {time.monotonic() - began:.0f} seconds.", "bold green")
    return 0


def show_audit(screen: Screen, run_ids: list[str]) -> None:
    """One line of the newest object of each kind; `run_ids` in order: those of one second do not sort by their names."""
    order = {run_id: number for number, run_id in enumerate(run_ids)}
    screen.say()
    screen.say(f"What the runs wrote to s3://{BUCKET}/audit/, and from the newest of each kind:")
    for kind, fields in SHOWN.items():
        paths = sorted(
            (AUDIT / "audit" / kind).rglob("*.json*"),
            key=lambda path: order.get(path.name.partition(".")[0], -1),
        )
        text = paths[-1].read_text("utf-8")
        newest = json.loads(text.splitlines()[0] if paths[-1].suffix == ".jsonl" else text)
        if fields:
            newest = {field: newest[field] for field in fields}
        screen.fact(f"{len(paths):>2} {kind}", brief(newest))


def brief(value: Any) -> str:  # noqa: ANN401 - any JSON
    """JSON with what is long left out: the rest of a list, the end of an id."""
    if isinstance(value, dict):
        return "{" + ", ".join(f'"{key}": {brief(item)}' for key, item in value.items()) + "}"
    if isinstance(value, list):
        more = f", {len(value) - 1} more" if len(value) > 1 else ""
        return "[" + "".join(map(brief, value[:1])) + more + "]"
    return re.sub(r"(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "...", json.dumps(value))


def show_files(screen: Screen) -> None:
    """Where everything lies, with one of the function's log lines."""
    screen.head("To look at")
    log = LOGS / "hours.jsonl"
    lines = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    screen.line("Audit", f"{AUDIT}/  a copy of the bucket, both acts")
    screen.line("Function's log", f"{log}, {LOGS / 'week.jsonl'}  such as:")
    started = next(line for line in lines if line.get("message") == "run started")
    screen.fact("", json.dumps(started))
    screen.line("Metrics", "in the same files, as CloudWatch reads them, such as:")
    metrics = next(line for line in reversed(lines) if "RowsAssigned" in line)
    screen.fact("", json.dumps({name: value for name, value in metrics.items() if name != "_aws"}))


if __name__ == "__main__":
    sys.exit(main())
