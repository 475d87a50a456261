"""Cursors as clients see them: opaque, and with characters that must be taken as they are."""

import base64
import binascii

from local.braintrust.answers import Refusal

MARK = b"\xfb\xef\xbf"  # makes a cursor start with "++//"


def encode_cursor(key: str) -> str:
    return base64.b64encode(MARK + key.encode()).decode()


def decode_cursor(cursor: object) -> str | None:
    if cursor is None:
        return None
    try:
        raw = base64.b64decode(str(cursor), validate=True)
    except binascii.Error as error:
        raise Refusal(400, "Invalid cursor") from error
    if not raw.startswith(MARK):
        raise Refusal(400, "Invalid cursor")
    return raw.removeprefix(MARK).decode(errors="replace")
