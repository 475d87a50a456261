"""The world at one moment, and what one event makes of it. Equal states have the same future."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from tests.explore import rules
from tests.explore.rules import Committed
from tests.explore.stores import Event, Objects, Rows, events_of
from tests.explore.tape import LAMBDA_MINUTES, Ask, Life, Reply

LAG = 15
"""Minutes that a read may lag, or a request be under way."""
OVER = "over"
RECORDS = ("assignments", "to_assign_ids")


class Budget(NamedTuple):
    """How much trouble a history may still hold."""

    kills: int = 0
    faults: int = 0
    """Requests that are refused, late or not answered."""
    stale: int = 0
    """Reads that lag."""
    jumps: int = 0
    """Of time."""
    finishes: int = 0
    """Reviews that are finished."""
    leaves: int = 0
    """Reviewers who take themselves off a row."""
    freezes: int = 0
    """Runs that stand still after a request, as a frozen Lambda does."""


NO_TROUBLE = Budget()


class Actor(NamedTuple):
    """One invocation of a scenario."""

    name: str
    tag: str = "T"
    after: int | None = None
    """It starts once that actor has started."""
    undoes: int | None = None
    """Which actor's run it takes back."""
    takes: str = ""
    """What it takes back: a person's name, or a number of days."""
    lost: bool = False
    """It takes back that actor's plan that lost the race."""
    twin_of: int | None = None
    """It is the same invocation, delivered twice: the same id, in the same minute."""


@dataclass(frozen=True)
class Scenario:
    """What there is, and how much may go wrong."""

    name: str
    actors: tuple[Actor, ...]
    budget: Budget = NO_TROUBLE
    rows: tuple[tuple[str, tuple[str, ...]], ...] = (("r1", ("T",)),)
    """Ids and tags."""
    lists: tuple[str, ...] = ("AB",)
    """The reviewers lists, one after another."""
    marks: tuple[int, ...] = (46,)
    """Minutes after a plan to which time may jump."""
    settings: tuple[tuple[str, str], ...] = ()
    hopeless: frozenset[str] = frozenset()
    """Rows that Braintrust refuses to write."""
    resends: bool = False
    """The client may repeat an insert that was not answered, at once."""
    strict: bool = False
    """Also what the contract does not promise: that such a repeat never sets back what happened in between."""

    @property
    def people(self) -> int:
        """How many each row is to get."""
        return int(dict(self.settings).get("REVIEWERS_PER_ROW", "1"))

    def event(self, tag: str) -> dict[str, str]:
        """What is sent for a run of this tag."""
        if "QUEUES_PARAMETER" in dict(self.settings):
            return {"queue": tag.lower()}
        return {"tag": tag} if tag != "T" else {}

    @property
    def tags(self) -> list[str]:
        return sorted({tag for _, tags in self.rows for tag in tags})


class Frozen(NamedTuple):
    """A run that does not see its answer yet."""

    life: Life
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


