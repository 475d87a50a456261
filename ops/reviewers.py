"""`python -m ops.reviewers STACK [FILE]` (`make reviewers`): the stored list of reviewers.

With a file, another one. A list is checked by the function's own rules, tried in a dry run, and
compared with the stored one, before it is stored.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from lib.errors import ConfigurationError
from lib.roster import Entry, parse_reviewers
from lib.terms import WEEK, Absence, Terms
from ops.dry_run import in_words
from ops.names import Names, kept_here
from ops.settle import declared
from ops.stack import FunctionError, NoStackError, invoke, parameters, reason
from ops.stack_file import in_file
from ops.table import Column, table

MOST = 4096  # bytes that a parameter of the standard tier holds
NAME = "ReviewersParameter"

parser = argparse.ArgumentParser(prog="python -m ops.reviewers", description=__doc__)
parser.add_argument("stack")
parser.add_argument("file", nargs="?", type=Path, help="the list that is to be stored")
parser.add_argument("--yes", action="store_true", help="store it without a question")


class ListError(Exception):
    """Raised when a list cannot be used; says what to change."""


class Stored(NamedTuple):
    """The list as it is stored."""

    parameter: str
    text: str = ""
    """Empty: nothing is."""
    kind: str = "String"
    """Once it is there, a parameter stays of its kind."""


def main(arguments: list[str] | None = None) -> int:
    """Show the stored list, or store another one; 1 if nothing could be shown or stored."""
    chosen = parser.parse_args(arguments)
    try:
        names = kept_here()
        listed = read_list(chosen.file) if chosen.file else None
        parameter, is_there = where(chosen.stack)
        stored = read_stored(parameter)
        if listed is None:
            print(*told(stored, names), sep="\n")
            return 0 if stored.text else 1
        text, entries = listed
        print(*changes(entries, as_entries(stored.text), names), "", sep="\n")
        if is_there:
            print(*try_out(chosen.stack, text, names), sep="\n")
        else:
            print("The stack is not deployed yet: nobody has looked whether the")
            print("organisation knows them.\n")
        return store(stored, text, sure=chosen.yes)
    except (ListError, FunctionError) as error:
        print(f"error: {error}\nNothing was stored.", file=sys.stderr)
        return 1
    except (EOFError, KeyboardInterrupt):
        print("\nNothing was stored.", file=sys.stderr)
        return 1
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"AWS: {reason(error)}")


def where(stack: str) -> tuple[str, bool]:
    """The parameter that the stack's list is in, and whether the stack is there."""
    try:
        return parameters(stack)[NAME], True
    except NoStackError:
        return in_file(stack, NAME) or str(declared()[NAME]["Default"]), False
    except KeyError as error:
        raise ListError(
            f"the stack {stack} has no parameter {error}: is it a review assigner?"
        ) from error


def read_stored(parameter: str) -> Stored:
    """What is stored there. Raises ListError."""
    ssm: Any = boto3.client("ssm")
    try:
        answer = ssm.get_parameter(Name=parameter, WithDecryption=True)["Parameter"]
    except ssm.exceptions.ParameterNotFound:
        return Stored(parameter)
    if answer["Type"] == "SecureString":
        raise ListError(f"{parameter} is a SecureString, and a list of reviewers is a String")
    return Stored(parameter, answer["Value"], answer["Type"])


def as_entries(stored: str) -> tuple[Entry, ...]:
    """The stored list's entries; none if it cannot be used, as then nobody on it gets rows."""
    try:
        return parse_reviewers(stored, "the stored list")
    except ConfigurationError as error:
        print(f"warning: {error}", file=sys.stderr)
        return ()


def read_list(path: Path) -> tuple[str, tuple[Entry, ...]]:
    """A list's text and entries. Raises ListError."""
    try:
        text = path.read_text("utf-8-sig")
        entries = parse_reviewers(text, str(path))
    except OSError as error:
        raise ListError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ListError(f"{path} is not text in UTF-8: save it as that") from error
    except ConfigurationError as error:
        raise ListError(str(error).replace("; ", "\n- ")) from error
    if not entries:
        raise ListError(f"{path} names nobody")
    if (size := len(text.encode())) > MOST:
        raise ListError(
            f"{path} has {size:,} bytes, and a parameter holds {MOST:,}: make a group in "
            "Braintrust, and list that"
        )
    return text, entries


def told(stored: Stored, names: Names) -> list[str]:
    """The stored list, an entry a line."""
    if not stored.text:
        return [
            (
                f"Nothing is stored in {stored.parameter}: "
                "make reviewers FILE=reviewers.txt stores a list."
            )
        ]
    columns = [Column("Reviewer"), Column("terms", wraps=True)]
    rows = [(called(entry, names), terms(entry)) for entry in as_entries(stored.text)]
    return [f"{stored.parameter}:", *table(columns, rows)]


def changes(new: Sequence[Entry], stored: Sequence[Entry], names: Names) -> list[str]:
    """What is different from the stored list, a line an entry of either."""
    before = {(entry.kind, entry.key): entry for entry in stored}
    after = {(entry.kind, entry.key): entry for entry in new}
    rows = []
    for key, entry in {**after, **before}.items():
        if key not in after:
            change, told_terms = "comes off the list", ""
        elif key not in before:
            change, told_terms = "new", terms(after[key])
        elif terms(before[key]) != terms(after[key]):
            change, told_terms = (
                "changed",
                f"{terms(after[key]) or 'no terms'} (were: {terms(before[key]) or 'none'})",
            )
        else:
            change, told_terms = "as before", terms(after[key])
        rows.append((called(entry, names), change, told_terms))
    return table([Column("Reviewer"), Column("change"), Column("terms", wraps=True)], rows)


def called(entry: Entry, names: Names) -> str:
    """An entry in a word: the name, where it is an id and the name is known."""
    if entry.kind == "id":
        return names.get(entry.name, entry.name)
    return entry.name if entry.kind == "email" else f"group {entry.name}"


def terms(entry: Entry) -> str:
    """What is special about an entry: `weight 0.5, max_open 30, away 2026-12-24 to 2027-01-02`."""
    usual = Terms().terms()
    return ", ".join(
        f"{name} {in_brief(value)}" for name, value in entry.terms().items() if value != usual[name]
    )


def in_brief(value: object) -> str:
    """A term's value: `0.5`, `2026-12-24 to 2027-01-02`."""
    if isinstance(value, Absence):
        return f"{value.start} to {value.until}"
    if isinstance(value, frozenset):
        return ",".join(day for day in WEEK if day in value)
    if isinstance(value, tuple):
        return " and ".join(map(in_brief, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def try_out(stack: str, text: str, names: Names) -> list[str]:
    """Who would get how many rows now.

    Raises FunctionError, such as where the organisation knows nobody of them.
    """
    print("What the next run would give (a dry run, with the list as it would be) ...", flush=True)
    return list(in_words(invoke(stack, {"dry_run": True, "reviewers": text}), names, stack))


def store(stored: Stored, text: str, *, sure: bool) -> int:
    """Store it if somebody says so; 1 if not."""
    if not sure and not sys.stdin.isatty():
        print("Nothing was stored: without a terminal, ARGS=--yes does.", file=sys.stderr)
        return 1
    if not sure and input(f"Store it in {stored.parameter}? [y/N] ").strip().lower() not in {
        "y",
        "yes",
    }:
        print("Nothing was stored.")
        return 1
    ssm: Any = boto3.client("ssm")
    ssm.put_parameter(Name=stored.parameter, Value=text, Type=stored.kind, Overwrite=True)
    print("Stored. It counts from the next run on; Parameter Store keeps the earlier list.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
