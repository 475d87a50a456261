"""An organisation in one deployment: many queues, hour after hour, what each invocation asks and takes.

`python -m benchmarks.many_queues` (`make bench ARGS=--queues`). The function runs in a process of its own, warm from the
second hour on; its clock is set on by an hour from run to run.
"""

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from benchmarks.client import peak
from lib.deadline import Deadline
from lib.run import run
from local.aws import QUEUES, LocalAws, forget_real_aws
from local.braintrust.server import LocalBraintrust
from local.screen import Screen

COUNT, PROJECTS, ASSIGNED, NEW, PEOPLE = 20, 5, 200_000, 300, 10
LATENCY = 0.3  # seconds a query
DAY = 24  # hours
MOST_SECONDS = 300  # for the first invocation, which reads everything
MEGABYTE = 2**20


def hours(
    count: int, projects: int, assigned: int, new: int, latency: float, idle: int
) -> Iterator[dict[str, Any]]:
    """The first invocation, one with new rows, and idle ones; of each what it read, gave, asked and took."""
    forget_real_aws()
    with LocalBraintrust() as braintrust, LocalAws() as aws:
        store = braintrust.store
        people = [store.add_user(f"reviewer{number}@example.com") for number in range(PEOPLE)]
        aws.prepare(braintrust.api_key, ",".join(people))
        where = [store.add_project(f"Project {number}") for number in range(projects)]
        queues = [
            {"name": f"q{number}", "tag": f"tag{number}", "project_id": where[number % projects]}
            for number in range(count)
        ]
        aws.set_queues(json.dumps(queues))
        has_it = {
            "~__bt_assignments": people[:1],
            "~__bt_review_lists": {"__bt_default_review_list": {"status": "PENDING"}},
        }
        for queue in queues:
            place = {"tag": queue["tag"], "project_id": queue["project_id"]}
            store.add_rows(assigned // count, metadata=has_it, **place)
            store.add_rows(1, span=timedelta(hours=1), **place)
        braintrust.faults.add("query", latency=latency, times=None)
        environ = dict(os.environ) | aws.variables
        environ |= {"BRAINTRUST_API_URL": braintrust.url, "QUEUES_PARAMETER": QUEUES}
        moment = store.clock()
        with worker(environ) as carry_out:
            for hour in range(2 + idle):
                if hour == 1:
                    for queue in queues:
                        place = {"tag": queue["tag"], "project_id": queue["project_id"]}
                        store.add_rows(new // count, span=timedelta(minutes=30), **place)
                if hour == 2:
                    braintrust.faults.clear()  # what an idle hour asks does not depend on it
                store.clock.set(moment)  # type: ignore[attr-defined] # it is one that can be set
                braintrust.requests.clear()
                yield carry_out(moment) | {"queries": braintrust.requests.count("query")}
                moment += timedelta(hours=1)


@contextmanager
def worker(environ: dict[str, str]) -> Iterator[Any]:
    """A process that carries out invocations: given a moment, what came of it."""
    command = [sys.executable, "-m", "benchmarks.many_queues", "--worker"]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environ, **pipes) as process:  # noqa: S603 - our own module

        def carry_out(moment: datetime) -> dict[str, Any]:
            process.stdin.write(moment.isoformat() + "\n")  # type: ignore[union-attr] # they are pipes
            process.stdin.flush()  # type: ignore[union-attr]
            for line in process.stdout or ():
                if line.startswith("CAME "):
                    came: dict[str, Any] = json.loads(line.removeprefix("CAME "))
                    return came
            raise RuntimeError("the worker has ended")

        yield carry_out


def work() -> None:
    """Carry out an invocation for each moment on standard input."""
    for line in sys.stdin:
        moment, began = datetime.fromisoformat(line.strip()), time.monotonic()
        result = run({}, os.environ, Deadline(lambda: 900_000), str(uuid.uuid4()), lambda: moment)  # noqa: B023 - it runs now
        own = result["queues"].values()
        came = {
            "status": result["status"],
            "full": sum(each["read"] == "full" for each in own),
            "assigned": sum(each["assigned"] for each in own),
            "seconds": round(time.monotonic() - began, 1),
            "peak": peak() // MEGABYTE,
        }
        print(f"CAME {json.dumps(came)}", flush=True)


def many_queues(screen: Screen) -> None:
    """Print a table of the invocations, and check what they cost."""
    screen.head(
        f"{COUNT} queues in {PROJECTS} projects, {ASSIGNED:,} rows that people have, {NEW} new ones; {LATENCY * 1000:.0f} ms a query"
    )
    ran = list(hours(COUNT, PROJECTS, ASSIGNED, NEW, LATENCY, DAY + 2))
    first, busy, *idle = ran
    heads = ("", "Status", "Full reads", "Assigned", "Seconds", "Peak MB", "Queries")
    lines = [("first", first), (f"{NEW} new", busy), ("idle", idle[0]), ("idle, later", idle[-1])]
    screen.table(heads, ((name, *came.values()) for name, came in lines), left=2)
    quiet = [came["queries"] for came in idle if not came["full"]]
    screen.check(f"an idle hour asks {max(quiet)} queries, one a queue", ok={*quiet} == {COUNT})
    most = max(came["full"] for came in idle)
    screen.check(f"after the first hour at most {most} full read an invocation", ok=most == 1)
    screen.check(
        f"the first invocation takes {first['seconds']:.0f} seconds, less than {MOST_SECONDS}",
        ok=first["seconds"] < MOST_SECONDS,
    )


if __name__ == "__main__":
    if sys.argv[1:] == ["--worker"]:
        work()
    else:
        shown = Screen()
        many_queues(shown)
        sys.exit(1 if shown.failed else 0)
