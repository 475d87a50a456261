"""What is explored: small worlds, each with the trouble that it is about."""

from tests.explore.state import Actor, Budget, Scenario

X, Y, Z = Actor("X"), Actor("Y", after=0), Actor("Z", after=1)
S = Actor("S", tag="S")
TWIN = Actor("W", twin_of=0)
U, V = Actor("U", undoes=0), Actor("V", undoes=0)
R = Actor("R", undoes=1)
LOSER = Actor("U", undoes=1, lost=True)
T, D = Actor("T", after=0, takes="A"), Actor("D", after=0, takes="1")
"""They take back what A has; what has lain for a day."""
TWO, THREE = (X, Y), (X, Y, Z)
BESIDE = (X, Y, U)
"""Two runs, and an undo of the first one."""
TWO_ROWS = (("r1", ("T",)), ("r2", ("T",)))
TWO_TAGS = (("r1", ("T", "S")),)
CAPPED = (("MAX_ASSIGNMENTS", "1"),)
TOGETHER = (("BATCH_SIZE", "2"),)
SHARED = (("REVIEWERS_PER_ROW", "2"),)
QUEUED = (("QUEUES_PARAMETER", "/queues"),)

SMALL = (
    Scenario("one run", (X,), Budget(kills=1, faults=2, jumps=1), resends=True),
    Scenario("two runs", TWO, Budget(kills=1, faults=1)),
    Scenario("two runs and a review", TWO, Budget(stale=1, finishes=1, jumps=1)),
    Scenario("a row in two queues", (X, S), Budget(kills=1, jumps=1), TWO_TAGS, settings=QUEUED),
    Scenario("runs that stand still", TWO, Budget(freezes=1, jumps=1)),
    Scenario(
        "rows refused for good, and a cap",
        TWO,
        Budget(),
        TWO_ROWS,
        settings=CAPPED,
        hopeless=frozenset({"r1"}),
    ),
    Scenario("two runs beside an undo", BESIDE, Budget(jumps=1)),
    Scenario("two undos of one run", (X, U, V), Budget(faults=1)),
    Scenario("a run beside a take-back", (X, Y, T), Budget(jumps=1), marks=(119, 121)),
    Scenario("a take-back that is killed", (X, T), Budget(kills=1, jumps=1), marks=(121,)),
    Scenario(
        "two people a row, a run beside an undo",
        (X, U),
        Budget(kills=1, faults=1, jumps=1),
        lists=("ABC",),
        settings=SHARED,
    ),
)
"""For every test run."""

