"""How much of an invocation is left, and which part of it the work may use."""

import time
from collections.abc import Callable
from typing import Self


class Deadline:
    """Seconds left, read from Lambda's own count and from a clock of ours, whichever is lower.

    Two readings, because Lambda's count is the truth and the clock still ends a run whose caller
    (a test, a console) hands in a count that never falls.
    """

    def __init__(
        self,
        remaining_ms: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
        reserve: float = 0.0,
        ends_at: float | None = None,
    ) -> None:
        self._remaining_ms = remaining_ms
        self._clock = clock
        self._reserve = reserve
        self._ends_at = clock() + remaining_ms() / 1000 if ends_at is None else ends_at

    def left(self) -> float:
        """Seconds until new work must not start any more; negative once that moment has passed."""
        return min(self._remaining_ms() / 1000, self._ends_at - self._clock()) - self._reserve

    def sooner(self, seconds: float) -> Self:
        """The same end, `seconds` earlier: what is kept back for a later step."""
        return type(self)(self._remaining_ms, self._clock, self._reserve + seconds, self._ends_at)
