"""What Ctrl-C, TERM and a closed terminal do to a trial.

It ends at once, or in order once there is a plan.
"""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Self

from lib.load import AUDIT_RESERVE
from local.function import LAMBDA_SECONDS

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
WORDS = (
    b"\nStopping: nothing more is sent, answers that are due are waited for. "
    b"Once more: not even those.\n"
)


def say() -> None:
    """That it is stopping; printing is not safe where a signal came."""
    with suppress(OSError):
        os.write(2, WORDS)


class Stop:
    """Raises KeyboardInterrupt at a signal.

    Where an end in order is due, takes the time away instead.

    What is left then is what the function keeps for its audit: nothing more is sent, what was done
    is recorded.
    """

    def __init__(self, in_order: Callable[[], bool]) -> None:
        """`in_order`: rows may have been assigned."""
        self.signal: signal.Signals | None = None
        """The one that came first."""
        self.again = False
        self._in_order = in_order
        self._over = False

    def __enter__(self) -> Self:
        # Not what `nohup` has switched off; the others also where a shell started this in the
        # background.
        chosen = [
            sent
            for sent in SIGNALS
            if sent != signal.SIGHUP or signal.getsignal(sent) != signal.SIG_IGN
        ]
        self._before = {sent: signal.signal(sent, self._receive) for sent in chosen}
        return self

    def __exit__(self, *_: object) -> None:
        for sent, before in self._before.items():
            signal.signal(sent, before)

    def remaining_ms(self) -> float:
        """What Lambda tells of the time, as a function that is stopped is to see it."""
        return (AUDIT_RESERVE if self.signal else LAMBDA_SECONDS) * 1000

    def over(self) -> None:
        """From here on signals change nothing: what is left to be done is to say what happened."""
        self._over = True

    @property
    def exit_code(self) -> int:
        """As shells have it."""
        return 128 + self.signal if self.signal else 0

    def _receive(self, sent: int, _: FrameType | None) -> None:
        if self._over:
            return
        self.again = self.signal is not None
        self.signal = self.signal or signal.Signals(sent)
        if self.again or not self._in_order():
            raise KeyboardInterrupt
        say()
