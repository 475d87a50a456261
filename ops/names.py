"""`python -m ops.names` (`make names`): what people are called.

It is fetched with your own key and kept on this machine. Whatever shows people reads it from there.
The function has nothing to do with it: its results, logs and audit know ids only.
"""

import argparse
import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from ops import own_key
from ops.records import shown

FILE = Path(".local/names.json")
ID = re.compile(r"\b[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b")
FOR_OWNER = 0o600

Names = Mapping[str, str]
"""By user id."""

parser = argparse.ArgumentParser(prog="python -m ops.names", description=__doc__)
parser.add_argument("--stack", default="", help="its Braintrust, if BRAINTRUST_API_URL names none")


class NamesUnreadableError(Exception):
    """Raised when a file does not hold names by user id."""


def main(arguments: list[str] | None = None) -> int:
    """Fetch and keep them; 1 if that is not possible."""
    chosen = parser.parse_args(arguments)
    try:
        with own_key.asking(own_key.address(chosen.stack)) as client:
            people = own_key.people(client)
        keep(people)
    except own_key.NoAnswerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {FILE} cannot be written: {error.strerror}", file=sys.stderr)
        return 1
    print(f"{FILE}: {len(people)} people. make status, make report and the others name them now.")
    return 0


def keep(names: Names) -> None:
    """Add them to those that are kept; what nobody asked anew stays.

    Only the owner may read the file.
    """
    try:
        kept = dict(read(FILE))
    except NamesUnreadableError:
        kept = {}
    FILE.parent.mkdir(parents=True, exist_ok=True)
    part = FILE.with_suffix(f".{os.getpid()}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(
        os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FOR_OWNER), "w", -1, "utf-8"
    ) as file:
        json.dump(kept | dict(names), file, indent=1, sort_keys=True)
    part.replace(FILE)


def read(file: Path) -> Names:
    """Names by user id. Raises NamesUnreadableError."""
    try:
        return {str(who): shown(name) for who, name in json.loads(file.read_text("utf-8")).items()}
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise NamesUnreadableError(
            f'{file} is not a JSON object such as {{"<user id>": "Ana"}}: {error}'
        ) from error


def named(text: str, names: Names) -> str:
    """A message with names in place of the ids in it, as far as they are known."""
    return ID.sub(lambda found: names.get(found[0].lower(), found[0]), text)


def kept_here() -> Names:
    """The names that are kept on this machine, as far as there are any.

    Without them people are shown by their ids.
    """
    try:
        return read(FILE) if FILE.exists() else {}
    except (NamesUnreadableError, OSError) as error:
        print(f"warning: {error}; make names writes it anew", file=sys.stderr)
        return {}


if __name__ == "__main__":
    sys.exit(main())
