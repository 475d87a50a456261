"""What one attempt came to: an answer, or a setback and whether another try is worth making.

The retry policy's judgement.
"""

import errno
import gzip
import http.client
import json
import math
import re
import socket
import ssl
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import requests
import urllib3

from lib.answer import Answer, Broken, Said, TooLargeError, parse, unparsed
from lib.connection import NotSentError
from lib.pauses import asked_pause
from lib.quoting import Words

if TYPE_CHECKING:
    from lib.deadline import Deadline

ALWAYS, NEVER, THRICE = math.inf, 0, 3
"""How often a fault is worth another try. The budget is the time the invocation has left, not a
number of tries."""
RETRIED = frozenset({408, 429, 500, 502, 503, 504})
TOO_HEAVY = frozenset({408, 413, 500, 504})  # on a query: fewer rows a page may cure it
MAY_HAVE_LANDED = frozenset({408, 502, 504, *range(100, 200), *range(520, 600)})
"""Statuses that prove nothing of a write: words of a gateway that did not wait for the answer."""
TRANSIENT_400 = (
    "memory access out of bounds"  # on a valid query, now and then; gone at the next try
)
TRACE = "x-bt-internal-trace-id"
MOST_PARSED = 20_000  # bytes of an error's JSON

NETWORK = (ConnectionError, TimeoutError, socket.gaierror, http.client.IncompleteRead)
CUT_TLS = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
UNREACHABLE = frozenset(
    {errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL}
)
BUSY_PROXY = re.compile(r"Tunnel connection failed: (408|429|5\d\d)\b")
PACKED_WRONGLY = (gzip.BadGzipFile, zlib.error, EOFError)
TELLABLE = (OSError, requests.RequestException, urllib3.exceptions.HTTPError)


class RequestFailed(Exception):  # noqa: N818 - a fact for the calling module to judge, it never leaves lib/
    """A request that was refused, or not answered in the time there was."""

    def __init__(
        self, reason: str, status: int | None = None, *, may_have_landed: bool = False
    ) -> None:
        super().__init__(reason)
        self.status = status
        """The HTTP status of Braintrust's last answer; None: no answer came, or not from Braintrust
        itself."""
        self.may_have_landed = may_have_landed
        """One of the attempts was sent and not clearly refused, so that a write may have been
        applied."""
        self.out_of_time = False
        """Another try was due, but there was no time for it."""
        self.in_doubt_until: Deadline | None = None
        """Of an insert: when its rows must not be sent again any more, once they may have
        landed."""
        self.answered = str(status or "no answer")
        """Who said what, in short: `503`, `no answer`, `403 of the object store`."""
        self.trace = ""
        """Braintrust's own id for the answer, where it gave one."""


class NotStarted(RequestFailed):
    """There was no time left to send it even once."""


@dataclass(frozen=True)
class Setback:
    """Anything but an answer."""

    reason: str
    status: int | None = None
    may_have_landed: bool = False
    tries: float = NEVER
    asked: float = 0.0
    """Seconds that the server asks to wait for."""
    too_heavy: bool = False
    answered: str = ""
    trace: str = ""
    unsent: bool = False
    """It was stopped before anything went out, because its time was over."""

    def failure(self, before: RequestFailed) -> RequestFailed:
        """The same as an exception, after what earlier attempts came to: one may have landed."""
        landed = before.may_have_landed or self.may_have_landed
        failure = RequestFailed(self.reason, self.status, may_have_landed=landed)
        failure.in_doubt_until = before.in_doubt_until
        failure.answered = self.answered or failure.answered
        failure.trace = self.trace
        return failure


def judge(kind: str, sent: bytes | None, came: Said | Broken, words: Words) -> Answer | Setback:
    """What an attempt of a request of this kind (`query`, `insert`, `user`, `group`) came to."""
    if isinstance(came, Broken):
        return _judge_broken(came, words)
    if came.store and not 200 <= came.status < 300:
        return _judge_store(came, words)
    if 200 <= came.status < 300:
        return _judge_good(came, words)
    setback = Setback(
        _reason(kind, sent, came, words),
        came.status,
        may_have_landed=came.status in MAY_HAVE_LANDED,
        tries=ALWAYS if came.status in RETRIED else NEVER,
        asked=asked_pause(came.headers.get("Retry-After")),
        too_heavy=came.status in TOO_HEAVY,
        trace=_trace(came),
    )
    if kind == "query" and came.status == 400 and TRANSIENT_400 in setback.reason:
        return replace(setback, tries=THRICE)
    return setback


