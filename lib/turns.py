"""Whose turn it is: who is there, who has room, who is owed most, and why everybody got what they got. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import NamedTuple

from lib.distribution import Seat
from lib.roster import Reviewer
from lib.rows import Row


class Waits(Enum):
    """Why a row waits; the value is the words for it."""

    LEFT = "their reviewer has left the list; anyone may get them two hours after they were planned"
    CAP = "MAX_ASSIGNMENTS is reached"
    NOBODY = "every reviewer is away or full"


@dataclass(frozen=True)
class Turn:
    """What one person had before a plan, what it gives them, and why."""

    reviewer: Reviewer
    received: int
    """Rows of the window they received before, people's own doing included."""
    open_now: int
    """Of those, not reviewed yet."""
    given: int
    given_again: int
    back: date | None
    """They are away until this day."""
    place: int
    """In turn, from 1; 0: not in turn."""
    places: int

    @property
    def full(self) -> bool:
        """No new row fits any more."""
        room = room_of(self.reviewer, self.open_now)
        return room is not None and self.given >= room

    @property
    def there(self) -> bool:
        """They might have had one more row."""
        return not self.back and not self.full

    def to_json(self) -> dict[str, object]:
        """The plan's object: facts as fields, and the reason in words."""
        reason = f"number {self.place} of {self.places} in turn: by rows received per weight, then by who was served longest ago"
        if self.back:
            reason = f"away until {self.back}"
        elif self.full:
            reason = f"full: max_open is {self.reviewer.max_open}"
        return {
            "reviewer_id": self.reviewer.id,
            "weight": self.reviewer.weight,
            "received_before": self.received,
            "open_before": self.open_now,
            "given": self.given,
            "given_again": self.given_again,
            "reason": reason,
        }


class Load(NamedTuple):
    """Rows of the window by person, and those of them that are not reviewed; people's own doing included."""

    received: Counter[str]
    open_now: Counter[str]


def load_of(rows: Sequence[Row], planned: Iterable[str]) -> Load:
    """`planned`: whom the last plans gave the rows that this read does not show as assigned, or not at all."""
    load = Load(Counter(planned), Counter())
    load.open_now.update(load.received)
    for row in rows:
        for reviewer in row.reviewers:
            load.received[reviewer] += 1
            load.open_now[reviewer] += not row.reviewed
    return load


def last_served(rows: Sequence[Row], served: Sequence[str]) -> dict[str, tuple[int, float]]:
    """A key that sorts by last service: the place in the last plan, before that the newest row held."""
    newest: dict[str, float] = {}
    for row in rows:
        for reviewer in row.reviewers:
            newest[reviewer] = max(newest.get(reviewer, 0.0), row.created)
    places = {reviewer: place for place, reviewer in enumerate(served, 1)}
    people = {*newest, *places}
    return {person: (places.get(person, 0), newest.get(person, 0.0)) for person in people}


def seats_of(
    reviewers: Iterable[Reviewer], load: Load, served: Mapping[str, tuple[int, float]], today: date
) -> list[Seat]:
    """Who is there today, whoever is owed most first: fewest received per weight, then served longest ago."""
    there = [person for person in reviewers if not person.away_until(today)]
    never = (0, 0.0)
    there.sort(
        key=lambda person: (load.received[person.id] / person.weight, served.get(person.id, never))
    )
    return [
        Seat(person.id, person.weight, room_of(person, load.open_now[person.id]))
        for person in there
    ]


def room_of(person: Reviewer, open_now: int) -> int | None:
    """How many more rows they may have; None: any number."""
    return None if person.max_open is None else max(0, person.max_open - open_now)


def spread(turns: Iterable[Turn], given: Mapping[str, int]) -> float:
    """Max minus min of the rows per weight that the people who are there have received, this run included."""
    shares = [
        (turn.received - turn.given_again + given.get(turn.reviewer.id, 0)) / turn.reviewer.weight
        for turn in turns
        if turn.there
    ]
    return max(shares, default=0.0) - min(shares, default=0.0)
