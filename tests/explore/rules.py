"""What must never be, judged from what was written alone: nothing here asks the product's own modules."""

import json
from datetime import datetime
from typing import NamedTuple

from tests.explore.stores import Event, Objects, Rows
from tests.explore.tape import BEGIN

REST = 45
"""Minutes after which an undo has certainly come to its end, and every read shows it."""
REMEMBERED = 120
LONGEST_RUN = 15


class Planned(NamedTuple):
    """Whom a row was given to last, by the chain."""

    people: str
    at: float
    place: int
    """Of the plan in the chain."""
    freed_at: float | None = None
    undone_at: float | None = None
    """An undo of that plan's run, whether it named the row or forgot it."""
    taken_at: float | None = None
    """A take-back took it from them."""


class CommittedPlan(NamedTuple):
    """A committed plan."""

    key: str
    run: int
    run_id: str
    at: float
    given: dict[str, str]
    freed: dict[str, str]
    """What is to be taken off."""
    let_go: frozenset[str]
    """What is freed without a write."""
    undoes: str
    takes_back: bool

    @classmethod
    def read(cls, key: str, body: str, run: int) -> "CommittedPlan":
        stored = json.loads(body)
        freed = _people(stored.get("freed", ()))
        gone = {
            entry["row_id"]
            for entry in stored["carried"]
            if entry.get("freed") and entry["planned_at"] == stored["created_at"]
        }
        given = _people(stored["assignments"])
        return cls(
            key,
            run,
            stored["run_id"],
            minutes(stored["created_at"]),
            given,
            freed,
            frozenset(gone - freed.keys()),
            stored.get("undoes", ""),
            "takes_back" in stored,
        )


def _people(entries: list[dict[str, str]]) -> dict[str, str]:
    people: dict[str, list[str]] = {}
    for entry in entries:
        people.setdefault(entry["row_id"], []).append(entry["reviewer_id"])
    return {row_id: ",".join(who) for row_id, who in people.items()}


def minutes(iso: str) -> float:
    """Since the beginning."""
    return (datetime.fromisoformat(iso) - BEGIN).total_seconds() / 60


class Committed:
    """The plans that the ledger ever named, in order, and what they make of each row."""

    __slots__ = ("_later", "plans", "rows")

    def __init__(self, plans: tuple[CommittedPlan, ...], rows: dict[str, Planned]) -> None:
        self.plans = plans
        self.rows = rows
        self._later: dict[tuple[str, str, int], tuple[Committed, frozenset[str]]] = {}

    def with_plan(self, key: str, run: int, objects: Objects) -> tuple["Committed", list[str]]:
        """The chain with one plan more, and what is wrong with that plan."""
        body = objects.of[key][0]
        known = self._later.get((key, body, run))
        if known is None:
            known = self._extended(CommittedPlan.read(key, body, run)), _wrong_link(self, body)
            self._later[key, body, run] = known
        later, wrong = known
        plan = later.plans[-1]
        return later, [*wrong, *_wrong_plan(self, plan, objects)]

    def _extended(self, plan: CommittedPlan) -> "Committed":
        place, rows = len(self.plans), dict(self.rows)
        for row_id, people in plan.given.items():
            rows[row_id] = Planned(people, plan.at, place)
        target = self.plan_of(plan.undoes) if plan.undoes else None
        for row_id in target.given if target else ():
            entry = rows[row_id]
            if self.plans[entry.place].run_id == plan.undoes:
                rows[row_id] = entry._replace(undone_at=plan.at)
        for row_id in (*plan.freed, *plan.let_go):
            when = {"taken_at" if plan.takes_back else "freed_at": plan.at}
            rows[row_id] = rows[row_id]._replace(**when)
        return Committed((*self.plans, plan), rows)

    def plan_of(self, run_id: str) -> CommittedPlan | None:
        return next((plan for plan in self.plans if plan.run_id == run_id), None)

    def run_ids(self, run: int) -> list[str]:
        return [plan.run_id for plan in self.plans if plan.run == run]


def confirmed(objects: Objects, run_id: str) -> frozenset[str]:
    """Rows that the records of a run call assigned."""
    if run_id not in objects.confirmed:
        rows = set()
        for key, (body, _) in objects.of.items():
            if key.endswith(f"/{run_id}.json") and "/to_assign_ids/" in key:
                rows.update(json.loads(body))
            if key.endswith(f"/{run_id}.jsonl"):
                lines = map(json.loads, body.splitlines())
                rows.update(line["row_id"] for line in lines if line["status"] == "assigned")
        objects.confirmed[run_id] = frozenset(rows)
    return objects.confirmed[run_id]


def _wrong_link(chain: Committed, body: str) -> frozenset[str]:
    stored = json.loads(body)
    before = chain.plans[-1].key if chain.plans else None
    if "previous" in stored and stored["previous"] != before:
        return frozenset({f"the plan's `previous` is {stored['previous']}, and not {before}"})
    return frozenset()


