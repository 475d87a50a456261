"""A file with queues, checked before it is stored (`make queues`).

`python -m ops.check_queues STACK FILE` goes by the function's own rules; with BRAINTRUST_API_KEY
set to a key of your own also against Braintrust: that each project can be read, each filter parses
(one query of one row a queue), each group is there, and who gets each queue's rows.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import boto3
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

from lib.errors import ConfigurationError
from lib.queue_list import load_asked
from lib.roster import Group, Roster, User, parse_reviewers, resolve
from lib.rows import RowQuery, Window
from lib.settings import RULES, Settings
from ops import own_key
from ops.own_key import NoAnswerError
from ops.records import shown
from ops.settle import declared
from ops.stack import NoStackError, parameters, reason
from ops.stack_file import FOLDER, in_file
from ops.table import Column, table, wrapped

STANDARD, ADVANCED = 4096, 8192
"""Bytes that a parameter of either tier holds."""
NO_ACCESS = (NoRegionError, NoCredentialsError)
"""Whoever writes the file need not be the one who may ask AWS."""
SOMEWHERE = "/queues"  # what a stack without queues will call its parameter

parser = argparse.ArgumentParser(prog="python -m ops.check_queues", description=__doc__)
parser.add_argument("stack")
parser.add_argument("file", type=Path, help="the queues that are to be stored, as JSON")


class QueuesWrongError(Exception):
    """Raised when no queue would run with this file; says what to change."""


class Known(NamedTuple):
    """Who the organisation knows. None: the key may not list them."""

    found_users: list[User] | None
    found_groups: list[Group] | None

    def users(self) -> list[User] | None:
        """As lib.roster.Directory."""
        return self.found_users

    def groups(self) -> list[Group] | None:
        """The same."""
        return self.found_groups


class Tried(NamedTuple):
    """What Braintrust says of one queue."""

    roster: Roster | None
    trouble: list[str]
    """Why it would not work, in sentences."""
    empty: bool
    """No row is asked for by it today."""


def main(arguments: list[str] | None = None) -> int:
    """Check the file; 1 if a queue in it would not work."""
    chosen = parser.parse_args(arguments)
    try:
        text = read(chosen.file)
        variables = deployed_with(chosen.stack)
        runs = queues_in(chosen.file, text, variables)
        for line in [size(text), "", *listed(runs)]:
            print(line)
        tried, names = try_out(runs)
    except (QueuesWrongError, ConfigurationError, NoAnswerError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"AWS: {reason(error)}")
    print(*people(tried, names), sep="\n")
    troubles = [f"queue {name}: {why}" for name, it in tried.items() for why in it.trouble]
    for words in [*(f"warning: {it}" for it in odd(runs, tried, names)), *troubles]:
        print(*wrapped(shown(words), 4), sep="\n")
    if not troubles:
        name = variables["QUEUES_PARAMETER"]
        print(
            f"\nNothing keeps these queues from running. Store them in {name}: the stack's output "
            "StoreQueuesCommand"
        )
    return 1 if troubles else 0


def read(path: Path) -> str:
    """The file's text. Raises QueuesWrongError."""
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise QueuesWrongError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise QueuesWrongError(f"{path} is not text in UTF-8: save it as that") from error
    if (length := len(text.encode())) > ADVANCED:
        raise QueuesWrongError(
            f"{path} has {length:,} bytes, and a parameter holds {ADVANCED:,}: put lists of "
            "reviewers into parameters of their own (reviewers_parameter)"
        )
    return text


def queues_in(path: Path, text: str, variables: Mapping[str, str]) -> Sequence[Settings]:
    """The settings of each queue.

    Raises ConfigurationError, which speaks of the file and not of a parameter.
    """
    try:
        return load_asked(variables, None, lambda _: text).runs
    except ConfigurationError as error:
        parameter = f"SSM parameter {variables['QUEUES_PARAMETER']} "
        raise ConfigurationError(str(error).replace(parameter, f"{path} ")) from error


def deployed_with(stack: str) -> dict[str, str]:
    """The variables that the stack's function has, or will have by the stack's file."""
    try:
        given = parameters(stack)
    except (NoStackError, *NO_ACCESS) as error:
        given = {name: in_file(stack, name) for name in declared()}
        file = FOLDER / f"{stack}.yaml"
        if not file.exists() or isinstance(error, NO_ACCESS):
            why = str(error) if isinstance(error, NoStackError) else reason(error)
            what = f"{file} counts" if file.exists() else f"there is no {file} either"
            words = f"What queues do not say the stack could not be asked, and {what}: {why}"
            print(*wrapped(words, 4), sep="\n", file=sys.stderr)
    camel = {name: name.title().replace("_", "") for name in RULES}
    defaults = {name: str(each.get("Default", "")) for name, each in declared().items()}
    values = {
        name: given.get(parameter) or defaults.get(parameter, "")
        for name, parameter in camel.items()
    }
    values["AUDIT_BUCKET"] = "the-stacks-own"
    values["QUEUES_PARAMETER"] = values["QUEUES_PARAMETER"] or SOMEWHERE
    if not values["BRAINTRUST_API_KEY_SECRET_ID"] and not values["BRAINTRUST_API_KEY_PARAMETER"]:
        values["BRAINTRUST_API_KEY_SECRET_ID"] = "not-said-yet"  # noqa: S105 - a name
    return values


