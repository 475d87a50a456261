import os
from tests.explore import rules
if os.environ.get("ONLY"):
    was = rules._wrong_plan
    rules._wrong_plan = lambda *a: [w for w in was(*a) if "confirmed" not in w and "within 45" not in w]
import sys
from tests.explore.scenarios import SMALL
from tests.explore.search import explore, shortest
for s in SMALL:
    f = explore(s)
    print(f.scenario, f.histories, f.states, f.ends, f.plays, round(f.seconds,1), f.wrong, flush=True)
    if f.wrong:
        f = shortest(s)
        print(f.scenario, f.states, f.ends, f.plays, round(f.seconds,1), f.wrong)
        print("\n".join(f.history))
