"""Queues: what one parameter lists for one invocation, each with settings of its own. Pure."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, NamedTuple

from lib.errors import ConfigurationError
from lib.names import shown, trimmed, what
from lib.roster import parse_json
from lib.rules import Rule, is_name, is_queue
from lib.settings import (
    COMMANDS,
    OVERRIDES,
    RULES,
    Settings,
    load_settings,
    problems_of_commands,
    read_environment,
    read_event,
    read_fields,
    refuse,
)

DEFAULTS = ("project_id", "tag", "reviewers_parameter")
"""Variables that need not be there where every queue has its own."""
FOR_ALL = frozenset({"dry_run", *COMMANDS})
"""Event fields that need no `queue`."""
NAME = Rule(
    str,
    "up to 40 small letters, digits and hyphens, none at its ends",
    "",
    is_queue,
    str,
    in_event=False,
)


class Asked(NamedTuple):
    """What the event asks for."""

    runs: tuple[Settings, ...]
    """One, or one a queue. Of an undo that names no queue: the places where its run may be, of
    which it is one."""
    by_queue: bool
    """What comes back is an object a queue."""


def load_asked(environ: Mapping[str, str], event: object, parameter: Callable[[str], str]) -> Asked:
    """The settings of each run that the event asks for.

    `parameter` reads QUEUES_PARAMETER, given its name. Event goes over queue over environment.
    Raises ConfigurationError that names every wrong variable, event field, and field of every
    queue: none of them may run then, as another one would take its rows.
    """
    if not environ.get("QUEUES_PARAMETER", "").strip():
        return Asked((load_settings(environ, event),), by_queue=False)
    problems: list[str] = []
    overrides = read_event(event, problems)
    shared = read_environment(environ, problems, optional=DEFAULTS)
    queues = _read_queues(shared["queues_parameter"], parameter, problems)
    meant = [
        _laid(shared, queue, overrides, place, len(queues))
        for place, queue in enumerate(queues)
        if overrides.get("queue") in {None, queue.get("queue")}
    ]
    problems += _missing(queues, shared, overrides)
    problems += _not_there(overrides, queues) if "queue" in overrides else _misplaced(overrides)
    problems += dict.fromkeys(chain.from_iterable(map(problems_of_commands, meant)))
    refuse(problems)
    runs = [Settings(**values) for values in meant]
    if "undo" in overrides and "queue" not in overrides:
        return Asked((*runs, *_nameless(runs, shared | overrides)), by_queue=False)
    return Asked(tuple(runs), by_queue="queue" not in overrides)


def parse_queues(text: str, source: str, problems: list[str]) -> list[dict[str, Any]]:
    """What each queue of a JSON array says, by field of Settings; `source`: the parameter's name.

    Problems name every offender in every queue.
    """
    items = _items_of(text, f"SSM parameter {source}", problems)
    own = f"the name of an SSM parameter that starts with {source}/"
    rules = {
        "name": NAME,
        "reviewers_parameter": Rule(
            str, own, "", lambda name: _is_below(name, source), str, in_event=False
        ),
        **OVERRIDES,
    }
    queues = [_parse_queue(item, place, rules, problems) for place, item in enumerate(items, 1)]
    names = [queue.get("queue") for queue in queues]
    twice = {name for name in names if name and names.count(name) > 1}
    problems += [f"queue {name} is there {names.count(name)} times" for name in sorted(twice)]
    return queues


def _items_of(text: str, where: str, problems: list[str]) -> list[Any]:
    """What the JSON array holds; nothing, and a problem more, where it is none."""
    try:
        items = parse_json(trimmed(text), where)
    except ConfigurationError as error:
        problems.append(str(error))
        return []
    if isinstance(items, list) and items:
        return items
    it_is = "an empty array" if items == [] else what(items)
    problems.append(f"{where} must be a JSON array of one queue or more, not {it_is}")
    return []


def _read_queues(
    source: str | None, parameter: Callable[[str], str], problems: list[str]
) -> list[dict[str, Any]]:
    """The queues of the parameter; none, and a problem more, where it cannot be read."""
    if source is None:
        return []  # its name is wrong, which has been said
    try:
        return parse_queues(parameter(source), source, problems)
    except ConfigurationError as error:
        problems.append(str(error))
        return []


def _parse_queue(
    item: object, place: int, rules: Mapping[str, Rule], problems: list[str]
) -> dict[str, Any]:
    if not isinstance(item, dict):
        problems.append(f"queue number {place} is {shown(item)}: must be a JSON object")
        return {}
    name = item.get("name")
    known = isinstance(name, str) and is_queue(name)
    label = f"queue {name}" if known else f"queue number {place}"
    if "name" not in item:
        problems.append(f"{label} has no name")
    values = read_fields(item, rules, lambda field: f"field {field} of {label}", problems)
    if "reviewers" in values and "reviewers_parameter" in values:
        problems.append(f"{label} has both reviewers and reviewers_parameter: leave one out")
    if values.get("reviewers") == ():
        problems.append(f"field reviewers of {label} names nobody: add at least one reviewer")
    values["queue"] = values.pop("name", None) or label
    return values


def _is_below(name: str, source: str) -> bool:
    return is_name(name) and name.startswith(f"{source}/") and len(name) > len(source) + 1


def _missing(
    queues: Collection[Mapping[str, Any]], shared: Collection[str], overrides: Mapping[str, Any]
) -> list[str]:
    """What a queue needs and neither itself nor a variable says, nor an event for this queue."""
    problems = []
    for queue in filter(None, queues):
        given = {*shared, *queue, *(overrides if overrides.get("queue") == queue["queue"] else ())}
        if "reviewers" in given:
            given.add("reviewers_parameter")
        problems += [
            f"{_called(queue)} has no {name}, and {name.upper()} is not set"
            for name in DEFAULTS
            if name not in given
        ]
    return problems


def _called(queue: Mapping[str, Any]) -> str:
    """Its name, or where that is wrong its number."""
    name = str(queue["queue"])
    return f"queue {name}" if is_queue(name) else name


def _not_there(overrides: Mapping[str, Any], queues: Collection[Mapping[str, Any]]) -> list[str]:
    """The name, in the event, of a queue that is not there."""
    names = list(dict.fromkeys(str(queue["queue"]) for queue in queues if queue))
    if not names or overrides["queue"] is None or overrides["queue"] in names:
        return []
    known = ", ".join(filter(is_queue, names))
    return [f"event field queue is {shown(overrides['queue'])}: must be one of {known}"]


def _misplaced(overrides: Mapping[str, Any]) -> list[str]:
    """Event fields that are for one queue, where none is named."""
    for_all = FOR_ALL | ({"project_id"} if "undo" in overrides else set())
    fields = [name for name in overrides if name not in for_all]
    if not fields:
        return []
    return [
        (
            f"event field{'s' * (len(fields) > 1)} {', '.join(fields)}: say of which queue, "
            "with the field queue"
        )
    ]


def _laid(
    shared: Mapping[str, Any],
    queue: Mapping[str, Any],
    overrides: Mapping[str, Any],
    place: int,
    count: int,
) -> dict[str, Any]:
    """The fields of queue number `place`, from 0, of `count`: event over queue over environment.

    But a queue lifts no DRY_RUN.
    """
    values = {"reviewers_parameter": "", **shared, **queue}
    values["dry_run"] = bool(shared.get("dry_run") or queue.get("dry_run"))
    hours = shared.get("full_read_hours", RULES["FULL_READ_HOURS"].default)
    values["full_read_hour"] = place * hours // count if hours else None
    return {**values, **overrides}


def _nameless(runs: Sequence[Settings], overrides: Mapping[str, Any]) -> Iterator[Settings]:
    """The places of runs whose queue is not there, or that had none.

    Each project has one, with no queue's DRY_RUN. `overrides`: the variables, and the event over
    them.
    """
    projects = [*(run.project_id for run in runs), overrides.get("project_id", "")]
    for project in dict.fromkeys(filter(None, projects)):
        is_dry = overrides.get("dry_run", False)
        yield replace(runs[0], queue="", project_id=project, dry_run=is_dry)