class Moment(NamedTuple):
    """The world at one moment."""

    now: int
    objects: Objects
    rows: Rows
    chain: Committed
    runs: tuple[Any, ...]
    """Of each actor: None (not started), a Life, Frozen, or OVER."""
    budget: Budget
    past: tuple[tuple[int, Rows], ...] = ()
    """What a lagging read may show, and until when it was true."""
    flights: tuple[Flight, ...] = ()
    sent: tuple[Sent, ...] = ()
    listed: int = 0
    """Which of the reviewers lists it is."""

    def spending(self, name: str) -> "Moment":
        """The same, with less trouble to come."""
        return self._replace(budget=self.budget._replace(**{name: getattr(self.budget, name) - 1}))

    def with_run(self, index: int, run: Any) -> "Moment":
        return self._replace(runs=(*self.runs[:index], run, *self.runs[index + 1 :]))

    def over(self, index: int) -> "Moment":
        """A run has ended, or was killed."""
        return self.with_run(index, OVER).tidy()

    def tidy(self) -> "Moment":
        """Without what no rule asks for any more."""
        if not self.sent:
            return self
        flying = {flight.run for flight in self.flights}
        kept = tuple(
            one for one in self.sent if one.run in flying or self.runs[one.run] is not OVER
        )
        return self._replace(sent=kept)

    def rewritten(self, rows: Rows) -> "Moment":
        """With other rows; a lagging read may still show the old ones."""
        if rows is self.rows:
            return self
        past = (*self.past, (self.now, self.rows)) if self.budget.stale else ()
        seen = {was: until for until, was in past if was is not rows}
        return self._replace(rows=rows, past=tuple((until, was) for was, until in seen.items()))

    def at(self, minute: int) -> "Moment":
        """Time has passed: runs have come to Lambda's limit, late requests have got lost, old reads are gone."""
        runs = tuple(
            OVER if isinstance(run, Life) and minute - run.script.start > LAMBDA_MINUTES else run
            for run in self.runs
        )
        past = tuple((until, rows) for until, rows in self.past if minute - until <= LAG)
        flights = tuple(one for one in self.flights if minute - one.sent_at <= LAG)
        return self._replace(now=minute, runs=runs, past=past, flights=flights).tidy()

    def done(self, index: int, request: Ask) -> tuple["Moment", Reply, list[str]]:
        """A run's request other than an insert is carried out: the state, the answer, and what is wrong."""
        if request.kind == "query":
            return self, self.rows.page(request.body), []
        objects, reply = self.objects.carry_out(request)
        state = self._replace(objects=objects)
        if request.kind != "put" or reply.kind != "ok":
            return state, reply, []
        if request.of == "ledger":
            plan = json.loads(request.body)["plan"]
            chain, wrong = state.chain.with_plan(plan, index, objects)
            return state._replace(chain=chain), reply, wrong
        if request.of in RECORDS:
            return state, reply, self._untrue(index, request)
        return state, reply, []

    def _untrue(self, index: int, request: Ask) -> list[str]:
        landed = {one.row_id for one in self.sent if one.run == index and one.landed}
        flying = {
            event.row_id
            for flight in self.flights
            if flight.run == index
            for event in events_of(flight.payload)
        }
        return rules.wrong_record(request.of, request.body, landed, flying)

    def too_late(self, run: int, events: Iterable[Event], at: int) -> list[str]:
        """What that run has sent before, and sends again more than a minute after it."""
        before = {one.row_id: one.first_at for one in self.sent if one.run == run}
        return [
            f"{event.row_id} is sent again {at - before[event.row_id]} minutes after it may have landed"
            for event in events
            if at - before.get(event.row_id, at) > 1
        ]

    def sending(self, run: int, payload: str) -> "Moment":
        """An insert has left its run."""
        known = {(one.run, one.row_id): one for one in self.sent}
        for event in events_of(payload):
            one = known.get((run, event.row_id))
            known[run, event.row_id] = (
                one._replace(times=one.times + 1) if one else Sent(run, event.row_id, self.now)
            )
        return self._replace(sent=tuple(sorted(known.values())))

    def landed(self, run: int, payload: str, *, strict: bool = False) -> tuple["Moment", list[str]]:
        """An insert is applied: the state, and what is wrong with it."""
        wrong: list[str] = []
        rows = self.rows
        sent = {(one.run, one.row_id): one for one in self.sent}
        for event in events_of(payload):
            one = sent[run, event.row_id]
            repeated = one.times > 1 and not strict
            wrong += rules.wrong_landing(self.chain, rows, run, event, repeated=repeated)
            rows = rows.merged(event.text)
            sent[run, event.row_id] = one._replace(landed=True)
        return self._replace(sent=tuple(sorted(sent.values()))).rewritten(rows), wrong


def run_of(key: str) -> str:
    """The run whose object that is."""
    return key.rpartition("/")[2].partition(".")[0]


def actor_of(run_id: str) -> str:
    """Whose run it is; a run id may have a suffix."""
    return run_id.split("-")[1]
