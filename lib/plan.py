"""The plan: who gets which row and why, what the last hours had planned, and what became of it. Pure."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

from lib.distribution import Seat, deal
from lib.roster import Reviewer, Roster
from lib.rows import Row, iso, oldest_first

CARRY = timedelta(hours=2)
"""How long a planned row keeps its reviewer whatever a read says: a run ends within 15 minutes of its plan,
so this outlasts reads that are more than an hour and a half stale."""


quoted = json.JSONEncoder().encode
"""json.dumps, made ready once: it is called for each of 100,000 rows."""


class Carried(NamedTuple):
    """A row that an earlier plan gave to somebody, and when that plan was made."""

    row_id: str
    reviewer_id: str
    planned_at: datetime
    tag: str


@dataclass(frozen=True)
class Plan:
    """What one run is about to write."""

    project_id: str
    tag: str
    window: Mapping[str, str]
    created_at: datetime
    assignments: list[tuple[str, str]] = field(default_factory=list)
    """(row id, reviewer id) in the order of sending."""
    repeated: int = 0
    """How many of them, the first ones, were planned before and still read as unassigned."""
    carried: list[Carried] = field(default_factory=list)
    reviewers: list[dict[str, Any]] = field(default_factory=list)
    """One object a reviewer: why they got what they got. Documented in docs/design.md."""
    waiting: dict[str, int] = field(default_factory=dict)
    """Why rows wait, in words, and how many."""
    served: list[str] = field(default_factory=list)
    """Reviewer ids, whoever was served longest ago first."""
    undoes: str = ""
    """The run that this one takes back; empty for an ordinary run, which frees nothing."""
    freed: list[tuple[str, str]] = field(default_factory=list)
    """(row id, reviewer id) to be taken back, no longer carried."""
    run_id: str = ""

    def carry(self, now: datetime) -> dict[str, Carried]:
        """What a plan made at `now` has to carry along: the rows planned in the two hours before."""
        made = (
            Carried(row_id, reviewer_id, self.created_at, self.tag)
            for row_id, reviewer_id in self.assignments
        )
        return {
            entry.row_id: entry
            for entry in (*self.carried, *made)
            if now - entry.planned_at <= CARRY
        }

    def to_json(self, run_id: str) -> Iterator[str]:
        """The audit's object, in pieces, so that a plan of 100,000 rows is never text in memory."""
        head = {
            "run_id": run_id,
            "created_at": iso(self.created_at),
            "project_id": self.project_id,
            "tag": self.tag,
            "window": dict(self.window),
            "repeated": self.repeated,
            "reviewers": self.reviewers,
            "waiting": self.waiting,
            "served": self.served,
        }
        if self.undoes:
            head["undoes"] = self.undoes
            head["freed"] = [
                {"row_id": row, "reviewer_id": reviewer} for row, reviewer in self.freed
            ]
        yield json.dumps(head)[:-1] + ', "assignments": '
        yield from json_assignments(self.assignments)
        yield ', "carried": '
        carried = (
            {
                "row_id": entry.row_id,
                "reviewer_id": entry.reviewer_id,
                "planned_at": iso(entry.planned_at),
            }
            | ({} if entry.tag == self.tag else {"tag": entry.tag})
            for entry in self.carried
        )
        yield from json_array(map(quoted, carried))
        yield "}\n"

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "Plan":
        """Read what `to_json` wrote. Raises KeyError, TypeError or ValueError for anything else."""
        return cls(
            project_id=stored["project_id"],
            tag=stored["tag"],
            window=stored["window"],
            created_at=datetime.fromisoformat(stored["created_at"]),
            assignments=[(item["row_id"], item["reviewer_id"]) for item in stored["assignments"]],
            repeated=stored.get("repeated", 0),
            carried=[
                Carried(
                    item["row_id"],
                    item["reviewer_id"],
                    datetime.fromisoformat(item["planned_at"]),
                    item.get("tag", stored["tag"]),
                )
                for item in stored["carried"]
            ],
            reviewers=stored.get("reviewers", []),
            waiting=stored.get("waiting", {}),
            served=stored.get("served", []),
            run_id=stored["run_id"],
        )


