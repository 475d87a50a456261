"""`make run`: the whole product on this machine; or a dry run against a real Braintrust.

The second needs BRAINTRUST_API_KEY, PROJECT_ID, TAG and REVIEWERS in the environment.
"""

import argparse
import fcntl
import io
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import NAMESPACE_DNS, uuid5

from local.aws import BUCKET, REVIEWERS, LocalAws, forget_proxies, forget_real_aws
from local.braintrust.server import LocalBraintrust
from local.demo import hours, teams, trial, week
from local.screen import Screen
from local.traffic import TEAM
from ops import names

HERE = Path(".local")
LOGS, AUDIT, LOCK = HERE / "logs", HERE / "audit", HERE / ".demo.lock"
KINDS = {
    "plans": "who is to get which row, and why: written before anything is assigned",
    "assignments": "what became of each row",
    "to_assign_ids": "the rows that were assigned, by their ids alone",
    "runs": "what each run found, did and warned about",
    "dry_runs": "the same of a dry run, with what it would have assigned",
    "ledger": "which plan is the newest: it keeps two runs from giving out one row",
}
NEXT = (
    (f"make status ARGS={AUDIT}", "the runs that you have just seen, as an operator sees them"),
    (f"make report ARGS={AUDIT}", f"the same as a page with charts: {HERE / 'report.html'}"),
    (
        ".venv/bin/python -m ops.ask rows_per_day",
        "who got how many rows each day; docs/audit.md has more questions",
    ),
    ("make local", "both servers stay up, to try the function with events of yours"),
    (
        "make run",
        (
            "with a key, a project, a tag and reviewers of yours: "
            "a dry run on your own rows (README.md)"
        ),
    ),
)
"""What somebody who sees this for the first time may want to do next."""


parser = argparse.ArgumentParser(prog="python -m local.demo", description=__doc__)
parser.add_argument(
    "--undo", metavar="RUN_ID", help="take back what this run against a real Braintrust assigned"
)


class AnotherRunsError(Exception):
    """Raised when another `make run` plays in this folder."""


def main(arguments: list[str] | None = None) -> int:
    """Run what the environment asks for; 1 if anything was wrong, 128 and more if stopped."""
    options = parser.parse_args(arguments)
    if sys.stdout is None:  # closed: a file that is opened next would be taken for it
        sys.stdout = sys.stderr or io.StringIO()
    screen = Screen()
    try:
        return choose(screen, options.undo)
    except KeyboardInterrupt:
        screen.say("Stopped.", "yellow")
        return 128 + signal.SIGINT
    except AnotherRunsError as error:
        screen.say(f"error: {error}", "red")
    except OSError as error:
        if error.errno is None or isinstance(error, BrokenPipeError):
            raise
        screen.say(f"error: {HERE} cannot be written: {error.strerror}", "red")
    return 1


def choose(screen: Screen, undo: str | None) -> int:
    """The trial, or the three acts."""
    if undo or any(os.environ.get(name) for name in trial.ASKING):
        return trial.main(screen, undo)
    if os.environ.get("BRAINTRUST_API_KEY"):
        screen.say(
            "BRAINTRUST_API_KEY is not used here: with PROJECT_ID, TAG and REVIEWERS too, this is "
            "a dry run there."
        )
    forget_real_aws()
    forget_proxies()
    with alone():
        return play(screen)


@contextmanager
def alone() -> Iterator[None]:
    """For this process only. Raises AnotherRunsError, or OSError where nothing can be written."""
    HERE.mkdir(exist_ok=True)
    with LOCK.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AnotherRunsError(
                f"another `make run` is running in this folder, and writes to {HERE}: wait until "
                "it has ended"
            ) from error
        yield


def play(screen: Screen) -> int:
    """The three acts; 1 if a check failed."""
    began = time.monotonic()
    shutil.rmtree(AUDIT, ignore_errors=True)
    with LocalBraintrust() as braintrust, LocalAws() as aws:
        people = {
            braintrust.store.add_user(
                person.email,
                user_id=str(
                    uuid5(NAMESPACE_DNS, person.email)
                ),  # the same each time: names are kept
                given_name=person.given_name,
                family_name=person.family_name,
            ): person.name
            for person in TEAM
        }
        names.keep(people)
        aws.prepare(braintrust.api_key, ", ".join(person.email for person in TEAM))
        screen.say(
            "The review assigner on this machine: nothing leaves it, nothing has to be set up.",
            "bold",
        )
        screen.fact(
            "Braintrust", f"{braintrust.url}, a local stand-in, project {braintrust.project_id}"
        )
        screen.fact("AWS", f"{aws.url}, moto: bucket, secret, parameter")
        screen.fact("Reviewers", f"{', '.join(people.values())} ({REVIEWERS})")
        hours.play(screen, braintrust, aws, people, LOGS / "hours.jsonl")
        aws.copy_bucket(AUDIT)
        show_audit(screen)
        week.play(screen, braintrust, aws, people, LOGS / "week.jsonl", AUDIT)
        teams.play(screen, braintrust, aws, people, LOGS / "teams.jsonl")
        aws.copy_bucket(AUDIT)
    show_next(screen)
    screen.say()
    if screen.failed:
        screen.say(f"{len(screen.failed)} checks FAILED.", "bold red")
        return 1
    screen.say(f"All checks passed, in {time.monotonic() - began:.0f} seconds.", "bold green")
    return 0


def show_audit(screen: Screen) -> None:
    """How many objects of each kind there are, and what they are for."""
    screen.say()
    screen.say(f"What the runs wrote to s3://{BUCKET}/audit/:")
    for kind, meaning in KINDS.items():
        count = sum(1 for _ in (AUDIT / "audit" / kind).rglob("*.json*"))
        screen.fact(f"{count:>2} {kind}", meaning)


def show_next(screen: Screen) -> None:
    """What to try next, and where everything lies."""
    screen.head("What to try next")
    for command, meaning in NEXT:
        screen.say(f"  {command}", "cyan")
        screen.say(f"      {meaning}", indent=6)
    screen.say()
    screen.fact("Audit", f"{AUDIT}/, a copy of the bucket, of all three acts")
    screen.fact("Function's log", f"{LOGS}/, with the metrics, as CloudWatch gets them")