def size(text: str) -> str:
    """How much room is left."""
    length = len(text.encode())
    tier = (
        f"of {STANDARD:,}"
        if length <= STANDARD
        else f"of {ADVANCED:,}, in the advanced tier of Parameter Store ($0.05 a month)"
    )
    return f"{length:,} bytes {tier}"


def listed(runs: Iterable[Settings]) -> list[str]:
    """The queues, in the order in which they run."""
    columns = [
        Column("Queue"),
        Column("tag", wraps=True),
        Column("filter", wraps=True),
        Column("project", drop=1),
    ]
    return table(
        columns, ((run.queue, shown(run.tag), shown(run.filter), run.project_id) for run in runs)
    )


def try_out(runs: Sequence[Settings]) -> tuple[dict[str, Tried], Mapping[str, str]]:
    """What Braintrust says of each queue, and what people are called; nothing without a key.

    Raises NoAnswerError.
    """
    if not own_key.is_set():
        print(
            *wrapped(
                f"\nWith {own_key.KEY} set to a key of your own, projects, filters, groups and "
                "people are tried as well."
            ),
            sep="\n",
        )
        return {}, {}
    url = own_key.address(otherwise=runs[0].braintrust_api_url)
    with own_key.asking(url) as client:
        names = own_key.people(client)
        known = Known(client.users(), client.groups())
    return {run.queue: try_one(run, url, known) for run in runs}, names


def try_one(run: Settings, url: str, known: Known) -> Tried:
    """Ask for one row, and see who gets the queue's rows."""
    trouble, empty = [], False
    page = RowQuery(run, Window.before(datetime.now(UTC), run.days)).page(1)
    try:
        with own_key.asking(url, run.project_id) as client:
            body = {"query": page, "fmt": "json"}
            answer = client.query(lambda: body, lambda: False, client.deadline).body
        empty = isinstance(answer, dict) and answer.get("data") == []
    except NoAnswerError as error:
        trouble.append(str(error))
    try:
        entries = run.reviewers
        if entries is None:
            entries = parse_reviewers(stored(run.reviewers_parameter), run.reviewers_parameter)
        roster = resolve(entries, known)
    except (QueuesWrongError, ConfigurationError) as error:
        return Tried(None, [*trouble, str(error)], empty)
    if not roster.reviewers:
        trouble.append("nobody on its list is known to the organisation")
    return Tried(roster, trouble, empty)


def stored(parameter: str) -> str:
    """The list in that parameter. Raises QueuesWrongError."""
    try:
        ssm: Any = boto3.client("ssm")
        return str(ssm.get_parameter(Name=parameter, WithDecryption=True)["Parameter"]["Value"])
    except ClientError as error:
        if error.response["Error"]["Code"] != "ParameterNotFound":
            raise
        raise QueuesWrongError(f"its list is not there: SSM parameter {parameter}") from error
    except NO_ACCESS as error:
        raise QueuesWrongError(f"its list cannot be read: {reason(error)}") from error


def people(tried: Mapping[str, Tried], names: Mapping[str, str]) -> Iterator[str]:
    """Who gets the rows of each queue."""
    for name, (roster, *_) in tried.items():
        if roster:
            called = ", ".join(names.get(who.id, who.id) for who in roster.reviewers) or "nobody"
            yield ""
            yield from wrapped(
                f"{name}, {len(roster.reviewers)} people: {shown(called)}", len(name) + 2
            )
            for warning in roster.warnings:
                yield from wrapped(f"    warning: {shown(warning)}", 6)
    if tried:
        yield ""


def odd(
    runs: Sequence[Settings], tried: Mapping[str, Tried], names: Mapping[str, str]
) -> Iterator[str]:
    """What can hardly be meant, in sentences."""
    for first, then in combinations(runs, 2):
        if (first.project_id, first.tag) == (then.project_id, then.tag):
            yield from one_before_the_other(first, then)
    for run in runs:
        if "!=" in run.filter and "is null" not in run.filter.lower():
            yield (
                f"the filter of queue {run.queue} has !=, which a row without that value does not "
                "meet: say where such rows go (metadata.language IS NULL OR metadata.language != "
                "'de')"
            )
    for run in runs:
        if run.queue in tried and tried[run.queue].empty:
            yield (
                f"no row of the last {run.days} days is asked for by queue {run.queue}: is its tag "
                f"{run.tag!r} spelt as in Braintrust (letter by letter), and its filter meant so?"
            )
    for who_id, places in zones(tried).items():
        if len(places) > 1:
            words = ", ".join(f"{zone} in {name}" for zone, name in places.items())
            yield f"{names.get(who_id, who_id)} has two time zones: {words}"


def one_before_the_other(first: Settings, then: Settings) -> Iterator[str]:
    """What is odd about two queues of one tag, of which the first has its choice of rows."""
    if first.filter == then.filter:
        yield (
            f"queues {first.queue} and {then.queue} ask for the same rows: "
            f"{then.queue} gets what {first.queue} leaves"
        )
    elif not first.filter:
        yield (
            f"queue {first.queue} has no filter and comes before {then.queue}, which asks for some "
            f"of its rows: put {then.queue} first, or exclude its rows in {first.queue}"
        )


def zones(tried: Mapping[str, Tried]) -> dict[str, dict[str, str]]:
    """The time zones of each person, each with a queue that says so."""
    places: dict[str, dict[str, str]] = {}
    for name, (roster, *_) in tried.items():
        for who in roster.reviewers if roster else ():
            places.setdefault(who.id, {}).setdefault(str(getattr(who, "tz", "UTC")), name)
    return places


if __name__ == "__main__":
    sys.exit(main())
