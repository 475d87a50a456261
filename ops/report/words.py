"""Days and lengths of time, as the page says them."""

from datetime import date, timedelta


def span(length: timedelta) -> str:
    """`40 min`, `5 h`, `3 days`."""
    minutes = round(length.total_seconds() / 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes / 60:.0f} h" if minutes < 48 * 60 else f"{minutes / 1440:.0f} days"


def day(at: date) -> str:
    return f"{at.day} {at:%b}"
