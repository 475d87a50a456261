"""Settings: each named once, read from environment and event, refused all at once."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from typing import Any
from urllib.parse import SplitResult, urlsplit

from lib.errors import LOOKS_LIKE_KEY, ConfigurationError
from lib.names import UUID, is_text, shown
from lib.roster import Entry, parse_reviewers
from lib.rules import (
    FINISHED,
    LOOKS_LIKE_ADDRESS,
    Rule,
    anything,
    are_open,
    between,
    is_header,
    is_name,
    is_parameter,
    is_path,
    is_queue,
    is_run_id,
    key_prefix,
    with_pending,
)
from lib.taking import TAKE_BACK, Taking, problem_of_window

REQUIRED: Any = object()
LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1", "host.docker.internal"})
ENVELOPE = frozenset({"detail-type", "source"})
"""What every event of EventBridge has, and no other."""


def is_webhook(url: str) -> bool:
    """An address that may be posted to: as an API's, and its path and query may hold more signs."""
    return url.isascii() and _is_url(url, r"[\s#\\]|^[^/]*//[^/?]*@")


def _is_api_url(url: str) -> bool:
    return _is_url(url, r"[\s?#@\\]")


def _is_url(url: str, refused: str) -> bool:
    if not url.isprintable() or re.search(refused, url):
        return False
    try:
        parts = urlsplit(url)
        if not _is_place(parts):
            return False
    except ValueError:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOCAL_HOSTS)


def _is_place(parts: SplitResult) -> bool:
    """Whether there can be such a host and port. Raises ValueError for some that there cannot."""
    host = (parts.hostname or "").encode("idna").decode()  # as it is looked up
    is_host = bool(re.fullmatch(r"[\w.-]+|[0-9a-f:.]+", host))
    return is_host and (parts.port is None or parts.port > 0)


def _base_url(url: str) -> str:
    return re.sub(r"/*(/v1)?/*$", "", urlsplit(url).geturl())


# The settings


