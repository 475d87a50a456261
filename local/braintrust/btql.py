"""Compile a BTQL query, in any of its three forms, into a predicate over rows and a projection.

A filter lets a row through only when it is true: not where it is NULL.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from local.braintrust.expressions import Expressions, function_name
from local.braintrust.logic import Getter
from local.braintrust.merge import Row
from local.braintrust.options import Options
from local.braintrust.parser import parse_query
from local.braintrust.tokens import BtqlError

_QUERY_KEYS = {"select", "from", "filter", "sort", "limit", "cursor"}


@dataclass(frozen=True)
class Query:
    """A compiled query.

    `project` keeps the selected columns of a row; `sort` is None in the order of pagination keys.
    """

    project_id: str
    matches: Callable[[Row], bool]
    project: Callable[[Row], Row]
    columns: tuple[str, ...]
    limit: int | None
    cursor: str | None
    sort: tuple[tuple[Getter, bool], ...] | None
    rising: bool  # by pagination key, oldest first; else newest first
    sorted: bool  # it names an order
    bounded: bool  # something bounds `created`


def compile_query(source: object, now: datetime, options: Options) -> Query:
    """Compile a query: text (clauses or SQL) or a JSON AST; raise `BtqlError` for a wrong one."""
    ast = parse_query(source, escapes=options.string_escapes) if isinstance(source, str) else source
    if not isinstance(ast, dict):
        raise BtqlError("query: expected a string or an object")
    if unknown := ast.keys() - _QUERY_KEYS:
        raise BtqlError(f"Unknown key in query: {', '.join(sorted(unknown))}")
    for required in ("select", "from"):
        if required not in ast:
            raise BtqlError(f"query: {required} is required")
    if "sort" in ast and "sort" in options.refused:
        raise BtqlError("sort is not supported here")
    expressions = Expressions(now, options)
    condition = ast.get("filter")
    matches = expressions.expression(condition) if condition is not None else None
    columns = _select(ast["select"], expressions)
    sort, rising = _sort(ast.get("sort"), expressions)
    return Query(
        project_id=_project_id(ast["from"], expressions),
        matches=(lambda row: matches(row) is True) if matches else lambda _: True,
        project=_projection(columns),
        columns=tuple(name for name, _ in columns),
        limit=_limit(ast.get("limit")),
        cursor=_cursor(ast.get("cursor")),
        sort=sort,
        rising=rising,
        sorted=bool(ast.get("sort")),
        bounded=condition is not None and expressions.bounds_created(condition),
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


def _select(items: object, expressions: Expressions) -> list[tuple[str, Getter | None]]:
    if not isinstance(items, list) or not items:
        raise BtqlError("select: expected a non-empty array")
    return [_column(item, expressions) for item in items]


def _column(item: object, expressions: Expressions) -> tuple[str, Getter | None]:
    if isinstance(item, dict) and item.get("op") == "star":
        return "*", None
    if not isinstance(item, dict) or not {"expr"} <= item.keys() <= {"expr", "alias"}:
        raise BtqlError("select: an item is {alias, expr} or a star")
    node = expressions.node(item["expr"])
    alias = item.get("alias", node["name"][-1] if node["op"] == "ident" and node["name"] else None)
    if not isinstance(alias, str):
        raise BtqlError("select: this expression needs an alias")
    return alias, expressions.expression(node)


def _project_id(source: object, expressions: Expressions) -> str:
    if not isinstance(source, dict) or source.get("op") != "function":
        raise BtqlError("from: expected project_logs('<project id>')")
    shape = source.get("shape", "spans")
    if shape != "spans":
        raise BtqlError(f"Shape {shape!r} is not supported by the local server")
    node = expressions.node({key: value for key, value in source.items() if key != "shape"})
    arguments = node["args"] if isinstance(node["args"], list) else []
    values = [expressions.node(argument).get("value") for argument in arguments]
    if function_name(node) != "project_logs" or len(values) != 1 or not isinstance(values[0], str):
        raise BtqlError("from: expected project_logs('<project id>')")
    return values[0]


def _sort(
    items: object, expressions: Expressions
) -> tuple[tuple[tuple[Getter, bool], ...] | None, bool]:
    """Return getters and directions (True: descending), None by pagination key; if it rises."""
    if items is None:
        return None, False
    if not isinstance(items, list) or not all(
        isinstance(item, dict) and {"expr"} <= item.keys() <= {"expr", "dir"} for item in items
    ):
        raise BtqlError("sort: expected an array of {expr, dir}")
    if any(item.get("dir", "asc") not in {"asc", "desc"} for item in items):
        raise BtqlError("sort: dir is asc or desc")
    keys = [(expressions.node(item["expr"]), item.get("dir") == "desc") for item in items]
    if [node.get("name") for node, _ in keys] in ([], [["_pagination_key"]]):
        return None, any(not down for _, down in keys)
    return tuple((expressions.expression(node), down) for node, down in keys), False
