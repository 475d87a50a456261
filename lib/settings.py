"""Settings: read once from the environment and the event, refused all at once when any is wrong."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from lib.errors import LOOKS_SECRET, ConfigurationError, masked
from lib.roster import Entry, parse_reviewers

REQUIRED: Any = object()
LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1", "host.docker.internal"})
UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")
TRUTH = {"true": True, "false": False}


def _between(lowest: float, highest: float = float("inf")) -> Callable[[float], bool]:
    return lambda value: lowest <= value <= highest


def _is_api_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port_is_number = parts.port is None or parts.port > 0
    except ValueError:
        return False
    plain = (
        bool(parts.hostname)
        and port_is_number
        and not (parts.username or parts.query or parts.fragment)
    )
    return plain and (
        parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOCAL_HOSTS)
    )


class Rule(NamedTuple):
    """What one setting may be."""

    kind: type
    """`str`, `int`, `float` or `bool`: what the text of a variable is read as, and what an event must hold."""
    accepted: str
    """The words for it in an error message and in the README."""
    default: Any = REQUIRED
    check: Callable[[Any], bool] = lambda _: True
    in_event: bool = False


RULES: dict[str, Rule] = {
    "PROJECT_ID": Rule(
        str,
        "a Braintrust project id (UUID)",
        check=lambda text: bool(UUID.fullmatch(text)),
        in_event=True,
    ),
    "TAG": Rule(str, "a tag, any text that is not empty", check=bool, in_event=True),
    "DAYS": Rule(int, "an integer >= 1", 7, _between(1), in_event=True),
    "LIMIT": Rule(int, "an integer from 1 to 1000", 1000, _between(1, 1000), in_event=True),
    "BATCH_SIZE": Rule(int, "an integer >= 1", 1000, _between(1), in_event=True),
    "MAX_PAGES": Rule(int, "an integer >= 1", 10_000, _between(1), in_event=True),
    "FILTER": Rule(str, "a BTQL boolean expression, or empty", "", in_event=True),
    "MAX_ASSIGNMENTS": Rule(int, "an integer >= 0 (0: no cap)", 0, _between(0), in_event=True),
    "DRY_RUN": Rule(bool, "true or false", default=False, in_event=True),
    "REQUEST_TIMEOUT": Rule(float, "seconds, a number from 1 to 900", 120.0, _between(1, 900)),
    "INSERT_CONCURRENCY": Rule(int, "an integer from 1 to 16", 8, _between(1, 16)),
    "BRAINTRUST_API_URL": Rule(
        str,
        "an https:// base URL (http:// only for a loopback host or host.docker.internal)",
        "https://api.braintrust.dev",
        _is_api_url,
    ),
    "BRAINTRUST_API_KEY_SECRET_ID": Rule(str, "the name or ARN of a Secrets Manager secret", ""),
    "BRAINTRUST_API_KEY_PARAMETER": Rule(str, "the name of an SSM SecureString parameter", ""),
    "REVIEWERS_PARAMETER": Rule(str, "the name of the SSM parameter with the reviewers"),
    "IMPERSONATE_USER": Rule(
        str, "a user id or e-mail address, or empty", "", lambda text: text.isprintable()
    ),
    "AUDIT_BUCKET": Rule(str, "the name of an S3 bucket"),
    "AUDIT_PREFIX": Rule(str, "an S3 key prefix", "audit/"),
}
VARIABLES = tuple(RULES)
OVERRIDES = {name.lower(): rule for name, rule in RULES.items() if rule.in_event}


@dataclass(frozen=True)
class Settings:
    """One run's settings: the contract's variables in lower case, checked, with the event laid over them."""

    project_id: str
    tag: str
    days: int
    limit: int
    batch_size: int
    max_pages: int
    filter: str
    max_assignments: int
    dry_run: bool
    request_timeout: float
    insert_concurrency: int
    braintrust_api_url: str
    braintrust_api_key_secret_id: str
    braintrust_api_key_parameter: str
    reviewers_parameter: str
    impersonate_user: str
    audit_bucket: str
    audit_prefix: str
    reviewers: tuple[Entry, ...] | None = None
    """The event's own reviewers; None: those of the SSM parameter."""
    undo: str = ""
    """The run id to take back; empty: an ordinary run."""


