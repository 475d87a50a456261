"""BTQL text, clause form and SQL form, into the JSON AST that `btql` compiles."""

from typing import Any

from local.braintrust.tokens import BtqlError, Reader, Token, plain, tokenize

Ast = dict[str, Any]

_COMPARISONS = {"=": "eq", "!=": "ne", "<>": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}
_UNITS = frozenset({"second", "minute", "hour", "day", "week", "month", "year"})
_CONSTANTS = {"true": True, "false": False, "null": None}
_RESERVED = frozenset(
    {"and", "or", "not", "is", "null", "includes", "contains", "in", "like", "ilike", "between"}
) | {"as", "asc", "desc", "from", "where", "order", "limit", "offset"}


def parse_query(text: str, *, escapes: bool = False) -> Ast:
    """Parse a whole query in either text form."""
    parser = Parser(tokenize(text, escapes=escapes))
    if parser.peek_word() == "with":
        raise BtqlError("WITH is not supported by the local server")
    return (
        parser.sql()
        if parser.peek_word() == "select" and not parser.is_clause()
        else parser.clauses()
    )


def parse_expression(text: str, *, escapes: bool = False) -> Ast:
    """Parse one expression: what a raw snippet, {"btql": ...}, holds."""
    parser = Parser(tokenize(text, escapes=escapes))
    expression = parser.expression()
    parser.end()
    return expression


