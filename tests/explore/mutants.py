"""The product's rules, broken one at a time; each with the scenario in which the explorer is to find it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from unittest import mock

import lib.assign
import lib.bucket
import lib.chain
import lib.handout
import lib.past
import lib.take_back
import lib.undo
from lib.chain import Chain
from lib.deadline import Deadline
from lib.gifts import Deed
from lib.handout import HandOut
from lib.past import Past, Standing
from lib.plan import Carried, Outcome, Plan
from tests.explore.scenarios import (
    LOSER,
    SHARED,
    THREE,
    TWO,
    TWO_ROWS,
    TWO_TAGS,
    D,
    S,
    T,
    U,
    V,
    X,
    Y,
    Z,
)
from tests.explore.state import Budget, Scenario

Patch = tuple[Any, str, Any]


@dataclass(frozen=True)
class Mutant:
    """A rule that is broken."""

    name: str
    scenario: Scenario
    patches: tuple[Patch, ...]
    quick: bool = True
    """It is found within a second."""

    @contextmanager
    def at_work(self) -> Iterator[None]:
        with ExitStack() as stack:
            for target, name, value in self.patches:
                stack.enter_context(mock.patch.object(target, name, value))
            yield


def _around(target: Any, name: str, change: Callable[..., Any]) -> Patch:
    """`change` gets what was there, and then its arguments."""
    was = getattr(target, name)
    return target, name, lambda *args, **options: change(was, *args, **options)


# --- the chain -------------------------------------------------------------------------------------------------------


def _unconditional(put: Any, bucket: Any, key: str, pieces: Any, **conditions: str) -> bool:
    return put(bucket, key, pieces, **({} if key == bucket.ledger else conditions))


def _loser_goes_on(put: Any, bucket: Any, key: str, pieces: Any, **conditions: str) -> bool:
    return put(bucket, key, pieces, **conditions) or key == bucket.ledger


def _no_ledger(put: Any, bucket: Any, key: str, pieces: Any, **conditions: str) -> bool:
    return key == bucket.ledger or put(bucket, key, pieces, **conditions)


def _last_plan_only(confirm: Any, chain: Any, past: Past) -> Past:
    mine = past.plan.run_id if past.plan else ""
    doubtful = {row: entry for row, entry in past.entries.items() if entry.run_id == mine}
    found = confirm(chain, replace(past, entries=doubtful))
    return replace(found, entries={**past.entries, **found.entries})


def _own_tag(propose: Any, kind: HandOut, fetched: Any, past: Past) -> Plan:
    tag = kind._job.settings.tag  # noqa: SLF001
    if past.plan and past.plan.tag != tag:
        past = replace(past, entries={})
    return propose(kind, fetched, past)


def _nothing_carried(planned_before: Any, plan: Plan) -> dict[str, Carried]:
    return planned_before(replace(plan, carried=[]))


def _first_planning(planned_before: Any, plan: Plan) -> dict[str, Carried]:
    """A row that is sent again keeps the time of its first planning (which the mutant leaves in `carried`)."""
    first = {entry.row_id: entry.planned_at for entry in plan.carried}
    return {
        row_id: entry._replace(planned_at=first.get(row_id, entry.planned_at))
        for row_id, entry in planned_before(plan).items()
    }


def _keeps_all(
    make_plan: Any, draft: Plan, fetched: Any, roster: Any, past: Past, most: int = 0, *more: Any
) -> Plan:
    plan = make_plan(draft, fetched, roster, past, most, *more)
    return replace(plan, carried=list(past.recent(draft.created_at)))


def _first_people_only(planned_before: Any, plan: Plan) -> dict[str, Carried]:
    return {
        row_id: entry._replace(reviewers=entry.reviewers[:1])
        for row_id, entry in planned_before(plan).items()
    }


def _without_runs(planned_before: Any, plan: Plan) -> dict[str, Carried]:
    return {
        row_id: entry._replace(run_id=entry.run_id if row_id in dict(plan.assignments) else "")
        for row_id, entry in planned_before(plan).items()
    }


# --- what a row's standing is ----------------------------------------------------------------------------------------


def _instead(standing: Standing, other: Standing, *, freed: bool | None = None) -> Patch:
    def change(was: Any, past: Past, row_id: str, now: datetime) -> Standing:
        found = was(past, row_id, now)
        entry = past.entries.get(row_id)
        applies = entry is not None and (freed is None or entry.freed is freed)
        return other if found is standing and applies else found

    return _around(Past, "standing", change)


def _freed_is_held(was: Any, past: Past, row_id: str, now: datetime) -> Standing:
    entry = past.entries.get(row_id)
    if entry and entry.freed and entry.confirmed:
        return Standing.HELD
    return was(past, row_id, now)


def _refused_comes_before_freed(was: Any, past: Past, row_id: str, now: datetime) -> Standing:
    entry = past.entries.get(row_id)
    if entry and entry.freed and row_id in past.refused:
        return Standing.AGAIN
    return was(past, row_id, now)


FREED_TOO = _around(
    lib.chain, "_by_run", lambda was, entries: was(one._replace(freed=False) for one in entries)
)
"""What records say of freed rows is looked up as well."""


def _by_status(**instead: str) -> Patch:
    """What the records say, read wrongly."""

    def change(was: Any, chain: Any, run_id: str) -> dict[str, str]:
        return {row: instead.get(status, status) for row, status in was(chain, run_id).items()}

    return _around(Chain, "_record_of", change)


def _leavers_lose(
    make_plan: Any, draft: Plan, fetched: Any, roster: Any, past: Past, most: int = 0, *more: Any
) -> Plan:
    listed = {reviewer.id for reviewer in roster.reviewers}
    entries = {
        row: entry for row, entry in past.entries.items() if listed.issuperset(entry.reviewers)
    }
    return make_plan(draft, fetched, roster, replace(past, entries=entries), most, *more)


def _cap_for_all(
    make_plan: Any, draft: Plan, fetched: Any, roster: Any, past: Past, most: int = 0, *more: Any
) -> Plan:
    again = make_plan(draft, fetched, roster, past, most, *more).repeated
    if most and again >= most:
        rows = [row for row in fetched.rows if row.id in past.entries or not row.needs_reviewer]
        fetched = replace(fetched, rows=rows)
    return make_plan(draft, fetched, roster, past, most, *more)


# --- what is written -------------------------------------------------------------------------------------------------


def _all_is_failed(status: str, *args: Any, **options: Any) -> Outcome:
    return Outcome("failed" if status == "unknown" else status, *args, **options)


def _all_is_assigned(status: str, *args: Any, **options: Any) -> Outcome:
    return Outcome("assigned" if status == "unknown" else status, *args, **options)


def _without_status(build_event: Any, row_id: str, *people: str) -> dict[str, Any]:
    event: dict[str, Any] = build_event(row_id, *people)
    del event["metadata"][lib.assign.REVIEW_LISTS]
    return event


# --- undo ------------------------------------------------------------------------------------------------------------


def _undo(change: Callable[[Plan, Plan, Past], Plan], *, ignoring_later: bool = False) -> Patch:
    def made(was: Any, draft: Plan, target: Plan, rows: Any, past: Past, taken: Any) -> Plan:
        plan = was(draft, target, rows, past, () if ignoring_later else taken)
        return change(plan, target, past)

    return _around(lib.undo, "make_undo", made)


def _drops(plan: Plan, _: Plan, __: Past) -> Plan:
    return replace(plan, carried=[entry for entry in plan.carried if not entry.freed])


def _drops_written(plan: Plan, _: Plan, __: Past) -> Plan:
    gone = {row_id for row_id, _ in plan.freed}
    return replace(plan, carried=[entry for entry in plan.carried if entry.row_id not in gone])


def _keeps_unwritten(plan: Plan, _: Plan, past: Past) -> Plan:
    written = {row_id for row_id, _ in plan.freed}
    carried = [
        past.entries[entry.row_id]
        if entry.planned_at == plan.created_at and entry.row_id not in written
        else entry
        for entry in plan.carried
    ]
    return replace(plan, carried=carried)


def _rests_from_planning(plan: Plan, target: Plan, _: Past) -> Plan:
    carried = [
        entry._replace(planned_at=target.created_at)
        if entry.planned_at == plan.created_at
        else entry
        for entry in plan.carried
    ]
    return replace(plan, carried=carried)


def _as_it_is(plan: Plan, _: Plan, __: Past) -> Plan:
    return plan


def _once(was: Any, draft: Plan, target: Plan, rows: Any, past: Past, taken: Any) -> Plan:
    """Nothing that was freed before is taken off again."""
    freed = {row_id for row_id, entry in past.entries.items() if entry.freed}
    return was(draft, target, rows, past, {*taken, *freed})


def _lost_plans_too(was: Any, chain: Any, past: Past, target: Plan) -> Any:
    return was(chain, past, target) or set()


# ---------------------------------------------------------------------------------------------------------------------

# --- take-backs ------------------------------------------------------------------------------------------------------


def _with_what_was_planned_just_now(
    make: Any, draft: Plan, rows: Any, past: Past, mentions: Any
) -> Plan:
    return make(draft, rows, replace(past, entries={}), mentions)


def _what_was_given_alone(lain: Any, mention: Any, now: datetime, time: timedelta) -> set[str]:
    return lain(mention, now, time) if mention and mention.deed is Deed.GAVE else set()


MUTANTS = (
    Mutant(
        "the commit has no condition",
        Scenario("two runs", TWO),
        (_around(lib.bucket.AuditBucket, "put", _unconditional),),
    ),
    Mutant(
        "whoever loses the race goes on",
        Scenario("two runs", TWO),
        (_around(lib.bucket.AuditBucket, "put", _loser_goes_on),),
    ),
    Mutant(
        "the plan is not committed",
        Scenario("two runs", TWO),
        (_around(lib.bucket.AuditBucket, "put", _no_ledger),),
    ),
    Mutant(
        "nothing is carried along",
        Scenario("three runs, a row more", THREE, Budget(kills=1), TWO_ROWS, ("ABC",)),
        (_around(lib.chain, "planned_before", _nothing_carried),),
    ),
    Mutant(
        "what another tag's run carried is dropped",
        Scenario("two tags", (X, S, Z._replace(after=0)), Budget(kills=1, jumps=1), TWO_TAGS),
        (_around(HandOut, "propose", _own_tag),),
    ),
    Mutant(
        "what is carried is forgotten after an hour",
        Scenario("two runs, a reviewer leaves", TWO, Budget(leaves=1, jumps=1), marks=(62,)),
        ((lib.chain, "CARRY", timedelta(hours=1)), (lib.past, "CARRY", timedelta(hours=1))),
    ),
    Mutant(
        "only the last plan's run is asked what it confirms",
        Scenario("three runs, a reviewer leaves", THREE, Budget(leaves=1, jumps=1)),
        (_around(Chain, "_confirm", _last_plan_only),),
    ),
    Mutant(
        "carried entries lose their run's id",
        Scenario("three runs, a reviewer leaves", THREE, Budget(leaves=1, jumps=1)),
        (_around(lib.chain, "planned_before", _without_runs),),
    ),
    Mutant(
        "the record is not asked where to_assign_ids is missing",
        Scenario("two runs, a reviewer leaves", TWO, Budget(faults=1, leaves=1, jumps=1)),
        ((Chain, "_record_of", lambda *_: {}),),
    ),
    Mutant(
        "confirmed rows are sent again",
        Scenario("two runs, a lagging read", TWO, Budget(stale=1)),
        (_instead(Standing.HELD, Standing.AGAIN),),
    ),
    Mutant(
        "nothing rests",
        Scenario("two runs, a review", TWO, Budget(finishes=1)),
        (_instead(Standing.RESTS, Standing.AGAIN, freed=False),),
    ),
    Mutant(
        "what may have landed rests for 40 minutes",
        Scenario(
            "two runs, late requests, lagging reads, reviews",
            TWO,
            Budget(faults=1, stale=1, finishes=1, jumps=3),
            marks=(14, 28, 42),
        ),
        ((lib.past, "REST", timedelta(minutes=40)),),
        quick=False,
    ),
    Mutant(
        "rest counts from the first planning",
        Scenario(
            "three runs, refused and late",
            THREE,
            Budget(faults=2, finishes=1, jumps=2),
            marks=(44, 46),
        ),
        (
            _around(lib.handout, "make_plan", _keeps_all),
            _around(lib.chain, "planned_before", _first_planning),
        ),
    ),
    Mutant(
        "of several people, only the first is remembered",
        Scenario(
            "one run, a kill, two people a row",
            (X, Y),
            Budget(kills=1, jumps=1),
            lists=("ABC",),
            settings=SHARED,
        ),
        (_around(lib.chain, "planned_before", _first_people_only),),
    ),
    Mutant(
        "a refusal counts as confirmed",
        Scenario("one run, a refusal", (X,), Budget(faults=1)),
        (_by_status(failed="assigned"),),
    ),
    Mutant(
        "what was refused rests as well",
        Scenario("one run, a refusal", (X,), Budget(faults=1)),
        (_by_status(failed="unknown"),),
    ),
    Mutant(
        "what may have landed counts as refused by those who read it",
        Scenario("two runs, a late request, a review", TWO, Budget(faults=1, finishes=1)),
        (_by_status(unknown="failed"),),
    ),
    Mutant(
        "what may have landed is called failed",
        Scenario("one run, no answer", (X,), Budget(faults=1)),
        ((lib.assign, "Outcome", _all_is_failed),),
    ),
    Mutant(
        "what may have landed is called assigned",
        Scenario("one run, no answer", (X,), Budget(faults=1)),
        ((lib.assign, "Outcome", _all_is_assigned),),
    ),
    Mutant(
        "rows of people who left the list go to others at once",
        Scenario("the list changes", TWO, Budget(kills=1), lists=("AB", "B")),
        (_around(lib.handout, "make_plan", _leavers_lose),),
    ),
    Mutant(
        "rows that are sent again use up the cap",
        Scenario(
            "a row refused for good, and a cap",
            (X,),
            Budget(),
            TWO_ROWS,
            settings=(("MAX_ASSIGNMENTS", "1"),),
            hopeless=frozenset({"r1"}),
        ),
        (_around(lib.handout, "make_plan", _cap_for_all),),
    ),
    Mutant(
        "rows are sent without a status",
        Scenario("one run", (X,)),
        (
            (
                lib.handout.HandOut,
                "writing",
                lib.assign.Writing(
                    lambda *args: _without_status(lib.assign.build_event, *args), "assigned"
                ),
            ),
        ),
    ),
    Mutant(
        "a run that stood still goes on as if no time had passed",
        Scenario("a run that stands still", (X,), Budget(freezes=1, jumps=1)),
        ((Deadline, "until", lambda deadline, *_: deadline),),
    ),
    Mutant(
        "an undo drops its rows from what is carried",
        Scenario("two runs beside an undo", (X, Y, U)),
        (_undo(_drops),),
    ),
    Mutant(
        "an undo drops the rows that it writes to from what is carried",
        Scenario("two runs beside an undo", (X, Y, U)),
        (_undo(_drops_written),),
    ),
    Mutant(
        "freed rows are dealt at once",
        Scenario("two runs beside an undo", (X, Y, U)),
        (_instead(Standing.RESTS, Standing.NEW, freed=True),),
    ),
    Mutant(
        "freed rows rest from their planning on, not from the undo",
        Scenario("two runs beside an undo", (X, Y, U), Budget(jumps=2), marks=(44, 46)),
        (_undo(_rests_from_planning),),
    ),
    Mutant(
        "freed rows that were confirmed are held",
        Scenario("a run and its undo", (X, U)),
        (_around(Past, "standing", _freed_is_held), FREED_TOO),
    ),
    Mutant(
        "freed rows that were refused are sent again at once",
        Scenario("two runs beside an undo", (X, Y, U), Budget(faults=1)),
        (_around(Past, "standing", _refused_comes_before_freed), FREED_TOO),
    ),
    Mutant(
        "an undo does not free what was not written yet",
        Scenario("two runs beside an undo", (X, Y, U), Budget(kills=1, jumps=2)),
        (_undo(_keeps_unwritten),),
    ),
    Mutant(
        "an undo ignores later plans",
        Scenario("two runs beside two undos", (X, Y, U, V), Budget(jumps=1)),
        (_undo(_as_it_is, ignoring_later=True),),
    ),
    Mutant(
        "an undo that is sent again takes nothing off",
        Scenario("a run, its undo and a fault", (X, U), Budget(faults=1)),
        (_around(lib.undo, "make_undo", _once),),
    ),
    Mutant(
        "a plan that lost the race can be undone",
        Scenario("two runs, the loser is undone", (X, Y, LOSER), Budget(jumps=1)),
        (_around(Chain, "planned_since", _lost_plans_too),),
    ),
    Mutant(
        "a take-back takes what was planned just now",
        Scenario("a run and a take-back", (X, T)),
        (_around(lib.take_back, "make_take_back", _with_what_was_planned_just_now),),
    ),
    Mutant(
        "nobody knows who has passed a row",
        Scenario("a run beside a take-back", (X, Y, T), Budget(jumps=1), TWO_ROWS, marks=(121,)),
        ((Past, "barred", lambda *_: {}),),
    ),
    Mutant(
        "what a take-back by days left unfinished stays so",
        Scenario("a take-back that is killed", (X, D), Budget(kills=1, jumps=1), marks=(1441,)),
        (_around(lib.take_back, "lain", _what_was_given_alone),),
    ),
)
