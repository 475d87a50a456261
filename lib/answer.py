"""What comes back over the wire: read within bounds, unpacked, parsed."""

import gzip
import io
import json
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import requests

MAX_ANSWER = 32 * 2**20  # bytes, unpacked; a larger page is asked for again with fewer rows
MOST_DIGITS = 4300  # of an integer that Python reads
PIECE = 2**16
GZIP = b"\x1f\x8b"

Headers = Mapping[str, str]


class Answer(NamedTuple):
    """A 2xx answer: its headers and its decoded JSON."""

    headers: Headers
    body: Any


class Said(NamedTuple):
    """What a server said to one attempt, whatever the status."""

    status: int
    headers: Headers
    content: bytes
    store: str = ""
    """The host of the object store that said it; empty: Braintrust."""


class Broken(NamedTuple):
    """An attempt that ended without an answer."""

    error: BaseException
    sent: bool
    """Some of the request may have reached the server."""
    host: str
    """Whom it was talking to."""
    store: str = ""
    """The same, where it was an object store."""


class TooLargeError(Exception):
    """Raised when an answer is larger than MAX_ANSWER."""

    def __init__(self) -> None:
        super().__init__(f"the answer is larger than {MAX_ANSWER} bytes")


def read(response: requests.Response, ends: float) -> bytes:
    """The whole body, unpacked.

    Raises TooLargeError, TimeoutError once the clock passes `ends`, and what reading raises.
    """
    content = _collect(lambda size: response.raw.read1(size, decode_content=True), ends)
    if content[:2] != GZIP:
        return content
    # An object store may pack without saying so, in several members one after another
    with gzip.GzipFile(fileobj=io.BytesIO(content)) as members:
        return _collect(members.read1, ends)


def _collect(read_some: Callable[[int], bytes], ends: float) -> bytes:
    content = bytearray()
    while piece := read_some(PIECE):
        content += piece
        if len(content) > MAX_ANSWER:
            raise TooLargeError
        if time.monotonic() > ends:
            raise TimeoutError("the answer was still coming in when its time ran out")
    return bytes(content)


def parse(content: bytes) -> Any:  # noqa: ANN401 - JSON
    """The JSON; an integer longer than Python reads, in one row's metadata, say, is rounded.

    Raises ValueError or RecursionError.
    """
    try:
        return json.loads(content)
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise
    except ValueError:
        return json.loads(content, parse_int=_rounded)


def _rounded(digits: str) -> int | float:
    return int(digits) if len(digits) < MOST_DIGITS else float(digits)


def unparsed(answer: Said, error: Exception) -> str:
    """What there is to say of an answer that is no JSON, without a word of it: it may hold rows."""
    where = ""
    if isinstance(error, json.JSONDecodeError):
        where = f", parsing stopped at character {error.pos} ({error.msg})"
    elif isinstance(error, UnicodeDecodeError):
        where = f", parsing stopped at byte {error.start} (not {error.encoding})"
    elif isinstance(error, RecursionError):
        where = ", nested too deeply"
    kind = answer.headers.get("Content-Type") or "no content type"
    return f"{len(answer.content)} bytes, {kind[:60]}{where}"
