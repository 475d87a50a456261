"""JSON text by the piece, so that an object of 100,000 rows is never one text in memory. Pure."""

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

quoted = json.encoder.encode_basestring_ascii
"""Text as JSON; called for each of 100,000 rows, several times."""


A_PIECE = 1000  # rows; what is done with each piece costs more than the JSON of a row


def in_pieces(items: Iterable[str], between: str = "") -> Iterator[str]:
    """The items as one text, in pieces of many."""
    items = iter(items)
    while piece := between.join(islice(items, A_PIECE)):
        yield piece


def json_array(items: Iterable[str]) -> Iterator[str]:
    """A JSON array of what is JSON already, an item a line."""
    before = "[\n"
    for piece in in_pieces(items, ",\n"):
        yield before + piece
        before = ",\n"
    yield "[]" if before == "[\n" else "\n]"


def json_object(head: Mapping[str, object], arrays: Mapping[str, Iterable[str]]) -> Iterator[str]:
    """A JSON object and a new line: the fields of `head`, then arrays of what is JSON already."""
    yield json.dumps(head)[:-1]
    before = ", " if head else ""
    for name, items in arrays.items():
        yield f"{before}{quoted(name)}: "
        yield from json_array(items)
        before = ", "
    yield "}\n"