class Parser(Reader):
    """Recursive descent over the tokens of one text."""

    def __init__(self, tokens: list[Token]) -> None:
        super().__init__(tokens)
        self._sql = False

    # Clause form

    def clauses(self) -> Ast:
        query: Ast = {}
        while self._peek().kind != "end":
            if self._accept("|"):
                continue
            name = self._clause_name()
            if name in query:
                raise BtqlError(f"Clause {name!r} is given twice")
            query[name] = self._clause(name)
            if not (self._peek().value == "|" or self._peek().newline):
                self._unexpected()
        return query

    def is_clause(self) -> bool:
        return self._peek(1).value == ":"

    def _clause_name(self) -> str:
        token = self._next()
        if token.kind != "word" or not self._accept(":"):
            raise BtqlError(f"Expected a clause such as 'select:' at offset {token.at}")
        return token.value.lower()

    def _clause(self, name: str) -> object:
        match name:
            case "select":
                return self._select()
            case "from":
                return self._from()
            case "filter":
                return self.expression()
            case "sort":
                return self._sort()
            case "limit":
                return self._integer()
            case "cursor":
                return self._string()
            case _:
                raise BtqlError(f"Clause {name!r} is not supported by the local server")

    # SQL form

    def sql(self) -> Ast:
        self._sql = True
        self._next()
        query: Ast = {"select": self._select()}
        self._expect_word("from")
        query["from"] = self._from()
        if self._accept_word("where"):
            query["filter"] = self.expression()
        if self._accept_word("order"):
            self._expect_word("by")
            query["sort"] = self._sort()
        if self._accept_word("limit"):
            query["limit"] = self._integer()
        if self._accept_word("offset"):
            query["cursor"] = self._string()
        self._accept(";")
        self.end()
        return query

    # Parts of both

    def _select(self) -> list[Ast]:
        items = [self._select_item()]
        while self._accept(","):
            items.append(self._select_item())
        return items

    def _select_item(self) -> Ast:
        if self._accept("*"):
            return {"op": "star"}
        item: Ast = {"expr": self.expression()}
        if self._accept_word("as"):
            item["alias"] = self._name()
        return item

    def _from(self) -> Ast:
        source = self._primary()
        if source.get("op") != "function":
            raise BtqlError("from: expected project_logs('<project id>')")
        if self._peek().kind == "word" and self._peek().value.lower() in {
            "spans",
            "traces",
            "summary",
        }:
            source["shape"] = self._next().value.lower()
        return source

    def _sort(self) -> list[Ast]:
        items: list[Ast] = []
        while not items or self._accept(","):
            item: Ast = {"expr": self.expression(), "dir": "asc"}
            if self._peek_in({"asc", "desc"}):
                item["dir"] = self._next().value.lower()
            items.append(item)
        return items

    def expression(self) -> Ast:
        left = self._conjunction()
        while self._accept_word("or"):
            left = {"op": "or", "left": left, "right": self._conjunction()}
        return left

    def _conjunction(self) -> Ast:
        left = self._negation()
        while self._accept_word("and"):
            left = {"op": "and", "left": left, "right": self._negation()}
        return left

    def _negation(self) -> Ast:
        if self._accept_word("not"):
            return {"op": "not", "expr": self._negation()}
        return self._comparison()

    def _comparison(self) -> Ast:
        left = self._sum()
        if self._peek().value in _COMPARISONS and self._peek().kind == "op":
            return {"op": _COMPARISONS[self._next().value], "left": left, "right": self._sum()}
        if self._accept_word("is"):
            op = "isnotnull" if self._accept_word("not") else "isnull"
            self._expect_word("null")
            return {"op": op, "expr": left}
        negated = self._accept_word("not")
        compared = self._word_comparison(left)
        if compared is None and negated:
            self._unexpected()
        return {"op": "not", "expr": compared} if negated else compared or left

    def _word_comparison(self, left: Ast) -> Ast | None:
        if self._peek_in({"includes", "contains"}):
            if self._sql:
                raise BtqlError("INCLUDES is not supported in SQL queries")
            self._next()
            return {"op": "includes", "haystack": left, "needle": self._sum()}
        if self._peek_in({"like", "ilike", "in"}):
            return {"op": self._next().value.lower(), "left": left, "right": self._sum()}
        if self._accept_word("between"):
            low = self._sum()
            self._expect_word("and")
            bounds = [
                {"op": "ge", "left": left, "right": low},
                {"op": "le", "left": left, "right": self._sum()},
            ]
            return {"op": "and", "left": bounds[0], "right": bounds[1]}
        return None

    def _sum(self) -> Ast:
        left = self._primary()
        while self._peek().value in {"+", "-"} and self._peek().kind == "op":
            op = "add" if self._next().value == "+" else "sub"
            left = {"op": op, "left": left, "right": self._primary()}
        return left

    def _primary(self) -> Ast:
        token = self._next()
        match token.kind:
            case "string":
                return {"op": "literal", "value": token.value}
            case "number":
                return {"op": "literal", "value": _number(token.value)}
            case "word" if token.value.lower() in _CONSTANTS:
                return {"op": "literal", "value": _CONSTANTS[token.value.lower()]}
            case "word" if token.value.lower() == "interval":
                return self._interval()
            case "word" | "quoted":
                return self._path_or_call(token)
        return self._punctuated(token)

    def _punctuated(self, token: Token) -> Ast:
        match token.value:
            case "-":
                return {"op": "literal", "value": -_number(self._next("number").value)}
            case "(":
                return self._parenthesis()
            case "[":
                return {"op": "literal", "value": self._literals("]")}
        return self._unexpected(token)

    def _parenthesis(self) -> Ast:
        expression = self.expression()
        if self._accept(","):
            if expression.get("op") != "literal":
                raise BtqlError("A list in parentheses holds literals only")
            return {"op": "literal", "value": [expression["value"], *self._literals(")")]}
        self._expect(")")
        return expression

    def _literals(self, closing: str) -> list[object]:
        values: list[object] = []
        while not self._accept(closing):
            if values:
                self._expect(",")
            item = self._primary()
            if item.get("op") != "literal":
                raise BtqlError("An array holds literals only")
            values.append(item["value"])
            if self._accept(closing):
                break
        return values

    def _interval(self) -> Ast:
        token = self._next()
        number, unit = token.value, ""
        if token.kind == "string" and " " in number.strip():
            number, unit = number.split(maxsplit=1)
        unit = (unit or self._next("word").value).lower().removesuffix("s")
        if not number.isdecimal() or unit not in _UNITS:
            raise BtqlError(f"Invalid interval at offset {token.at}")
        return {"op": "interval", "value": int(number), "unit": unit}

    def _path_or_call(self, token: Token) -> Ast:
        if token.kind == "word" and token.value.lower() in _RESERVED:
            self._unexpected(token)
        path = [plain(token)]
        while self._accept("."):
            path.append(self._name())
        name: Ast = {"op": "ident", "name": path}
        if token.kind == "quoted" or not self._accept("("):
            return name
        return self._call(name)

    def _call(self, name: Ast) -> Ast:
        call: Ast = {"op": "function", "name": name, "args": []}
        while not self._accept(")"):
            if call["args"]:
                self._expect(",")
            if self._peek_in({"shape"}) and self._peek(1).value == "=>":
                self._at += 2
                call["shape"] = self._string()
            else:
                call["args"].append(self.expression())
        return call


def _number(text: str) -> int | float:
    return int(text) if text.isdecimal() else float(text)
