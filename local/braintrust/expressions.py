"""Compile an expression of a BTQL query into what it says of a row, by the options' dialect.

Logic has three values, as in SQL: a missing path is NULL (None), NULL compared with anything is
NULL.
"""

from datetime import datetime, timedelta
from functools import partial, reduce

from local.braintrust.logic import COMPARE, LOGIC, UNARY, Getter, constant, includes, length
from local.braintrust.merge import FIELDS, Row, parse_time
from local.braintrust.options import Options
from local.braintrust.parser import Ast, parse_expression
from local.braintrust.tokens import BtqlError

_TWO_SIDED = ("eq", "ne", "lt", "le", "gt", "ge", "like", "ilike", "in", "add", "sub")
_SIDES = {"left", "right"}
_KEYS = {
    "literal": [{"value"}],
    "ident": [{"name"}],
    "star": [set[str]()],
    "function": [{"name", "args"}],
    "interval": [{"value", "unit"}],
    "includes": [{"haystack", "needle"}],
    "not": [{"expr"}],
    "isnull": [{"expr"}],
    "isnotnull": [{"expr"}],
    "and": [_SIDES, {"children"}],
    "or": [_SIDES, {"children"}],
    **{op: [_SIDES] for op in _TWO_SIDED},
}
"""By operator, the keys that it takes: one of these sets."""
_DAYS = {
    "second": 1 / 86400,
    "minute": 1 / 1440,
    "hour": 1 / 24,
    "day": 1,
    "week": 7,
    "month": 30,
    "year": 365,
}


class Expressions:
    """Compiles the expressions of one query."""

    def __init__(self, now: datetime, options: Options) -> None:
        self._now = now
        self._options = options

    def node(self, node: object) -> Ast:
        """Return a node of known shape, a raw snippet replaced by what it says."""
        if not isinstance(node, dict):
            raise BtqlError(f"Expected an expression, got {type(node).__name__}")
        if "btql" in node:
            if node.keys() != {"btql"} or not isinstance(node["btql"], str):
                raise BtqlError('Expected {"btql": "<expression>"}')
            escapes = self._options.string_escapes
            return self.node(parse_expression(node["btql"], escapes=escapes))
        op = node.get("op")
        if not isinstance(op, str) or op not in _KEYS:
            raise BtqlError(f"Unknown operator: {op!r}")
        if node.keys() - {"op", "loc"} not in _KEYS[op]:
            raise BtqlError(f"Operator {op!r} takes {_words(_KEYS[op])}")
        return node

    def expression(self, source: object) -> Getter:
        node = self.node(source)
        match node["op"]:
            case "literal":
                return partial(constant, node["value"])
            case "ident":
                return _path(names_of(node))
            case "function":
                return self._call(node)
            case "interval":
                return _interval(node)
            case "star":
                raise BtqlError("* stands in select only")
            case "and" | "or":
                return self._logic(node)
        return self._operation(node)

    def _logic(self, node: Ast) -> Getter:
        children = node["children"] if "children" in node else [node["left"], node["right"]]
        if not isinstance(children, list) or not children:
            raise BtqlError(f"Operator {node['op']!r}: children is a non-empty array")
        both = LOGIC[node["op"]]
        return reduce(
            lambda left, right: partial(both, left, right), map(self.expression, children)
        )

    def _operation(self, node: Ast) -> Getter:
        match node["op"]:
            case "not":
                return partial(UNARY["not"], self.expression(node["expr"]))
            case "isnull" | "isnotnull":
                return self._null_test(node)
            case "includes":
                haystack, needle = (
                    self.expression(node["haystack"]),
                    self.expression(node["needle"]),
                )
                return lambda row: includes(haystack(row), needle(row))
        return self._comparison(node)

    def _null_test(self, node: Ast) -> Getter:
        inner = self.node(node["expr"])
        if inner["op"] == "ident" and len(names_of(inner)) > 1:
            self._refuse("isnull")
            if self._options.paths_are_never_null:
                return partial(constant, node["op"] == "isnotnull")
        return partial(UNARY[node["op"]], self.expression(inner))

    def _comparison(self, node: Ast) -> Getter:
        left, right, compare = (
            self.expression(node["left"]),
            self.expression(node["right"]),
            COMPARE[node["op"]],
        )
        if node["op"] == "in":
            self._refuse("in")
            if not isinstance(self.node(node["right"]).get("value"), list):
                raise BtqlError("IN: expected a list of literals")
        if self.is_created(node["left"]) or self.is_created(node["right"]):
            left, right = _as_moment(left), _as_moment(right)
            for side, getter in ((node["left"], left), (node["right"], right)):
                if self.node(side)["op"] == "literal":
                    getter({})  # a literal that is no timestamp is refused now, not row by row
        return lambda row: compare(left(row), right(row))

    def _call(self, node: Ast) -> Getter:
        name, args = function_name(node), node["args"]
        if name in {"now", "current_timestamp"} and args == []:
            return partial(constant, self._now)
        if name == "len" and isinstance(args, list) and len(args) == 1:
            self._refuse("len")
            return partial(
                length, self.expression(args[0]), empty=0 if self._options.len_finds_empty else None
            )
        raise BtqlError(f"Unknown function: {name}")

    def _refuse(self, what: str) -> None:
        """Refuse what this dialect does not know."""
        if what in self._options.refused:
            raise BtqlError(f"Operator {what!r} is not supported here")

    def is_created(self, source: object) -> bool:
        node = self.node(source)
        return bool(node["op"] == "ident" and node["name"] == ["created"])

    def bounds_created(self, source: object) -> bool:
        """Tell whether a filter bounds `created`, at its top or in a conjunction."""
        node = self.node(source)
        if node["op"] == "and":
            children = node.get("children") or [node["left"], node["right"]]
            return any(map(self.bounds_created, children))
        return node["op"] in {"eq", "lt", "le", "gt", "ge"} and (
            self.is_created(node["left"]) or self.is_created(node["right"])
        )


def _words(choices: list[set[str]]) -> str:
    return " or ".join(", ".join(sorted(keys)) or "nothing" for keys in choices)


def names_of(node: Ast) -> list[str]:
    """The components of an identifier's path."""
    names = node["name"]
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise BtqlError("ident: name is a non-empty array of strings")
    if names[0] not in FIELDS:
        raise BtqlError(f"Unknown field: {'.'.join(names)}")
    return names


def function_name(node: Ast) -> str:
    name = node.get("name")
    parts = name.get("name") if isinstance(name, dict) else None
    return str(parts[0]).lower() if isinstance(parts, list) and len(parts) == 1 else repr(name)


def _interval(node: Ast) -> Getter:
    value, unit = node["value"], node["unit"]
    if not isinstance(value, int) or unit not in _DAYS:
        raise BtqlError("interval: expected an integer and a unit")
    return partial(constant, timedelta(days=value * _DAYS[unit]))


def _path(names: list[str]) -> Getter:
    if len(names) == 1:
        only = names[0]
        return lambda row: row.get(only)

    def walk(row: Row) -> object:
        node: object = row
        for name in names:
            if not isinstance(node, dict):
                return None
            node = node.get(name)
        return node

    return walk


def _as_moment(getter: Getter) -> Getter:
    def moment(row: Row) -> object:
        value = getter(row)
        if not isinstance(value, str):
            return value
        try:
            return parse_time(value)
        except ValueError as error:
            raise BtqlError(f"Not a timestamp: {value!r}") from error

    return moment