def load_settings(environ: Mapping[str, str], event: object = None) -> Settings:
    """Read the variables in `environ`, lay the event's fields over them, and check everything.

    Raises ConfigurationError that names every wrong variable and event field, its value and what is accepted.
    """
    problems: list[str] = []
    values: dict[str, Any] = {}
    overrides = _overrides(event, problems)
    for name, rule in RULES.items():
        if name.lower() in overrides:
            continue
        text = environ.get(name, "")
        text = text if name == "TAG" else text.strip()  # a tag may start or end with a blank
        if text:
            values[name.lower()] = _from_text(name, text, rule, problems)
        elif rule.default is REQUIRED:
            problems.append(f"{name} is not set: {rule.accepted}")
        else:
            values[name.lower()] = rule.default
    values |= overrides
    _check_key_source(values, problems)
    if problems:
        raise ConfigurationError(
            f"{len(problems)} wrong setting{'s' * (len(problems) > 1)}:\n- " + "\n- ".join(problems)
        )
    values["project_id"] = values[
        "project_id"
    ].lower()  # one project has one ledger, however its id is spelt
    values["braintrust_api_url"] = re.sub(r"(/v1)?/*$", "", values["braintrust_api_url"])
    prefix = values["audit_prefix"].strip("/")
    values["audit_prefix"] = f"{prefix}/" if prefix else ""
    return Settings(**values)


def _from_text(name: str, text: str, rule: Rule, problems: list[str]) -> Any:  # noqa: ANN401 - any of the kinds
    value: Any = text
    try:
        if rule.kind is bool:
            value = TRUTH[text.lower()]
        elif rule.kind is not str:
            value = rule.kind(text) if NUMBER.fullmatch(text) else None
    except (KeyError, ValueError):
        value = None
    if value is None or not rule.check(value):
        problems.append(f"{name} is {_shown(text)}: {rule.accepted}")
    return value


def _overrides(event: object, problems: list[str]) -> dict[str, Any]:
    if event is None or (isinstance(event, dict) and {"detail-type", "source"} <= event.keys()):
        return {}
    if not isinstance(event, dict):
        problems.append(f"the event is {_shown(event)}: a JSON object, such as {{}}")
        return {}
    values: dict[str, Any] = {}
    for key, value in event.items():
        if key == "reviewers":
            try:
                values[key] = parse_reviewers(value, "event field reviewers")
            except ConfigurationError as error:
                problems.append(str(error))
        elif key == "undo":
            values[key] = value
            if not (isinstance(value, str) and re.fullmatch(r"\d{8}T\d{6}Z-[\w.:-]+", value)):
                problems.append(
                    f"event field undo is {_shown(value)}: the run_id of the run to take back"
                )
        elif key not in OVERRIDES:
            known = ", ".join(sorted([*OVERRIDES, "reviewers", "undo"]))
            problems.append(f"event field {_shown(key)} is unknown: one of {known}")
        else:
            values[key] = value
            rule = OVERRIDES[key]
            if type(value) is not rule.kind or not rule.check(value):
                problems.append(f"event field {key} is {_shown(value)}: {rule.accepted}")
    return values


def _check_key_source(values: dict[str, Any], problems: list[str]) -> None:
    names = ("BRAINTRUST_API_KEY_SECRET_ID", "BRAINTRUST_API_KEY_PARAMETER")
    given = [name for name in names if values[name.lower()]]
    if len(given) != 1:
        problems.append(f"{' and '.join(names)}: set exactly one of them, {len(given)} are set")
    problems.extend(
        f"{name} looks like a key itself: give the name of the secret or parameter that holds it"
        for name in given
        if LOOKS_SECRET.match(values[name.lower()])
    )


def _shown(value: object) -> str:
    text = masked(repr(value))
    return text if len(text) <= 100 else f"{text[:100]}..."
