"""What is explored: small worlds, each with the trouble that it is about."""

from tests.explore.world import Actor, Budget, Scenario

A_RUN, Y, Z = Actor("X"), Actor("Y", after=0), Actor("Z", after=1)
S = Actor("S", tag="S")
W = Actor("W", twin_of=0)
TWO, THREE = (A_RUN, Y), (A_RUN, Y, Z)
U, V = Actor("U", undoes=0), Actor("V", undoes=0)
LOST = Actor("U", undoes=1, lost=True)
TWO_ROWS = (("r1", ("T",)), ("r2", ("T",)))
X = A_RUN

ALL = (
    Scenario("one run", (X,), Budget(kills=1, faults=3, jumps=1), resends=True),
    Scenario("two runs, kills and faults", TWO, Budget(kills=2, faults=2, jumps=1)),
    Scenario(
        "two runs, late requests, lagging reads, reviews",
        TWO,
        Budget(faults=1, stale=1, finishes=1, jumps=3),
        marks=(14, 28, 42, 46),
    ),
    Scenario(
        "two runs, a reviewer leaves",
        TWO,
        Budget(kills=1, faults=1, stale=1, leaves=1, jumps=2),
        marks=(46, 119, 121),
    ),
    Scenario("three runs", THREE, Budget(kills=1, faults=1, jumps=1)),
    Scenario("three runs, time", THREE, Budget(faults=1, stale=1, jumps=2), marks=(14, 44, 46, 121)),
    Scenario(
        "two runs, two rows",
        TWO,
        Budget(kills=1, faults=1, jumps=1),
        TWO_ROWS,
        ("ABC",),
    ),
    Scenario(
        "a row with two tags",
        (X, Actor("Y", tag="S"), Actor("Z", after=0)),
        Budget(kills=1, faults=1, jumps=1),
        (("r1", ("T", "S")),),
    ),
    Scenario("the list changes", TWO, Budget(kills=1, faults=1, stale=1, jumps=2), lists=("AB", "B"), marks=(46, 121)),
    Scenario("one invocation, twice", (X, W), Budget(kills=1, faults=1, jumps=1)),
    Scenario("two runs beside an undo", (X, Y, U), Budget(faults=1, jumps=2)),
    Scenario("two runs beside an undo, killed and stale", (X, Y, U), Budget(kills=1, stale=1, jumps=2), marks=(14, 46)),
    Scenario("three runs beside an undo", (X, Y, Z, U), Budget(jumps=1)),
    Scenario("two undos", (X, Y, U, V), Budget(faults=1, jumps=1)),
    Scenario("two undos, time", (X, Y, U, V), Budget(stale=1, jumps=2)),
    Scenario("rows refused for good, and a cap", TWO, Budget(kills=1, jumps=1), TWO_ROWS, settings=(("MAX_ASSIGNMENTS", "1"),), hopeless=frozenset({"r1"})),
    Scenario("frozen runs", TWO, Budget(freezes=2, finishes=1, jumps=2), marks=(14, 46)),
)
SMALL = ALL
