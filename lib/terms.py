"""Terms: on what conditions somebody is on the list of reviewers - weight, room, absences. Pure."""

import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import date
from typing import Any, NamedTuple

LIGHTEST, HEAVIEST = 0.001, 1000  # further apart, shares would be no numbers any more
MOST = 999_999_999  # of anything; a greater number means the same, and would overflow somewhere


class Absence(NamedTuple):
    """Days (UTC) on which a reviewer gets nothing; `until` is the first day back."""

    start: date
    until: date


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What the list may say about somebody besides who it is."""

    weight: float = 1.0
    max_open: int | None = None
    away: tuple[Absence, ...] = ()

    def terms(self) -> dict[str, Any]:
        """Them alone, to be handed on."""
        return {term.name: getattr(self, term.name) for term in fields(Terms)}


def _parse_weight(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(value)
    if not LIGHTEST <= value <= HEAVIEST:
        raise ValueError(value)
    return float(value)


def _parse_max_open(value: object) -> int | None:
    if value is None:
        return None
    if type(value) is not int or value < 0:
        raise ValueError(value)
    return min(value, MOST)


def _parse_away(value: object) -> tuple[Absence, ...]:
    if not isinstance(value, list):
        raise TypeError(value)
    return tuple(map(_parse_absence, value))


def _parse_absence(value: object) -> Absence:
    if not isinstance(value, dict) or value.keys() != {"from", "until"}:
        raise ValueError(value)
    absence = Absence(_parse_day(value["from"]), _parse_day(value["until"]))
    if absence.until <= absence.start:
        raise ValueError(value)
    return absence


def _parse_day(text: Any) -> date:  # noqa: ANN401 - whatever stood in the JSON
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        raise ValueError(text)
    return date.fromisoformat(text)


PARSERS: dict[str, tuple[Callable[[Any], object], str]] = {
    "weight": (_parse_weight, f"a number > 0, from {LIGHTEST} to {HEAVIEST}"),
    "max_open": (_parse_max_open, "an integer >= 0"),
    "away": (
        _parse_away,
        'a list like [{"from": "2026-12-24", "until": "2027-01-02"}], until after from',
    ),
}
"""How each term is parsed, ValueError or TypeError where it is none, and what it must be."""
