"""What the organisation holds: users, groups, projects and every version of every log row."""

import itertools
import threading
import uuid
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from local.braintrust.clock import Clock
from local.braintrust.merge import (
    DEFAULTS,
    Row,
    format_time,
    merge_event,
    new_row,
    parse_time,
    replace_row,
    reviewers,
)
from local.braintrust.versions import Log, Position, Version, copied

XACT_TOP_BITS = (
    0x0DE1 << 48
)  # Braintrust's transaction ids: these bits, then seconds, then a counter of 16 bits


class Store:
    """One organisation, safe to call from any thread; rows are copied on the way out."""

    def __init__(self, project_id: str, clock: Callable[[], datetime] | None = None) -> None:
        self.clock: Callable[[], datetime] = clock or Clock()
        self.lock = threading.RLock()
        self.org_id = str(uuid.uuid4())
        self.project_id = project_id
        self.users: list[Row] = []
        self.groups: list[Row] = []
        self.projects: list[Row] = []
        self.comments: list[Row] = []
        self.logs: dict[str, Log] = {}
        self.last_xact = 0
        self._rows_born = 0
        self.add_project("Product", project_id=project_id)

    # The organisation

    def add_user(
        self, email: str | None = None, *, user_id: str | None = None, **fields: object
    ) -> str:
        user = {
            "id": user_id or str(uuid.uuid4()),
            "given_name": None,
            "family_name": None,
            "email": email,
            "avatar_url": None,
            "created": format_time(self.clock()),
            **fields,
        }
        with self.lock:
            self.users.append(user)
        return str(user["id"])

    def add_group(
        self,
        name: str,
        member_users: Iterable[str] | None = None,
        member_groups: Iterable[str] | None = None,
        *,
        group_id: str | None = None,
    ) -> str:
        group = {
            "id": group_id or str(uuid.uuid4()),
            "org_id": self.org_id,
            "user_id": None,
            "created": format_time(self.clock()),
            "name": name,
            "description": None,
            "deleted_at": None,
            "member_users": None if member_users is None else list(member_users),
            "member_groups": None if member_groups is None else list(member_groups),
        }
        with self.lock:
            self.groups.append(group)
        return str(group["id"])

    def add_project(self, name: str, *, project_id: str | None = None) -> str:
        project = {
            "id": project_id or str(uuid.uuid4()),
            "org_id": self.org_id,
            "name": name,
            "created": format_time(self.clock()),
            "deleted_at": None,
            "user_id": None,
            "settings": None,
        }
        with self.lock:
            self.projects.append(project)
            self.logs[str(project["id"])] = Log()
        return str(project["id"])

    # Rows: the back door, which takes anything

    def add_row(
        self,
        row_id: str | None = None,
        *,
        created: datetime | str | None = None,
        project_id: str | None = None,
        pagination_key: str | None = None,
        **fields: object,
    ) -> str:
        """Plant a row as if it had been logged at `created`; no field is checked.

        A row that exists is replaced whole and keeps its `created`. Rows stand in the order of
        `created`, unless a `pagination_key` says otherwise.
        """
        with self.lock:
            now = self.clock()
            at = parse_time(created) if isinstance(created, str) else created or now
            row_id = row_id or str(uuid.uuid4())
            log = self.logs[project_id or self.project_id]
            row = log.current(row_id)
            if row is None:
                key = pagination_key or log.pagination_key(row_id) or self._pagination_key(at)
                row = self._stub(row_id, at, project_id or self.project_id, key)
            else:
                row = {**row, **DEFAULTS}
            row.update(fields)
            row["_xact_id"] = self._next_xact(at)
            row["is_root"] = fields.get("is_root", not row["span_parents"])
            log.append(
                Version(now if row_id in log.versions else min(at, now), row),
                row_id,
                row["_pagination_key"],
            )
        return row_id

    def add_rows(
        self,
        count: int,
        *,
        tag: str = "review",
        span: timedelta = timedelta(days=5),
        metadata: Row | None = None,
        project_id: str | None = None,
    ) -> None:
        """Plant `count` tagged rows, evenly over `span` up to now: quick enough for 100,000."""
        with self.lock:
            project, start = project_id or self.project_id, self.clock() - span
            log, template = self.logs[project], self._stub("", start, project, "")
            for number in range(count):
                moment = start + number * span / count
                row = {
                    **template | {"tags": [tag]},
                    "id": str(uuid.uuid4()),
                    "span_id": f"span-{number}",
                    "root_span_id": f"span-{number}",
                    "created": format_time(moment),
                    "_xact_id": self._next_xact(moment),
                    "_pagination_key": self._pagination_key(moment),
                    "metadata": {"number": number} | (metadata or {}),
                    "input": {"question": f"Question {number}"},
                    "output": f"Answer {number}",
                }
                log.append(Version(moment, row), row["id"], row["_pagination_key"])

    # Rows: what the API does

    def insert(self, events: Iterable[Row], project_id: str | None = None) -> list[str]:
        """Apply checked events in order, under one transaction id; return the ids of their rows."""
        with self.lock:
            now = self.clock()
            xact = self._next_xact(now)
            return [
                self._apply(event, project_id or self.project_id, now, xact) for event in events
            ]

    def give_feedback(self, item: Row, project_id: str) -> None:
        """Apply one feedback item: scores, expected and tags reach the row, metadata does not."""
        with self.lock:
            event: Row = {
                field: item[field] for field in ("scores", "expected", "tags") if field in item
            }
            if event and self.logs[project_id].current(item["id"]) is not None:
                self.insert([{**event, "id": item["id"], "_is_merge": True}], project_id)
            if item.get("comment") is not None:
                self.comments.append({"row_id": item["id"], "comment": item["comment"]})

    # Rows: reading; what is returned is the store's own and must not be changed

    def page(
        self,
        place: Position,
        matches: Callable[[Row], bool],
        count: int | None,
        as_of: datetime | None = None,
    ) -> list[Row]:
        """Return up to `count` matching rows from a place on."""
        with self.lock:
            rows = self.logs[place.project_id].rows(place.key, as_of, rising=place.rising)
            return list(itertools.islice((row for row in rows if matches(row)), count))

    def page_before(self, place: Position, matches: Callable[[Row], bool], count: int) -> list[Row]:
        """Return up to `count` matching rows from just before a place, as they were before."""
        with self.lock:
            log = self.logs[place.project_id]
            ids = log.ids(place.key, rising=not place.rising, itself=True)
            matching = (row_id for row_id in ids if (row := log.current(row_id)) and matches(row))
            return [log.older(row_id) for row_id in itertools.islice(matching, count)]

    def row_versions(self, project_id: str) -> list[Row]:
        """Return all versions of all rows that exist, the latest write first."""
        with self.lock:
            log = self.logs[project_id]
            versions = [
                version.row
                for row_id, written in log.versions.items()
                if log.current(row_id) is not None
                for version in written
                if version.row is not None
            ]
        return sorted(versions, key=lambda row: int(row["_xact_id"]), reverse=True)

    def _apply(self, event: Row, project_id: str, now: datetime, xact: str) -> str:
        log = self.logs[project_id]
        row_id = event.get("id") or str(uuid.uuid4())
        old = log.current(row_id)
        if event.get("_object_delete"):
            if old is not None:
                log.append(Version(now, None), row_id, old["_pagination_key"])
            return str(row_id)
        row = self._changed(old, event, row_id, project_id, now)
        row["_xact_id"] = xact
        row["is_root"] = not row["span_parents"]
        log.append(Version(now, row), row_id, row["_pagination_key"])
        return str(row_id)

    def _changed(
        self, old: Row | None, event: Row, row_id: str, project_id: str, now: datetime
    ) -> Row:
        if old is not None and event.get("_is_merge"):
            return merge_event(old, event)
        created = parse_time(event["created"]) if event.get("created") else now
        key = self.logs[project_id].pagination_key(row_id) or self._pagination_key(now)
        return replace_row(old or self._stub(row_id, created, project_id, key), event)

    def _stub(self, row_id: str, created: datetime, project_id: str, pagination_key: str) -> Row:
        """Return a new row with nothing in it."""
        ids = {"id": row_id, "project_id": project_id, "org_id": self.org_id}
        return new_row(created) | ids | {"_pagination_key": pagination_key}

    def _next_xact(self, now: datetime) -> str:
        base = XACT_TOP_BITS | (int(now.timestamp()) & 0xFFFFFFFF) << 16
        self.last_xact = max(self.last_xact + 1, base)
        return str(self.last_xact)

    def _pagination_key(self, moment: datetime) -> str:
        self._rows_born += 1
        return f"p{int(moment.timestamp() * 1_000_000):017d}{self._rows_born:09d}"

    # What tests look at

    def row(self, row_id: str, project_id: str | None = None) -> Row | None:
        with self.lock:
            return copied(self.logs[project_id or self.project_id].current(row_id))

    def rows(self, project_id: str | None = None) -> list[Row]:
        """Return every row there is, newest first."""
        with self.lock:
            return copied(list(self.logs[project_id or self.project_id].rows()))

    def history(self, row_id: str, project_id: str | None = None) -> list[Version]:
        """Return every version of a row, oldest first."""
        with self.lock:
            return copied(self.logs[project_id or self.project_id].versions.get(row_id, []))

    def assignment_history(
        self, row_id: str, project_id: str | None = None
    ) -> list[tuple[str, ...]]:
        """Return a row's successive reviewers, changes only: `[(), ("ana",)]` if assigned once."""
        with self.lock:
            versions = self.logs[project_id or self.project_id].versions.get(row_id, [])
            return _changes(version.reviewers for version in versions)

    def assignments(self, project_id: str | None = None) -> dict[str, tuple[str, ...]]:
        """Return the reviewers each row has now."""
        with self.lock:
            rows = self.logs[project_id or self.project_id].rows()
            return {row["id"]: reviewers(row) for row in rows}

    def contested(self, project_id: str | None = None) -> dict[str, list[tuple[str, ...]]]:
        """Return the assignment history of rows that ever had two different sets of reviewers."""
        with self.lock:
            histories = {
                row_id: _changes(version.reviewers for version in versions)
                for row_id, versions in self.logs[project_id or self.project_id].versions.items()
            }
        return {
            row_id: history
            for row_id, history in histories.items()
            if len({frozenset(held) for held in history if held}) > 1
        }


def _changes(successive: Iterable[tuple[str, ...]]) -> list[tuple[str, ...]]:
    changes: list[tuple[str, ...]] = []
    for held in successive:
        if not changes or changes[-1] != held:
            changes.append(held)
    return changes
