"""Whose turn it is: who is there, has room, is owed what, and why they got what they got. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum
from itertools import chain

from lib.distribution import Seat, Share
from lib.roster import Reviewer
from lib.rows import Row

Credit = Mapping[str, Mapping[str, float]]
"""By queue, then by user id: rows that were due less rows that were received."""


class Waits(Enum):
    """Why a row waits; the value is the words for it."""

    RESTS = "they may have been written, or may yet be"
    LEFT = "their reviewer has left the list; anyone may get them two hours after they were planned"
    ELSEWHERE = (
        "they were planned for people who are not on the list of this queue: the queue that "
        "planned them gives them out, or anyone may get them two hours after they were planned"
    )
    CAP = "MAX_ASSIGNMENTS is reached"
    NOBODY = "every reviewer is away or full"
    PASSED = (
        "everybody there who has room has passed them: they were taken back from them, "
        "or they took themselves off"
    )
    AUTHOR = "their author is the only one there who has room"


@dataclass(frozen=True)
class Turn:
    """What one person had before a plan, what it gives them, and why."""

    reviewer: Reviewer
    open_now: int | None
    """Rows they have and have not reviewed; None: the read did not ask for them, as nobody has
    max_open."""
    credit: float
    """What they were owed before this plan."""
    given: int
    given_again: int
    today: date
    """Which day it is where they are."""
    share: Share | None
    """What was due to them of this plan's new rows; None: they had no part in it."""
    place: int
    """In turn, from 1; 0: not in turn."""
    places: int

    @property
    def full(self) -> bool:
        """No new row fits any more."""
        room = room_of(self.reviewer, self.open_now or 0)
        return room is not None and self.given >= room

    def to_json(self) -> dict[str, object]:
        """The plan's object: facts as fields, and the reason in words."""
        if back := self.reviewer.away_until(self.today):
            reason = f"away until {back}"
        elif not self.reviewer.works_on(self.today):
            reason = f"off on {self.today:%A}s"
        elif self.full or self.share is None:
            reason = f"full: max_open is {self.reviewer.max_open}"
        else:
            reason = (
                f"number {self.place} of {self.places} in turn: owed {self.share.owed:.2f} rows"
            )
        return {
            "reviewer_id": self.reviewer.id,
            "weight": self.reviewer.weight,
            "credit_before": self.credit,
            "due": self.share.due if self.share else 0.0,
            "open_before": self.open_now,
            "given": self.given,
            "given_again": self.given_again,
            "reason": reason,
        }


def open_rows(rows: Iterable[Row], planned: Iterable[str]) -> Counter[str]:
    """Rows by person that are not reviewed, people's own doing included.

    `planned`: whom the last plans gave the rows that this read does not show as assigned, or not at
    all.
    """
    is_open = (row.reviewers for row in rows if not row.reviewed)
    return Counter(chain(planned, chain.from_iterable(is_open)))


def seats_of(
    reviewers: Iterable[Reviewer], open_now: Counter[str], credit: Credit, queue: str, now: datetime
) -> list[Seat]:
    """Who is there on the day that it is where they are, with their room and what they are owed."""
    mine = credit.get(queue, {})
    return [
        Seat(
            person.id,
            person.weight,
            room_of(person, open_now[person.id]),
            mine.get(person.id, 0.0),
            round(sum(each.get(person.id, 0.0) for each in credit.values()), 9),
        )
        for person in reviewers
        if person.is_there(person.today(now))
    ]


def room_of(person: Reviewer, open_now: int) -> int | None:
    """How many more rows they may have; None: any number."""
    return None if person.max_open is None else max(0, person.max_open - open_now)


def turns_of(
    reviewers: Iterable[Reviewer],
    open_now: Counter[str] | None,
    credit: Mapping[str, float],
    shares: Sequence[Share],
    again: Mapping[str, int],
    now: datetime,
) -> list[Turn]:
    """Why everybody on the list got what they got; `again` counts rows that were planned before.

    `open_now`: None where it is not known.
    """
    places = {share.seat.user: place for place, share in enumerate(shares)}
    turns = []
    for person in reviewers:
        place = places.get(person.id)
        share = None if place is None else shares[place]
        turns.append(
            Turn(
                reviewer=person,
                open_now=None if open_now is None else open_now[person.id],
                credit=credit.get(person.id, 0.0),
                given=share.quota if share else 0,
                given_again=again.get(person.id, 0),
                today=person.today(now),
                share=share,
                place=0 if place is None else place + 1,
                places=len(shares),
            )
        )
    return turns


def spread(turns: Sequence[Turn]) -> float:
    """The largest less the smallest credit of those who are there and have room, after the plan."""
    credit = [turn.share.credit if turn.share else turn.credit for turn in turns if turn.place]
    return round(max(credit, default=0.0) - min(credit, default=0.0), 9)