LARGE = (
    Scenario("one run", (X,), Budget(kills=1, faults=3, jumps=2), marks=(14, 46), resends=True),
    Scenario("two runs, kills and faults", TWO, Budget(kills=2, faults=2, jumps=1), resends=True),
    Scenario(
        "two runs, late requests, lagging reads, reviews",
        TWO,
        Budget(faults=1, stale=1, finishes=1, jumps=3),
        marks=(14, 28, 42, 46),
        resends=True,
    ),
    Scenario(
        "two runs, a reviewer leaves",
        TWO,
        Budget(kills=1, faults=1, stale=1, leaves=1, jumps=2),
        marks=(46, 119, 121),
    ),
    Scenario(
        "two runs, two rows", TWO, Budget(kills=1, faults=2, stale=1, jumps=1), TWO_ROWS, ("ABC",)
    ),
    Scenario(
        "two runs, two rows a request",
        TWO,
        Budget(kills=1, faults=2, stale=1, jumps=1),
        TWO_ROWS,
        ("ABC",),
        marks=(14, 46),
        settings=TOGETHER,
        resends=True,
    ),
    Scenario(
        "two runs, two people a row",
        TWO,
        Budget(kills=1, faults=1, stale=1, jumps=2),
        lists=("ABC",),
        settings=SHARED,
        resends=True,
    ),
    Scenario(
        "two runs beside an undo, two people a row",
        BESIDE,
        Budget(faults=1, jumps=1),
        lists=("ABC",),
        settings=SHARED,
    ),
    Scenario("three runs", THREE, Budget(kills=1, faults=1, jumps=1)),
    Scenario("three runs, time", THREE, Budget(faults=1, stale=1, jumps=2), marks=(44, 46, 121)),
    Scenario(
        "three runs, refused and late, a review",
        THREE,
        Budget(faults=2, finishes=1, jumps=2),
        marks=(44, 46),
    ),
    Scenario(
        "a row in two queues",
        (X, S, Z._replace(after=0)),
        Budget(kills=1, faults=1, jumps=1),
        TWO_TAGS,
        settings=QUEUED,
    ),
    Scenario(
        "a row in two queues, lagging reads, late requests",
        (X, S._replace(after=0)),
        Budget(kills=1, faults=1, stale=1, jumps=2),
        TWO_TAGS,
        marks=(44, 46, 121),
        settings=QUEUED,
    ),
    Scenario(
        "a row in two queues beside an undo",
        (X, S._replace(after=0), U),
        Budget(faults=1, stale=1, jumps=1),
        TWO_TAGS,
        settings=QUEUED,
    ),
    Scenario(
        "a row in two queues, two people a row",
        (X, S._replace(after=0)),
        Budget(kills=1, faults=1, jumps=1),
        TWO_TAGS,
        settings=(*QUEUED, *SHARED),
    ),
    Scenario(
        "the list changes",
        TWO,
        Budget(kills=1, faults=1, stale=1, jumps=2),
        lists=("AB", "B"),
        marks=(46, 121),
    ),
    Scenario("one invocation, twice", (X, TWIN, Y), Budget(kills=1, jumps=1)),
    Scenario(
        "rows refused for good, and a cap",
        TWO,
        Budget(kills=1, faults=1, jumps=1),
        TWO_ROWS,
        settings=CAPPED,
        hopeless=frozenset({"r1"}),
    ),
    Scenario("runs that stand still", TWO, Budget(freezes=2, finishes=1, jumps=2), marks=(14, 46)),
    Scenario("two runs beside an undo", BESIDE, Budget(kills=1, faults=1, stale=1, jumps=1)),
    Scenario(
        "two runs beside an undo, time",
        BESIDE,
        Budget(faults=1, stale=1, jumps=3),
        marks=(14, 28, 44, 46),
    ),
    Scenario(
        "two runs beside an undo, people",
        BESIDE,
        Budget(stale=1, finishes=1, leaves=1, jumps=2),
        marks=(46, 121),
    ),
    Scenario("two rows and an undo", BESIDE, Budget(faults=1, jumps=1), TWO_ROWS, ("ABC",)),
    Scenario("an undo that stands still", BESIDE, Budget(freezes=1, jumps=2), marks=(14, 46)),
    Scenario("three runs beside an undo", (*THREE, U), Budget(faults=1, jumps=1)),
    Scenario("the second run is undone", (X, Y, R), Budget(kills=1, faults=2, jumps=2)),
    Scenario("both runs are undone", (X, Y, U, R), Budget(faults=1, jumps=1)),
    Scenario("the loser is undone", (X, Y, LOSER), Budget(kills=1, faults=1, jumps=1)),
    Scenario("two undos of one run", (X, U, V), Budget(kills=1, faults=2, stale=1, jumps=2)),
    Scenario(
        "a run beside a take-back",
        (X, Y, T),
        Budget(kills=1, faults=1, stale=1, jumps=1),
        marks=(119, 121),
    ),
    Scenario(
        "a run beside a take-back, people",
        (X, Y, T),
        Budget(faults=1, finishes=1, leaves=1, jumps=2),
        marks=(121,),
    ),
    Scenario(
        "a take-back that stands still", (X, Y, T), Budget(freezes=1, jumps=2), marks=(14, 121)
    ),
    Scenario("two take-backs beside a run", (X, Y, T, D), Budget(faults=1, jumps=1), marks=(1441,)),
    Scenario(
        "a take-back by days that is killed or refused",
        (X, D),
        Budget(kills=1, faults=1, jumps=1),
        marks=(1441,),
    ),
    Scenario("an undo beside a take-back", (X, U, T), Budget(kills=1, jumps=1), marks=(121,)),
    Scenario("two undos of one run beside another", (X, Y, U, V), Budget(faults=1, jumps=1)),
    Scenario("two undos of one run, lagging reads", (X, Y, U, V), Budget(stale=1, jumps=2)),
)
"""For `make explore`."""
