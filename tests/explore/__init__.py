"""Every interleaving of a few runs, by the real code: `python -m tests.explore`.

`tape.py` runs the product against answers that are written down, up to the first request that has none. `stores.py` is
S3 and Braintrust in memory, `world.py` everything that may happen next, `rules.py` what must never be. `search.py` goes
through all histories of a scenario, `mutants.py` breaks the product's rules one by one. Nothing sleeps and no clock runs.
"""
