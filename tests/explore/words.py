"""A history in words."""

import json
from collections.abc import Iterable

from tests.explore.stores import events_of
from tests.explore.tape import PEOPLE, Request, Story
from tests.explore.world import OVER, Move, State, World, run_of

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


def told_of(world: World, moves: Iterable[Move]) -> list[str]:
    """One sentence a move."""
    state, sentences = world.beginning(), []
    for move in moves:
        after = next(state_after for made, state_after, _ in world.after(state) if made == move)
        sentences.append(named(f"{_clock(state)} {_sentence(world, state, move, after)}"))
        state = after
    return sentences


def named(text: str) -> str:
    """With people's names in place of their ids."""
    for user, name in NAMES.items():
        text = text.replace(user, name)
    return text


def _clock(state: State) -> str:
    return f"{state.now // 60}:{state.now % 60:02}"


def _sentence(world: World, state: State, move: Move, after: State) -> str:
    actors = world.scenario.actors
    match move:
        case ("start", index):
            actor = actors[index]
            what = "" if actor.undoes is None else f" (undo of {actors[actor.undoes].name})"
            tag = "" if actor.tag == "T" else f" (tag {actor.tag})"
            return f"{actor.name}{what}{tag} starts"
        case ("thaw", index):
            return f"{actors[index].name} goes on"
        case ("kill", index):
            return f"{actors[index].name} is killed"
        case ("land", place):
            flight = state.flights[place]
            return f"the late request of {actors[flight.run].name} lands: {_events(flight.payload)}"
        case ("jump", minute):
            return f"time passes until {minute // 60}:{minute % 60:02}"
        case ("finish", row_id):
            return f"{','.join(state.rows.reviewers(row_id))} finishes the review of {row_id}"
        case ("leave", row_id):
            return f"{','.join(state.rows.reviewers(row_id))} takes themself off {row_id}"
        case ("list",):
            return f"the reviewers list is now {' '.join(world.scenario.lists[after.listed])}"
    kind, index, *_ = move
    story = state.runs[index]
    assert isinstance(story, Story)
    assert isinstance(story.request, Request)
    words = f"{actors[index].name} {_asks(world, state, story.request)}"
    words += HAPPENED.get(kind, "")
    if kind == "stale":
        until = state.past[move[2]][0]
        words += f" as they were before {until // 60}:{until % 60:02}"
    if after.runs[index] is OVER:
        words += ", and ends"
    return words


def _asks(world: World, state: State, request: Request) -> str:
    if request.kind == "query":
        return "reads the rows"
    if request.kind == "insert":
        return f"sends: {_events(request.body)}"
    kind = request.key.split("/")[1]
    if kind == "ledger":
        read = {"get": "reads the ledger", "head": "asks who wrote the ledger"}
        return read.get(request.kind) or f"commits {_plan(state, request)}"
    if request.kind == "put":
        return f"writes {kind}"
    return f"asks for {kind} of {run_of(request.key).partition('-')[2]}"


def _plan(state: State, request: Request) -> str:
    stored = json.loads(state.objects.of[json.loads(request.body)["plan"]][0])
    given = [f"{entry['row_id']} to {entry['reviewer_id']}" for entry in stored["assignments"]]
    freed = [f"{entry['row_id']} off {entry['reviewer_id']}" for entry in stored.get("freed", ())]
    return ", ".join([*given, *freed]) or "a plan that gives nothing"


def _events(payload: str) -> str:
    return ", ".join(
        f"{row_id} {'to' if given else 'off'} {people}"
        for row_id, people, given, _ in events_of(payload)
    )
