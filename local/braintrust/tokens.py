"""BTQL text cut into tokens, and a reader that takes them one by one."""

import re
from typing import NamedTuple, NoReturn


class BtqlError(ValueError):
    """Raised for a query that Braintrust would refuse with a 400."""


class Token(NamedTuple):
    kind: str  # string, quoted, number, word, op, end
    value: str
    newline: bool  # stands first on its line
    at: int


_SPACE = re.compile(r"(?:\s|--[^\n]*|/\*.*?\*/)+", re.DOTALL)
_TOKEN = re.compile(
    r"""(?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
    | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<quoted>"(?:[^"]|"")*")
    | (?P<op><=|>=|!=|<>|=>|[=<>()\[\],.*+|:;-])""",
    re.VERBOSE,
)
_STRING = re.compile(r"'((?:[^']|'')*)'", re.DOTALL)
_STRING_WITH_ESCAPES = re.compile(r"'((?:[^'\\]|''|\\.)*)'", re.DOTALL)
_ESCAPE = re.compile(r"''|\\(.)", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "0": "\0"}


def tokenize(text: str, *, escapes: bool) -> list[Token]:
    """Cut a text into tokens.

    `escapes`: whether a backslash means anything inside a string literal.
    """
    string = _STRING_WITH_ESCAPES if escapes else _STRING
    tokens, at, newline = [], 0, True
    while at < len(text):
        if space := _SPACE.match(text, at):
            newline, at = newline or "\n" in space.group(), space.end()
            continue
        if literal := string.match(text, at):
            tokens.append(Token("string", _unquote(literal.group(1), escapes=escapes), newline, at))
            at = literal.end()
        elif match := _TOKEN.match(text, at):
            tokens.append(Token(str(match.lastgroup), match.group(), newline, at))
            at = match.end()
        else:
            raise BtqlError(f"Unexpected character {text[at]!r} at offset {at}")
        newline = False
    tokens.append(Token("end", "", newline=True, at=at))
    return tokens


def _unquote(body: str, *, escapes: bool) -> str:
    if not escapes:
        return body.replace("''", "'")
    return _ESCAPE.sub(lambda found: _ESCAPED.get(found[1], found[1]) if found[1] else "'", body)


class Reader:
    """The tokens of one text, from left to right."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._at = 0

    def end(self) -> None:
        if self._peek().kind != "end":
            self._unexpected()

    def peek_word(self) -> str:
        return self._peek().value.lower() if self._peek().kind == "word" else ""

    def _peek(self, ahead: int = 0) -> Token:
        return self._tokens[min(self._at + ahead, len(self._tokens) - 1)]

    def _peek_in(self, words: set[str]) -> bool:
        return self.peek_word() in words

    def _next(self, kind: str | None = None) -> Token:
        token = self._peek()
        if kind is not None and token.kind != kind:
            self._unexpected(token)
        self._at += 1
        return token

    def _accept(self, op: str) -> bool:
        if self._peek().kind == "op" and self._peek().value == op:
            self._at += 1
            return True
        return False

    def _accept_word(self, word: str) -> bool:
        if self.peek_word() == word:
            self._at += 1
            return True
        return False

    def _expect(self, op: str) -> None:
        if not self._accept(op):
            self._unexpected()

    def _expect_word(self, word: str) -> None:
        if not self._accept_word(word):
            self._unexpected()

    def _name(self) -> str:
        token = self._next()
        return plain(token) if token.kind in {"word", "quoted"} else self._unexpected(token)

    def _string(self) -> str:
        return self._next("string").value

    def _integer(self) -> int:
        value = self._next("number").value
        if not value.isdecimal():
            raise BtqlError(f"Expected an integer, got {value}")
        return int(value)

    def _unexpected(self, token: Token | None = None) -> NoReturn:
        token = token or self._peek()
        what = "end of query" if token.kind == "end" else repr(token.value)
        raise BtqlError(f"Unexpected {what} at offset {token.at}")


def plain(token: Token) -> str:
    return token.value[1:-1].replace('""', '"') if token.kind == "quoted" else token.value
