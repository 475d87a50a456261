"""Writing the plan to Braintrust: batches side by side, refusals narrowed down, every row's outcome kept."""

import json
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import datetime
from typing import Any, NamedTuple

from lib.braintrust import Braintrust, NotStarted, RequestFailed
from lib.plan import quoted
from lib.rows import ASSIGNMENTS, DEFAULT_LIST, REVIEW_LISTS, iso

MAX_BODY = 5_000_000  # bytes; the API takes about 6 MB
FATAL = frozenset({401, 403, 404})  # refusals that the next batch would meet as well
LEAST_TIME = 1.0  # seconds an insert must have to be worth starting

Assignments = Sequence[tuple[str, str]]
Event = dict[str, Any]


class Outcome(NamedTuple):
    """What became of one planned row."""

    status: str
    """`assigned` (of an undo: `undone`), `failed` (refused), `unknown` (sent, no clear answer), `not_attempted`."""
    assigned_at: str | None = None
    error: str | None = None


NOT_ATTEMPTED = Outcome("not_attempted")
NO_ANSWER = Outcome("unknown", error="sent, but no answer came in time")
NOT_NAMED = Outcome("unknown", error="the answer does not name this row")


def build_event(row_id: str, user_id: str) -> Event:
    """The merge that Braintrust documents for an assignment: it replaces the reviewer list and nothing else."""
    return {
        "id": row_id,
        "metadata": {ASSIGNMENTS: [user_id], REVIEW_LISTS: {DEFAULT_LIST: {"status": "PENDING"}}},
        "_is_merge": True,
        "_merge_paths": [["metadata", ASSIGNMENTS]],
    }


def build_undo_event(row_id: str, user_id: str) -> Event:
    """The merge that takes one reviewer off a row, and nothing else."""
    return {
        "id": row_id,
        "_is_merge": True,
        "_array_delete": [{"path": ["metadata", ASSIGNMENTS], "delete": [user_id]}],
    }


def assign_batch(
    client: Braintrust,
    batch: Assignments,
    now: Callable[[], datetime],
    build: Callable[[str, str], Event] = build_event,
) -> list[Outcome]:
    """Send one insert request and check its answer, row by row. Raises RequestFailed if it was not taken."""
    payload = _payload(batch, build)
    if len(payload) > MAX_BODY:
        raise RequestFailed(
            f"{len(batch)} rows make {len(payload)} bytes, more than the API takes", 413
        )
    answer = client.insert(payload)
    named = answer.get("row_ids") if isinstance(answer, dict) else None
    if not isinstance(named, list) or len(named) != len(batch):
        return [NOT_NAMED] * len(batch)
    done = Outcome("assigned" if build is build_event else "undone", iso(now()))
    return [
        done if row_id == name else NOT_NAMED
        for (row_id, _), name in zip(batch, named, strict=True)
    ]


def _payload(batch: Assignments, build: Callable[[str, str], Event]) -> bytes:
    """The events as JSON. From row to row only the id differs, so the rest is written out once a reviewer."""
    blank = uuid.uuid4().hex
    around = {
        who: json.dumps(build(blank, who)).split(json.dumps(blank))
        for who in {who for _, who in batch}
    }
    return f'{{"events": [{", ".join(quoted(row_id).join(around[who]) for row_id, who in batch)}]}}'.encode()


def assign_all(
    client: Braintrust,
    assignments: Assignments,
    batch_size: int,
    concurrency: int,
    now: Callable[[], datetime],
    build: Callable[[str, str], Event] = build_event,
) -> list[Outcome]:
    """Send every batch in order, `concurrency` at a time, until the client's deadline; one outcome an assignment.

    Never raises for what the API does: refusals, silence and lack of time are outcomes.
    """
    sender = _Sender(client, assignments, lambda batch: assign_batch(client, batch, now, build))
    pool = ThreadPoolExecutor(concurrency)
    starts = range(0, len(assignments), batch_size)
    batches = [
        pool.submit(sender.send, start, min(start + batch_size, len(assignments)))
        for start in starts
    ]
    finished, _ = wait(batches, timeout=max(0.0, client.deadline.left()))
    sender.stopped.set()
    client.close()
    pool.shutdown(wait=False, cancel_futures=True)
    for batch in finished:
        batch.result()
    return list(sender.outcomes)


class _Sender:
    """Sends slices of the plan from several threads; each writes its rows' outcomes in place."""

    def __init__(
        self,
        client: Braintrust,
        assignments: Assignments,
        assign: Callable[[Assignments], list[Outcome]],
    ) -> None:
        self.stopped = threading.Event()
        self.outcomes = [NOT_ATTEMPTED] * len(assignments)
        self._client = client
        self._assignments = assignments
        self._assign = assign
        self._slowest = LEAST_TIME

    def send(self, start: int, end: int, *, in_doubt: bool = False) -> None:
        """One slice. A refused slice is halved until the refused row stands alone.

        `in_doubt`: an earlier try of these rows may have landed, so that a refusal now proves nothing.
        """
        if self.stopped.is_set() or self._client.deadline.left() < self._slowest:
            return
        before = self.outcomes[start:end]
        self.outcomes[start:end] = [NO_ANSWER] * (end - start)
        began = time.monotonic()
        try:
            self.outcomes[start:end] = self._assign(self._assignments[start:end])
            self._slowest = max(self._slowest, time.monotonic() - began)
        except NotStarted:
            self.outcomes[start:end] = before
        except RequestFailed as failure:
            in_doubt = in_doubt or failure.may_have_landed
            error = self._client.explain("insert", failure)
            self.outcomes[start:end] = [
                Outcome("unknown" if in_doubt else "failed", error=error)
            ] * (end - start)
            if failure.status not in {400, 413}:
                if failure.status in FATAL:
                    self.stopped.set()
            elif end - start > 1:
                if not in_doubt:
                    self.outcomes[start:end] = before
                middle = (start + end) // 2
                self.send(start, middle, in_doubt=in_doubt)
                self.send(middle, end, in_doubt=in_doubt)
