"""What a take-back means: the rows of a person, rows that have lain for days, or both. Pure."""

from typing import Any, NamedTuple

from lib.errors import LOOKS_LIKE_KEY
from lib.names import Name, read, shown
from lib.rules import Rule, anything
from lib.terms import MOST

FIELDS = ("reviewer", "days")


class Taking(NamedTuple):
    """At least one of the two."""

    reviewer: Name | None = None
    days: int | None = None


class TakingRule(Rule):
    """What the event's `take_back` may be."""

    def of_json(self, where: str, value: object, problems: list[str]) -> Any:  # noqa: ANN401 - as Rule
        """A Taking; None, and what is wrong, field by field."""
        if not isinstance(value, dict) or not value:
            problems.append(f"{where} is {shown(value)}: must be {self.accepted}")
            return None
        before = len(problems)
        problems += [
            f"{where} has the unknown field {shown(key)}: must be {self.accepted}"
            for key in value
            if key not in FIELDS
        ]
        reviewer = days = None
        if "reviewer" in value:
            reviewer = _person(f"{where}: reviewer", value["reviewer"], problems)
        if "days" in value:
            days = _days(f"{where}: days", value["days"], problems)
        return Taking(reviewer, days) if len(problems) == before else None


def _person(where: str, value: object, problems: list[str]) -> Name | None:
    names, others = read(value) if isinstance(value, str) else ([], [])
    if len(names) == 1 and not others:
        return names[0]
    is_key = isinstance(value, str) and LOOKS_LIKE_KEY.search(value)
    words = "looks like an API key" if is_key else f"is {shown(value)}"
    problems.append(f"{where} {words}: must be one user id (UUID) or e-mail address")
    return None


def _days(where: str, value: object, problems: list[str]) -> int | None:
    if type(value) is int and value >= 1:
        return min(value, MOST)
    problems.append(f"{where} is {shown(value)}: must be an integer >= 1")
    return None


def problem_of_window(taking: Taking | None, days: int | None, queue: str | None) -> list[str]:
    """What has lain as long as the window is, or longer, no query shows."""
    if taking and taking.days and days and taking.days >= days:
        whose = f"DAYS of queue {queue}" if queue else "DAYS"
        bound = f"must be less than the window's {days} days ({whose})"
        return [f"event field take_back: days is {taking.days}: {bound}"]
    return []


TAKE_BACK = TakingRule(
    dict,
    '{"reviewer": "<id or e-mail>"}, {"days": <integer>}, or both in one object',
    None,
    anything,
    lambda value: value,
    in_event=True,
)
