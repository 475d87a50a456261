"""HTML and SVG as nested calls.

Text is escaped unless it is markup already, so that no text can become markup.
"""

from collections.abc import Iterable
from html import escape

VOID = frozenset({"meta", "br"})


class Html(str):
    """Text that is markup."""

    __slots__ = ()


def tag(name: str, /, *children: object, **attributes: object) -> Html:
    """One element.

    `class_` is `class`, `aria_label` is `aria-label`; attributes that are None are left out.
    """
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_text(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Html(f"<{name}{given}>" + ("" if name in VOID else f"{join(children)}</{name}>"))


def join(children: object) -> Html:
    """Elements, texts, numbers, and lists of them, one after the other; None is nothing."""
    if children is None:
        return Html()
    if isinstance(children, Html):
        return children
    if isinstance(children, Iterable) and not isinstance(children, str):
        return Html("".join(map(join, children)))
    return Html(escape(_text(children)))


def _text(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
