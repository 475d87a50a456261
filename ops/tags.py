"""Which tags the newest rows do carry, for whoever's tag no row carries.

It is one query with the operator's own key.
"""

from collections.abc import Sequence
from difflib import get_close_matches

from ops import own_key
from ops.records import shown
from ops.table import Column, table, wrapped


def tags_instead(project_id: str, tag: str, stack: str = "", url: str = "") -> list[str]:
    """Lines that say so; of `stack`'s Braintrust, unless the address is given as `url`."""
    if not own_key.is_set():
        ask = (
            f"With {own_key.KEY} set to a key of your own, the tags that the newest rows do carry "
            "are shown here."
        )
        return wrapped(ask)
    try:
        url = url or own_key.address(stack)
        with own_key.asking(url, project_id) as client:
            counts = own_key.tags(client, project_id)
    except own_key.NoAnswerError as error:
        return wrapped(f"Which tags rows do carry cannot be asked for: {error}")
    return in_words(counts, tag)


def in_words(counts: Sequence[tuple[str, int]], tag: str) -> list[str]:
    """The tags, each with how many of the newest rows carry it, and the one that may be meant."""
    if not counts:
        return wrapped(
            "No row of this project carries any tag: is it the right project? Tags count on the "
            "row itself."
        )
    spelt = {name.casefold().strip(): name for name, _ in reversed(counts)}
    near = get_close_matches(tag.casefold().strip(), spelt, n=1)
    meant = [f"Did you mean {shown(repr(spelt[near[0]]))}?"] if near else []
    heads = (Column("Tags of the newest rows", wraps=True), Column("rows", number=True))
    return [*table(heads, ((shown(repr(name)), rows) for name, rows in counts)), *meant]
