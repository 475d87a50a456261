"""One contender in a process of its own: `python -m benchmarks.client ours|script`, steered by the environment.

It runs once on an empty project, as a warm container has; then for real, measured. The last line it prints is
what was measured, as JSON.
"""

import cProfile
import json
import os
import pstats
import resource
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import requests

import handler
import lib.assign
from benchmarks.published_script import Script

SECONDS = 900.0


def ours(project_id: str) -> int:
    context = SimpleNamespace(
        aws_request_id=str(uuid.uuid4()), get_remaining_time_in_millis=lambda: SECONDS * 1000
    )
    os.environ["PROJECT_ID"] = project_id
    return int(handler.lambda_handler({}, context)["assigned"])


def script(project_id: str) -> int:
    environ = os.environ
    user_ids = environ["USER_IDS"].split(",")
    url, key = environ["BRAINTRUST_API_URL"], environ["BRAINTRUST_API_KEY"]
    return Script(url, key, project_id, environ["TAG"], user_ids).run()


def measure(job: Callable[[str], int], project_id: str) -> dict[str, Any]:
    """Wall and CPU seconds, and by how many bytes the process's memory grew at its peak."""
    forget_peak()
    memory, usage, began = peak(), resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    assigned = job(project_id)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    return {
        "assigned": assigned,
        "wall": wall,
        "cpu": after.ru_utime + after.ru_stime - usage.ru_utime - usage.ru_stime,
        "growth": peak() - memory,
        "peak": peak(),
    }


def forget_peak() -> None:
    """Let the kernel's high-water mark start from here, where it can."""
    clear = Path("/proc/self/clear_refs")
    if clear.exists():
        clear.write_text("5", "ascii")


def peak() -> int:
    """The most memory this process had, in bytes. Not ru_maxrss on Linux: that includes the parent's."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS: bytes
    line = next(line for line in status.read_text("ascii").splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def profiled(job: Callable[[str], int], project_id: str) -> None:
    """Print where the time goes, the threads that insert included."""
    profiles: list[cProfile.Profile] = []
    lock, send = threading.Lock(), lib.assign._Sender.send  # noqa: SLF001 - the threads' way in

    def watched(self: Any, batch: Any, **how: Any) -> None:  # noqa: ANN401 - as it comes
        profile = cProfile.Profile()
        profile.runcall(send, self, batch, **how)
        with lock:
            profiles.append(profile)

    lib.assign._Sender.send = watched  # type: ignore[method-assign] # noqa: SLF001 - the same
    main_thread = cProfile.Profile()
    main_thread.runcall(job, project_id)
    stats = pstats.Stats(main_thread, *profiles)
    stats.sort_stats("tottime").print_stats(28)
    stats.sort_stats("cumtime").print_stats(r"/(lib|benchmarks)/")


def main() -> None:
    job, project_id = {"ours": ours, "script": script}[sys.argv[1]], os.environ["PROJECT_ID"]
    job(os.environ["EMPTY_PROJECT_ID"])
    requests.delete(f"{os.environ['BRAINTRUST_API_URL']}/_local/requests", timeout=60)
    if "--profile" in sys.argv:
        profiled(job, project_id)
    else:
        print("\n" + json.dumps(measure(job, project_id)))


if __name__ == "__main__":
    main()
