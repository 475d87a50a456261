"""Names: user ids and e-mail addresses, as people paste them, and as they are compared. Pure."""

import json
import re
import unicodedata
from typing import Any, NamedTuple

from lib.errors import masked

UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
# What Unicode says to draw nothing for: byte order mark, zero-width and direction characters, ...
UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)
BLANK_TO_THE_EYE = "\u2800"  # a Braille cell without dots, which counts as printable
# Straight, smart, low; guillemets; corner brackets; primes and accents that stand for them.
QUOTES = (
    "\"'`\u00b4\u00ab\u00bb\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u2032\u2033\u2035\u2036"
    "\u2039\u203a\u2e42\u300c\u300d\u300e\u300f\u301d\u301e\u301f\ufe41\ufe42\ufe43\ufe44\uff02"
    "\uff07\uff62\uff63"
)
BRACKETED = re.compile(rf"<([^<>]*)>[{QUOTES}]*\.?")
MAILTO = re.compile(r"\bmailto:", re.IGNORECASE)
LONGEST_ADDRESS = 320
LONGEST_SHOWN = 100
LONGEST_LOOKED_AT = 2000  # of a value to be shown: a secret is seen whole, and it is quick


class Name(NamedTuple):
    """Somebody, or several people, in a word."""

    kind: str
    """`id` or `email`; in an object of the reviewers list also `group`."""
    text: str
    """An id in lower case, anything else as it was written."""


def read(text: str) -> tuple[list[Name], list[str]]:
    """Who is named in plain text, and every entry in it that is neither an id nor an address.

    Entries stand between commas, semicolons, blanks or lines. Words before an address in brackets,
    back to the last address, id, semicolon or line, are its name: `Souza, Ana <ana@example.com>`.
    """
    names: list[Name] = []
    others: list[str] = []

    def take(words: list[str]) -> None:
        for word in words:
            if name := named(word):
                names.append(name)
            elif word.strip(QUOTES):
                others.append(word)

    for line in MAILTO.sub("", UNSEEN.sub("", text)).splitlines():
        for part in line.split(";"):
            pieces = BRACKETED.split(part)  # words, brackets, words, brackets, ..., words
            for before, inside in zip(pieces[::2], pieces[1::2], strict=False):
                words = _words(before)
                if name := named(inside.strip()):
                    take(_without_name(words))
                    names.append(name)
                else:
                    take(words)
                    others.append(f"<{inside}>")
            take(_words(pieces[-1]))
    return names, others


def named(word: str) -> Name | None:
    """The id or address that a word is, quotes of any kind and a final full stop or comma aside."""
    bare = word.strip(QUOTES)
    if bare.endswith((".", ",")):
        bare = bare[:-1].strip(QUOTES)
    if UUID.fullmatch(bare):
        return Name("id", bare.lower())
    return Name("email", unicodedata.normalize("NFC", bare)) if _is_address(bare) else None


def compared(kind: str, text: str) -> str:
    """The form in which ids, addresses or names of groups are compared, wherever they are."""
    same = unicodedata.normalize("NFC", trimmed(text))
    return same if kind == "group" else same.lower()


def trimmed(text: str) -> str:
    """The text without blanks and without what nobody can see at its ends."""
    start, end = 0, len(text)
    while start < end and _shows_nothing(text[start]):
        start += 1
    while start < end and _shows_nothing(text[end - 1]):
        end -= 1
    return text[start:end]


def is_text(text: str) -> bool:
    """Whether it can be written down: half of a surrogate pair cannot, and stands in no row."""
    return text.isascii() or not re.search("[\ud800-\udfff]", text)


def shown(value: object) -> str:
    """A value, fit for a message: text in quotes, else JSON; short, visible, without secrets."""
    raw = value if isinstance(value, str) else _as_json(value)
    text = _visible(raw[:LONGEST_LOOKED_AT])
    text = masked(repr(text) if isinstance(value, str) else text)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


def what(value: object) -> str:
    """What kind of JSON a value is, in words."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, int | float):
        return "a number"
    kinds = {str: "text", dict: "a JSON object", list: "a JSON array"}
    return next((words for kind, words in kinds.items() if isinstance(value, kind)), "no JSON")


def _words(text: str) -> list[str]:
    return [word for word in re.split(r"[,\s]+", text) if word]


def _without_name(words: list[str]) -> list[str]:
    """The words before brackets that are entries: up to the last id or address."""
    return words[: max((place for place, word in enumerate(words, 1) if named(word)), default=0)]


def _is_address(text: str) -> bool:
    """One `@` between two parts, each of characters that an address may have."""
    local, _, domain = text.partition("@")
    return (
        0 < len(local) < len(text) <= LONGEST_ADDRESS
        and all(_is_letter(character) or character in "!#$%&'*+-./=?^_`{|}~" for character in local)
        and all(_is_letter(character) or character in "-._" for character in domain)
        and any(map(_is_letter, domain[:1]))
        and any(map(_is_letter, domain[-1:]))
    )


def _is_letter(character: str) -> bool:
    """A letter, a digit, or a mark on one, of any script."""
    return unicodedata.category(character)[0] in "LNM"


def _shows_nothing(character: str) -> bool:
    return character.isspace() or bool(UNSEEN.match(character))


def _visible(text: str) -> str:
    """The text with code points such as `<U+200B>` in place of what cannot be seen."""
    return "".join(
        character
        if (character.isprintable() or character in "\t\n\r")
        and character not in BLANK_TO_THE_EYE
        and not UNSEEN.match(character)
        else f"<U+{ord(character):04X}>"
        for character in text
    )


def _as_json(value: Any) -> str:  # noqa: ANN401 - whatever stood in the JSON
    try:
        return json.dumps(value, default=str, ensure_ascii=False)
    except (ValueError, RecursionError):  # more digits than Python prints, deeper than it goes
        return f"{what(value)} too long to show"
