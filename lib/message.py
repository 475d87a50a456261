"""The digest's text: rows open, rows waiting, who has how many; in words that call nobody. Pure."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from lib.names import UNSEEN, compared
from lib.roster import User

LONGEST = 4000
"""Characters of the whole text; a chat cuts a longer one somewhere, or refuses it."""
LONGEST_NAME = 60
SHORT_ID = 8
LOOK_ALIKES = str.maketrans(
    {
        "<": "\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}",
        ">": "\N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK}",
        "&": "\N{FULLWIDTH AMPERSAND}",
        "@": "\N{FULLWIDTH COMMERCIAL AT}",
    }
)
"""What calls people, or makes links, in Slack, Mattermost or Google Chat."""
UNREAD = "could not be read"
UNSEEN_ROWS = "Not every row was seen: there may be more."


class Heading(NamedTuple):
    """What there is of one tag, or of one queue."""

    name: str
    open: int | None
    """Rows that somebody has and has not finished; None: it could not be read."""
    waiting: int = 0
    """Rows that need a reviewer."""


def message(
    headings: Sequence[Heading],
    people: Mapping[str, int],
    labels: Mapping[str, str],
    notes: Sequence[str] = (),
) -> str:
    """The text: a line a heading, the notes, then a line a person with open rows, most rows first.

    `people`: open rows by user id; `labels`: what they are called, if not by their ids. What does
    not fit is counted at the end.
    """
    lines = [
        f"{cleaned(name)}: {UNREAD}"
        if count is None
        else f"{cleaned(name)}: {count} open, {waiting} waiting for a reviewer"
        for name, count, waiting in headings
    ]
    lines += notes
    having = sorted(
        (-count, labels.get(who) or cleaned(who), who) for who, count in people.items() if count > 0
    )
    lines += [f"{label}: {-count}" for count, label, _ in having]
    return _fitted(lines)


def labels_of(ids: Iterable[str], users: Iterable[User]) -> dict[str, str]:
    """What people are called: first name, else the address before its `@`, else the id's beginning.

    Who would read the same as somebody else has the beginning of the id as well.
    """
    known = {compared("id", user.id): user for user in users}
    plain = {who: _first_name(known.get(compared("id", who))) or _short(who) for who in ids}
    often = Counter(plain.values())
    return {
        who: f"{label} {_short(who)}" if often[label] > 1 else label for who, label in plain.items()
    }


def cleaned(text: str) -> str:
    """The text on one line of LONGEST_NAME characters, without what is unseen or calls people."""
    visible = UNSEEN.sub("", unicodedata.normalize("NFC", text))
    words = "".join(each if each.isprintable() else " " for each in visible).split()
    line = " ".join(words).translate(LOOK_ALIKES)
    return line if len(line) <= LONGEST_NAME else f"{line[: LONGEST_NAME - 1]}…"


def _first_name(user: User | None) -> str:
    if user is None:
        return ""
    return cleaned(user.given_name) or cleaned(user.email.partition("@")[0])


def _short(user_id: str) -> str:
    return cleaned(user_id[:SHORT_ID])


def _fitted(lines: Sequence[str]) -> str:
    """As many of the lines as fit, and how many more there are."""
    whole = "\n".join(lines)
    if len(whole) <= LONGEST:
        return whole
    kept: list[str] = []
    length = len(f"and {len(lines)} more")
    for line in lines:
        length += len(line) + 1
        if length > LONGEST:
            break
        kept.append(line)
    return "\n".join([*kept, f"and {len(lines) - len(kept)} more"])
