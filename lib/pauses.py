"""How long until another try: the greater of our doubling pause and what the server asks for."""

import random
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

FIRST_PAUSE = 1.0  # seconds, doubled with every try, with jitter
FIRST_PAUSE_THROTTLED_QUERY = 4.0  # an allowance of 20 queries a minute is normal
LONGEST_PAUSE = 60.0  # of our own
LONGEST_ASKED = 900.0  # a longer Retry-After reads as this: no run lasts that long
MOST_DOUBLINGS = 10


def own_pause(tries: int, *, throttled_query: bool) -> float:
    """Seconds after the `tries`-th try, between half and all of what doubling makes.

    So clients fall out of step.
    """
    first = FIRST_PAUSE_THROTTLED_QUERY if throttled_query else FIRST_PAUSE
    longest = min(LONGEST_PAUSE, first * 2.0 ** min(tries - 1, MOST_DOUBLINGS))
    return longest * (1 + random.random()) / 2  # noqa: S311 - jitter


def asked_pause(retry_after: str | None) -> float:
    """A Retry-After header, in seconds or as a date, as 0 to LONGEST_ASKED seconds.

    It is 0 where the header says nothing usable.
    """
    text = (retry_after or "").strip()
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        return min(LONGEST_ASKED, float(text))
    try:
        until = parsedate_to_datetime(text)
        until = until.replace(tzinfo=until.tzinfo or UTC)
        seconds = (until - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError, OverflowError, IndexError):
        return 0.0
    return min(LONGEST_ASKED, max(0.0, seconds))
