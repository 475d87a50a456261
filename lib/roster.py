"""The roster: who may be given rows, how many, and when.

Parsing is pure; resolving asks a directory.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from lib.errors import LOOKS_LIKE_KEY, ConfigurationError
from lib.names import Name, compared, is_text, read, shown, trimmed, what
from lib.terms import PARSERS, Terms

WORDS = {"id": "a user id (UUID)", "email": "an e-mail address", "group": "the name of a group"}
NOBODY = Name("", "")
KEY_IN_LIST = "an entry looks like an API key: give user ids, e-mail addresses or groups"


@dataclass(frozen=True)
class Entry(Terms):
    """One mention in the reviewers parameter."""

    kind: str
    """`id`, `email` or `group`."""
    name: str

    @property
    def key(self) -> str:
        """What is compared: with another entry, and with what the organisation knows."""
        return compared(self.kind, self.name)


@dataclass(frozen=True)
class Reviewer(Terms):
    """One person who may be given rows."""

    id: str
    """As the organisation writes it; in lower case where the key may not list users."""
    email: str = field(default="", compare=False, repr=False)
    """As it is compared; empty where the organisation has none, or the key may not list users."""


@dataclass(frozen=True)
class Roster:
    """The reviewers in the order of the list, and what had to be left out or taken on trust."""

    reviewers: tuple[Reviewer, ...]
    unknown: tuple[str, ...] = ()
    """Entries of the list that stand for nobody, each as `email someone@example.com`."""
    warnings: tuple[str, ...] = ()
    checked: bool = True
    """False: the key may not list users, so that nobody's address is known."""

    @property
    def ids(self) -> list[str]:
        """Of everybody on the list."""
        return [reviewer.id for reviewer in self.reviewers]

    @property
    def has_caps(self) -> bool:
        """Somebody has `max_open`."""
        return any(reviewer.max_open is not None for reviewer in self.reviewers)


@dataclass(frozen=True)
class User:
    """A user of the organisation.

    Only the id may be said to anybody; the digest's message alone has first names.
    """

    id: str
    email: str = field(repr=False)
    """As the organisation writes it; may be empty."""
    given_name: str = field(default="", repr=False)
    family_name: str = field(default="", repr=False)


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
    if isinstance(value, str):
        text = trimmed(value)
        value = parse_json(text, source) if text.startswith(("[", "{")) else [text]
    if not isinstance(value, list):
        raise ConfigurationError(f"{source} must be text or a JSON array, not {what(value)}")
    problems: list[str] = []
    entries: dict[tuple[str, str], Entry] = {}
    for item in value:
        for entry in _parse_item(item, problems):
            entries.setdefault((entry.kind, entry.key), entry)
    if problems:
        raise ConfigurationError("; ".join(f"{source}: {problem}" for problem in problems))
    return tuple(entries.values())


def parse_json(text: str, source: str) -> Any:  # noqa: ANN401 - any JSON
    """What a parameter's text holds, each field of an object once. Raises ConfigurationError."""
    try:
        return json.loads(
            text,
            object_pairs_hook=_each_field_once,
            parse_int=lambda digits: int(digits[:20]),  # Python reads no number of 5,000 digits
        )
    except RecursionError:
        raise ConfigurationError(f"{source} is not valid JSON (nested too deeply)") from None
    except ValueError as error:
        raise ConfigurationError(f"{source} is not valid JSON ({error})") from error


def _each_field_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(fields := dict(pairs)) < len(pairs):
        raise ValueError("an object has a field twice")
    return fields


def _parse_item(item: object, problems: list[str]) -> list[Entry]:
    if isinstance(item, dict):
        return _parse_object(item, problems)
    if not isinstance(item, str):
        problems.append(f"{shown(item)} must be text, or an object with id, email or group")
        return []
    names, others = read(item)
    problems += [
        KEY_IN_LIST
        if LOOKS_LIKE_KEY.search(other)
        else f"{shown(other)} must be {WORDS['id']} or {WORDS['email']}"
        for other in others
    ]
    return [Entry(*name) for name in names]


def _parse_object(item: dict[str, Any], problems: list[str]) -> list[Entry]:
    faults: list[str] = []
    unknown = sorted(item.keys() - WORDS.keys() - PARSERS.keys())
    if unknown:
        known = ", ".join(sorted({*WORDS, *PARSERS}))
        faults.append(
            f"unknown field {', '.join(map(shown, unknown))} in {shown(item)}; known: {known}"
        )
    kind, name = _parse_name(item, faults)
    terms: dict[str, Any] = {}
    for term in PARSERS:
        if term in item:
            parse, words = PARSERS[term]
            try:
                terms[term] = parse(item[term])
            except (ValueError, TypeError):
                faults.append(f"{term} in {shown(item)} must be {words}")
    problems += faults
    return [] if faults else [Entry(kind, name, **terms)]