def _wrong_plan(chain: Committed, plan: CommittedPlan, objects: Objects) -> list[str]:
    wrong = []
    for row_id, people in plan.given.items():
        last = chain.rows.get(row_id)
        if last is None:
            continue
        if last.taken_at is not None:  # nothing of it rests
            if people == last.people:
                wrong.append(f"{row_id} goes back to {people}, from whom it was taken")
            continue
        age = plan.at - max(last.at, last.freed_at or 0)
        rested = last.freed_at is not None and plan.at - last.freed_at >= REST
        if people != last.people and age <= REMEMBERED and not rested:
            wrong.append(f"{row_id} is planned for {people}; {last.people} was given it")
        planner = chain.plans[last.place]
        if (
            row_id in confirmed(objects, planner.run_id)
            and last.freed_at is None
            and plan.at - last.at <= REMEMBERED
        ):
            wrong.append(f"{row_id} is planned again, though its write is confirmed")
        # An undo of a run that is long over may forget what was never written.
        if (
            last.undone_at is not None
            and plan.at - last.undone_at < REST
            and (
                last.freed_at is not None
                or (
                    last.undone_at - last.at <= REMEMBERED
                    and row_id not in confirmed(objects, planner.run_id)
                )
            )
        ):
            wrong.append(f"{row_id} is planned within {REST} minutes of the undo of its run")
    if plan.undoes:
        wrong += _wrong_undo(chain, plan)
    if plan.takes_back:
        wrong += _wrong_take_back(chain, plan)
    return wrong


def _wrong_take_back(chain: Committed, plan: CommittedPlan) -> list[str]:
    wrong = []
    for row_id in plan.freed:
        last = chain.rows.get(row_id)
        if last is None:
            wrong.append(f"{row_id} is taken back, and no plan gave it")
        elif plan.at - max(last.at, last.freed_at or 0) <= REMEMBERED:
            wrong.append(f"{row_id} is taken back within two hours of its planning")
    return wrong


def _wrong_undo(chain: Committed, plan: CommittedPlan) -> list[str]:
    if chain.plan_of(plan.undoes) is None:
        return [f"{plan.undoes} is undone, which never happened"]
    return [
        f"the undo frees {row_id}, which a later plan has planned"
        for row_id in (*plan.freed, *plan.let_go)
        if chain.plans[chain.rows[row_id].place].run_id != plan.undoes
    ]


def wrong_request(chain: Committed, run: int, event: Event, at: int) -> list[str]:
    """What is wrong with an event that a run sends at this minute."""
    row_id, plans = event.row_id, [plan for plan in chain.plans if plan.run == run]
    planned = [(plan.given if event.given else plan.freed).get(row_id) for plan in plans]
    if event.people not in planned:
        return [f"what is sent of {row_id} is in no committed plan of that run"]
    if at - plans[-1].at > LONGEST_RUN:
        return [f"{row_id} is sent more than {LONGEST_RUN} minutes after its plan"]
    return []


def wrong_landing(
    chain: Committed, rows: Rows, run: int, event: Event, *, repeated: bool
) -> list[str]:
    """What is wrong with an event that is applied to these rows; `repeated`: that run has sent it more than once."""
    row_id, people = event.row_id, event.people
    now, last = ",".join(rows.reviewers(row_id)), chain.rows.get(row_id)
    if last is None:
        return [f"{row_id} is written, and no plan of the chain names it"]
    if not event.given:
        place = max((i for i, plan in enumerate(chain.plans) if plan.run == run), default=-1)
        if people == now and last.place > place:
            return [f"{row_id} is taken from {people}, whom a plan after the undo gave it"]
        return []
    wrong = []
    if now not in {"", people}:
        wrong.append(f"{row_id} is given to {people}, and {now} has it")
    if people != last.people:
        wrong.append(f"{row_id} is given to {people}, and the chain says {last.people}")
    if rows.finished(row_id) and not repeated:
        wrong.append(f"the finished review of {row_id} is set back")
    return wrong


def wrong_record(kind: str, body: str, landed: set[str], flying: set[str]) -> list[str]:
    """What a record claims that was not so; `landed` and `flying`: rows that this run wrote, and may yet write."""
    if kind == "to_assign_ids":
        return [
            f"to_assign_ids names {row_id}, which was not written"
            for row_id in json.loads(body)
            if row_id not in landed
        ]
    wrong = []
    for line in map(json.loads, body.splitlines()):
        row_id, status = line["row_id"], line["status"]
        if status in {"assigned", "undone", "taken_back"} and row_id not in landed:
            wrong.append(f"the record calls {row_id} {status}, which was not written")
        if status in {"failed", "not_attempted"} and row_id in landed | flying:
            wrong.append(f"the record calls {row_id} {status}, and it was written or may yet be")
    return wrong


def is_refused(chain: Committed, objects: Objects, rows: Rows) -> bool:
    """Every open row without a reviewer was refused or not attempted, by a record: it may be sent again at once."""
    waiting = [row for row in rows.of if not rows.reviewers(row) and not rows.finished(row)]
    entries = [chain.rows.get(row_id) for row_id in waiting]
    return bool(waiting) and all(
        entry is not None
        and entry.freed_at is None
        and entry.undone_at is None
        and entry.taken_at is None
        and row_id in _never_written(objects, chain.plans[entry.place].run_id)
        for row_id, entry in zip(waiting, entries, strict=True)
    )


def _never_written(objects: Objects, run_id: str) -> set[str]:
    lines = (
        json.loads(line)
        for key, (body, _) in objects.of.items()
        if key.endswith(f"/{run_id}.jsonl")
        for line in body.splitlines()
    )
    return {line["row_id"] for line in lines if line["status"] in {"failed", "not_attempted"}}


def unfinished(rows: Rows, hopeless: frozenset[str], people: int) -> list[str]:
    """Open rows that do not have so many reviewers and the status PENDING."""
    return [
        f"{row_id} has {','.join(rows.reviewers(row_id)) or 'nobody'} and the status {rows.status(row_id)}"
        for row_id in rows.of
        if row_id not in hopeless
        and not rows.finished(row_id)
        and (len(rows.reviewers(row_id)) != people or rows.status(row_id) != "PENDING")
    ]
