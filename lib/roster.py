"""The roster: who may be given rows, how many, and when. Parsing is pure; resolving asks a directory."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NamedTuple, Protocol

from lib.errors import LOOKS_SECRET, ConfigurationError, masked

KEYS = ("id", "email", "group")
LIGHTEST, HEAVIEST = 0.001, 1000  # further apart, shares would be no numbers any more
FIELDS = {*KEYS, "weight", "max_open", "away"}


class Absence(NamedTuple):
    """Days (UTC) on which a reviewer gets nothing; `until` is the first day back."""

    start: date
    until: date


@dataclass(frozen=True)
class Entry:
    """One mention in the reviewers parameter."""

    kind: str
    """`id`, `email` or `group`."""
    name: str
    weight: float = 1.0
    max_open: int | None = None
    away: tuple[Absence, ...] = ()


@dataclass(frozen=True)
class Reviewer:
    """One person who may be given rows."""

    id: str
    weight: float = 1.0
    max_open: int | None = None
    away: tuple[Absence, ...] = ()

    def away_until(self, day: date) -> date | None:
        """The first day back, if the reviewer is away on `day`."""
        return max(
            (absence.until for absence in self.away if absence.start <= day < absence.until),
            default=None,
        )


@dataclass(frozen=True)
class Roster:
    """The reviewers in the order of the list, and what had to be left out or taken on trust."""

    reviewers: tuple[Reviewer, ...]
    unknown: tuple[str, ...] = ()
    """Entries of the list that stand for nobody, each as `email someone@example.com`."""
    warnings: tuple[str, ...] = ()


class User(NamedTuple):
    """A user of the organisation; `email` is lower case and may be empty."""

    id: str
    email: str


@dataclass(frozen=True)
class Group:
    """A Braintrust group with its direct members."""

    id: str
    name: str
    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


class Directory(Protocol):
    """Who the organisation knows. None: the key may not list them (403)."""

    def users(self) -> list[User] | None: ...

    def groups(self) -> list[Group] | None: ...


def parse_reviewers(value: object, source: str) -> tuple[Entry, ...]:
    """Read the contract's section 3: plain text, or a JSON array of strings and objects.

    `source` names the place in messages. Raises ConfigurationError naming every bad item.
    """
    if isinstance(value, str) and value.lstrip().startswith(("[", "{")):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise ConfigurationError(f"{source} is not valid JSON ({error})") from error
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list):
        raise ConfigurationError(
            f"{source} must be text or a JSON array, not {type(value).__name__}"
        )
    entries: dict[tuple[str, str], Entry] = {}
    problems: list[str] = []
    for item in value:
        if isinstance(item, str):
            found = [
                Entry("email" if "@" in name else "id", name)
                for name in re.split(r"[,\s]+", item)
                if name
            ]
        else:
            found = [entry] if (entry := _parse_object(item, problems)) else []
        for entry in found:
            name = entry.name if entry.kind == "group" else entry.name.casefold()
            entries.setdefault((entry.kind, name), entry)
            if entry.kind == "id" and LOOKS_SECRET.match(entry.name):
                problems.append(
                    "an entry looks like an API key: give user ids, e-mail addresses or groups"
                )
    if problems:
        raise ConfigurationError("; ".join(f"{source}: {problem}" for problem in problems))
    return tuple(entries.values())


def _parse_object(item: object, problems: list[str]) -> Entry | None:
    shown = masked(json.dumps(item, default=str)[:100])
    if not isinstance(item, dict):
        problems.append(f"{shown} must be a string or an object")
        return None
    before = len(problems)
    unknown = sorted(item.keys() - FIELDS)
    if unknown:
        problems.append(
            f"unknown field {masked(', '.join(unknown))} in {shown}; known: {', '.join(sorted(FIELDS))}"
        )
    named = [key for key in KEYS if key in item]
    if len(named) != 1 or not isinstance(item[named[0]], str) or not item[named[0]].strip():
        problems.append(f"{shown} needs exactly one of id, email, group, as text")
    weight, max_open = item.get("weight", 1), item.get("max_open")
    if (
        isinstance(weight, bool)
        or not isinstance(weight, int | float)
        or not LIGHTEST <= weight <= HEAVIEST
    ):
        problems.append(f"weight in {shown} must be a number > 0, from {LIGHTEST} to {HEAVIEST}")
    if max_open is not None and (type(max_open) is not int or max_open < 0):
        problems.append(f"max_open in {shown} must be an integer >= 0")
    away = _parse_away(item.get("away", []), shown, problems)
    if len(problems) > before:
        return None
    return Entry(named[0], item[named[0]].strip(), float(weight), max_open, away)


def _parse_away(value: object, shown: str, problems: list[str]) -> tuple[Absence, ...]:
    absences = []
    spans: list[Any] = value if isinstance(value, list) else [None]
    for span in spans:
        try:
            absence = Absence(_day(span["from"]), _day(span["until"]))
            if span.keys() != {"from", "until"} or absence.until <= absence.start:
                raise ValueError  # noqa: TRY301 - one message for every way to be wrong
        except (KeyError, TypeError, ValueError, AttributeError):
            problems.append(
                f'away in {shown} must be a list like [{{"from": "2026-12-24", "until": "2027-01-02"}}], '
                "until after from"
            )
            return ()
        absences.append(absence)
    return tuple(absences)


def _day(text: Any) -> date:  # noqa: ANN401 - whatever stood in the JSON
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        raise ValueError(text)
    return date.fromisoformat(text)


@dataclass
class _Resolution:
    """Entries turned into people, step by step."""

    known: Mapping[str, str] | None
    """Lower-case id to the id as the organisation writes it; None: the key may not list users."""
    people: dict[str, Reviewer] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)

    def add(self, entry: Entry, user_id: str, label: str) -> None:
        if self.known is not None and user_id.lower() not in self.known:
            self.unknown.append(label)
            return
        user_id = user_id if self.known is None else self.known[user_id.lower()]
        self.people.setdefault(user_id, Reviewer(user_id, entry.weight, entry.max_open, entry.away))


def resolve(entries: Iterable[Entry], directory: Directory) -> Roster:
    """Turn entries into people: e-mails and groups looked up, unknown ones left out, duplicates counted once.

    Asks for the groups only if the list names one. Raises what the directory raises.
    """
    entries = list(entries)
    users = directory.users()
    warnings = []
    if users is None:
        warnings.append(
            "the key may not list users (403): reviewer ids are used unchecked, e-mails cannot be resolved"
        )
    found = _Resolution(None if users is None else {user.id.lower(): user.id for user in users})
    by_email = {user.email: user.id for user in users or [] if user.email}
    groups = directory.groups() if any(entry.kind == "group" for entry in entries) else []
    if groups is None:
        warnings.append(
            "the key may not list groups (403): groups in the reviewers list are left out"
        )
    for entry in entries:
        label = f"{entry.kind} {entry.name}"
        if entry.kind == "id":
            found.add(entry, entry.name, label)
        elif entry.kind == "email" and entry.name.lower() in by_email:
            found.add(entry, by_email[entry.name.lower()], label)
        elif entry.kind == "group" and (members := list(_members(entry.name, groups or []))):
            for member in members:
                found.add(entry, member, f"user {member} of {label}")
        else:
            found.unknown.append(label)
    warnings += [f"unknown reviewer left out: {label}" for label in found.unknown]
    return Roster(tuple(found.people.values()), tuple(found.unknown), tuple(warnings))


def _members(name: str, groups: list[Group]) -> Iterator[str]:
    """User ids of every group called `name`, nested groups included, each group visited once."""
    by_id = {group.id: group for group in groups}
    waiting = [group for group in groups if group.name == name]
    seen = {group.id for group in waiting}
    while waiting:
        group = waiting.pop(0)
        yield from group.users
        inner = [
            by_id[group_id]
            for group_id in group.groups
            if group_id in by_id and group_id not in seen
        ]
        seen |= {group.id for group in inner}
        waiting += inner
