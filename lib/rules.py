"""Rules: what a setting may be, how it is read, and what is made of it. Pure."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from lib.errors import LOOKS_LIKE_KEY
from lib.names import shown
from lib.terms import MOST

FINISHED = frozenset({"APPROVED", "REJECTED", "COMPLETE", "COMPLETED"})
INTEGER = re.compile(r"([+-]?)0*([0-9]+)")
LOOKS_LIKE_ADDRESS = re.compile(r"//|[?=&#]|^[^/]+/")
"""A host's name with something behind it; a parameter's name has a slash before it, or none."""
NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")
TRUTH = {"true": True, "false": False}


class Rule(NamedTuple):
    """What one setting may be."""

    kind: type
    """`str`, `int`, `float` or `bool`: what a variable is read as, and what an event must hold."""
    accepted: str
    """The words for it, after "must be", in an error message and in the tables of the documents."""
    default: Any
    """As it is written in a variable, or REQUIRED."""
    check: Callable[[Any], bool]
    make: Callable[[Any], Any]
    """What the setting's field holds of what was written."""
    in_event: bool
    secret: re.Pattern[str] = LOOKS_LIKE_KEY
    """What a value looks like that is the secret itself, in the wrong place: it is not shown."""

    def of_text(self, where: str, text: str, problems: list[str]) -> Any:  # noqa: ANN401 - any kind
        """What the field holds, given a variable; None, and a problem more, if that is wrong."""
        return self._judged(where, _read(text, self.kind), text, problems)

    def of_json(self, where: str, value: object, problems: list[str]) -> Any:  # noqa: ANN401 - any kind
        """The same, given a field of the event."""
        return self._judged(where, _taken(value, self.kind), value, problems)

    def _judged(
        self,
        where: str,
        value: Any,  # noqa: ANN401 - any kind
        written: object,
        problems: list[str],
    ) -> Any:  # noqa: ANN401 - any kind
        if value is not None and self.check(value):
            return self.make(min(value, MOST) if self.kind is int else value)
        words = f"is {shown(written)}"
        if isinstance(written, str):
            if LOOKS_LIKE_KEY.search(written):
                words = "looks like a key itself"
            elif self.secret.search(written):
                words = "looks like the secret itself"
        problems.append(f"{where} {words}: must be {self.accepted}")
        return None


def _read(text: str, kind: type) -> Any:  # noqa: ANN401 - any of the kinds
    """What the text of a variable says; None if it says nothing of the kind."""
    if kind is bool:
        return TRUTH.get(text.lower())
    if kind is int:
        digits = INTEGER.fullmatch(text)
        return digits and int(digits[1] + digits[2][:20])  # Python reads no number of 5,000 digits
    if kind is float:
        return float(text) if NUMBER.fullmatch(text) else None
    return text


def _taken(value: object, kind: type) -> Any:  # noqa: ANN401 - any of the kinds
    """What an event's field says; None if it says nothing of the kind."""
    if kind is float and type(value) is int and abs(value) <= MOST:
        return float(value)
    return value if type(value) is kind else None


# What is accepted


def anything(_: object) -> bool:
    return True


def between(lowest: float, highest: float = float("inf")) -> Callable[[float], bool]:
    return lambda value: lowest <= value <= highest


def is_name(text: str) -> bool:
    return text.isprintable() and not LOOKS_LIKE_KEY.search(text)


def is_parameter(text: str) -> bool:
    """The name of an SSM parameter, or its ARN; a host's name with a path behind it is neither."""
    arn = r"arn:[a-z-]+:ssm:[a-z0-9-]+:[0-9]{12}:parameter"
    known = re.fullmatch(rf"({arn})?(/[\w.-]+)+|[\w.-]+", text, re.ASCII)
    return bool(known) and is_name(text)


def is_header(text: str) -> bool:
    return is_name(text) and text.isascii() and " " not in text


def is_run_id(text: str) -> bool:
    return bool(re.fullmatch(r"[0-9]{8}T[0-9]{6}Z-[A-Za-z0-9_.:-]{1,200}", text))


def is_queue(text: str) -> bool:
    return bool(re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?", text))


def are_open(text: str) -> bool:
    return is_name(text) and not _words(text) & FINISHED


def is_path(text: str) -> bool:
    """Empty, or keys with dots between them."""
    return is_name(text) and (not text or all(text.split(".")))


# What is made of it


def key_prefix(text: str) -> str:
    prefix = text.strip("/")
    return f"{prefix}/" if prefix else ""


def _words(text: str) -> frozenset[str]:
    return frozenset(filter(None, (word.strip() for word in text.split(","))))


def with_pending(text: str) -> frozenset[str]:
    return _words(text) | {"PENDING"}
