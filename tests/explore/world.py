"""Everything that may happen next: in a state of the world, each thing that one of the runs, the stores, people or time can do."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.explore import rules, stores
from tests.explore.rules import Chain
from tests.explore.stores import Objects, Rows, events_of
from tests.explore.tape import LAMBDA_MINUTES, PEOPLE, LiveTape, Reply, Request, Script, Story, play

LAG = 15
"""Minutes that a read may lag, or a request be under way."""
OVER = "over"
LOST, AGAIN, REFUSED = Reply("lost"), Reply("again"), Reply("refused")
WRITTEN_ONCE = ("/plans/", "/runs/", "/dry_runs/", "/assignments/", "/to_assign_ids/")
RECORDS = ("/assignments/", "/to_assign_ids/")


class Budget(NamedTuple):
    """How much trouble a history may still hold."""

    kills: int = 0
    faults: int = 0
    """Requests that are refused, late or not answered."""
    stale: int = 0
    jumps: int = 0
    finishes: int = 0
    leaves: int = 0
    freezes: int = 0
    """Runs that stand still after an answer, as a frozen Lambda does."""

    def less(self, name: str) -> "Budget":
        return self._replace(**{name: getattr(self, name) - 1})


class Actor(NamedTuple):
    """One invocation of a scenario."""

    name: str
    tag: str = "T"
    undoes: int | None = None
    """Which actor's run it takes back."""
    lost: bool = False
    """It takes back that actor's plan that lost the race."""
    twin_of: int | None = None
    """It is the same invocation, delivered twice: the same id, at the same time."""
    after: int | None = None
    """It starts once that one has started."""


@dataclass(frozen=True)
class Scenario:
    """What there is, and how much may go wrong."""

    name: str
    actors: tuple[Actor, ...]
    budget: Budget
    rows: tuple[tuple[str, tuple[str, ...]], ...] = (("r1", ("T",)),)
    lists: tuple[str, ...] = ("AB",)
    """The reviewers lists, one after another."""
    marks: tuple[int, ...] = (46,)
    """Minutes after a plan to which time may jump."""
    settings: tuple[tuple[str, str], ...] = ()
    hopeless: frozenset[str] = frozenset()
    """Rows that Braintrust refuses to write."""
    resends: bool = False
    """The client may repeat an insert that was not answered, at once."""

    @property
    def tags(self) -> list[str]:
        return sorted({tag for _, tags in self.rows for tag in tags})


class Frozen(NamedTuple):
    """A run that does not see its answer yet."""

    story: Story
    reply: Reply
    since: int


class Flight(NamedTuple):
    """An insert that is under way without its run."""

    run: int
    payload: str
    sent_at: int


class Sent(NamedTuple):
    """What one run has sent of one row."""

    run: int
    row_id: str
    first_at: int
    times: int = 1
    landed: bool = False


class State(NamedTuple):
    """The world at one moment. Equal ones have the same future."""

    now: int
    objects: Objects
    rows: Rows
    chain: Chain
    runs: tuple[Any, ...]
    """Of each actor: None (not started), a Story, Frozen, or OVER."""
    budget: Budget
    past: tuple[tuple[int, Rows], ...] = ()
    """What a lagging read may show, and until when it was true."""
    flights: tuple[Flight, ...] = ()
    sent: tuple[Sent, ...] = ()
    listed: int = 0
    """Which of the reviewers lists it is."""


Move = tuple[Any, ...]
Next = tuple[Move, State, list[str]]


