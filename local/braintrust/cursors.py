"""Cursors as clients see them: opaque, and with characters that must be taken as they are."""

import base64
import binascii

from local.braintrust.answers import Refusal

MARK = b"\xfb\xef\xbf"  # makes a cursor start with "++//"
RISING = b"^"
"""Marks a cursor of pages from the oldest on: it is no good for any other order."""


def encode_cursor(key: str, *, rising: bool = False) -> str:
    return base64.b64encode(MARK + RISING * rising + key.encode()).decode()


def decode_cursor(cursor: object, *, rising: bool = False) -> str | None:
    if cursor is None:
        return None
    try:
        raw = base64.b64decode(str(cursor), validate=True)
    except binascii.Error as error:
        raise Refusal(400, "Invalid cursor") from error
    raw, marked = raw.removeprefix(MARK), raw.startswith(MARK)
    if not marked or raw.startswith(RISING) != rising:
        raise Refusal(400, "Invalid cursor")
    return raw.removeprefix(RISING).decode(errors="replace")
