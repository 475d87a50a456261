"""All histories of the large worlds, then each broken rule: `python -m tests.explore`."""

import argparse
import sys
from collections.abc import Iterable

from tests.explore.mutants import MUTANTS, Mutant
from tests.explore.scenarios import LARGE
from tests.explore.search import Found, explore, shortest
from tests.explore.state import Scenario


def main() -> int:
    """Print a line a scenario and a mutant. 1, if a promise was broken, or a broken rule was not found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="only what has one of these in its name")
    parser.add_argument("--most", type=int, default=10**9, help="states a search, at most")
    options = parser.parse_args()
    chosen = [scenario for scenario in LARGE if _is_named(scenario.name, options.names)]
    mutants = [mutant for mutant in MUTANTS if _is_named(mutant.name, options.names)]
    broken = sum(_explored(scenario, options.most) for scenario in chosen)
    missed = sum(_missed(mutant, options.most) for mutant in mutants)
    print(f"{broken} of {len(chosen)} worlds break a promise")
    print(f"{missed} of {len(mutants)} broken rules were not found")
    return 1 if broken or missed else 0


def _is_named(name: str, wanted: Iterable[str]) -> bool:
    return not wanted or any(word in name for word in wanted)


def _explored(scenario: Scenario, most: int) -> bool:
    found = explore(scenario, most)
    if found.wrong:
        shorter = shortest(scenario, most)
        found = shorter if shorter.wrong else found
    end = "" if found.complete or found.wrong else " CUT SHORT"
    print(
        f"{scenario.name}: {found.histories:,} histories, {found.states:,} states, "
        f"{found.ends:,} ends, {found.plays:,} plays, {found.seconds:.0f} s{end}",
        flush=True,
    )
    _tell(found)
    return bool(found.wrong)


def _missed(mutant: Mutant, most: int) -> bool:
    with mutant.at_work():
        found = shortest(mutant.scenario, most)
    print(
        f"broken rule: {mutant.name}: {'found' if found.wrong else 'NOT FOUND'} after "
        f"{found.states:,} states, {found.seconds:.1f} s",
        flush=True,
    )
    _tell(found)
    return not found.wrong


def _tell(found: Found) -> None:
    for sentence in found.history:
        print(f"    {sentence}")
    for wrong in found.wrong:
        print(f"  * {wrong}")


if __name__ == "__main__":
    sys.exit(main())
