"""Compile a BTQL query, in any of its three forms, into a predicate over rows and a projection of them.

Logic has three values, as in SQL: a missing path is NULL (None), NULL compared with anything is NULL, and a
filter lets a row through only when it is true.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from local.braintrust.logic import COMPARE, LOGIC, UNARY, Getter, constant, includes
from local.braintrust.merge import FIELDS, Row, parse_time
from local.braintrust.parser import Ast, parse_expression, parse_query
from local.braintrust.tokens import BtqlError

_QUERY_KEYS = {"select", "from", "filter", "sort", "limit", "cursor"}
_TWO_SIDED = ("and", "or", "eq", "ne", "lt", "le", "gt", "ge", "like", "ilike", "in", "add", "sub")
_KEYS = {
    "literal": {"value"},
    "ident": {"name"},
    "star": set(),
    "function": {"name", "args"},
    "interval": {"value", "unit"},
    "includes": {"haystack", "needle"},
    "not": {"expr"},
    "isnull": {"expr"},
    "isnotnull": {"expr"},
    **{op: {"left", "right"} for op in _TWO_SIDED},
}
_DAYS = {
    "second": 1 / 86400,
    "minute": 1 / 1440,
    "hour": 1 / 24,
    "day": 1,
    "week": 7,
    "month": 30,
    "year": 365,
}


@dataclass(frozen=True)
class Query:
    """A compiled query. `project` keeps the selected columns of a row; `sort` is None for the natural order."""

    project_id: str
    matches: Callable[[Row], bool]
    project: Callable[[Row], Row]
    columns: tuple[str, ...]
    limit: int | None
    cursor: str | None
    sort: tuple[tuple[Getter, bool], ...] | None
    bounded: bool  # something bounds `created`


def compile_query(source: object, now: datetime, *, escapes: bool = False) -> Query:
    """Compile a query given as text (clauses or SQL) or as a JSON AST; raise `BtqlError` for a wrong one."""
    ast = parse_query(source, escapes=escapes) if isinstance(source, str) else source
    if not isinstance(ast, dict):
        raise BtqlError("query: expected a string or an object")
    if unknown := ast.keys() - _QUERY_KEYS:
        raise BtqlError(f"Unknown key in query: {', '.join(sorted(unknown))}")
    for required in ("select", "from"):
        if required not in ast:
            raise BtqlError(f"query: {required} is required")
    compiler = _Compiler(now, escapes=escapes)
    condition = ast.get("filter")
    matches = compiler.expression(condition) if condition is not None else None
    columns = compiler.select(ast["select"])
    return Query(
        project_id=compiler.project_id(ast["from"]),
        matches=(lambda row: matches(row) is True) if matches else lambda _: True,
        project=_projection(columns),
        columns=tuple(name for name, _ in columns),
        limit=_limit(ast.get("limit")),
        cursor=_cursor(ast.get("cursor")),
        sort=compiler.sort(ast.get("sort")),
        bounded=condition is not None and compiler.bounds_created(condition),
    )


def _limit(value: object) -> int | None:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
        raise BtqlError("limit: expected a non-negative integer")
    return value


def _cursor(value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise BtqlError("cursor: expected a string")
    return value


def _projection(columns: list[tuple[str, Getter | None]]) -> Callable[[Row], Row]:
    if columns == [("*", None)]:
        return lambda row: row

    def project(row: Row) -> Row:
        projected: Row = {}
        for name, getter in columns:
            if getter is None:
                projected.update(row)
            else:
                projected[name] = getter(row)
        return projected

    return project


class _Compiler:
    def __init__(self, now: datetime, *, escapes: bool) -> None:
        self._now = now
        self._escapes = escapes

    def _node(self, node: object) -> Ast:
        """Return a node of known shape, a raw snippet replaced by what it says."""
        if not isinstance(node, dict):
            raise BtqlError(f"Expected an expression, got {type(node).__name__}")
        if "btql" in node:
            if node.keys() != {"btql"} or not isinstance(node["btql"], str):
                raise BtqlError('Expected {"btql": "<expression>"}')
            return self._node(parse_expression(node["btql"], escapes=self._escapes))
        op = node.get("op")
        if not isinstance(op, str) or op not in _KEYS:
            raise BtqlError(f"Unknown operator: {op!r}")
        if node.keys() - {"op", "loc"} != _KEYS[op]:
            raise BtqlError(f"Operator {op!r} takes {', '.join(sorted(_KEYS[op])) or 'nothing'}")
        return node

    def expression(self, source: object) -> Getter:
        node = self._node(source)
        match node["op"]:
            case "literal":
                return partial(constant, node["value"])
            case "ident":
                return _path(self._names(node))
            case "function":
                return self._call(node)
            case "interval":
                return self._interval(node)
            case "star":
                raise BtqlError("* stands in select only")
        return self._operation(node)

    def _operation(self, node: Ast) -> Getter:
        match node["op"]:
            case "not" | "isnull" | "isnotnull":
                return partial(UNARY[node["op"]], self.expression(node["expr"]))
            case "and" | "or":
                return partial(
                    LOGIC[node["op"]], self.expression(node["left"]), self.expression(node["right"])
                )
            case "includes":
                haystack, needle = (
                    self.expression(node["haystack"]),
                    self.expression(node["needle"]),
                )
                return lambda row: includes(haystack(row), needle(row))
        return self._comparison(node)

    def _comparison(self, node: Ast) -> Getter:
        left, right, compare = (
            self.expression(node["left"]),
            self.expression(node["right"]),
            COMPARE[node["op"]],
        )
        if self._is_created(node["left"]) or self._is_created(node["right"]):
            left, right = _as_moment(left), _as_moment(right)
            for side, getter in ((node["left"], left), (node["right"], right)):
                if self._node(side)["op"] == "literal":
                    getter({})  # a literal that is no timestamp is refused now, not row by row
        return lambda row: compare(left(row), right(row))

    def _names(self, node: Ast) -> list[str]:
        names = node["name"]
        if (
            not isinstance(names, list)
            or not names
            or not all(isinstance(name, str) for name in names)
        ):
            raise BtqlError("ident: name is a non-empty array of strings")
        if names[0] not in FIELDS:
            raise BtqlError(f"Unknown field: {'.'.join(names)}")
        return names

    def _call(self, node: Ast) -> Getter:
        if _function_name(node) in {"now", "current_timestamp"} and node["args"] == []:
            return partial(constant, self._now)
        raise BtqlError(f"Unknown function: {_function_name(node)}")

    def _interval(self, node: Ast) -> Getter:
        value, unit = node["value"], node["unit"]
        if not isinstance(value, int) or unit not in _DAYS:
            raise BtqlError("interval: expected an integer and a unit")
        return partial(constant, timedelta(days=value * _DAYS[unit]))

    def _is_created(self, source: object) -> bool:
        node = self._node(source)
        return bool(node["op"] == "ident" and node["name"] == ["created"])

    def bounds_created(self, source: object) -> bool:
        """Tell whether a filter bounds `created`, at its top or in a conjunction."""
        node = self._node(source)
        if node["op"] == "and":
            return self.bounds_created(node["left"]) or self.bounds_created(node["right"])
        return node["op"] in {"eq", "lt", "le", "gt", "ge"} and (
            self._is_created(node["left"]) or self._is_created(node["right"])
        )

    def select(self, items: object) -> list[tuple[str, Getter | None]]:
        if not isinstance(items, list) or not items:
            raise BtqlError("select: expected a non-empty array")
        return [self._column(item) for item in items]

    def _column(self, item: object) -> tuple[str, Getter | None]:
        if isinstance(item, dict) and item.get("op") == "star":
            return "*", None
        if not isinstance(item, dict) or not {"expr"} <= item.keys() <= {"expr", "alias"}:
            raise BtqlError("select: an item is {alias, expr} or a star")
        node = self._node(item["expr"])
        alias = item.get(
            "alias", node["name"][-1] if node["op"] == "ident" and node["name"] else None
        )
        if not isinstance(alias, str):
            raise BtqlError("select: this expression needs an alias")
        return alias, self.expression(node)

    def project_id(self, source: object) -> str:
        if not isinstance(source, dict) or source.get("op") != "function":
            raise BtqlError("from: expected project_logs('<project id>')")
        shape = source.get("shape", "spans")
        if shape != "spans":
            raise BtqlError(f"Shape {shape!r} is not supported by the local server")
        node = self._node({key: value for key, value in source.items() if key != "shape"})
        arguments = node["args"] if isinstance(node["args"], list) else []
        values = [self._node(argument).get("value") for argument in arguments]
        if (
            _function_name(node) != "project_logs"
            or len(values) != 1
            or not isinstance(values[0], str)
        ):
            raise BtqlError("from: expected project_logs('<project id>')")
        return values[0]

    def sort(self, items: object) -> tuple[tuple[Getter, bool], ...] | None:
        """Return getters and directions (True: descending); None for the natural order, also if it is spelled out."""
        if items is None:
            return None
        if not isinstance(items, list) or not all(
            isinstance(item, dict) and {"expr"} <= item.keys() <= {"expr", "dir"} for item in items
        ):
            raise BtqlError("sort: expected an array of {expr, dir}")
        if any(item.get("dir", "asc") not in {"asc", "desc"} for item in items):
            raise BtqlError("sort: dir is asc or desc")
        keys = [(self._node(item["expr"]), item.get("dir") == "desc") for item in items]
        if [(node.get("name"), down) for node, down in keys] in ([], [(["_pagination_key"], True)]):
            return None
        return tuple((self.expression(node), down) for node, down in keys)


def _function_name(node: Ast) -> str:
    name = node.get("name")
    parts = name.get("name") if isinstance(name, dict) else None
    return str(parts[0]).lower() if isinstance(parts, list) and len(parts) == 1 else repr(name)


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