def _setting(
    accepted: str,
    default: Any = REQUIRED,  # noqa: ANN401 - of any kind
    check: Callable[[Any], bool] = is_name,
    make: Callable[[Any], Any] = lambda value: value,
    *,
    in_event: bool = False,
    secret: re.Pattern[str] = LOOKS_LIKE_KEY,
    role: str = "variable",
) -> Any:  # noqa: ANN401 - it stands for a value of the field's type, as dataclasses.field does
    """A field with its rule: a `variable`, or in the event a `command` or a queue's `choice`."""
    kind = str if default is REQUIRED else type(default)
    return field(
        default=MISSING if default is REQUIRED else make(default),
        metadata={role: Rule(kind, accepted, default, check, make, in_event, secret)},
    )


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One run's settings: the variables in lower case, checked, the event laid over them."""

    project_id: str = _setting(
        "a Braintrust project id (UUID)",
        check=lambda text: bool(UUID.fullmatch(text)),
        make=str.lower,  # one project has one ledger, however its id is spelt
        in_event=True,
    )
    tag: str = _setting(
        "a tag, any text that is not empty",
        check=lambda text: bool(text) and is_text(text),
        in_event=True,
    )
    days: int = _setting("an integer >= 1", 7, between(1), in_event=True)
    limit: int = _setting("an integer from 1 to 1000", 1000, between(1, 1000), in_event=True)
    batch_size: int = _setting("an integer >= 1", 1000, between(1), in_event=True)
    max_pages: int = _setting("an integer >= 1", 10_000, between(1), in_event=True)
    filter: str = _setting("a BTQL boolean expression, or empty", "", is_text, in_event=True)
    max_assignments: int = _setting("an integer >= 0 (0: no cap)", 0, between(0), in_event=True)
    reviewers_per_row: int = _setting("an integer from 1 to 5", 1, between(1, 5), in_event=True)
    overlap: float = _setting("a number from 0 to 1", 1.0, between(0, 1), in_event=True)
    author: str = _setting(
        "keys below metadata with dots between them, such as user.email, or empty",
        "",
        is_path,
        in_event=True,
    )
    open_statuses: frozenset[str] = _setting(
        f"words with commas between them, none of {', '.join(sorted(FINISHED))}",
        "PENDING,BACKLOG",
        are_open,
        with_pending,
    )
    full_read_hours: int = _setting("an integer from 0 to 168", 24, between(0, 168))
    dry_run: bool = _setting("true or false", default=False, check=anything, in_event=True)
    request_timeout: float = _setting("a number of seconds from 1 to 900", 120.0, between(1, 900))
    insert_concurrency: int = _setting("an integer from 1 to 16", 8, between(1, 16))
    braintrust_api_url: str = _setting(
        "an https:// base URL (http:// only for a loopback host or host.docker.internal)",
        "https://api.braintrust.dev",
        _is_api_url,
        _base_url,
    )
    braintrust_api_key_secret_id: str = _setting("the name or ARN of a Secrets Manager secret", "")
    braintrust_api_key_parameter: str = _setting("the name of an SSM SecureString parameter", "")
    reviewers_parameter: str = _setting("the name of the SSM parameter with the reviewers")
    queues_parameter: str = _setting("the name of the SSM parameter with the queues, or empty", "")
    """Empty: there are no queues."""
    webhook_parameter: str = _setting(
        "the name of an SSM SecureString parameter (not the address itself), or empty",
        "",
        is_parameter,
        secret=LOOKS_LIKE_ADDRESS,
    )
    impersonate_user: str = _setting(
        "a user id or an ASCII e-mail address (instead of another, the id), or empty", "", is_header
    )
    audit_bucket: str = _setting(
        "the name of an S3 bucket",
        check=lambda text: bool(re.fullmatch(r"[A-Za-z0-9._-]{3,255}", text)) and is_name(text),
    )
    audit_prefix: str = _setting("an S3 key prefix", "audit/", make=key_prefix)
    reviewers: tuple[Entry, ...] | None = None
    """The event's own reviewers, or the queue's; None: those of the SSM parameter."""
    queue: str = _setting("the name of one of the queues", "", is_queue, role="choice")
    """Empty: there are no queues."""
    full_read_hour: int | None = None
    """Hours since 1970, modulo FULL_READ_HOURS, in which this queue reads everything, if any."""
    undo: str = _setting("the run_id of the run to take back", "", is_run_id, role="command")
    """Empty: no undo."""
    take_back: Taking | None = field(default=None, metadata={"command": TAKE_BACK})
    """None: no take-back."""
    digest: bool = _setting("true", default=False, check=bool, role="command")
    """A message for the team, and no run."""


def _rules(role: str) -> dict[str, Rule]:
    return {each.name: each.metadata[role] for each in fields(Settings) if role in each.metadata}


RULES: dict[str, Rule] = {name.upper(): rule for name, rule in _rules("variable").items()}
VARIABLES = tuple(RULES)
OVERRIDES = {name: rule for name, rule in _rules("variable").items() if rule.in_event}
COMMANDS = _rules("command")
CHOICE = _rules("choice")


# Reading them


def load_settings(environ: Mapping[str, str], event: object = None) -> Settings:
    """Read the variables in `environ`, lay the event's fields over them, and check everything.

    Raises ConfigurationError that names every wrong variable and event field, its value and what is
    accepted.
    """
    problems: list[str] = []
    values = read_event(event, problems)
    values = read_environment(environ, problems, values) | values
    if "queue" in values:
        problems.append("event field queue is for several queues: QUEUES_PARAMETER is not set")
    problems += problems_of_commands(values)
    refuse(problems)
    return Settings(**values)


def refuse(problems: Sequence[str]) -> None:
    """Raise ConfigurationError if there are any."""
    if problems:
        raise ConfigurationError(
            f"{len(problems)} wrong setting{'s' * (len(problems) > 1)}:\n- " + "\n- ".join(problems)
        )


