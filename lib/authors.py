"""Authors: whom a row's metadata names at AUTHOR, a path of keys with dots between them. Pure."""

from functools import lru_cache
from typing import Any

from lib.names import LONGEST_ADDRESS, compared, read

Json = dict[str, Any]
ROOT = "metadata."


def value_at(metadata: Json, path: str) -> object:
    """What stands there; None if nothing does.

    Where keys hold dots, the longest key that is there is taken.

    A `metadata.` at the beginning is dropped, unless the metadata has that key itself.
    """
    if path.startswith(ROOT) and _longest_key(metadata, path) is None:
        path = path.removeprefix(ROOT)
    value: object = metadata
    while path:
        if not isinstance(value, dict) or (key := _longest_key(value, path)) is None:
            return None
        value, path = value[key], path[len(key) + 1 :]
    return value


def _longest_key(value: Json, path: str) -> str | None:
    """The longest beginning of the path, up to one of its dots, that is a key."""
    key = path
    while key and key not in value:
        key = key.rpartition(".")[0]
    return key or None


def names_of(value: object) -> tuple[str, ...]:
    """The ids and addresses that text names, or the texts of a list, as they are compared.

    Other values name nobody.
    """
    texts = value if isinstance(value, list) else [value]
    return tuple(name for text in texts if isinstance(text, str) for name in _read(text))


def _read(text: str) -> tuple[str, ...]:
    return _read_again(text) if len(text) <= LONGEST_ADDRESS else _read_once(text)


def _read_once(text: str) -> tuple[str, ...]:
    return tuple(compared(name.kind, name.text) for name in read(text)[0])


_read_again = lru_cache(1000)(_read_once)  # most rows are by the same few
