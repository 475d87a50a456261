"""S3 and a Braintrust log in memory, as values: a write makes a new one, and equal ones are one object."""

import hashlib
import json
from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import cache
from typing import Any, NamedTuple

from local.braintrust.btql import BtqlError, compile_query
from local.braintrust.merge import merge_event, reviewers
from local.braintrust.options import Options
from tests.explore.tape import BEGIN, PROJECT, Ask, Reply

ASSIGNMENTS = "~__bt_assignments"
REVIEW_LISTS = "~__bt_review_lists"
DEFAULT_LIST = "__bt_default_review_list"
MISSING = Reply("missing")
BEATEN = Reply("beaten")
DONE = Reply("ok")


class Objects:
    """A bucket at one moment."""

    __slots__ = ("_later", "confirmed", "of")
    known: dict[frozenset[tuple[str, str, str]], "Objects"] = {}  # noqa: RUF012 - of the class

    def __init__(self, of: dict[str, tuple[str, str]]) -> None:
        self.of = of
        """Key to body and mark."""
        self._later: dict[tuple[str, str, str], Objects] = {}
        self.confirmed: dict[str, frozenset[str]] = {}
        """By run id, filled by the rules."""

    def put(self, key: str, body: str, mark: str) -> "Objects":
        if "/runs/" in key or "/dry_runs/" in key:
            body = ""  # nobody reads them, only whether they are there
        later = self._later.get((key, body, mark))
        if later is None:
            of = self.of | {key: (body, mark)}
            same = frozenset((key, *what) for key, what in of.items())
            later = self._later[key, body, mark] = Objects.known.setdefault(same, Objects(of))
        return later

    def carry_out(self, request: Ask) -> tuple["Objects", Reply]:
        """The bucket after the request, and its answer."""
        found = self.of.get(request.key)
        if request.kind == "get":
            return self, Reply("ok", (found[0], etag(found[0]))) if found else MISSING
        if request.kind == "head":
            return self, Reply("ok", found[1]) if found else MISSING
        if request.kind == "list":
            return self, Reply("ok", tuple(sorted(k for k in self.of if k.startswith(request.key))))
        if request.match == "*" and found:
            return self, BEATEN
        if request.match not in {None, "*"} and not (found and etag(found[0]) == request.match):
            return self, BEATEN
        return self.put(request.key, request.body, request.mark), DONE


@cache
def etag(body: str) -> str:
    return hashlib.md5(body.encode(), usedforsecurity=False).hexdigest()


class Rows:
    """The log at one moment."""

    __slots__ = ("_later", "of")
    known: dict[str, "Rows"] = {}  # noqa: RUF012 - of the class

    def __init__(self, of: dict[str, dict[str, Any]]) -> None:
        self.of = of
        self._later: dict[str, Rows] = {}

    @classmethod
    def first(cls, tags: Iterable[tuple[str, tuple[str, ...]]]) -> "Rows":
        """Rows with these tags, one created each second; the last one a minute before the beginning."""
        items = list(tags)
        return cls._one(
            {
                row_id: {
                    "id": row_id,
                    "created": (BEGIN - timedelta(seconds=60 + len(items) - number)).isoformat(),
                    "_xact_id": "1",
                    "_pagination_key": f"p{number:04}",
                    "tags": list(labels),
                    "metadata": {"model": "x"},
                    "is_root": True,
                    "project_id": PROJECT,
                }
                for number, (row_id, labels) in enumerate(items)
            }
        )

    @classmethod
    def _one(cls, of: dict[str, dict[str, Any]]) -> "Rows":
        return cls.known.setdefault(json.dumps(of, sort_keys=True), cls(of))

    def merged(self, event: str) -> "Rows":
        """The log with an event merged in."""
        later = self._later.get(event)
        if later is None:
            change = json.loads(event)
            row = merge_event(self.of[change["id"]], change)
            later = self._later[event] = Rows._one(self.of | {change["id"]: row})
        return later

    def reviewers(self, row_id: str) -> tuple[str, ...]:
        return reviewers(self.of[row_id])

    def status(self, row_id: str) -> str | None:
        lists = (self.of[row_id]["metadata"] or {}).get(REVIEW_LISTS) or {}
        status: str | None = (lists.get(DEFAULT_LIST) or {}).get("status")
        return status

    def finished(self, row_id: str) -> bool:
        return self.status(row_id) not in {None, "PENDING"}

    def page(self, query: str) -> Reply:
        """The answer to a query: all rows that it asks for, on one page; a refusal of what the server does not know."""
        try:
            matches, project, ascending = _compiled(query)
        except BtqlError:
            return Reply("refused")
        rows = [project(row) for row in self.of.values() if matches(row)]
        return Reply("ok", json.dumps({"data": rows if ascending else rows[::-1], "cursor": None}))


@cache
def _compiled(query: str) -> tuple[Callable[..., bool], Callable[..., Any], bool]:
    compiled = compile_query(json.loads(query)["query"], BEGIN, Options())
    ascending = bool(compiled.sort) and not compiled.sort[0][1]
    return compiled.matches, compiled.project, ascending


@cache
def finishing(row_id: str) -> str:
    """What a person's "Complete" writes."""
    lists = {DEFAULT_LIST: {"status": "COMPLETE"}}
    return json.dumps({"id": row_id, "metadata": {REVIEW_LISTS: lists}, "_is_merge": True})


@cache
def leaving(row_id: str) -> str:
    """What is written when the reviewer takes themself off."""
    whole = [["metadata", ASSIGNMENTS]]
    event = {"id": row_id, "metadata": {ASSIGNMENTS: []}, "_is_merge": True, "_merge_paths": whole}
    return json.dumps(event)


class Event(NamedTuple):
    """What an insert does to one row."""

    row_id: str
    people: str
    given: bool
    """To them; else it is taken from them."""
    text: str


@cache
def events_of(payload: str) -> tuple[Event, ...]:
    """The events of an insert's body."""
    found = []
    for event in json.loads(payload)["events"]:
        removed = [who for part in event.get("_array_delete", ()) for who in part["delete"]]
        given = event.get("metadata", {}).get(ASSIGNMENTS, [])
        people = ",".join(given or removed)
        found.append(Event(event["id"], people, bool(given), json.dumps(event)))
    return tuple(found)
