"""Every interleaving of a few runs, by the real code: the small worlds. `make explore` goes through the large ones."""

import pytest

from tests.explore.mutants import MUTANTS, Mutant
from tests.explore.scenarios import SMALL, TWO, X
from tests.explore.search import explore, shortest
from tests.explore.state import Budget, Scenario


@pytest.mark.parametrize("scenario", SMALL, ids=lambda scenario: scenario.name)
def test_no_history_of_a_small_world_breaks_a_promise(scenario: Scenario) -> None:
    found = explore(scenario)
    assert (found.wrong, found.history, found.complete) == ([], [], True)
    assert found.histories > found.states > found.ends > 0


@pytest.mark.parametrize(
    "mutant", [mutant for mutant in MUTANTS if mutant.quick], ids=lambda mutant: mutant.name
)
def test_a_rule_that_is_broken_is_found(mutant: Mutant) -> None:
    with mutant.at_work():
        found = shortest(mutant.scenario)
    assert found.wrong
    assert found.history
    assert not explore(mutant.scenario, 100).wrong, "the rule is whole again"


def test_a_history_is_told_in_words_and_is_the_shortest() -> None:
    (mutant,) = (one for one in MUTANTS if one.name == "an undo ignores later plans")
    with mutant.at_work():
        found = shortest(mutant.scenario)
    assert found.history == [
        "0:00 X starts",
        "0:00 X reads the ledger",
        "0:00 X reads the rows",
        "0:00 X commits r1 to A",
        "0:00 time passes until 0:46",
        "0:46 Y starts",
        "0:46 Y reads the ledger",
        "0:46 Y reads the rows",
        "0:46 Y commits r1 to A",
        "0:46 U (undo of X) starts",
        "0:46 U reads the ledger",
        "0:46 U asks for to_assign_ids of Y",
        "0:46 U asks for assignments of Y",
        "0:46 U reads the rows",
        "0:46 U commits a plan that gives nothing",
    ]
    assert found.wrong == ["the undo frees r1, which a later plan has planned"]


def test_what_nobody_can_promise_is_there_and_is_named() -> None:
    """Between two attempts of one insert a review is set back: the API has no compare-and-set."""
    scenario = Scenario("", (X,), Budget(faults=1, finishes=1), resends=True, strict=True)
    found = shortest(scenario)
    assert found.wrong == ["the finished review of r1 is set back"]
    assert found.history[-3:] == [
        "0:00 X sends: r1 to A, gets no answer, and sends it again",
        "0:00 A finishes the review of r1",
        "0:00 X sends: r1 to A",
    ]


def test_every_order_of_independent_steps_is_one_history() -> None:
    """Two runs of different rows: the first to commit is the first in the chain, and the other starts again."""
    lone = explore(Scenario("", (X,)))
    both = explore(Scenario("", TWO))
    assert (lone.histories, lone.states) == (1, 8)
    assert both.histories > 1000
