"""The time as the server sees it."""

from datetime import UTC, datetime, timedelta


class Clock:
    """The time as the server sees it: the real one, until a test sets or advances it."""

    def __init__(self) -> None:
        self._frozen: datetime | None = None
        self._offset = timedelta()

    def __call__(self) -> datetime:
        return self._frozen or datetime.now(UTC) + self._offset

    def set(self, moment: datetime) -> None:
        """Stop the clock at a moment."""
        self._frozen = moment.astimezone(UTC)

    def advance(self, seconds: float) -> None:
        """Move on, forwards or back; a running clock goes on running."""
        if self._frozen is None:
            self._offset += timedelta(seconds=seconds)
        else:
            self._frozen += timedelta(seconds=seconds)

    def run(self) -> None:
        """Go back to real time."""
        self._frozen, self._offset = None, timedelta()
