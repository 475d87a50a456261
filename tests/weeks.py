"""Five weeks of an audit, written by real runs: good, refused, dry, mistaken and undone, capped, of a queue."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from lib.errors import AssignmentError
from tests.world import REVIEW_LISTS, TAG, World

NOW = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
HOSTILE = "</title></style><script>alert(1)</script><img src=x onerror=alert(2)>\"'& \x1b[31m\u202e"
UNKNOWN = '"><svg/onload=alert(3)>'  # as a group's name: an address has another form
REVIEWED = {
    "id": "october0",
    "_is_merge": True,
    "metadata": {REVIEW_LISTS: {"__bt_default_review_list": {"status": "APPROVED"}}},
}


@dataclass
class Weeks:
    """What happened, and where its audit lies."""

    world: World
    users: list[str]
    runs: dict[str, dict[str, Any]]
    """Results by name; of the refused run, its record."""

    def id(self, name: str) -> str:
        return self.runs[name]["run_id"]

    @property
    def address(self) -> str:
        return f"s3://audit-bucket/{self.world.prefix}"

    def copy(self, folder: Path) -> Path:
        """A folder with a copy of the audit."""
        for key, text in self.world.objects().items():
            (folder / key).parent.mkdir(parents=True, exist_ok=True)
            (folder / key).write_text(text, "utf-8")
        return folder


def play(world: World) -> Weeks:
    """Make it happen."""
    users = world.add_users(3)
    weeks = Weeks(world, users, {})

    def run(name: str, day: str, event: object = None) -> None:
        moment = datetime.fromisoformat(f"{day}:00+00:00")
        world.braintrust.store.clock.set(moment)
        with suppress(AssignmentError):
            world.run(event, now=lambda: moment, request_id=name)
        kind = "dry_runs" if name == "dry" else "runs"
        weeks.runs[name] = next(
            record for record in world.records(kind) if name in record["run_id"]
        )

    def rows(prefix: str, count: int, day: str, tag: str = TAG) -> None:
        moment = datetime.fromisoformat(f"{day}:00+00:00")
        for number in range(count):
            created = moment + timedelta(seconds=number)
            world.braintrust.store.add_row(f"{prefix}{number}", created=created, tags=[tag])

    rows("october", 4, "2026-10-15T09:00")
    run("october", "2026-10-15T10:00")
    world.braintrust.store.insert([REVIEWED])
    run("undo-october", "2026-11-02T10:00", {"undo": weeks.id("october")})
    run("hand-over", "2026-11-02T11:00", {"tag": "nobody has this", "take_back": {"days": 1}})
    world.set_queues({"name": "de", "tag": "deutsch"})
    run("queued", "2026-11-20T08:00", {"queue": "de"})
    del world.settings["QUEUES_PARAMETER"]
    rows("a", 6, "2026-11-20T09:00")
    world.braintrust.faults.add("insert", row_id="a1", status=400, times=None)
    run("refused", "2026-11-20T10:00")
    world.braintrust.faults.clear()
    run("mended", "2026-11-20T11:00")
    rows("wrong", 3, "2026-11-21T09:00", HOSTILE)
    run("mistake", "2026-11-21T10:00", {"tag": HOSTILE})
    run("undo-mistake", "2026-11-21T10:30", {"undo": weeks.id("mistake")})
    rows("n", 3, "2026-11-22T09:00")
    run("dry", "2026-11-22T10:00", {"dry_run": True})
    run(
        "capped",
        "2026-11-23T07:00",
        {"max_assignments": 2, "reviewers": [*users, {"group": UNKNOWN}]},
    )
    run("idle", "2026-11-23T07:30", {"tag": "nobody has this"})
    return weeks
