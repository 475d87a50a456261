"""The hourly run that finds nothing to do: exactly what it asks."""

import json
import os
import re
import subprocess
import sys
import uuid

from lib.deadline import Deadline
from lib.run import run
from local.aws import LocalAws, forget_real_aws
from local.braintrust.server import LocalBraintrust

TAG = "review"


class Idle:
    """A project whose rows have all been handed out, and the requests of whatever runs there."""

    def __init__(self, braintrust: LocalBraintrust, aws: LocalAws) -> None:
        self._braintrust = braintrust
        self._aws = aws
        aws.prepare(braintrust.api_key, braintrust.store.add_user("someone@example.com"))
        braintrust.store.add_rows(100, tag=TAG)
        os.environ |= aws.variables  # where the SDK looks
        self._environ = dict(os.environ) | {
            "PROJECT_ID": braintrust.project_id,
            "TAG": TAG,
            "BRAINTRUST_API_URL": braintrust.url,
        }

    def requests(self) -> list[str]:
        """What one run asks: of AWS first, then of Braintrust."""
        self._aws.requests.clear()
        self._braintrust.requests.clear()
        run({}, self._environ, Deadline(lambda: 60_000), str(uuid.uuid4()))
        asked = [f"{record.method} {record.path}" for record in self._braintrust.requests]
        return [_short(request) for request in (*self._aws.requests, *asked)]


def _short(request: str) -> str:
    request = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "<id>", request)
    return re.sub(r"date=[^/]+/[^/]+\.json", "date=<date>/<run>.json", request)


def measure() -> dict[str, list[str]]:
    """Requests by situation: a run with work to do, and an idle one."""
    forget_real_aws()
    with LocalBraintrust() as braintrust, LocalAws() as aws:
        idle = Idle(braintrust, aws)
        return {"a run that hands out 100 rows": idle.requests(), "an idle run": idle.requests()}


def idle_requests() -> dict[str, list[str]]:
    """`measure` in a process of its own, which swallows the log lines."""
    command = [sys.executable, "-m", "benchmarks.idle"]
    ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603 - our own module
    found: dict[str, list[str]] = json.loads(ran.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    print("\n" + json.dumps(measure()))
