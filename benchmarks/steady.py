"""Hour after hour: a window full of rows that people have, and few that are new, or none."""

from benchmarks.braintrust import TAG
from benchmarks.servers import Latency, Measured, run, servers
from local.braintrust.remote import RemoteBraintrust
from local.screen import Screen

WINDOWS = (1_000, 10_000, 100_000)
NEW = 50
MOST_OF_SCRIPT, MOST_ABOVE_EMPTY = 0.1, 2**20
QUERIES = {0: 1, NEW: 2}
"""By new rows, what a short read may ask at most."""
CONTENDERS = {"script": "script", "full": "ours", "short": "ours"}


def hours(contender: str, assigned: int, latency: Latency) -> dict[int, Measured]:
    """A run for each of `QUERIES`, over a window of so many rows that somebody has, after one that proved short reads."""
    asked_for = {"FULL_READ_HOURS": "0" if contender == "full" else "24"}
    ran, rows = dict[int, Measured](), assigned + 1
    with servers(1, latency, assigned) as environ:
        run("ours", environ, rows)
        for new in QUERIES:
            if new:
                remote = RemoteBraintrust(environ["BRAINTRUST_API_URL"])
                remote.post("preload", {"count": new, "tag": TAG, "days": 0.01})
            rows += new
            ran[new] = run(CONTENDERS[contender], environ | asked_for, rows)
    return ran


def steady(screen: Screen, windows: tuple[int, ...], latency: Latency) -> None:
    """Print a table, and check what a short read may cost."""
    screen.head(f"Hour after hour: a window of rows that people have; {NEW} new ones, or none")
    empty = hours("short", 0, latency)
    table = [line(0, new, "short", run, run) for new, run in empty.items()]
    judged: dict[int, dict[str, Measured]] = {}
    for rows in screen.progress(windows, "Measuring"):
        ran = {who: hours(who, rows, latency) for who in CONTENDERS}
        for new in QUERIES:
            runs = {who: ran[who][new] for who in CONTENDERS}
            table += [line(rows, new, who, run, runs["script"]) for who, run in runs.items()]
            judged[new] = runs
    heads = ("Window", "New", "", "Queries", "Wall s", "Of script", "CPU s", "Of script", "Peak MB")
    screen.table(heads, table, left=0)
    for new, runs in judged.items():
        judge(screen, windows[-1], new, runs, empty[new])


def line(
    rows: int, new: int, contender: str, run: Measured, script: Measured
) -> tuple[object, ...]:
    """A line of the table."""
    shares = [
        text
        for ours, theirs in ((run.wall, script.wall), (run.cpu, script.cpu))
        for text in (f"{ours:.2f}", f"{ours / theirs:.2f}" if run is not script else "")
    ]
    return (rows, new, contender, run.requests["query"], *shares, f"{run.peak / 2**20:.1f}")


def judge(screen: Screen, rows: int, new: int, runs: dict[str, Measured], empty: Measured) -> None:
    """The targets; those beside the script at the largest window only."""
    short, script = runs["short"], runs["script"]
    what = f"{rows:,} rows, {new} new"
    queries, most = short.requests["query"], QUERIES[new]
    screen.check(f"{what}: {queries} queries, at most {most}", ok=queries <= most)
    beside_script = (("time", short.wall / script.wall), ("CPU time", short.cpu / script.cpu))
    for name, share in beside_script if rows == WINDOWS[-1] else ():
        screen.check(
            f"{what}: {share:.2f} of the script's {name}, at most {MOST_OF_SCRIPT}",
            ok=share <= MOST_OF_SCRIPT,
        )
    above = short.peak - empty.peak
    screen.check(
        f"{what}: {above / 2**20:.1f} MB above the peak over an empty window, at most 1",
        ok=above <= MOST_ABOVE_EMPTY,
    )
