"""A history in words."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from tests.explore.state import OVER, Actor, Moment, run_of
from tests.explore.stores import events_of
from tests.explore.tape import PEOPLE, Ask, Life
from tests.explore.world import Futures, Move

NAMES = {user: name for name, user in PEOPLE.items()}
HAPPENED = {
    "ok": "",
    "freeze": "; it does not go on yet",
    "lost": ", and gets no answer",
    "never": ", which never arrives, and gets no answer",
    "late": ", which is late, and gets no answer",
    "lost, again": ", gets no answer, and sends it again",
    "late, again": ", which is late, gets no answer, and sends it again",
    "beaten by itself": ", and is told that it is there",
    "refused": ", and is refused",
}


def told_of(world: Futures, moves: Iterable[Move]) -> list[str]:
    """One sentence a move."""
    state, sentences = world.beginning(), []
    for move in moves:
        after = next(state_after for made, state_after, _ in world.after(state) if made == move)
        sentences.append(named(f"{_clock(state.now)} {_sentence(world, state, move, after)}"))
        state = after
    return sentences


def named(text: str) -> str:
    """With people's names in place of their ids."""
    for user, name in NAMES.items():
        text = text.replace(user, name)
    return text


def _clock(minute: int) -> str:
    return f"{minute // 60}:{minute % 60:02}"


def _sentence(world: Futures, state: Moment, move: Move, after: Moment) -> str:
    kind, *rest = move
    if kind in {"start", "thaw", "kill"}:
        return _whole_run(world.scenario.actors, kind, rest[0])
    if kind in {"land", "jump", "finish", "leave", "list"}:
        return _around(world, state, kind, rest, after)
    life = state.runs[rest[0]]
    assert isinstance(life, Life)
    assert isinstance(life.request, Ask)
    words = f"{life.script.name} {_asks(state, life.request)}{HAPPENED.get(kind, '')}"
    if kind == "stale":
        words += f" as they were before {_clock(state.past[rest[1]][0])}"
    return f"{words}, and ends" if after.runs[rest[0]] is OVER else words


def _whole_run(actors: Sequence[Actor], kind: str, index: int) -> str:
    actor = actors[index]
    what = "" if actor.undoes is None else f" (undo of {actors[actor.undoes].name})"
    if actor.takes:
        what = f" (take-back of {actor.takes}{' days' * actor.takes.isdigit()})"
    tag = "" if actor.tag == "T" else f" (of {actor.tag})"
    happens = {"start": f"{what}{tag} starts", "thaw": " goes on", "kill": " is killed"}
    return actor.name + happens[kind]


def _around(world: Futures, state: Moment, kind: str, rest: Sequence[Any], after: Moment) -> str:
    """What people, time and the network do."""
    if kind == "land":
        flight = state.flights[rest[0]]
        name = world.scenario.actors[flight.run].name
        return f"the late request of {name} lands: {_events(flight.payload)}"
    if kind == "jump":
        return f"time passes until {_clock(after.now)}"
    if kind == "list":
        return f"the reviewers list is now {' '.join(world.scenario.lists[after.listed])}"
    who = ",".join(state.rows.reviewers(rest[0]))
    does = {"finish": "finishes the review of", "leave": "takes themself off"}[kind]
    return f"{who} {does} {rest[0]}"


def _asks(state: Moment, request: Ask) -> str:
    if request.kind == "query":
        return "reads the rows"
    if request.kind == "insert":
        return f"sends: {_events(request.body)}"
    if request.of == "ledger":
        read = {"get": "reads the ledger", "head": "asks who wrote the ledger"}
        return read.get(request.kind) or f"commits {_plan(state, request)}"
    if request.kind == "list":
        return "lists the plans"
    if request.kind == "put":
        return f"writes {request.of}"
    return f"asks for {request.of} of {run_of(request.key).partition('-')[2]}"


def _plan(state: Moment, request: Ask) -> str:
    stored = json.loads(state.objects.of[json.loads(request.body)["plan"]][0])
    given = [f"{entry['row_id']} to {entry['reviewer_id']}" for entry in stored["assignments"]]
    freed = [f"{entry['row_id']} off {entry['reviewer_id']}" for entry in stored.get("freed", ())]
    return ", ".join([*given, *freed]) or "a plan that gives nothing"


def _events(payload: str) -> str:
    return ", ".join(
        f"{event.row_id} {'to' if event.given else 'off'} {event.people}"
        for event in events_of(payload)
    )
