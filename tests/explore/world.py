"""Everything that may happen next: what each run, each store, people and time can do in a state of the world."""

import json
from collections.abc import Iterator
from typing import Any

from tests.explore import rules, stores
from tests.explore.rules import Committed
from tests.explore.state import OVER, Actor, Flight, Frozen, Moment, Scenario, actor_of, run_of
from tests.explore.stores import Objects, Rows, events_of
from tests.explore.tape import PEOPLE, Ask, Invoked, Life, Reply

OK, LOST, AGAIN, REFUSED = Reply("ok"), Reply("lost"), Reply("again"), Reply("refused")
WRITTEN_ONCE = {"plans", "runs", "dry_runs", "assignments", "to_assign_ids"}

Move = tuple[Any, ...]
Next = tuple[Move, Moment, list[str]]
"""What happens, the state after it, and what is wrong with it."""


def taking(actor: Actor) -> dict[str, Any]:
    """The event of an actor that takes rows back."""
    days = actor.takes.isdigit()
    return {"take_back": {"days": int(actor.takes)} if days else {"reviewer": PEOPLE[actor.takes]}}


class Futures:
    """A scenario's beginning, and what can come after each state."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self._undoes = any(actor.undoes is not None for actor in scenario.actors)
        self._twins = any(actor.twin_of is not None for actor in scenario.actors)

    def beginning(self) -> Moment:
        scenario = self.scenario
        runs: tuple[Any, ...] = (None,) * len(scenario.actors)
        rows = Rows.first(scenario.rows)
        return Moment(0, Objects({}), rows, Committed((), {}), runs, scenario.budget)

    def after(self, state: Moment) -> Iterator[Next]:
        """Everything that may happen next."""
        for index, run in enumerate(state.runs):
            yield from self._turn(state, index, run)
        for place, flight in enumerate(state.flights):
            flights = state.flights[:place] + state.flights[place + 1 :]
            landed, wrong = state.landed(flight.run, flight.payload, strict=self.scenario.strict)
            yield ("land", place), landed._replace(flights=flights).tidy(), wrong
        yield from self._people(state)
        if state.budget.jumps:
            for minute in self._times(state):
                yield ("jump", minute), state.spending("jumps").at(minute), []

    def _turn(self, state: Moment, index: int, run: Any) -> Iterator[Next]:
        if run is None:
            if (script := self._script(state, index)) is not None:
                yield ("start", index), self._settled(state, index, Life.begun(script)), []
        elif isinstance(run, Frozen):
            if stood := state.now - run.since:
                life = run.life.told(run.reply, state.now, stood)
                yield ("thaw", index), self._settled(state, index, life), []
        elif run is not OVER:
            yield from self._steps(state, index, run)
            if state.budget.kills:
                yield ("kill", index), state.spending("kills").over(index), []

    def _script(self, state: Moment, index: int) -> Invoked | None:
        """The invocation, if it may start now."""
        actor = self.scenario.actors[index]
        if actor.after is not None and state.runs[actor.after] is None:
            return None
        event: dict[str, Any] = self.scenario.event(actor.tag)
        if actor.undoes is not None:
            plans = self._lost(state, actor.undoes) if actor.lost else None
            runs = state.chain.run_ids(actor.undoes) if plans is None else plans
            if not runs:
                return None
            event = {"undo": runs[0]}
        if actor.takes:
            event = taking(actor)
        request_id = actor.name
        if actor.twin_of is not None:
            twin = state.runs[actor.twin_of]
            if not isinstance(twin, Life) or twin.script.start != state.now:
                return None
            request_id = twin.script.request_id
        return self.script(state, actor.name, event, request_id)

    def script(
        self, state: Moment, name: str, event: dict[str, Any], request_id: str = ""
    ) -> Invoked:
        """An invocation at this moment."""
        people = " ".join(PEOPLE[name] for name in self.scenario.lists[state.listed])
        settings = self.scenario.settings
        return Invoked(name, json.dumps(event), state.now, people, request_id or name, settings)

    def _lost(self, state: Moment, index: int) -> list[str]:
        """Plans of an actor that are there, and that the ledger never named."""
        chain = {plan.run_id for plan in state.chain.plans}
        written = (run_of(key) for key in sorted(state.objects.of) if "/plans/" in key)
        name = self.scenario.actors[index].name
        return [run_id for run_id in written if actor_of(run_id) == name and run_id not in chain]

    def _told(self, state: Moment, index: int, life: Life, reply: Reply) -> Moment:
        return self._settled(state, index, life.told(reply, state.now))

    def _settled(self, state: Moment, index: int, life: Life) -> Moment:
        """The state with this run in it, after requests whose answer nothing can change."""
        while isinstance(life.request, Ask):
            if not self._is_quiet(state, index, life.request):
                return state.with_run(index, life)
            objects, reply = state.objects.carry_out(life.request)
            state = state._replace(objects=objects)
            life = life.told(reply, state.now)
        return state.over(index)

    def _is_quiet(self, state: Moment, index: int, request: Ask) -> bool:
        """Nobody else's request, before or after this one, makes a difference to either."""
        if self._twins or request.of not in WRITTEN_ONCE or request.kind == "list":
            return False
        if request.kind == "put":
            return request.of == "plans" or (request.of == "runs" and not self._undoes)
        if request.key in state.objects.of:
            return True
        name = actor_of(run_of(request.key))
        names = [actor.name for actor in self.scenario.actors]
        return name == names[index] or state.runs[names.index(name)] is OVER

    def _steps(self, state: Moment, index: int, life: Life) -> Iterator[Next]:
        request = life.request
        assert isinstance(request, Ask)
        if request.kind == "insert":
            yield from self._insert_steps(state, index, life, request.body)
            return
        after, reply, wrong = state.done(index, request)
        yield ("ok", index), self._told(after, index, life, reply), wrong
        if state.budget.freezes:
            frozen = Frozen(life, reply, state.now)
            yield ("freeze", index), after.spending("freezes").with_run(index, frozen), wrong
        if request.kind == "query" and state.budget.stale:
            spent = state.spending("stale")
            for place, (_, rows) in enumerate(state.past):
                page = rows.page(request.body)
                yield ("stale", index, place), self._told(spent, index, life, page), []
        if request.kind == "put" and state.budget.faults and reply.kind == "ok":
            spent = after.spending("faults")
            yield ("lost", index), self._told(spent, index, life, LOST), wrong
            if request.match is not None:
                own = self._told(spent, index, life, stores.BEATEN)
                yield ("beaten by itself", index), own, wrong
            else:
                refused = self._told(state.spending("faults"), index, life, REFUSED)
                yield ("refused", index), refused, []

    def _insert_steps(self, state: Moment, index: int, life: Life, payload: str) -> Iterator[Next]:
        events = events_of(payload)
        refused = self._told(state, index, life, REFUSED)
        if any(event.row_id in self.scenario.hopeless for event in events):
            yield ("refused", index), refused, []
            return
        wrong = [
            reason
            for event in events
            for reason in rules.wrong_request(state.chain, index, event, life.at)
        ] + state.too_late(index, events, life.at)
        sent = state.sending(index, payload)
        done, landing = sent.landed(index, payload, strict=self.scenario.strict)
        applied = wrong + landing
        yield ("ok", index), self._told(done, index, life, OK), applied
        if state.budget.freezes:
            frozen = Frozen(life, OK, state.now)
            yield ("freeze", index), done.spending("freezes").with_run(index, frozen), applied
        if not state.budget.faults:
            return
        sent, done = sent.spending("faults"), done.spending("faults")
        late = sent._replace(flights=(*sent.flights, Flight(index, payload, state.now)))
        yield ("refused", index), refused.spending("faults"), wrong
        yield ("lost", index), self._told(done, index, life, LOST), applied
        yield ("never", index), self._told(sent, index, life, LOST), wrong
        yield ("late", index), self._told(late, index, life, LOST), wrong
        first = min(one.first_at for one in sent.sent if one.run == index)
        if self.scenario.resends and first == state.now:
            yield ("lost, again", index), self._told(done, index, life, AGAIN), applied
            yield ("late, again", index), self._told(late, index, life, AGAIN), wrong

    def _people(self, state: Moment) -> Iterator[Next]:
        budget, rows = state.budget, state.rows
        for row_id in rows.of:
            if not rows.reviewers(row_id) or rows.finished(row_id):
                continue
            if budget.finishes:
                finished = rows.merged(stores.finishing(row_id))
                yield ("finish", row_id), state.spending("finishes").rewritten(finished), []
            if budget.leaves:
                left = rows.merged(stores.leaving(row_id))
                yield ("leave", row_id), state.spending("leaves").rewritten(left), []
        if state.listed + 1 < len(self.scenario.lists):
            yield ("list",), state._replace(listed=state.listed + 1), []

    def _times(self, state: Moment) -> list[int]:
        """To when time may jump."""
        plans = {round(plan.at) for plan in state.chain.plans}
        times = {at + mark for at in plans for mark in self.scenario.marks}
        return sorted(minute for minute in times if minute > state.now)
