"""Queues: what one parameter lists for one invocation, each with settings of its own. Pure."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from lib.errors import ConfigurationError
from lib.names import shown, trimmed, what
from lib.roster import parse_json
from lib.rules import Rule, is_name, is_queue
from lib.settings import (
    COMMANDS,
    OVERRIDES,
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
    """One, or one a queue. Of an undo that names no queue: the places where its run may be, of which it is one."""
    by_queue: bool
    """What comes back is an object a queue."""


def load_asked(environ: Mapping[str, str], event: object, parameter: Callable[[str], str]) -> Asked:
    """The settings of each run that the event asks for; `parameter` reads QUEUES_PARAMETER, given its name.

    Event goes over queue over environment. Raises ConfigurationError that names every wrong variable, event field, and
    field of every queue: none of them may run then, as another one would take its rows.
    """
    if not environ.get("QUEUES_PARAMETER", "").strip():
        return Asked((load_settings(environ, event),), by_queue=False)
    problems: list[str] = []
    said = read_event(event, problems)
    shared = read_environment(environ, problems, optional=DEFAULTS)
    queues = _read_queues(shared["queues_parameter"], parameter, problems)
    problems += _missing(queues, shared, said)
    problems += _misplaced(said, queues)
    problems += {
        problem: None
        for queue in queues
        for problem in problems_of_commands({**shared, **queue, **said})
        if said.get("queue") in {None, queue.get("queue")}
    }
    refuse(problems)
    runs = [
        _settings(shared, queue, said, place, len(queues))
        for place, queue in enumerate(queues)
        if said.get("queue") in {None, queue["queue"]}
    ]
    if "undo" in said and "queue" not in said:
        project_id = {**shared, **said}.get("project_id", "")
        elsewhere = replace(runs[0], queue="", project_id=project_id)
        places = [run for run in (*runs, elsewhere) if run.project_id]
        return Asked(tuple(places), by_queue=False)
    return Asked(tuple(runs), by_queue="queue" not in said)


def parse_queues(text: str, source: str, problems: list[str]) -> list[dict[str, Any]]:
    """What each queue of a JSON array says, by field of Settings; `source`: the parameter's name.

    Problems name every offender in every queue.
    """
    where = f"SSM parameter {source}"
    try:
        items = parse_json(trimmed(text), where)
    except ConfigurationError as error:
        problems.append(str(error))
        return []
    if not isinstance(items, list) or not items:
        it_is = "an empty array" if items == [] else what(items)
        problems.append(f"{where} must be a JSON array of one queue or more, not {it_is}")
        return []
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
    values["queue"] = values.pop("name", None) or label
    return values


def _is_below(name: str, source: str) -> bool:
    return is_name(name) and name.startswith(f"{source}/") and len(name) > len(source) + 1


def _missing(
    queues: Collection[Mapping[str, Any]], shared: Collection[str], said: Mapping[str, Any]
) -> list[str]:
    """What a queue has to have and neither itself nor a variable says, nor the event, if it is for this queue."""
    problems = []
    for queue in filter(None, queues):
        given = {*shared, *queue, *(said if said.get("queue") == queue["queue"] else ())}
        if "reviewers" in given:
            given.add("reviewers_parameter")
        problems += [
            f"queue {queue['queue']} has no {name}, and {name.upper()} is not set"
            for name in DEFAULTS
            if name not in given
        ]
    return problems


def _misplaced(said: Mapping[str, Any], queues: Collection[Mapping[str, Any]]) -> list[str]:
    """Event fields that are for one queue where none is named, and the name of one that is not there."""
    names = [str(queue["queue"]) for queue in queues if queue]
    if "queue" in said:
        if not names or said["queue"] is None or said["queue"] in names:
            return []
        return [f"event field queue is {shown(said['queue'])}: must be one of {', '.join(names)}"]
    for_all = FOR_ALL | ({"project_id"} if "undo" in said else set())
    fields = [name for name in said if name not in for_all]
    if not fields:
        return []
    return [
        f"event field{'s' * (len(fields) > 1)} {', '.join(fields)}: say of which queue, with the field queue"
    ]


def _settings(
    shared: Mapping[str, Any],
    queue: Mapping[str, Any],
    said: Mapping[str, Any],
    place: int,
    count: int,
) -> Settings:
    """The settings of queue number `place`, from 0, of `count`.

    Event goes over queue over environment, but a queue lifts no DRY_RUN.
    """
    values = {"reviewers_parameter": "", **shared, **queue}
    values["dry_run"] = shared.get("dry_run", False) or queue.get("dry_run", False)
    settings = Settings(**{**values, **said})
    hours = settings.full_read_hours
    return replace(settings, full_read_hour=place * hours // count if hours else None)
