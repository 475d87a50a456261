"""A world whose clock moves only when a test moves it, and whose reads may be as old as a test wants."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lib.errors import AssignerError
from tests.refusing_aws import RefusingAws
from tests.world import ASSIGNMENTS, BUCKET, REVIEW_LISTS, TAG, World

MOMENT, MINUTE, HOUR = timedelta(milliseconds=1), timedelta(minutes=1), timedelta(hours=1)
RECORD = ("assignments", "to_assign_ids", "runs")
PENDING = {"__bt_default_review_list": {"status": "PENDING"}}
APPROVED = {"__bt_default_review_list": {"status": "APPROVED"}}


@dataclass
class Ended:
    """A run that raised: its error's words, and the id of the plan that it had made."""

    error: str
    run_id: str


class History:
    """Runs, people and time, one step after the other."""

    def __init__(self, world: World, aws: RefusingAws) -> None:
        self.world = world
        self._aws = aws
        self.moment = datetime(2026, 11, 23, 7, tzinfo=UTC)
        self._keep_time()

    def wait(self, time: timedelta) -> datetime:
        """Let so much time pass; returns when it began."""
        before = self.moment
        self.moment += time
        self._keep_time()
        return before

    def _keep_time(self) -> None:
        self.world.braintrust.store.clock.set(self.moment)  # type: ignore[attr-defined]

    @property
    def now(self) -> str:
        """The time, as the audit writes it."""
        return self.written(self.moment)

    @staticmethod
    def written(moment: datetime) -> str:
        return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"

    def log(self, *names: str, **fields: Any) -> None:
        """Rows that come in now, one millisecond apart."""
        for number, name in enumerate(names):
            created = self.moment - (len(names) - number) * MOMENT
            self.world.braintrust.store.add_row(name, created=created, **{"tags": [TAG]} | fields)

    def run(
        self, event: object = None, *, as_of: datetime | None = None, request_id: str = ""
    ) -> dict[str, Any]:
        """One run; with `as_of`, its reads show what was true at that moment."""
        lag = (self.moment - as_of).total_seconds() if as_of else 0.0
        self.world.braintrust.options.read_lag = lag
        try:
            return self.world.run(event, now=lambda: self.moment, request_id=request_id)
        finally:
            self.world.braintrust.options.read_lag = 0.0

    def refused(self, *rows: str, event: object = None) -> Ended:
        """A run in which Braintrust refuses these rows; without any, all of them."""
        faults = self.world.braintrust.faults
        for row in rows or (None,):
            faults.add("insert", row_id=row, status=400, message="no", times=None)
        ended = self._fails(event)
        faults.clear()
        return ended

    def unanswered(self, event: object = None) -> Ended:
        """A run whose rows land, by answers that do not say so."""
        self.world.braintrust.faults.add("insert", hostile="wrong_row_ids", times=None)
        ended = self._fails(event)
        self.world.braintrust.faults.clear()
        return ended

    def cut_off(self, *, landed: bool, event: object = None) -> Ended:
        """A run that leaves no record, as if it had been killed before or after its rows landed."""
        if not landed:
            self.world.braintrust.faults.add("insert", status=400, times=None)
        with self.no_record():
            ended = self._fails(event)
        self.world.braintrust.faults.clear()
        return ended

    @contextmanager
    def no_record(self) -> Iterator[None]:
        """Nothing that a run writes after its inserts is taken."""
        for kind in RECORD:
            self._aws.refuse("PUT", f"/{kind}/")
        yield
        self._aws.reset()

    def _fails(self, event: object) -> Ended:
        with pytest.raises(AssignerError) as failed:
            self.run(event)
        return Ended(str(failed.value), self.plan()["run_id"])

    def take_off(self, row: str) -> None:
        """Whoever has it takes themself off; its status stays."""
        self._merge(row, {ASSIGNMENTS: []})

    def assign(self, row: str, *people: str) -> None:
        """Somebody assigns it by hand."""
        self._merge(row, {ASSIGNMENTS: [*people]})

    def finish(self, row: str) -> None:
        """Whoever has it approves it."""
        self._merge(row, {REVIEW_LISTS: APPROVED})

    def _merge(self, row: str, metadata: dict[str, Any]) -> None:
        paths = [["metadata", ASSIGNMENTS]]
        event = {"id": row, "_is_merge": True, "_merge_paths": paths, "metadata": metadata}
        self.world.braintrust.store.insert([event])

    def review(self, row: str) -> tuple[Any, Any]:
        """Who has it, and what its review list says."""
        metadata = (self.world.braintrust.store.row(row) or {}).get("metadata") or {}
        return metadata.get(ASSIGNMENTS), metadata.get(REVIEW_LISTS)

    def reviewers_ever(self, row: str) -> list[tuple[str, ...]]:
        return self.world.braintrust.store.assignment_history(row)

    def plan(self) -> dict[str, Any]:
        """The plan that the ledger names."""
        return next(chain(self.world))

    def given(self) -> list[tuple[str, str]]:
        """Rows and people of that plan, in its order."""
        return [(item["row_id"], item["reviewer_id"]) for item in self.plan()["assignments"]]

    def carried(self) -> dict[str, dict[str, Any]]:
        """What that plan carries, by row."""
        return {entry.pop("row_id"): entry for entry in self.plan()["carried"]}

    def key(self, run_id: str, kind: str) -> str:
        """Where a run's object lies, without the prefix."""
        date = f"{run_id[:4]}-{run_id[4:6]}-{run_id[6:8]}"
        suffix = "jsonl" if kind == "assignments" else "json"
        project = self.world.braintrust.project_id
        return f"{kind}/project_id={project}/date={date}/{run_id}.{suffix}"

    def put(self, key: str, text: str) -> None:
        """Write an object of the audit by hand."""
        s3 = self.world.client("s3")
        s3.put_object(Bucket=BUCKET, Key=self.world.prefix + key, Body=text.encode())

    def delete(self, run_id: str, *kinds: str) -> dict[str, str]:
        """Delete objects of a run; returns their texts by key."""
        keys = [self.key(run_id, kind) for kind in kinds]
        texts = {key: text for key, text in self.world.objects().items() if key in keys}
        for key in texts:
            self.world.client("s3").delete_object(Bucket=BUCKET, Key=self.world.prefix + key)
        return texts


def chain(world: World) -> Iterator[dict[str, Any]]:
    """The plans that happened, the newest first."""
    plans = world.objects("plans/")
    for text in world.objects("ledger/").values():
        key = json.loads(text)["plan"]
        with suppress(KeyError):  # the chain breaks off here
            while key:
                plan = json.loads(plans[key.removeprefix(world.prefix)])
                yield plan
                key = plan.get("previous")