def read_environment(
    environ: Mapping[str, str],
    problems: list[str],
    overridden: Collection[str] = (),
    optional: Collection[str] = (),
) -> dict[str, Any]:
    """What the variables say, by field, but `overridden` ones; `optional` ones may be missing."""
    values: dict[str, Any] = {}
    for name, rule in RULES.items():
        if name.lower() in overridden:
            continue
        text = environ.get(name, "")
        text = text if name == "TAG" else text.strip()  # a tag may start or end with a blank
        if text:
            values[name.lower()] = rule.of_text(name, text, problems)
        elif rule.default is REQUIRED and name.lower() not in optional:
            problems.append(f"{name} is not set: must be {rule.accepted}")
    problems += _problem_of_key_source(environ)
    return values


def read_event(event: object, problems: list[str]) -> dict[str, Any]:
    """What the event says, by field."""
    if event is None:
        return {}
    if not isinstance(event, dict):
        problems.append(f"the event is {shown(event)}: must be a JSON object, such as {{}}")
        return {}
    rules = {**OVERRIDES, **COMMANDS, **CHOICE}
    if event.keys() >= ENVELOPE:
        problems += _problem_of_envelope(event, {*rules, "reviewers"})
        return {}
    commands = sorted(event.keys() & COMMANDS.keys())
    if len(commands) > 1:
        problems.append(f"event fields {' and '.join(commands)} are commands: send one at a time")
    return read_fields(event, rules, lambda key: f"event field {key}", problems)


def read_fields(
    given: Mapping[Any, object],
    rules: Mapping[str, Rule],
    where: Callable[[str], str],
    problems: list[str],
) -> dict[str, Any]:
    """What JSON fields say, each by its rule, and `reviewers` by the rules of the list."""
    values: dict[str, Any] = {}
    for key, value in given.items():
        if key == "reviewers":
            values[key] = None
            try:
                values[key] = parse_reviewers(value, where(key))
            except ConfigurationError as error:
                problems.append(str(error))
        elif rule := rules.get(key):
            values[key] = rule.of_json(where(key), value, problems)
        else:
            known = ", ".join(sorted({*rules, "reviewers"}))
            problems.append(f"{where(shown(key))} is unknown: must be one of {known}")
    return values


def _problem_of_key_source(environ: Mapping[str, str]) -> list[str]:
    names = ("BRAINTRUST_API_KEY_SECRET_ID", "BRAINTRUST_API_KEY_PARAMETER")
    given = sum(bool(environ.get(name, "").strip()) for name in names)
    if given == 1:
        return []
    return [f"{' and '.join(names)}: set exactly one of them, {given} are set"]


def problems_of_commands(values: Mapping[str, Any]) -> list[str]:
    """What does not go with a command, given the event's and the variables' fields."""
    days = values.get("days", RULES["DAYS"].default)
    of_window = problem_of_window(values.get("take_back"), days, values.get("queue"))
    return [*of_window, *_problem_of_digest(values)]


def _problem_of_digest(values: Mapping[str, Any]) -> list[str]:
    if not values.get("digest") or values.get("dry_run") or "webhook_parameter" in values:
        return []
    return ["WEBHOOK_PARAMETER is not set: only a dry run of a digest needs no place to post it to"]


def _problem_of_envelope(event: dict[Any, Any], ours: set[str]) -> list[str]:
    """An envelope with a field of ours means something else than an ordinary run."""
    plain = {_letters(name) for name in ours}
    meant = {key: value for key, value in event.items() if _letters(str(key)) in plain}
    if not meant:
        return []
    names = ", ".join(map(shown, meant))
    return [f"the event is an envelope of EventBridge with {names} in it: send only {shown(meant)}"]


def _letters(name: str) -> str:
    """`dry_run`, `dryRun` and `DRY-RUN` are one word."""
    return re.sub(r"[^a-z]", "", name.lower())
