"""The organisation's users and groups, page by page; what makes no sense is left out and told."""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from lib.errors import QueryError
from lib.roster import Directory, Group, User

LOOKUP_PAGE = 1000
NO_LIST = "{} look-up failed: the answer is not a list of objects with ids"

Json = dict[str, Any]


class LookUp:
    """Looks up all of them; `ask` answers a path with decoded JSON."""

    def __init__(self, ask: Callable[[str, str], Any], warnings: list[str]) -> None:
        self._ask = ask
        self._warnings = warnings

    def users(self) -> list[User]:
        """Every user with an id."""
        return [
            User(
                item["id"],
                _text(item, "email"),
                _text(item, "given_name"),
                _text(item, "family_name"),
            )
            for item in self._list("user")
        ]

    def groups(self) -> list[Group]:
        """Every group with an id, and those of its members that have one."""
        groups, odd = [], 0
        for item in self._list("group"):
            users, odd_users = _ids(item, "member_users")
            inner, odd_groups = _ids(item, "member_groups")
            odd += odd_users + odd_groups
            groups.append(Group(item["id"], _text(item, "name"), users, inner))
        self._tell(odd, "members of groups")
        return groups

    def _list(self, kind: str) -> list[Json]:
        """Raises QueryError for an answer that is no list, or holds nothing that makes sense."""
        items: dict[str, Json] = {}
        odd: set[str] = set()
        path = start = f"/v1/{kind}?limit={LOOKUP_PAGE}"
        while True:
            usable, rest = _objects(kind, self._ask(kind, path))
            if rest and not (usable or items):
                raise QueryError(NO_LIST.format(kind))
            odd |= {repr(item)[:1000] for item in rest}
            new = {item["id"]: item for item in usable if item["id"] not in items}
            if not new:  # the end, or a server that knows no starting_after
                self._tell(len(odd), f"{kind}s")
                return list(items.values())
            items |= new
            path = f"{start}&starting_after={quote(usable[-1]['id'], safe='')}"

    def _tell(self, count: int, what: str) -> None:
        if count:
            self._warnings.append(
                f"{count} {what} without a usable id were left out of the look-up"
            )


class SharedDirectory:
    """Users and groups, each looked up once an invocation, also where that failed.

    The run that needs them first looks them up.
    """

    def __init__(self, found: dict[str, Any], directory: Directory, warnings: list[str]) -> None:
        """`found`: what all runs share; `warnings`: what `directory` had to leave out."""
        self._found = found
        self._directory = directory
        self._warnings = warnings

    def users(self) -> list[User] | None:
        """As Directory."""
        users: list[User] | None = self._once("users", self._directory.users)
        return users

    def groups(self) -> list[Group] | None:
        """As Directory."""
        groups: list[Group] | None = self._once("groups", self._directory.groups)
        return groups

    @property
    def warnings(self) -> list[str]:
        """What had to be left out, in sentences."""
        return list(self._found.get("warnings", []))

    def _once(self, kind: str, look_up: Callable[[], object]) -> Any:  # noqa: ANN401 - of either kind
        if kind not in self._found:
            try:
                self._found[kind] = look_up()
            except QueryError as error:
                self._found[kind] = error
            self._found["warnings"] = [*self.warnings, *self._warnings]
            self._warnings.clear()
        answer = self._found[kind]
        if isinstance(answer, QueryError):
            raise answer
        return answer


def _objects(kind: str, body: object) -> tuple[list[Json], list[Any]]:
    """What a page holds: objects with an id, and anything else.

    Raises QueryError if it is no page.
    """
    page = body.get("objects") if isinstance(body, dict) else None
    if not isinstance(page, list):
        raise QueryError(NO_LIST.format(kind))
    parts: tuple[list[Json], list[Any]] = [], []
    for item in page:
        parts[not (isinstance(item, dict) and is_id(item.get("id")))].append(item)
    return parts


def is_id(value: object) -> bool:
    """Text that can stand in a URL and a message."""
    return isinstance(value, str) and bool(value) and value.isprintable()


def _text(item: Json, field: str) -> str:
    value = item.get(field)
    return value if isinstance(value, str) else ""


def _ids(item: Json, field: str) -> tuple[tuple[str, ...], int]:
    """The ids in a field, null or missing being none, and how many values there were none."""
    members = item.get(field)
    if not isinstance(members, list):
        return (), int(members is not None)
    ids = tuple(filter(is_id, members))
    return ids, len(members) - len(ids)
