"""What everybody has: rows open, rows reviewed, and for how long the oldest has lain. Pure."""

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import timedelta
from itertools import chain

from lib.names import shown
from lib.roster import Roster
from lib.rows import Fetched, Row, Window

Numbers = dict[str, dict[str, float | int | None]]


def people_of(fetched: Fetched, roster: Roster, window: Window) -> dict[str, Numbers]:
    """The result's `people`: everybody on the list, and whoever else has open rows.

    `{"people": {user id: {"open", "reviewed", "oldest_open_hours"}}}` after a complete full read;
    nothing after any other read.
    """
    if fetched.short or not fetched.complete:
        return {}
    open_now, reviewed, oldest = Counter[str](), Counter[str](), dict[str, float]()
    for row in fetched.assigned:
        for person in row.reviewers:
            if row.reviewed:
                reviewed[person] += 1
            else:
                open_now[person] += 1
                oldest[person] = min(oldest.get(person, row.created), row.created)
    end = window.end.timestamp()
    everybody = dict.fromkeys([*(who.id for who in roster.reviewers), *sorted(open_now)])
    return {
        "people": {
            person: {
                "open": open_now[person],
                "reviewed": reviewed[person],
                "oldest_open_hours": round((end - oldest[person]) / 3600, 1)
                if person in oldest
                else None,
            }
            for person in everybody
        }
    }


def open_rows_warnings(fetched: Fetched, roster: Roster, window: Window, days: int) -> list[str]:
    """After a full read: open rows about to leave the window, and those of people not listed."""
    if fetched.short:
        return []
    is_open = [row for row in fetched.assigned if not row.reviewed]
    return [
        *leaving(
            is_open,
            "rows that nobody has finished leave the window within",
            "ask whoever has them, or raise DAYS",
            window,
            days,
        ),
        *with_strangers(is_open, {who.id for who in roster.reviewers}),
    ]


def with_strangers(is_open: Sequence[Row], listed: Collection[str]) -> list[str]:
    """A warning about open rows of people who are not on the list."""
    strange = [[who for who in row.reviewers if who not in listed] for row in is_open]
    count = sum(map(bool, strange))
    if not count:
        return []
    most = Counter(chain.from_iterable(strange)).most_common(3)
    names = ", ".join(shown(who) for who, _ in most)
    return [f"{count} open rows are with people who are not on the list, such as {names}"]


def leaving(rows: Sequence[Row], what: str, do: str, window: Window, days: int) -> list[str]:
    """A warning about rows that the window is about to leave behind.

    `what` says so of them, `do` what helps.
    """
    margin = timedelta(days=min(1.0, days / 7))
    count = sum(row.created < (window.start + margin).timestamp() for row in rows)
    hours = margin.total_seconds() / 3600
    sentence = f"{count} {what} {hours:.0f} hours: {do}"
    return [sentence] if count else []