def _parse_name(item: dict[str, Any], problems: list[str]) -> Name:
    kinds = [kind for kind in WORDS if kind in item]
    text = item[kinds[0]] if len(kinds) == 1 else None
    if not isinstance(text, str) or not trimmed(text):
        problems.append(f"{shown(item)} needs exactly one of {', '.join(WORDS)}, as text")
        return NOBODY
    (kind,) = kinds
    if name := _only_name(kind, text):
        return name
    is_key = LOOKS_LIKE_KEY.search(text)
    problems.append(KEY_IN_LIST if is_key else f"{kind} in {shown(item)} must be {WORDS[kind]}")
    return NOBODY


def _only_name(kind: str, text: str) -> Name | None:
    """The one name of that kind that the text is, if it is; a group's may be any text but a key."""
    if kind == "group":
        is_name = is_text(text) and not LOOKS_LIKE_KEY.search(text)
        return Name(kind, trimmed(text)) if is_name else None
    names, others = read(text)
    return names[0] if not others and [name.kind for name in names] == [kind] else None


def resolve(entries: Iterable[Entry], directory: Directory) -> Roster:
    """Turn entries into people: e-mails and groups looked up, unknown ones left out.

    Duplicates are counted once. Asks for the groups only if the list names one. Raises what the
    directory raises.
    """
    entries = list(entries)
    users = directory.users()
    groups = directory.groups() if any(entry.kind == "group" for entry in entries) else []
    resolution = _Resolution(users, groups or [])
    for entry in entries:
        resolution.add(entry)
    return Roster(
        tuple(resolution.people.values()),
        tuple(resolution.unknown),
        (*_unlisted(users, groups), *map(unknown_words, resolution.unknown)),
        checked=users is not None,
    )


class _Resolution:
    """Entries turned into people, step by step."""

    def __init__(self, users: list[User] | None, groups: list[Group]) -> None:
        """`users`: None where the key may not list them, so that ids are taken on trust."""
        self._unchecked = users is None
        self._users = {compared("id", user.id): user for user in users or []}
        self._ids = {compared("email", user.email): user.id for user in users or [] if user.email}
        self._groups = groups
        self.people: dict[str, Reviewer] = {}
        """By id, as it is compared."""
        self.unknown: list[str] = []

    def add(self, entry: Entry) -> None:
        """Everybody whom the entry stands for."""
        label = f"{entry.kind} {entry.name}"
        ids = self._ids_of(entry)
        if not ids:
            self.unknown.append(label)
        for user_id in ids:
            user = self._user(user_id)
            if user is None:
                whom = f"user {user_id} of {label}" if entry.kind == "group" else label
                self.unknown.append(whom)
            else:
                email = compared("email", user.email)
                reviewer = Reviewer(user.id, email=email, **entry.terms())
                self.people.setdefault(compared("id", user_id), reviewer)

    def _ids_of(self, entry: Entry) -> list[str]:
        if entry.kind == "id":
            return [entry.name]
        if entry.kind == "email":
            return [self._ids[entry.key]] if entry.key in self._ids else []
        return list(_members(entry.key, self._groups))

    def _user(self, user_id: str) -> User | None:
        return User(user_id, "") if self._unchecked else self._users.get(compared("id", user_id))


def _unlisted(users: list[User] | None, groups: list[Group] | None) -> Iterator[str]:
    """Warnings about what the key may not list."""
    if users is None:
        yield (
            "the key may not list users (403): "
            "reviewer ids are used unchecked, e-mails cannot be resolved"
        )
    if groups is None:
        yield "the key may not list groups (403): groups in the reviewers list are left out"


def unknown_words(label: str) -> str:
    """The warning about an entry that stands for nobody."""
    return f"unknown reviewer left out: {label}"


def _members(key: str, groups: list[Group]) -> Iterator[str]:
    """User ids of every group with this name, nested groups included, each visited once."""
    unseen = {group.id: group for group in groups}
    waiting = [group.id for group in groups if compared("group", group.name) == key]
    while waiting:
        group = unseen.pop(waiting.pop(0), None)
        if group is not None:
            yield from group.users
            waiting += group.groups
