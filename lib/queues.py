"""One invocation, many runs: a queue after the other, each in its part of the time.

Each runs whatever becomes of those before.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from lib.deadline import Deadline
from lib.errors import AssignerError, QueuesError
from lib.load import Invocation
from lib.result import Result
from lib.settings import Settings
from lib.telemetry import Meter, logger

T = TypeVar("T")
One = Callable[[Settings, Deadline], T]
"""Does one queue's work by these settings, in this time. Raises an AssignerError."""
LONGEST_REASON = 300  # characters of what a failed queue says
STATUSES = (
    *("incomplete", "assigned", "taken_back", "nothing_to_assign", "nothing_to_take_back"),
    "dry_run",
)
"""Of one queue; the first of these that any has is that of all."""


def run_alone(invocation: Invocation, one: One[T]) -> T:
    """The only run, of a queue or where there are none.

    What it comes to, and its error, are raised as they are.
    """
    (settings,) = invocation.runs
    with named(settings.queue):
        return one(settings, invocation.deadline)


def run_each(invocation: Invocation, one: One[T]) -> tuple[dict[str, T], dict[str, AssignerError]]:
    """One queue after the other: what each comes to, and the errors of those that failed."""
    results: dict[str, T] = {}
    failures: dict[str, AssignerError] = {}
    for place, settings in enumerate(invocation.runs):
        deadline = part_of(invocation.deadline, len(invocation.runs) - place)
        with named(settings.queue):
            try:
                results[settings.queue] = one(settings, deadline)
            except AssignerError as error:
                failures[settings.queue] = error
    return results, failures


def run_queues(invocation: Invocation, one: One[Result], meter: Meter) -> Result:
    """Run each queue; section 9's object.

    Raises QueuesError once all of them have run, if any failed.
    """
    results, failures = run_each(invocation, one)
    real = [run.queue for run in invocation.runs if not run.dry_run]
    meter.add(
        {"QueuesFailed": len(failures)} | ({"RunSucceeded": 0} if {*real} & {*failures} else {})
    )
    raise_if_any(failures, invocation)
    statuses = {result["status"] for result in results.values()}
    status = next(status for status in STATUSES if status in statuses)
    return {"status": status, "queues": results}


def raise_if_any(failures: Mapping[str, AssignerError], invocation: Invocation) -> None:
    """Raise QueuesError if queues failed."""
    if failures:
        raise QueuesError(words_of(failures, len(invocation.runs)))


def part_of(deadline: Deadline, queues: int) -> Deadline:
    """The time of the first of so many queues: half of what is left, or an equal part if more."""
    return deadline.within(deadline.left() * max(0.5, 1 / queues))


def words_of(failures: Mapping[str, AssignerError], count: int) -> str:
    """Which queues failed, and why."""
    reasons = (
        f"- {name}: {type(error).__name__}: {str(error)[:LONGEST_REASON]}"
        for name, error in failures.items()
    )
    return "\n".join((f"{len(failures)} of {count} queues failed:", *reasons))


@contextmanager
def named(queue: str) -> Iterator[None]:
    """For as long as this lasts, every log line says whose it is."""
    if not queue:
        yield
        return
    logger.append_keys(queue=queue)
    try:
        yield
    finally:
        logger.remove_keys(["queue"])
