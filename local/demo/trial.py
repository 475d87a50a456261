"""`make run` with BRAINTRUST_API_KEY, PROJECT_ID, TAG and REVIEWERS set: the handler against a real Braintrust.

A dry run, unless DRY_RUN is false. `--undo RUN_ID` takes back what such a run assigned; dry likewise. Only AWS is local; every other variable of the function is honoured.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import requests
from braintrust_api import Braintrust, BraintrustError

from lib.errors import AssignerError
from lib.settings import VARIABLES, Settings, load_settings
from local.aws import BUCKET, LocalAws, forget_real_aws
from local.aws import REVIEWERS as PARAMETER
from local.function import Function
from local.screen import Screen

ASKING = ("PROJECT_ID", "TAG", "REVIEWERS")  # a key alone may be there for other programs
NEEDED = ("BRAINTRUST_API_KEY", *ASKING)
LOG, AUDIT = Path(".local/logs/trial.jsonl"), Path(".local/audit-trial")
SHOWN = 10  # assignments


def main(screen: Screen, undo: str | None = None) -> int:
    """One run, or the undo of one, readably; 1 if it could not do its work."""
    missing = [name for name in NEEDED if not os.environ.get(name)]
    if missing:
        screen.say(
            f"error: {listed(missing)} must be set too, for a dry run against a real Braintrust. "
            f"To see everything run on this machine instead, set none of {listed(ASKING)}.",
            "red",
        )
        return 1
    api_key, reviewers = os.environ["BRAINTRUST_API_KEY"], os.environ["REVIEWERS"]
    wanted = {name: os.environ[name] for name in VARIABLES if os.environ.get(name)}
    forget_real_aws()
    with LocalAws() as aws:
        aws.prepare(api_key, reviewers)
        aws.fill_bucket(AUDIT)
        variables = {"DRY_RUN": "true", **wanted, **aws.variables}
        variables.pop("BRAINTRUST_API_KEY_PARAMETER", None)
        try:
            settings = load_settings(variables)
            reach(settings.braintrust_api_url)
            announce(screen, settings, undo)
            with screen.console.status(
                "Reading the rows; each page of 1,000 takes a second or so ..."
            ):
                result = Function(variables, LOG).invoke({"undo": undo} if undo else {})
        except (AssignerError, UnreachableError) as error:
            screen.say(f"error: {in_words(error)}", "red")
            screen.whole("Runs so far", f"make status ARGS={AUDIT}")
            return 1
        finally:
            aws.copy_bucket(AUDIT)
    show(screen, result, names(settings, api_key))
    return 0


def listed(names: Sequence[str]) -> str:
    """`A`, `A and B`, `A, B and C`."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def in_words(text: object) -> str:
    """A message of the function, about what the person here has set: no SSM parameter."""
    return str(text).replace(f"SSM parameter {PARAMETER}", "REVIEWERS")


class UnreachableError(Exception):
    """Raised when nothing answers at the API's address: the function itself would try for a quarter of an hour."""


def reach(url: str) -> None:
    """Raise UnreachableError unless something answers."""
    try:
        requests.head(url, timeout=10, allow_redirects=False)
    except requests.RequestException as error:
        raise UnreachableError(
            f"{url} does not answer ({type(error).__name__}): check BRAINTRUST_API_URL and the network"
        ) from error


def announce(screen: Screen, settings: Settings, undo: str | None) -> None:
    screen.line("Braintrust", settings.braintrust_api_url)
    screen.line("Project", settings.project_id)
    if undo:
        screen.whole("Undo of", undo)
    else:
        screen.line("Rows", f'tagged "{settings.tag}", of the last {settings.days} days')
    if settings.dry_run:
        screen.line(
            "Dry run",
            "nothing is written to Braintrust; "
            + ("DRY_RUN=false would undo" if undo else "DRY_RUN=false would assign"),
        )
    elif undo:
        screen.line(
            "DRY_RUN=false",
            "what this run assigned IS taken back, as far as nobody has changed it since",
        )
    else:
        screen.fact(
            "DRY_RUN=false",
            "rows ARE assigned. The plan is kept on this machine only, so a deployed function would not know "
            "of it: let none run on this project meanwhile",
        )
    screen.say()


def names(settings: Settings, api_key: str) -> dict[str, str]:
    """Names by user id, as far as the key may see them."""
    client = Braintrust(
        api_key=api_key, base_url=settings.braintrust_api_url, max_retries=0, timeout=20
    )
    try:
        users = list(client.users.list(limit=1000))
    except BraintrustError:
        return {}
    full = {user.id: " ".join(filter(None, (user.given_name, user.family_name))) for user in users}
    return {user.id: full[user.id] or user.email or user.id for user in users}


def show(screen: Screen, result: dict[str, Any], known: dict[str, str]) -> None:
    dry = result["dry_run"]
    screen.table(
        ("Rows found", ""),
        (
            (field.replace("_", " "), result[field])
            for field in (
                "fetched",
                "already_assigned",
                "already_reviewed",
                "unassigned",
                "assigned",
                "failed",
                "deferred",
                "given",
                "left_alone",
                "undone",
            )
            if field in result
            and not (dry and field in {"assigned", "failed", "deferred", "undone"})
        ),
    )
    screen.say()
    given = result.get("per_reviewer")
    if given is not None:
        screen.table(
            ("Reviewer", "would be given" if dry else "given"),
            ((known.get(user_id, user_id), count) for user_id, count in given.items()),
        )
    for warning in result["warnings"]:
        screen.say(f"warning: {in_words(warning)}", "yellow")
    address = result["audit"].get("plan")
    if address and given is not None:
        path = AUDIT / address.removeprefix(f"s3://{BUCKET}/")
        assignments = json.loads(path.read_text("utf-8"))["assignments"]
        screen.say()
        for item in assignments[:SHOWN]:
            screen.line(
                "row",
                f"{item['row_id']}  to  {known.get(item['reviewer_id'], item['reviewer_id'])}",
            )
        if len(assignments) > SHOWN:
            screen.line("", f"... and {len(assignments) - SHOWN:,} more, oldest first")
        screen.whole("Whole plan", str(path))
    screen.whole("Function's log", str(LOG))
    screen.line("Status", f"{result['status']}, after {result['duration_ms'] / 1000:.1f} s")
    screen.whole("Run", result["run_id"])
    if result.get("assigned"):
        screen.whole("To take it back", f'DRY_RUN=false make run ARGS="--undo {result["run_id"]}"')
