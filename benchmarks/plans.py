"""How long it takes to find out who had a row last: a month of hourly plans, over an S3 that takes its time."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from lib.aws import Aws
from lib.bucket import AuditBucket
from lib.chain import Chain
from lib.deadline import Deadline
from lib.distribution import Assignment
from lib.gifts import Gifts
from lib.plan import Carried, Plan
from lib.settings import load_settings
from local.aws import LocalAws, forget_real_aws

HOURS, ROWS = 720, 50
LATENCY = 0.02  # seconds a request
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


class SlowAws(LocalAws):
    """Takes a while to answer, once it is told to."""

    latency = 0.0

    def answer(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        time.sleep(self.latency)
        return super().answer(environ, start_response)


def measure(hours: int, rows: int, latency: float) -> dict[str, float]:
    """Seconds to find what the oldest of so many plans gave, and the requests for it."""
    forget_real_aws()
    with SlowAws() as aws:
        aws.prepare("key", "reviewer")
        os.environ |= aws.variables
        settings = load_settings(
            os.environ | {"PROJECT_ID": "00000000-0000-4000-8000-000000000000", "TAG": "review"}
        )
        bucket = AuditBucket(Aws(os.environ).s3(), settings)
        chain = Chain(bucket, NOON)
        write_plans(bucket, settings.project_id, hours, rows)
        aws.latency = latency
        aws.requests.clear()
        began = time.monotonic()
        past = chain.read()
        oldest = NOON - timedelta(hours=hours)
        found, _ = Gifts(bucket, chain).newest(
            past, {"0-0": oldest.timestamp()}, Deadline(lambda: 900_000)
        )
        took = time.monotonic() - began
        return {"seconds": took, "requests": len(aws.requests), "found": len(found)}


def write_plans(bucket: AuditBucket, project: str, hours: int, rows: int) -> None:
    """A chain of plans, so many rows each, which carry along those of the two before."""
    previous: str | None = None
    carried: list[Carried] = []
    for hour in range(hours):
        moment = NOON - timedelta(hours=hours - hour - 1)
        run_id = f"{moment:%Y%m%dT%H%M%SZ}-plan"
        given = [Assignment(f"{hour}-{row}", ("someone",)) for row in range(rows)]
        bounds = {"from": "2026-10-01T00:00:00.000Z", "to": "2026-11-23T12:00:00.000Z"}
        plan = Plan(
            project, "review", bounds, moment, assignments=given, carried=carried, previous=previous
        )
        previous = bucket.key(run_id, "plans")
        bucket.put(previous, plan.to_json(run_id))
        made = [Carried(row, who, moment, run_id, confirmed=True) for row, who in given]
        carried = [*carried[-rows:], *made]
    committed = {"run_id": run_id, "plan": previous, "committed_at": f"{moment:%Y-%m-%dT%H:%M:%SZ}"}
    bucket.put(bucket.ledger, [json.dumps(committed)])


def plans(hours: int = HOURS, rows: int = ROWS, latency: float = LATENCY) -> dict[str, float]:
    """`measure` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.plans", str(hours), str(rows), str(latency)]
    ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603 - our own module
    found: dict[str, float] = json.loads(ran.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    of_plans, of_rows, of_a_request = sys.argv[1:]
    print("\n" + json.dumps(measure(int(of_plans), int(of_rows), float(of_a_request))))
