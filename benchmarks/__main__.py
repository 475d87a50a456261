"""`python -m benchmarks` (`make bench`): this product beside the published script, on this machine, in one run."""

import argparse
import math
import subprocess
import sys
import time

from benchmarks.backlog import backlog
from benchmarks.cold_start import compare, import_times
from benchmarks.idle import idle_requests
from benchmarks.many_queues import many_queues
from benchmarks.plans import HOURS, LATENCY, plans
from benchmarks.servers import NONE, Latency, Measured, contend, servers
from benchmarks.steady import WINDOWS, steady
from local.screen import Screen

SLOW = Latency(query=0.3, insert=0.4)
SIZES = (1_000, 30_000, 100_000)
JUDGED = 30_000  # rows
CONCURRENCY = 8  # INSERT_CONCURRENCY's default
PAGE = BATCH = 1000
MOST_WALL, MOST_ABOVE_IDEAL, MOST_CPU, MOST_COLD, MOST_BYTES = 0.6, 1.1, 1.2, 1.15, 400

MOST_PLANS = 20  # seconds

parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
parser.add_argument(
    "--quick", action="store_true", help="without 100,000 rows and a slow API, and each once"
)
parser.add_argument(
    "--backlog", action="store_true", help="only show how a backlog of 300,000 rows drains"
)
parser.add_argument(
    "--queues", action="store_true", help="only show what many queues in one deployment cost"
)
parser.add_argument(
    "--profile",
    metavar="ROWS",
    type=int,
    help="only say where the time goes over so many rows, without latency",
)


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; 1 if a target was missed."""
    options = parser.parse_args(arguments)
    if options.backlog:
        screen = Screen()
        backlog(screen)
        return 1 if screen.failed else 0
    if options.queues:
        screen = Screen()
        many_queues(screen)
        return 1 if screen.failed else 0
    if options.profile:
        profile(options.profile)
        return 0
    screen, began = Screen(), time.monotonic()
    waiting(screen, SIZES[:2] if options.quick else SIZES)
    computing(screen, 1 if options.quick else 4)
    steady(screen, WINDOWS[:1] if options.quick else WINDOWS, SLOW)
    cold_start(screen, 5 if options.quick else 15)
    idle(screen)
    chain_of_plans(screen)
    screen.say(f"\n{len(screen.failed)} targets missed, {time.monotonic() - began:.0f} seconds")
    return 1 if screen.failed else 0


def ideal(rows: int, latency: Latency) -> float:
    """Seconds for the requests that must be made: queries one after the other, inserts perfectly side by side."""
    pages = rows // PAGE + 1  # only an empty page says that there are no more
    return pages * latency.query + math.ceil(math.ceil(rows / BATCH) / CONCURRENCY) * latency.insert


def waiting(screen: Screen, sizes: tuple[int, ...]) -> None:
    """An API as slow as the real one."""
    screen.head(
        f"An API that takes {SLOW.query * 1000:.0f} ms for a page, {SLOW.insert * 1000:.0f} ms for an insert"
    )
    table: list[tuple[object, ...]] = []
    for rows in screen.progress(sizes, "Measuring"):
        least = ideal(rows, SLOW)
        runs = {who: contend(who, rows, SLOW) for who in ("script", "ours")}
        for who, run in runs.items():
            ratios = (f"{run.wall / runs['script'].wall:.2f}", f"{run.wall / least:.2f}")
            table.append((rows, who, f"{run.wall:.1f}", *ratios, *asked(run)))
        table.append(
            (
                rows,
                "ideal",
                f"{least:.1f}",
                f"{least / runs['script'].wall:.2f}",
                "1.00",
                "",
                "",
                "",
            )
        )
        if rows == JUDGED:
            wall, above = runs["ours"].wall / runs["script"].wall, runs["ours"].wall / least
            queries = runs["ours"].requests["query"]
    screen.table(
        ("Rows", "", "Wall s", "Of script", "Of ideal", "Queries", "Inserts", "Look-ups"),
        table,
        left=2,
    )
    screen.check(
        f"{JUDGED:,} rows: {wall:.2f} of the script's time, at most {MOST_WALL}",
        ok=wall <= MOST_WALL,
    )
    screen.check(
        f"{JUDGED:,} rows: {above:.2f} of the ideal, at most {MOST_ABOVE_IDEAL}",
        ok=above <= MOST_ABOVE_IDEAL,
    )
    screen.check(
        f"{JUDGED:,} rows: {queries} queries, as few as can be, and one that proves short reads",
        ok=queries == JUDGED // PAGE + 2,
    )


def computing(screen: Screen, times: int) -> None:
    """An API that answers at once: what is left is our own cost."""
    screen.head(
        f"An API that answers at once: our own cost, {SIZES[-1]:,} rows as the best of {times}"
    )
    table, found = [], {}
    for rows in screen.progress(SIZES, "Measuring"):
        turns = [
            (contend("script", rows, NONE), contend("ours", rows, NONE))
            for _ in range(times if rows == SIZES[-1] else 1)
        ]
        for who, runs in zip(("script", "ours"), zip(*turns, strict=True), strict=True):
            run = found[who, rows] = min(runs, key=lambda run: run.cpu)
            share = run.cpu / found["script", rows].cpu
            grew, most = run.growth / 2**20, run.peak / 2**20
            table.append(
                (
                    rows,
                    who,
                    f"{run.wall:.2f}",
                    f"{run.cpu:.2f}",
                    f"{share:.2f}",
                    f"{grew:.1f}",
                    f"{most:.0f}",
                )
            )
    screen.table(
        ("Rows", "", "Wall s", "CPU s", "CPU of script", "Memory grew MB", "Peak MB"), table, left=2
    )
    most = SIZES[-1]
    cpu = found["ours", most].cpu / found["script", most].cpu
    a_row = {
        who: (found[who, most].growth - found[who, SIZES[1]].growth) / (most - SIZES[1])
        for who in ("ours", "script")
    }
    screen.check(
        f"{most:,} rows: {cpu:.2f} of the script's CPU time, at most {MOST_CPU}", ok=cpu <= MOST_CPU
    )
    screen.check(
        f"{a_row['ours']:.0f} bytes of memory a row from {SIZES[1]:,} to {most:,} rows, less than {MOST_BYTES} "
        f"(script: {a_row['script']:.0f})",
        ok=a_row["ours"] < MOST_BYTES,
    )


def cold_start(screen: Screen, times: int) -> None:
    screen.head(f"Cold start: import the handler and make its three clients, the best of {times}")
    ours, floor = compare(times)
    screen.table(
        ("", "Wall s", "CPU s", "Modules"),
        [
            (
                "boto3, requests, Powertools and three clients",
                *_seconds(floor.wall, floor.cpu),
                int(floor.modules),
            ),
            ("handler and its three clients", *_seconds(ours.wall, ours.cpu), int(ours.modules)),
        ],
    )
    ratio = ours.cpu / floor.cpu
    screen.check(
        f"{ratio:.2f} of the least, in CPU time, at most {MOST_COLD}", ok=ratio <= MOST_COLD
    )
    screen.say("The imports that take longest by themselves (own us, cumulated us, module):")
    for line in import_times(5):
        screen.say(f"  {line}")


def idle(screen: Screen) -> None:
    for situation, requests in idle_requests().items():
        screen.head(f"Requests of {situation}: {len(requests)}")
        for request in requests:
            screen.say(f"  {request}")


def chain_of_plans(screen: Screen) -> None:
    """What a take-back by days has to look up."""
    screen.head(f"Who had a row last: {HOURS} plans, S3 takes {LATENCY * 1000:.0f} ms a request")
    found = plans()
    screen.check(
        f"{found['seconds']:.1f} seconds, {found['requests']} requests, in less than {MOST_PLANS} seconds",
        ok=found["seconds"] < MOST_PLANS and found["found"] == 1,
    )


def asked(run: Measured) -> tuple[int, int, int]:
    """Queries, inserts, anything else."""
    queries, inserts = run.requests["query"], run.requests["insert"]
    return queries, inserts, run.requests.total() - queries - inserts


def _seconds(*values: float) -> list[str]:
    return [f"{value:.3f}" for value in values]


def profile(rows: int) -> None:
    """Print where one run spends its time."""
    with servers(rows, NONE) as environ:
        command = [sys.executable, "-m", "benchmarks.client", "ours", "--profile"]
        subprocess.run(command, env=environ, check=True)  # noqa: S603 - our own module


if __name__ == "__main__":
    sys.exit(main())
