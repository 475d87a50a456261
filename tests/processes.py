"""Runs in processes of their own, which can be killed at any of their requests."""

import contextlib
import multiprocessing
import os
import random
import signal
import socket
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from typing import Any

import boto3
import urllib3

from lib import pauses
from lib.deadline import Deadline
from lib.errors import AssignerError
from lib.run import run
from lib.wire import THREAD

LATEST = 1.8  # seconds that a look-up takes; more than a run has whose time runs out

for service in (
    "s3",
    "ssm",
    "secretsmanager",
):  # so that a forked run need not read the service models again
    boto3.client(service, region_name="us-east-1", endpoint_url="http://127.0.0.1:1")

forkserver = multiprocessing.get_context("forkserver")
forkserver.set_forkserver_preload(["__main__", "tests.processes"])


@dataclass
class Death:
    """SIGKILL at the nth request, just before it is sent or just after it is answered."""

    at_request: int
    answered: bool = False


@dataclass
class Running:
    """A run in its own process."""

    process: Any
    pipe: Connection
    result: dict[str, Any] | None = field(default=None)
    error: str | None = field(default=None)
    requests: int = 0

    def join(self) -> "Running":
        """Wait for the end; the result, or the error's name and message, or neither if it was killed."""
        with contextlib.suppress(EOFError):
            self.result, self.error, self.requests = self.pipe.recv()
        self.process.join(60)
        return self


def start(
    environ: dict[str, str],
    event: object = None,
    death: Death | None = None,
    seconds: float = 20,
    ahead: timedelta = timedelta(),
    late: int | None = None,
) -> Running:
    """Begin a run in a process of its own, whose clock is `ahead` of the real one.

    `late`: the seed by which some of its attempts connect late, up to seconds after they were begun.
    """
    here, there = forkserver.Pipe(duplex=False)
    process = forkserver.Process(
        target=_child, args=(there, environ, event, death, seconds, ahead, late), daemon=True
    )
    process.start()
    there.close()
    return Running(process, here)


def _child(
    pipe: Connection,
    environ: dict[str, str],
    event: object,
    death: Death | None,
    seconds: float,
    ahead: timedelta,
    late: int | None,
) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.environ |= environ
    pauses.FIRST_PAUSE, pauses.FIRST_PAUSE_THROTTLED_QUERY, pauses.LONGEST_PAUSE = (0.02, 0.05, 0.1)
    if late is not None:
        _connect_late(random.Random(late))  # noqa: S311 - reproducible, not secret
    requests = _count_requests(death)
    result = error = None
    try:
        result = run(
            event,
            environ,
            Deadline(lambda: seconds * 1000),
            f"request-{os.getpid()}",
            lambda: datetime.now(UTC) + ahead,
        )
    except AssignerError as problem:
        error = f"{type(problem).__name__}: {problem}"
    if late is not None:
        time.sleep(
            LATEST
        )  # a container that thaws again: what was still connecting must not send now
    pipe.send((result, error, len(requests)))


def _connect_late(chance: random.Random) -> None:
    """Some look-ups of names take long, those of requests to Braintrust."""
    look_up = socket.getaddrinfo

    def slow(*args: Any, **how: Any) -> Any:
        if threading.current_thread().name == THREAD and chance.random() < 0.3:
            time.sleep(chance.choice([0.1, 1.0, LATEST]))
        return look_up(*args, **how)

    socket.getaddrinfo = slow


def _count_requests(death: Death | None) -> list[str]:
    """Every request, to AWS and to Braintrust, goes through urllib3."""
    seen: list[str] = []
    send = urllib3.HTTPConnectionPool.urlopen

    def counted(self: Any, method: str, url: str, *args: Any, **more: Any) -> Any:
        seen.append(f"{method} {url}")
        mine = len(seen)
        if death and mine == death.at_request and not death.answered:
            os.kill(os.getpid(), signal.SIGKILL)
        answer = send(self, method, url, *args, **more)
        if death and mine == death.at_request:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    urllib3.HTTPConnectionPool.urlopen = counted  # type: ignore[method-assign]
    return seen
