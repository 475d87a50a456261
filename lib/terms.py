"""Terms: on what conditions somebody is on the list - weight, room, days, absences. Pure."""

import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, tzinfo
from typing import Any, NamedTuple

from lib.zones import names, zone

LIGHTEST, HEAVIEST = 0.001, 1000  # further apart, shares would be no numbers any more
MOST = 999_999_999  # of anything; a greater number means the same, and would overflow somewhere
WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
EVERY_DAY = frozenset(WEEK)


class Absence(NamedTuple):
    """Days, of the person's own zone, on which they get nothing; `until` is the first day back."""

    start: date
    until: date


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What the list may say about somebody besides who it is."""

    weight: float = 1.0
    max_open: int | None = None
    tz: tzinfo = UTC
    """Whose dates the next two mean."""
    days: frozenset[str] = EVERY_DAY
    """On which they get new rows, as in WEEK."""
    away: tuple[Absence, ...] = ()

    def terms(self) -> dict[str, Any]:
        """Them alone, to be handed on."""
        return {term.name: getattr(self, term.name) for term in fields(Terms)}

    def today(self, moment: datetime) -> date:
        """Which day it is where they are."""
        return moment.astimezone(self.tz).date()

    def away_until(self, day: date) -> date | None:
        """The first day back, if they are away on `day`."""
        return max(
            (absence.until for absence in self.away if absence.start <= day < absence.until),
            default=None,
        )

    def works_on(self, day: date) -> bool:
        """It is one of their days of the week."""
        return WEEK[day.weekday()] in self.days

    def is_there(self, day: date) -> bool:
        """They get new rows on `day`."""
        return self.works_on(day) and self.away_until(day) is None


def _parse_weight(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(value)
    if not LIGHTEST <= value <= HEAVIEST:
        raise ValueError(value)
    return float(value)


def _parse_max_open(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(value)
    return min(value, MOST)


def _parse_tz(value: object) -> tzinfo:
    if not isinstance(value, str):
        raise TypeError(value)
    if value not in names():
        raise ValueError(value)
    return zone(value)


def _parse_days(value: object) -> frozenset[str]:
    if isinstance(value, list) and value and all(isinstance(each, str) for each in value):
        return frozenset[str]().union(*map(_parse_days, value))
    if not isinstance(value, str):
        raise TypeError(value)
    spans = "".join(value.lower().split()).split(",")
    return frozenset[str]().union(*map(_days_of, spans))


def _days_of(span: str) -> set[str]:
    """`fri`, or `fri-mon`, which runs over the end of the week.

    Raises ValueError for anything else.
    """
    first, _, last = span.partition("-") if "-" in span else (span, "", span)
    start, end = WEEK.index(first), WEEK.index(last)
    return {WEEK[(start + number) % 7] for number in range((end - start) % 7 + 1)}


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
    "tz": (_parse_tz, "the name of an IANA time zone, spelled as there, such as Europe/Berlin"),
    "days": (_parse_days, 'days of the week like "mon-fri", "mon,wed,fri", or a list of such'),
    "away": (
        _parse_away,
        'a list like [{"from": "2026-12-24", "until": "2027-01-02"}], until after from',
    ),
}
"""How each term is parsed, ValueError or TypeError where it is none, and what it must be."""
