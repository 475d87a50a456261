"""A backlog behind a limit on queries, hour after hour: what each run hands out, and whether any row is passed over.

`python -m benchmarks.backlog` (`make bench ARGS=--backlog`). The clock is set on by an hour from run to run. What a limit
of so many queries a minute leaves a run of ten minutes is simulated by MAX_PAGES.
"""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import timedelta

from lib.deadline import Deadline
from lib.run import run
from local.aws import LocalAws, forget_real_aws
from local.braintrust.server import LocalBraintrust
from local.screen import Screen

ROWS, QUERIES_A_MINUTE, MINUTES = 300_000, 20, 10
SHARE = 4  # others of the organisation use the rest of its allowance
TAG = "review"
MOST_RUNS = 100


def hours(rows: int, pages: int, limit: int = 1000) -> Iterator[dict[str, int | str]]:
    """Runs of at most so many pages until nothing waits; of each what it read, gave and asked.

    Raises ValueError where a run gives a row while an older one waits.
    """
    forget_real_aws()
    with LocalBraintrust() as braintrust, LocalAws() as aws:
        store = braintrust.store
        people = [store.add_user(f"reviewer{number}@example.com") for number in range(5)]
        aws.prepare(braintrust.api_key, ",".join(people))
        os.environ |= aws.variables  # where the SDK looks
        store.add_rows(rows, tag=TAG)
        environ = dict(os.environ) | {
            "PROJECT_ID": braintrust.project_id,
            "TAG": TAG,
            "BRAINTRUST_API_URL": braintrust.url,
            "MAX_PAGES": str(pages),
            "LIMIT": str(limit),
        }
        moment = store.clock()
        for _ in range(MOST_RUNS):
            store.clock.set(moment)  # type: ignore[attr-defined] # it is one that can be set
            braintrust.requests.clear()
            result = run({}, environ, Deadline(lambda: 900_000), str(uuid.uuid4()), lambda: moment)  # noqa: B023 - it runs now
            waiting = _waiting(list(store.assignments().values()))
            yield {name: result[name] for name in ("read", "fetched", "assigned")} | {
                "queries": braintrust.requests.count("query"),
                "waiting": waiting,
            }
            if not waiting:
                return
            moment += timedelta(hours=1)


def _waiting(newest_first: list[tuple[str, ...]]) -> int:
    """How many rows nobody has. Raises ValueError unless they are the newest ones, and everybody else has one."""
    waiting = newest_first.count(())
    if any(newest_first[:waiting]) or {len(who) for who in newest_first[waiting:]} != {1}:
        raise ValueError("a row was passed over, or has two reviewers")
    return waiting


def drain(rows: int, pages: int, limit: int = 1000) -> list[dict[str, int | str]]:
    """`hours` in a process of its own, which swallows the log lines."""
    command = [sys.executable, "-m", "benchmarks.backlog", str(rows), str(pages), str(limit)]
    ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603 - our own module
    found: list[dict[str, int | str]] = json.loads(ran.stdout.splitlines()[-1])
    return found


def backlog(screen: Screen) -> None:
    """Print a table of the runs, and check that they end."""
    pages = QUERIES_A_MINUTE * MINUTES // SHARE
    screen.head(f"A backlog of {ROWS:,} rows; {pages} pages of 1,000 rows an hour")
    runs = drain(ROWS, pages)
    heads = ("Hour", "Read", "Fetched", "Assigned", "Queries", "Waiting")
    screen.table(heads, ((number, *run.values()) for number, run in enumerate(runs, 1)), left=2)
    least = -(-ROWS // (pages * 1000))
    screen.check(
        f"{len(runs)} runs, of which {least} are needed; always the oldest rows first",
        ok=len(runs) <= least + 1 and not runs[-1]["waiting"],
    )


if __name__ == "__main__":
    found = list(hours(*map(int, sys.argv[1:])))
    print("\n" + json.dumps(found))
