"""A Braintrust and an AWS in processes of their own, and contenders that run against them."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from local.aws import CREDENTIALS
from local.braintrust.remote import RemoteBraintrust


@dataclass(frozen=True)
class Latency:
    """Seconds that the API takes to answer."""

    query: float = 0.0
    insert: float = 0.0


NONE = Latency()


@dataclass(frozen=True)
class Measured:
    """One run of one contender."""

    assigned: int
    wall: float
    cpu: float
    growth: int
    """Bytes of memory at the peak, above what the process had before."""
    peak: int
    requests: Counter[str]


@contextmanager
def process(*module: str) -> Iterator[dict[str, Any]]:
    """`python -m module`, for as long as the block lasts; yields the JSON line that it says when it is up."""
    command = [sys.executable, "-m", *module]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:  # noqa: S603 - our own modules
        try:
            yield json.loads(running.stdout.readline())  # type: ignore[union-attr] # it is a pipe
        finally:
            running.kill()


@contextmanager
def servers(rows: int, latency: Latency, assigned: int = 0) -> Iterator[dict[str, str]]:
    """Both servers with fresh rows, after so many that somebody has; yields the environment of a contender."""
    times = ("--query", str(latency.query), "--insert", str(latency.insert))
    count = ("--rows", str(rows), "--assigned", str(assigned))
    with process("benchmarks.braintrust", *count, *times) as there:
        secrets = ("--api-key", there["BRAINTRUST_API_KEY"], "--reviewers", there["USER_IDS"])
        with process("local.aws", *secrets) as variables:
            yield CREDENTIALS | {"PATH": os.environ["PATH"]} | there | variables


def contend(contender: str, rows: int, latency: Latency) -> Measured:
    """One run of `ours` or `script` over fresh rows. Raises ValueError unless each row then has one reviewer."""
    with servers(rows, latency) as environ:
        return run(contender, environ, rows)


def run(contender: str, environ: dict[str, str], rows: int) -> Measured:
    """One run. Raises ValueError unless each of the `rows` then has one reviewer."""
    command = [sys.executable, "-m", "benchmarks.client", contender]
    ran = subprocess.run(command, env=environ, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603 - our own module
    remote = RemoteBraintrust(environ["BRAINTRUST_API_URL"])
    requests = Counter(request["kind"] for request in remote.get("requests"))
    reviewers = Counter(map(len, remote.get("assignments").values()))
    if reviewers != {1: rows}:
        raise ValueError(
            f"{contender}: rows by number of reviewers: {dict(reviewers)}, not {rows} with one"
        )
    return Measured(**json.loads(ran.stdout.splitlines()[-1]), requests=requests)