def json_array(items: Iterable[str]) -> Iterator[str]:
    """A JSON array of what is JSON already, an item a line."""
    before = "[\n"
    for item in items:
        yield before + item
        before = ",\n"
    yield "[]" if before == "[\n" else "\n]"


def json_assignments(assignments: Iterable[tuple[str, str]]) -> Iterator[str]:
    """A JSON array of objects; what they say of a reviewer is written out once, as there may be 100,000 of them."""
    tail = cache(lambda reviewer: f', "reviewer_id": {json.dumps(reviewer)}}}')
    return json_array(f'{{"row_id": {quoted(row)}{tail(reviewer)}' for row, reviewer in assignments)


def make_plan(
    draft: Plan, rows: Sequence[Row], roster: Roster, previous: Plan | None, most: int = 0
) -> Plan:
    """Fill `draft` (project, tag, window, time): rows planned before go to the same people, then the new ones.

    `most` caps the rows handed out (0: no cap); rows planned before come first and may exceed it.
    """
    now = draft.created_at
    carried = previous.carry(now) if previous else {}
    known = {reviewer.id for reviewer in roster.reviewers}
    again: list[tuple[str, str]] = []
    new: list[str] = []
    held = 0
    for row in oldest_first(row for row in rows if row.needs_reviewer):
        if row.id not in carried:
            new.append(row.id)
        elif carried[row.id].reviewer_id in known:
            again.append((row.id, carried[row.id].reviewer_id))
        else:
            held += 1
    seen = {row.id for row in rows} if carried else set()
    unseen = [
        entry.reviewer_id
        for entry in carried.values()
        if entry.tag == draft.tag and entry.row_id not in seen
    ]
    received, open_now = _load(rows, [reviewer for _, reviewer in again] + unseen)
    served = previous.served if previous else []
    seats = _seats(roster, received, open_now, _last_served(rows, served), now)
    allowed = new[: max(0, most - len(again))] if most else new
    dealt = deal(allowed, seats)
    sent = {row_id for row_id, _ in again}  # what was dealt is new, so it was not carried
    last = list(reversed(dict.fromkeys(reviewer for _, reviewer in reversed(dealt))))
    waiting = {
        "their reviewer has left the list; anyone may get them two hours after they were planned": held,
        "MAX_ASSIGNMENTS is reached": len(new) - len(allowed),
        "every reviewer is away or full": len(allowed) - len(dealt),
    }
    return replace(
        draft,
        assignments=again + dealt,
        repeated=len(again),
        carried=[entry for entry in carried.values() if entry.row_id not in sent],
        reviewers=_explain(
            roster, received, open_now, dealt, again, [seat.user for seat in seats], now
        ),
        waiting={why: count for why, count in waiting.items() if count},
        served=[reviewer for reviewer in served if reviewer not in last] + last,
    )


def _load(rows: Sequence[Row], planned: list[str]) -> tuple[Counter[str], Counter[str]]:
    """Rows of the window each person has, and those of them that are not reviewed; people's own doing included.

    `planned`: whom the last plans gave the rows that this read does not show as assigned, or not at all.
    """
    received = Counter(planned)
    open_now = received.copy()
    for row in rows:
        for reviewer in row.reviewers:
            received[reviewer] += 1
            open_now[reviewer] += not row.reviewed
    return received, open_now


def _last_served(rows: Sequence[Row], served: list[str]) -> dict[str, tuple[int, float]]:
    """A key that sorts by last service: the place in the last plan, before that the newest row held."""
    newest: dict[str, float] = {}
    for row in rows:
        for reviewer in row.reviewers:
            newest[reviewer] = max(newest.get(reviewer, 0.0), row.created)
    places = {reviewer: place for place, reviewer in enumerate(served, 1)}
    return {
        reviewer: (places.get(reviewer, 0), newest.get(reviewer, 0.0))
        for reviewer in {*newest, *places}
    }


