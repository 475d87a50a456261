"""`python -m ops.dry_run STACK` (`make dry-run`): what a run would do now.

The result is JSON on standard output.

What it means to people, with names as far as `make names` knows them, is on standard error.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from ops.names import Names, kept_here, named
from ops.records import shown
from ops.stack import FunctionError, failures_in_words, invoke, written
from ops.table import Column, table, wrapped
from ops.tags import tags_instead

Result = Mapping[str, Any]

parser = argparse.ArgumentParser(prog="python -m ops.dry_run", description=__doc__)
parser.add_argument("stack")
parser.add_argument("--queue", help="that one alone")


def main(arguments: list[str] | None = None) -> int:
    """Run it dry; 1 if it raised."""
    chosen = parser.parse_args(arguments)
    event = {"dry_run": True} | ({"queue": chosen.queue} if chosen.queue else {})
    with failures_in_words():
        try:
            result = invoke(chosen.stack, event)
        except FunctionError as error:
            print(error, file=sys.stderr)
            return 1
    print(written(result), flush=True)
    print("", *in_words(result, kept_here(), chosen.stack), sep="\n", file=sys.stderr)
    return 0


def in_words(result: Result, names: Names, stack: str) -> Iterator[str]:
    """A dry run as a person reads it: each queue's, where there are several."""
    for queue, each in result.get("queues", {"": result}).items():
        if queue:
            yield f"Queue {queue}:"
        yield from who_would_get(each, names)
        for warning in each.get("warnings", ()):
            yield from wrapped(f"warning: {named(shown(warning), names)}", 4)
        if each.get("fetched") == 0 and each.get("read") == "full":
            yield from tags_instead(each["project_id"], each["tag"], stack)
        yield ""


def who_would_get(result: Result, names: Names) -> list[str]:
    """A line for everybody on the list."""
    given = result.get("per_reviewer", {})
    people = result.get("people", {})
    lines = table(
        [Column("Reviewer"), Column("Would get", number=True), Column("Open now", number=True)],
        (
            (names.get(who, who), rows, people[who]["open"] if who in people else "-")
            for who, rows in given.items()
        ),
    )
    unnamed = [who for who in given if who not in names]
    return [*lines, *(["(make names: names in place of ids)"] if unnamed else [])]


if __name__ == "__main__":
    sys.exit(main())