@dataclass
class World:
    """A scenario's beginning, and what can come after each state."""

    scenario: Scenario
    _ended: dict[Any, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        actors = self.scenario.actors
        self._undoes = any(actor.undoes is not None for actor in actors)
        self._twins = any(actor.twin_of is not None for actor in actors)

    def beginning(self) -> State:
        scenario = self.scenario
        actors: tuple[Any, ...] = (None,) * len(scenario.actors)
        rows = Rows.first(scenario.rows)
        return State(0, Objects({}), rows, Chain((), {}), actors, scenario.budget)

    def after(self, state: State) -> Iterator[Next]:
        """Everything that may happen next, with the state after it and what is wrong with it."""
        for index, run in enumerate(state.runs):
            if run is None:
                if (script := self._script(state, index)) is not None:
                    yield ("start", index), self._settled(state, index, Story.begun(script)), []
            elif isinstance(run, Frozen):
                if state.now > run.since:
                    told = run.story.told(run.reply, state.now)
                    yield ("thaw", index), self._settled(state, index, told), []
            elif run is not OVER:
                yield from self._steps(state, index, run)
                if state.budget.kills:
                    yield ("kill", index), _over(_spent(state, "kills"), index), []
        for place, flight in enumerate(state.flights):
            landed, wrong = _landed(state, flight.run, flight.payload)
            flights = state.flights[:place] + state.flights[place + 1 :]
            yield ("land", place), _tidy(landed._replace(flights=flights)), wrong
        yield from self._people(state)
        if state.budget.jumps:
            for minute in self._times(state):
                yield ("jump", minute), _jumped(_spent(state, "jumps"), minute), []

    def _script(self, state: State, index: int) -> Script | None:
        """The invocation, if it may start now."""
        actor, scenario = self.scenario.actors[index], self.scenario
        if actor.after is not None and state.runs[actor.after] is None:
            return None
        event: dict[str, Any] = {"tag": actor.tag} if actor.tag != "T" else {}
        if actor.undoes is not None:
            runs = state.chain.run_ids(actor.undoes)
            if actor.lost:
                runs = self._lost(state, actor.undoes)
            if not runs:
                return None
            event = {"undo": runs[0]}
        request_id = actor.name
        if actor.twin_of is not None:
            twin = state.runs[actor.twin_of]
            if not isinstance(twin, Story) or twin.script.start != state.now:
                return None
            request_id = twin.script.request_id
        people = " ".join(PEOPLE[name] for name in scenario.lists[state.listed])
        return Script(
            actor.name, json.dumps(event), state.now, people, request_id, scenario.settings
        )

    def _lost(self, state: State, index: int) -> list[str]:
        """Plans of an actor that are there and that the ledger never named."""
        chain = {plan.run_id for plan in state.chain.plans}
        written = (run_of(key) for key in sorted(state.objects.of) if "/plans/" in key)
        name = self.scenario.actors[index].name
        return [run_id for run_id in written if actor_of(run_id) == name and run_id not in chain]

    def _settled(self, state: State, index: int, story: Story) -> State:
        """The state with this run in it, after requests whose answer nothing can change."""
        while isinstance(story.request, Request):
            if not self._is_quiet(state, index, story.request):
                return state._replace(runs=_with(state.runs, index, story))
            objects, reply = state.objects.carry_out(story.request)
            state = state._replace(objects=objects)
            story = story.told(reply, state.now)
        return _over(state, index)

    def _is_quiet(self, state: State, index: int, request: Request) -> bool:
        if self._twins or not any(kind in request.key for kind in WRITTEN_ONCE):
            return False
        if request.kind == "put":
            return "/plans/" in request.key or ("/runs/" in request.key and not self._undoes)
        if request.key in state.objects.of:
            return True
        name = actor_of(run_of(request.key))
        owner = next(
            place for place, actor in enumerate(self.scenario.actors) if actor.name == name
        )
        return owner == index or state.runs[owner] is OVER

    def _steps(self, state: State, index: int, story: Story) -> Iterator[Next]:
        request = story.request
        assert isinstance(request, Request)
        if request.kind == "insert":
            yield from self._insert_steps(state, index, story, request)
            return
        after, reply, wrong = _carried_out(state, index, request)
        yield ("ok", index), self._told(after, index, story, reply), wrong
        if state.budget.freezes:
            frozen = Frozen(story, reply, state.now)
            after = _spent(after, "freezes")
            yield (
                ("freeze", index),
                after._replace(runs=_with(state.runs, index, frozen)),
                wrong,
            )
        if request.kind == "query" and state.budget.stale:
            for place, (_, rows) in enumerate(state.past):
                stale = self._told(_spent(state, "stale"), index, story, rows.page(request.body))
                yield ("stale", index, place), stale, []
        if request.kind == "put" and state.budget.faults:
            after, reply, wrong = _carried_out(_spent(state, "faults"), index, request)
            if reply.kind == "ok":
                yield ("lost", index), self._told(after, index, story, LOST), wrong
                if request.match is not None:
                    own = self._told(after, index, story, stores.BEATEN)
                    yield ("beaten by itself", index), own, wrong
            if request.match is None:
                refused = self._told(_spent(state, "faults"), index, story, REFUSED)
                yield ("refused", index), refused, []

    def _insert_steps(
        self, state: State, index: int, story: Story, request: Request
    ) -> Iterator[Next]:
        events = events_of(request.body)
        if any(event[0] in self.scenario.hopeless for event in events):
            yield ("refused", index), self._told(state, index, story, REFUSED), []
            return
        wrong = [
            reason
            for row_id, people, given, _ in events
            for reason in rules.wrong_request(
                state.chain, index, row_id, people, given, story.at
            )
        ]
        state = _sent(state, index, request.body)
        done, landed = _landed(state, index, request.body)
        reply = Reply("ok")
        yield ("ok", index), self._told(done, index, story, reply), wrong + landed
        if state.budget.freezes:
            frozen = Frozen(story, reply, state.now)
            runs = _with(state.runs, index, frozen)
            yield (
                ("freeze", index),
                _spent(done, "freezes")._replace(runs=runs),
                wrong + landed,
            )
        if not state.budget.faults:
            return
        spent, done = _spent(state, "faults"), _spent(done, "faults")
        flight = Flight(index, request.body, state.now)
        late = spent._replace(flights=(*spent.flights, flight))
        unsent = _spent(state._replace(sent=_before(state, index, request.body)), "faults")
        yield ("refused", index), self._told(unsent, index, story, REFUSED), wrong
        yield ("lost", index), self._told(done, index, story, LOST), wrong + landed
        yield ("never", index), self._told(spent, index, story, LOST), wrong
        yield ("late", index), self._told(late, index, story, LOST), wrong
        first = min(one.first_at for one in state.sent if one.run == index)
        if self.scenario.resends and first == state.now:
            yield ("lost, again", index), self._told(done, index, story, AGAIN), wrong + landed
            yield ("late, again", index), self._told(late, index, story, AGAIN), wrong

    def _told(self, state: State, index: int, story: Story, reply: Reply) -> State:
        return self._settled(state, index, story.told(reply, state.now))

    def _people(self, state: State) -> Iterator[Next]:
        budget, rows = state.budget, state.rows
        for row_id in rows.of:
            if not rows.reviewers(row_id) or rows.finished(row_id):
                continue
            if budget.finishes:
                after = _rewritten(_spent(state, "finishes"), rows.merged(stores.finishing(row_id)))
                yield ("finish", row_id), after, []
            if budget.leaves:
                after = _rewritten(_spent(state, "leaves"), rows.merged(stores.leaving(row_id)))
                yield ("leave", row_id), after, []
        if state.listed + 1 < len(self.scenario.lists):
            yield ("list",), state._replace(listed=state.listed + 1), []

    def _times(self, state: State) -> list[int]:
        """To when time may jump: marks after a plan; and where a request or a run is under way, shortly before its end."""
        plans = {round(plan.at) for plan in state.chain.plans}
        times = {at + mark for at in plans for mark in self.scenario.marks}
        return sorted(minute for minute in times if minute > state.now)

    def end(self, state: State) -> list[str]:
        """What is wrong if all is quiet from here on: after 46 minutes three hourly runs go through without faults."""
        if state.flights or not all(
            run is OVER or (run is None and actor.undoes is not None)
            for run, actor in zip(state.runs, self.scenario.actors, strict=True)
        ):
            return []
        calm = state.budget.leaves == self.scenario.budget.leaves and not state.listed
        calm = calm and not self.scenario.settings
        told = frozenset(
            (key, what[0])
            for key, what in state.objects.of.items()
            if any(kind in key for kind in ("/ledger/", *RECORDS))
        )
        key = (told, state.rows, state.chain, state.now, calm, state.listed)
        if key not in self._ended:
            self._ended[key] = self._ending(state, calm=calm)
        return self._ended[key]

    def _ending(self, state: State, *, calm: bool) -> list[str]:
        people = " ".join(PEOPLE[name] for name in self.scenario.lists[state.listed])
        wrong: list[str] = []
        was = state.now
        minute = was + (1 if rules.is_refused(state.chain, state.objects, state.rows) else 46)
        for number in range(3):
            for tag in self.scenario.tags:
                event = json.dumps({"tag": tag})
                name = f"clean{number}{tag}"
                script = Script(name, event, minute, people, name, self.scenario.settings)
                index = len(state.runs) + number * len(self.scenario.tags)
                state, found = self._clean_run(state._replace(now=minute), index, script)
                wrong += [f"in a clean run {minute - was} minutes later: {one}" for one in found]
            if (calm and not number) or number == 2:
                left = rules.unfinished(state.rows, self.scenario.hopeless)
                wrong += [f"{minute - was} minutes and {number + 1} clean runs later {one}" for one in left]
            minute += 60
        return wrong

    def _clean_run(self, state: State, index: int, script: Script) -> tuple[State, list[str]]:
        wrong: list[str] = []

        def carry_out(request: Request) -> Reply:
            nonlocal state
            if request.kind == "insert":
                if any(event[0] in self.scenario.hopeless for event in events_of(request.body)):
                    return REFUSED
                state = _sent(state, index, request.body)
                state, found = _landed(state, index, request.body)
                wrong.extend(found)
                return Reply("ok")
            state, reply, found = _carried_out(state, index, request)
            wrong.extend(found)
            return reply

        play(LiveTape(script, carry_out))
        return state, wrong


def run_of(key: str) -> str:
    """The run whose object that is."""
    return key.rpartition("/")[2].partition(".")[0]


def actor_of(run_id: str) -> str:
    """Whose run it is; a run id may have a suffix."""
    return run_id.split("-")[1]


def _with(runs: tuple[Any, ...], index: int, run: Any) -> tuple[Any, ...]:
    return (*runs[:index], run, *runs[index + 1 :])


def _spent(state: State, name: str) -> State:
    return state._replace(budget=state.budget.less(name))


def _over(state: State, index: int) -> State:
    return _tidy(state._replace(runs=_with(state.runs, index, OVER)))


def _tidy(state: State) -> State:
    """Without what no rule asks for any more."""
    if not state.sent:
        return state
    flying = {flight.run for flight in state.flights}
    sent = tuple(one for one in state.sent if one.run in flying or state.runs[one.run] is not OVER)
    return state._replace(sent=sent)


def _carried_out(state: State, index: int, request: Request) -> tuple[State, Reply, list[str]]:
    """A request other than an insert, done."""
    if request.kind == "query":
        return state, state.rows.page(request.body), []
    objects, reply = state.objects.carry_out(request)
    state = state._replace(objects=objects)
    if request.kind != "put" or reply.kind != "ok":
        return state, reply, []
    wrong: list[str] = []
    if "/ledger/" in request.key:
        key = json.loads(request.body)["plan"]
        chain, wrong = state.chain.with_plan(key, index, objects)
        state = state._replace(chain=chain)
    for kind in RECORDS:
        if kind in request.key:
            mine = [one for one in state.sent if one.run == index]
            landed = frozenset(one.row_id for one in mine if one.landed)
            sent = {
                event[0]
                for flight in state.flights
                if flight.run == index
                for event in events_of(flight.payload)
            }
            wrong = rules.wrong_record(kind.strip("/"), request.body, landed, frozenset(sent))
    return state, reply, wrong


def _sent(state: State, run: int, payload: str) -> State:
    known = {(one.run, one.row_id): one for one in state.sent}
    for row_id, *_ in events_of(payload):
        one = known.get((run, row_id))
        known[run, row_id] = (
            one._replace(times=one.times + 1) if one else Sent(run, row_id, state.now)
        )
    return state._replace(sent=tuple(sorted(known.values())))


def _before(state: State, run: int, payload: str) -> tuple[Sent, ...]:
    """What was sent but for this payload's last time: it was refused."""
    refused = {event[0] for event in events_of(payload)}
    return tuple(
        one._replace(times=one.times - 1) if one.run == run and one.row_id in refused else one
        for one in state.sent
        if not (one.run == run and one.row_id in refused and one.times == 1)
    )


def _landed(state: State, run: int, payload: str) -> tuple[State, list[str]]:
    """An insert, applied."""
    wrong: list[str] = []
    rows = state.rows
    sent = {(one.run, one.row_id): one for one in state.sent}
    for row_id, people, given, event in events_of(payload):
        one = sent[run, row_id]
        wrong += rules.wrong_landing(
            state.chain, rows, run, row_id, people, given, one.times > 1
        )
        rows = rows.merged(event)
        sent[run, row_id] = one._replace(landed=True)
    return _rewritten(state._replace(sent=tuple(sorted(sent.values()))), rows), wrong


def _rewritten(state: State, rows: Rows) -> State:
    """The state with other rows; a lagging read still shows the old ones."""
    if rows is state.rows:
        return state
    past = (*state.past, (state.now, state.rows)) if state.budget.stale else ()
    seen: dict[Rows, int] = {was: until for until, was in past if was is not rows}
    return state._replace(rows=rows, past=tuple((until, was) for was, until in seen.items()))


def _jumped(state: State, minute: int) -> State:
    """Time has passed: runs have come to Lambda's limit, late requests have got lost, old reads are gone."""
    runs = tuple(
        OVER
        if isinstance(run, Story) and minute - run.script.start > LAMBDA_MINUTES
        else run
        for run in state.runs
    )
    past = tuple((until, rows) for until, rows in state.past if minute - until <= LAG)
    flights = tuple(flight for flight in state.flights if minute - flight.sent_at <= LAG)
    return _tidy(state._replace(now=minute, runs=runs, past=past, flights=flights))
