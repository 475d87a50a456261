"""What must be true in the end: once all is quiet, clean runs finish the work, and break no rule either."""

from typing import Any

from tests.explore import rules
from tests.explore.state import OVER, RECORDS, Moment
from tests.explore.stores import events_of
from tests.explore.tape import Ask, Invoked, LiveTape, Reply, play
from tests.explore.world import OK, REFUSED, Futures, taking

ROUNDS, HOUR = 3, 60
SOON, RESTED = 1, 46
"""Minutes until the first clean run: where all that is open was refused; where it may have to rest."""


class Endings:
    """Judges end states, each once."""

    def __init__(self, world: Futures) -> None:
        self._world = world
        self._scenario = world.scenario
        self.judged: dict[Any, list[str]] = {}

    def judge(self, state: Moment) -> list[str]:
        """What is wrong if nothing goes wrong from here on; nothing, if runs or requests are still under way."""
        actors = self._scenario.actors
        if state.flights or not all(
            run is OVER or (run is None and actor.undoes is not None)
            for run, actor in zip(state.runs, actors, strict=True)
        ):
            return []
        told = frozenset(
            (key, what[0])
            for key, what in state.objects.of.items()
            if any(f"/{kind}/" in key for kind in ("ledger", *RECORDS))
        )
        key = (told, state.rows, state.chain, state.now, state.budget.leaves, state.listed)
        if key not in self.judged:
            self.judged[key] = self._play(state)
        return self.judged[key]

    def _play(self, state: Moment) -> list[str]:
        """Three hourly runs of each tag. Where nobody left and nothing is capped, one has to be enough."""
        scenario, began = self._scenario, state.now
        calm = state.budget.leaves == scenario.budget.leaves and not state.listed
        enough = 1 if calm and "MAX_ASSIGNMENTS" not in dict(scenario.settings) else ROUNDS
        refused = rules.is_refused(state.chain, state.objects, state.rows)
        first = began + (SOON if refused else RESTED)
        wrong = self._undo_again(state._replace(now=began + RESTED))
        wrong += self._take_back_again(state._replace(now=began + RESTED))
        for number in range(ROUNDS):
            state = state._replace(now=first + number * HOUR)
            when = f"{state.now - began} minutes later"
            for tag in scenario.tags:
                script = self._world.script(state, f"clean{number}{tag}", scenario.event(tag))
                state, found = self._run(state, len(state.runs) + number, script)
                wrong += [f"in a clean run {when}: {one}" for one in found]
            if number + 1 >= enough:
                left = rules.unfinished(state.rows, scenario.hopeless, scenario.people)
                wrong += [f"after clean runs, {when}: {one}" for one in left]
        return wrong

    def _undo_again(self, state: Moment) -> list[str]:
        """Each undo, sent once more: what its run gave, and no later one, has to come off."""
        wrong: list[str] = []
        for run_id in sorted({plan.undoes for plan in state.chain.plans} - {""}):
            script = self._world.script(state, "again", {"undo": run_id})
            state, found = self._run(state, len(state.runs) + ROUNDS, script)
            wrong += [f"when the undo is sent again: {one}" for one in found]
            wrong += [
                f"the undo was sent again, and {row_id} still has {state.rows.reviewers(row_id)[0]}"
                for row_id, entry in state.chain.rows.items()
                if state.chain.plans[entry.place].run_id == run_id
                and state.rows.reviewers(row_id)
                and not state.rows.finished(row_id)
            ]
        return wrong

    def _take_back_again(self, state: Moment) -> list[str]:
        """Each take-back that made a plan, sent once more: what it left unfinished has to come off."""
        wrong: list[str] = []
        for index, actor in enumerate(self._scenario.actors):
            if not actor.takes or not state.chain.run_ids(index):
                continue
            script = self._world.script(state, "once more", taking(actor))
            state, found = self._run(state, len(state.runs) + ROUNDS, script)
            wrong += [f"when the take-back is sent again: {one}" for one in found]
            wrong += [
                f"the take-back was sent again, and {row_id} still has {entry.people}"
                for row_id, entry in state.chain.rows.items()
                if entry.taken_at is not None
                and state.rows.reviewers(row_id)
                and not state.rows.finished(row_id)
            ]
        return wrong

    def _run(self, state: Moment, index: int, script: Invoked) -> tuple[Moment, list[str]]:
        wrong: list[str] = []

        def carry_out(request: Ask) -> Reply:
            nonlocal state
            if request.kind != "insert":
                state, reply, found = state.done(index, request)
                wrong.extend(found)
                return reply
            if any(event.row_id in self._scenario.hopeless for event in events_of(request.body)):
                return REFUSED
            state, found = state.sending(index, request.body).landed(index, request.body)
            wrong.extend(found)
            return OK

        play(LiveTape(script, carry_out))
        return state, wrong
