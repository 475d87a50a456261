"""How much of an invocation is left, and which part of it the work may use."""

import time
from collections.abc import Callable
from datetime import datetime
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
        self.clock = clock
        """The clock of ours: seconds, from whatever moment on."""
        self._reserve = reserve
        self._ends_at = clock() + remaining_ms() / 1000 if ends_at is None else ends_at

    def left(self) -> float:
        """Seconds until new work must not start any more; negative once that moment has passed."""
        return min(self._remaining_ms() / 1000, self._ends_at - self.clock()) - self._reserve

    def sooner(self, seconds: float) -> Self:
        """The same end, `seconds` earlier: what is kept back for a later step."""
        return type(self)(self._remaining_ms, self.clock, self._reserve + seconds, self._ends_at)

    def within(self, seconds: float) -> Self:
        """The same end, or `seconds` from now, whichever comes first."""
        ends_at = min(self._ends_at, self.clock() + seconds + self._reserve)
        return type(self)(self._remaining_ms, self.clock, self._reserve, ends_at)

    def until(self, moment: datetime, now: Callable[[], datetime]) -> Self:
        """The same end, or `moment` by the wall clock `now`, whichever comes first.

        A frozen container's other clocks may stand still; the wall clock has moved on when it
        thaws.
        """
        reserve = self._reserve

        def remaining_ms() -> float:
            by_the_wall = (moment - now()).total_seconds() + reserve
            return min(self._remaining_ms(), by_the_wall * 1000)

        ends_at = min(self._ends_at, self.clock() + remaining_ms() / 1000)
        return type(self)(remaining_ms, self.clock, reserve, ends_at)