def _seats(
    roster: Roster,
    received: Counter[str],
    open_now: Counter[str],
    last_served: Mapping[str, tuple[int, float]],
    now: datetime,
) -> list[Seat]:
    """Who is there today, whoever is owed most first: fewest received per weight, then served longest ago."""
    there = [reviewer for reviewer in roster.reviewers if not reviewer.away_until(now.date())]
    there.sort(
        key=lambda person: (
            received[person.id] / person.weight,
            last_served.get(person.id, (0, 0.0)),
        )
    )
    return [Seat(person.id, person.weight, _room(person, open_now)) for person in there]


def _room(person: Reviewer, open_now: Counter[str]) -> int | None:
    return None if person.max_open is None else max(0, person.max_open - open_now[person.id])


def _explain(
    roster: Roster,
    received: Counter[str],
    open_now: Counter[str],
    dealt: list[tuple[str, str]],
    again: list[tuple[str, str]],
    turns: list[str],
    now: datetime,
) -> list[dict[str, Any]]:
    given, repeated = (Counter(reviewer for _, reviewer in rows) for rows in (dealt, again))
    reasons = []
    for person in roster.reviewers:
        back, room = person.away_until(now.date()), _room(person, open_now)
        if back:
            reason = f"away until {back}"
        elif room is not None and given[person.id] >= room:
            reason = f"full: max_open is {person.max_open}"
        else:
            turn = f"{turns.index(person.id) + 1} of {len(turns)}"
            reason = f"number {turn} in turn: by rows received per weight, then by who was served longest ago"
        reasons.append(
            {
                "reviewer_id": person.id,
                "weight": person.weight,
                "received_before": received[person.id],
                "open_before": open_now[person.id],
                "given": given[person.id],
                "given_again": repeated[person.id],
                "reason": reason,
            }
        )
    return reasons + [
        {"entry": entry, "given": 0, "reason": "unknown to the organisation"}
        for entry in roster.unknown
    ]


def spread(plan: Plan, given: Mapping[str, int]) -> float:
    """Max minus min of the rows per weight that the people who are there have received, this run included."""
    shares = [
        (why["received_before"] - why["given_again"] + given.get(why["reviewer_id"], 0))
        / why["weight"]
        for why in plan.reviewers
        if "weight" in why and not why["reason"].startswith(("away", "full"))
    ]
    return max(shares, default=0.0) - min(shares, default=0.0)


def make_undo(draft: Plan, target: Plan, rows: Mapping[str, Row], previous: Plan | None) -> Plan:
    """Take back what `target` gave, where the row still has exactly that reviewer and is not reviewed.

    What is freed is not carried any more, so that the next run may give it to anyone.
    """
    freed = [
        (row_id, reviewer)
        for row_id, reviewer in target.assignments
        if row_id in rows and rows[row_id].reviewers == (reviewer,) and not rows[row_id].reviewed
    ]
    gone = {row_id for row_id, _ in freed}
    carried = previous.carry(draft.created_at).values() if previous else ()
    return replace(
        draft,
        carried=[entry for entry in carried if entry.row_id not in gone],
        served=previous.served if previous else [],
        undoes=target.run_id,
        freed=freed,
    )


def what_became(previous: Plan, rows: Mapping[str, Row]) -> dict[str, Any]:
    """The previous plan against what this run sees: `landed`, `reassigned`, still `unassigned`, or not `seen`."""
    counts = {"landed": 0, "reassigned": 0, "unassigned": 0, "unseen": 0}
    for row_id, reviewer in previous.assignments:
        row = rows.get(row_id)
        if row is None:
            counts["unseen"] += 1
        elif reviewer in row.reviewers:
            counts["landed"] += 1
        else:
            counts["unassigned" if row.needs_reviewer else "reassigned"] += 1
    return {"run_id": previous.run_id, **counts}
