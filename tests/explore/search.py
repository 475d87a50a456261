"""All histories of a scenario: how many there are, and the shortest one that breaks a rule."""

import time
from dataclasses import dataclass, field
from typing import Any

from tests.explore.ending import Endings
from tests.explore.state import Moment, Scenario
from tests.explore.stores import Objects, Rows
from tests.explore.tape import Life, stilled
from tests.explore.words import named, told_of
from tests.explore.world import Futures, Move


@dataclass
class Found:
    """What a search came to."""

    scenario: str
    histories: int = 0
    states: int = 0
    ends: int = 0
    seconds: float = 0.0
    plays: int = 0
    """How often the real code was played."""
    complete: bool = True
    wrong: list[str] = field(default_factory=list)
    """What the first violation breaks; nothing, if there is none."""
    history: list[str] = field(default_factory=list)
    """In words; the shortest, if `shortest` found it."""


def explore(scenario: Scenario, most: int = 10**9) -> Found:
    """Go through every history, equal states once, depth first; stops at a violation or after `most` states."""
    found, began = Found(scenario.name), time.monotonic()
    with stilled():
        world, plays = _fresh(scenario), Life.played
        endings = Endings(world)
        counts: dict[int, int] = {}
        root = world.beginning()
        trail: list[list[Any]] = [[hash(root), world.after(root), 0, None]]
        while trail:
            top = trail[-1]
            step = next(top[1], None)
            if step is None:
                counts[top[0]] = max(1, top[2])
                trail.pop()
                if trail:
                    trail[-1][2] += counts[top[0]]
                continue
            move, state, wrong = step
            key = hash(state)
            if key in counts and not wrong:
                top[2] += counts[key]
                continue
            wrong = wrong or endings.judge(state)
            if wrong or len(counts) >= most:
                found.complete = False
                found.wrong = [named(one) for one in wrong]
                if wrong:
                    moves = [frame[3] for frame in trail[1:]] + [move]
                    found.history = told_of(world, moves)
                break
            trail.append([key, world.after(state), 0, move])
        found.histories = counts.get(hash(root), 0)
        found.states, found.ends = len(counts), len(endings.judged)
        found.plays = Life.played - plays
    found.seconds = time.monotonic() - began
    return found


def shortest(scenario: Scenario, most: int = 10**9) -> Found:
    """The shortest history that breaks a rule, breadth first; gives up after `most` states."""
    found, began = Found(scenario.name), time.monotonic()
    with stilled():
        world, plays = _fresh(scenario), Life.played
        endings = Endings(world)
        root = world.beginning()
        seen = {hash(root)}
        parents: list[tuple[int, Move | None]] = [(0, None)]
        edge: list[tuple[int, Moment]] = [(0, root)]
        while edge and not found.wrong and len(seen) < most:
            further: list[tuple[int, Moment]] = []
            for number, state in edge:
                for move, after, at_once in world.after(state):
                    key = hash(after)
                    if key in seen and not at_once:
                        continue
                    wrong = at_once or endings.judge(after)
                    seen.add(key)
                    parents.append((number, move))
                    if wrong:
                        found.wrong = [named(one) for one in wrong]
                        found.history = told_of(world, _path(parents))
                        break
                    further.append((len(parents) - 1, after))
                if found.wrong:
                    break
            edge = further
        found.complete = not edge
        found.states, found.ends = len(seen), len(endings.judged)
        found.plays = Life.played - plays
    found.seconds = time.monotonic() - began
    return found


def _fresh(scenario: Scenario) -> Futures:
    """A world, and nothing remembered of another product's or another scenario's."""
    for known in (Life.known, Objects.known, Rows.known):
        known.clear()
    return Futures(scenario)


def _path(parents: list[tuple[int, Move | None]]) -> list[Move]:
    moves = []
    number = len(parents) - 1
    while number:
        number, move = parents[number]
        assert move is not None
        moves.append(move)
    return moves[::-1]
