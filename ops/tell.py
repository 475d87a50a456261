"""The digest of a deployed stack: post it now, or print it with the names your own key may see.

python -m ops.tell STACK [--dry-run]; BRAINTRUST_API_KEY is your key, BRAINTRUST_API_URL where it is
one.
"""

import argparse
import sys
from collections.abc import Sequence

from lib.message import labels_of
from lib.names import compared
from lib.roster import User
from ops import own_key
from ops.stack import ask_function, failures_in_words, invoke_function

parser = argparse.ArgumentParser(prog="python -m ops.tell", description=__doc__)
parser.add_argument("stack")
parser.add_argument("--dry-run", action="store_true", help="print it, and post nothing")


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; the exit code."""
    chosen = parser.parse_args(arguments)
    with failures_in_words():
        if not chosen.dry_run:
            return invoke_function(chosen.stack, {"digest": True})
        result = ask_function(chosen.stack, {"digest": True, "dry_run": True})
    if result is None:
        return 1
    users, why = known_users(chosen.stack)
    print(named(result["text"], users))
    if why:
        print(f"Ids in place of names: {why}", file=sys.stderr)
    return 0


def known_users(stack: str) -> tuple[list[User], str]:
    """The users that the operator's own key may see; and why there are none."""
    try:
        with own_key.asking(own_key.address(stack)) as client:
            users = client.users()
    except own_key.NoAnswerError as error:
        return [], str(error)
    return users or [], "" if users is not None else "your key may not list users (403)"


def named(text: str, users: Sequence[User]) -> str:
    """The text of a dry run with names in place of the ids of these users."""
    known = {compared("id", user.id) for user in users}
    lines = [line.rpartition(": ") for line in text.splitlines()]
    labels = labels_of((who for who, _, _ in lines if compared("id", who) in known), users)
    return "\n".join(f"{labels.get(who, who)}{colon}{rest}" for who, colon, rest in lines)


if __name__ == "__main__":
    sys.exit(main())
