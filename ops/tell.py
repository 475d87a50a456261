"""The digest of a deployed stack: post it now, or print it with the names that your own key may see.

python -m ops.tell STACK [--dry-run]; BRAINTRUST_API_KEY is your key, BRAINTRUST_API_URL where it is one.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from botocore.exceptions import BotoCoreError, ClientError

from lib.braintrust import Braintrust
from lib.deadline import Deadline
from lib.errors import AssignerError
from lib.message import labels_of
from lib.names import compared
from lib.roster import User
from lib.settings import load_settings
from ops.settle import FOLDER, AnswersError, read
from ops.stack import NoStackError, ask_function, invoke_function, reason

PATIENCE = 30.0  # seconds for names
ANYTHING = {
    "PROJECT_ID": "00000000-0000-4000-8000-000000000000",
    "TAG": "-",
    "REVIEWERS_PARAMETER": "-",
    "AUDIT_BUCKET": "none",
    "BRAINTRUST_API_KEY_PARAMETER": "-",
}
"""What a client has to be told, and does not use to list users."""

parser = argparse.ArgumentParser(prog="python -m ops.tell", description=__doc__)
parser.add_argument("stack")
parser.add_argument("--dry-run", action="store_true", help="print it, and post nothing")


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; the exit code."""
    chosen = parser.parse_args(arguments)
    try:
        if not chosen.dry_run:
            return invoke_function(chosen.stack, {"digest": True})
        result = ask_function(chosen.stack, {"digest": True, "dry_run": True})
    except NoStackError as error:
        sys.exit(str(error))
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"AWS: {reason(error)}")
    if result is None:
        return 1
    users, why = known_users(chosen.stack)
    print(named(result["text"], users))
    if why:
        print(f"Ids in place of names: {why}", file=sys.stderr)
    return 0


def known_users(stack: str) -> tuple[list[User], str]:
    """The users that the operator's own key may see; and why there are none."""
    key = os.environ.get("BRAINTRUST_API_KEY")
    if not key:
        return [], "set BRAINTRUST_API_KEY to a key of yours that may list users"
    try:
        settings = load_settings(ANYTHING | {"BRAINTRUST_API_URL": api_url(stack)})
        client = Braintrust(settings, key, Deadline(lambda: PATIENCE * 1000))
        users = client.users()
    except (AssignerError, AnswersError) as error:
        return [], str(error)
    return users or [], "" if users is not None else "your key may not list users (403)"


def api_url(stack: str) -> str:
    """Where the stack's Braintrust is; empty: the usual one."""
    path = FOLDER / f"{stack}.yaml"
    if given := os.environ.get("BRAINTRUST_API_URL"):
        return given
    return read(path).parameters.get("BraintrustApiUrl", "") if path.exists() else ""


def named(text: str, users: Sequence[User]) -> str:
    """The text of a dry run with names in place of the ids of these users."""
    known = {compared("id", user.id) for user in users}
    lines = [line.rpartition(": ") for line in text.splitlines()]
    labels = labels_of((who for who, _, _ in lines if compared("id", who) in known), users)
    return "\n".join(f"{labels.get(who, who)}{colon}{rest}" for who, colon, rest in lines)


if __name__ == "__main__":
    sys.exit(main())