def _judge_good(came: Said, words: Words) -> Answer | Setback:
    try:
        return Answer(came.headers, parse(came.content))
    except (ValueError, RecursionError) as error:
        page = words.of_a_page(came.content)
        about = words.clean(unparsed(came, error)) + (f"; it is a web page: {page}" if page else "")
        return Setback(
            f"the answer is not the JSON it should be: {about}",
            came.status,
            may_have_landed=True,
            trace=_trace(came),
        )


def _judge_store(came: Said, words: Words) -> Setback:
    """The object store of a large result.

    What it refuses may be an address that has expired: ask for a new one.
    """
    retried, refused = came.status in RETRIED, 400 <= came.status < 500
    quote = words.of_a_page(came.content) or words.clean(_text(came))
    return Setback(
        f"{came.store}: {quote or 'no reason given'}",
        tries=ALWAYS if retried else THRICE if refused else NEVER,
        asked=asked_pause(came.headers.get("Retry-After")),
        answered=f"{came.status} of the object store",
        trace=_trace(came),
    )


def _judge_broken(came: Broken, words: Words) -> Setback:
    """Only what a network can do may pass: reset, time-out, refusal to connect, name not found."""
    root = _root(came.error)
    if isinstance(root, NotSentError):
        return Setback(str(root), None, came.sent, ALWAYS, unsent=not came.sent)
    if isinstance(root, TooLargeError):
        return Setback(str(root), 413, may_have_landed=came.sent, too_heavy=True)
    if isinstance(root, PACKED_WRONGLY):
        text = f"the answer is packed wrongly ({type(root).__name__}, from {came.host})"
        return Setback(text, may_have_landed=came.sent, answered=_nobody(came))
    passes = _can_pass(root)
    # Others' bytes are in the text of what http.client could not read, and anything in that of an
    # error of ours
    tellable = isinstance(root, TELLABLE) and not isinstance(
        root, urllib3.exceptions.InvalidChunkLength
    )
    text = f"{type(root).__name__}: {root}" if tellable else type(root).__name__
    advice = (
        ""
        if passes
        else "; check BRAINTRUST_API_URL, and the variables for proxies and certificates"
    )
    return Setback(
        f"{words.clean(text)} (at {came.host}){advice}",
        may_have_landed=came.sent,
        tries=ALWAYS if passes else NEVER,
        answered=_nobody(came),
    )


def _nobody(came: Broken) -> str:
    return "no answer of the object store" if came.store else ""


def _can_pass(root: BaseException) -> bool:
    if isinstance(root, ssl.SSLError):
        return isinstance(root, CUT_TLS)
    if isinstance(root, NETWORK):
        return True
    return isinstance(root, OSError) and (
        root.errno in UNREACHABLE or bool(BUSY_PROXY.match(str(root)))
    )


def _root(error: BaseException) -> BaseException:
    """What was raised first: requests and urllib3 wrap it, each in a way of its own."""
    ids: set[int] = set()
    while id(error) not in ids:
        ids.add(id(error))
        inner = (getattr(error, "reason", None), *error.args, error.__cause__, error.__context__)
        error = next((cause for cause in inner if isinstance(cause, BaseException)), error)
    return error


def _reason(kind: str, sent: bytes | None, came: Said, words: Words) -> str:
    """What the server said: its JSON errors' `Message`, its gateway's `message`, or plain text."""
    if 300 <= came.status < 400 and came.headers:
        return "an unexpected redirect: check BRAINTRUST_API_URL"
    if page := words.of_a_page(came.content):
        return page
    text = _text(came)
    if kind == "insert":
        quote = words.of_an_insert(text)
    elif kind == "query":
        quote = words.of_a_query(text, (sent or b"").decode("utf-8", "replace"))
    else:
        quote = words.clean(text)
    return quote or "no reason given"


def _text(came: Said) -> str:
    text = came.content[:MOST_PARSED].decode("utf-8", "replace")
    try:
        body = json.loads(text)
        return str(body.get("Message") or body.get("message") or text)
    except (ValueError, RecursionError, AttributeError):
        return text


def _trace(came: Said) -> str:
    trace = came.headers.get(TRACE, "")
    return trace if re.fullmatch(r"[\w-]{1,64}", trace) else ""
