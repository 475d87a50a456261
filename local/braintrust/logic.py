"""What the operators of a query do to values.

Logic has three of them, as in SQL: true, false and NULL (None).
"""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from local.braintrust.merge import Row
from local.braintrust.tokens import BtqlError

Getter = Callable[[Row], object]


def constant(value: object, _: Row) -> object:
    return value


def _not(inner: Getter, row: Row) -> object:
    value = inner(row)
    return None if value is None else value is not True


def _is_null(inner: Getter, row: Row) -> object:
    return inner(row) is None


def _is_not_null(inner: Getter, row: Row) -> object:
    return inner(row) is not None


def _and(left: Getter, right: Getter, row: Row) -> object:
    first = left(row)
    if first is False:
        return False
    second = right(row)
    if second is False:
        return False
    return None if first is None or second is None else first is True and second is True


def _or(left: Getter, right: Getter, row: Row) -> object:
    first = left(row)
    if first is True:
        return True
    second = right(row)
    if second is True:
        return True
    return None if first is None or second is None else False


def _same(left: object, right: object) -> bool:
    """Equality as JSON sees it: true is not 1."""
    return isinstance(left, bool) == isinstance(right, bool) and left == right


def includes(haystack: object, needle: object) -> object:
    if haystack is None or needle is None:
        return None
    if not isinstance(haystack, list):
        return False
    return (
        needle in haystack
        if isinstance(needle, str)
        else any(_same(item, needle) for item in haystack)
    )


def length(getter: Getter, row: Row, *, empty: int | None = 0) -> object:
    """The length of a list; `empty`: of one that holds nothing. Of anything else NULL."""
    value = getter(row)
    return (len(value) or empty) if isinstance(value, list) else None


def _equal(left: object, right: object) -> object:
    return None if left is None or right is None else _same(left, right)


def _unequal(left: object, right: object) -> object:
    return None if left is None or right is None else not _same(left, right)


def _ordered(test: Callable[[int], bool], left: object, right: object) -> object:
    """Compare two moments, two texts or two numbers; anything else has no order, and gives NULL."""
    for kind in (str, datetime, int | float):
        if isinstance(left, kind) and isinstance(right, kind):
            return test((left > right) - (left < right))  # type: ignore[operator]
    return None


def _like(flags: re.RegexFlag, left: object, right: object) -> object:
    if not isinstance(left, str) or not isinstance(right, str):
        return None
    pattern = re.escape(right).replace("%", ".*").replace("_", ".")
    return re.fullmatch(pattern, left, flags | re.DOTALL) is not None


def _in(left: object, right: object) -> object:
    return None if left is None else includes(right, left)


def _arithmetic(sign: int, left: object, right: object) -> object:
    if isinstance(left, datetime | int | float) and isinstance(right, timedelta | int | float):
        try:
            return left + sign * right  # type: ignore[operator]
        except (TypeError, OverflowError) as error:
            raise BtqlError("Cannot add or subtract these") from error
    return None


UNARY = {"not": _not, "isnull": _is_null, "isnotnull": _is_not_null}
LOGIC = {"and": _and, "or": _or}
COMPARE: dict[str, Callable[[object, object], object]] = {
    "eq": _equal,
    "ne": _unequal,
    "lt": partial(_ordered, lambda order: order < 0),
    "le": partial(_ordered, lambda order: order <= 0),
    "gt": partial(_ordered, lambda order: order > 0),
    "ge": partial(_ordered, lambda order: order >= 0),
    "like": partial(_like, re.RegexFlag(0)),
    "ilike": partial(_like, re.IGNORECASE),
    "in": _in,
    "add": partial(_arithmetic, 1),
    "sub": partial(_arithmetic, -1),
}
