"""Writing the plan to Braintrust: batches side by side, refusals narrowed, each outcome kept."""

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import datetime
from functools import partial
from itertools import chain
from operator import attrgetter
from typing import Any, NamedTuple

from lib.braintrust import Braintrust, NotStarted, RequestFailed
from lib.deadline import Deadline
from lib.distribution import Assignment
from lib.jsontext import quoted
from lib.plan import NOT_ATTEMPTED, Outcome, Outcomes
from lib.rows import ASSIGNMENTS, DEFAULT_LIST, REVIEW_LISTS, iso

MAX_BODY = 5_000_000  # bytes; the API takes about 6 MB
FATAL = frozenset({401, 403, 404})  # refusals that the next batch would meet as well
REFUSED = frozenset({400, 413})  # that fewer rows may not meet
LEAST_TIME = 1.0  # seconds an insert must have to be worth starting
NO_ANSWER = Outcome("unknown", error="sent, but no answer came in time")
NOT_NAMED = Outcome("unknown", error="the answer does not name this row")

Event = dict[str, Any]


def build_event(row_id: str, *user_ids: str) -> Event:
    """The merge that Braintrust documents for an assignment: it replaces only the reviewer list."""
    return {
        "id": row_id,
        "metadata": {ASSIGNMENTS: [*user_ids], REVIEW_LISTS: {DEFAULT_LIST: {"status": "PENDING"}}},
        "_is_merge": True,
        "_merge_paths": [["metadata", ASSIGNMENTS]],
    }


def build_removal(row_id: str, *user_ids: str) -> Event:
    """The merge that takes these reviewers off a row, and nothing else."""
    return {
        "id": row_id,
        "_is_merge": True,
        "_array_delete": [{"path": ["metadata", ASSIGNMENTS], "delete": [*user_ids]}],
    }


class Writing(NamedTuple):
    """How a kind of run writes its rows."""

    event: Callable[..., Event]
    """Of a row's id and its people."""
    done: str
    """The status of a row that took it."""


ASSIGNING = Writing(build_event, "assigned")


def assign_batch(
    client: Braintrust,
    batch: Sequence[Assignment],
    now: Callable[[], datetime],
    writing: Writing = ASSIGNING,
    deadline: Deadline | None = None,
    in_doubt_until: Deadline | None = None,
) -> Outcomes:
    """Send one insert request and check its answer, row by row.

    Raises RequestFailed if it was not taken. `deadline` and `in_doubt_until` are as
    `Braintrust.insert` takes them.
    """
    payload = _payload(batch, writing.event)
    if len(payload) > MAX_BODY:
        reason = f"{len(batch)} rows make {len(payload)} bytes, more than the API takes"
        raise RequestFailed(reason, 413)
    answer = client.insert(payload, deadline=deadline, in_doubt_until=in_doubt_until)
    named = answer.get("row_ids") if isinstance(answer, dict) else None
    if not isinstance(named, list) or len(named) != len(batch):
        return _all(batch, NOT_NAMED)
    success = Outcome(writing.done, iso(now()))
    pairs = zip(batch, named, strict=True)
    return {row_id: success if row_id == name else NOT_NAMED for (row_id, _), name in pairs}


def _payload(batch: Sequence[Assignment], event: Callable[..., Event]) -> bytes:
    """The events as JSON.

    From row to row only the id differs, so the rest is written out once a reviewer.
    """
    blank = uuid.uuid4().hex
    people = {who for _, who in batch}
    around = {who: json.dumps(event(blank, *who)).split(json.dumps(blank)) for who in people}
    events = ", ".join(quoted(row_id).join(around[who]) for row_id, who in batch)
    return f'{{"events": [{events}]}}'.encode()


def _all(batch: Iterable[Assignment], outcome: Outcome) -> Outcomes:
    return dict.fromkeys(map(attrgetter("row_id"), batch), outcome)


def assign_all(
    client: Braintrust,
    assignments: Sequence[Assignment],
    batch_size: int,
    concurrency: int,
    now: Callable[[], datetime],
    deadline: Deadline,
    writing: Writing = ASSIGNING,
) -> Outcomes:
    """Send every batch in order, `concurrency` at a time, until the deadline; one outcome a row.

    Never raises for what the API does: refusals, silence and lack of time are outcomes.
    """
    send = partial(assign_batch, client, now=now, writing=writing, deadline=deadline)
    sender = _Sender(client, deadline, assignments, send)
    starts = iter(range(0, len(assignments), batch_size))

    def work() -> None:
        for start in starts:  # each thread takes the next one that is left
            sender.send(assignments[start : start + batch_size])

    pool = ThreadPoolExecutor(concurrency)
    workers = [pool.submit(work) for _ in range(concurrency)]
    wait(workers, timeout=max(0.0, deadline.left()))
    sender.stopped.set()
    client.close()
    pool.shutdown(wait=False, cancel_futures=True)
    over = all(worker.done() for worker in workers)
    return sender.outcomes_by_now(over=over)


class _Sender:
    """Sends slices of the plan from several threads; each writes its own rows' outcomes."""

    def __init__(
        self,
        client: Braintrust,
        deadline: Deadline,
        assignments: Iterable[Assignment],
        assign: Callable[..., Outcomes],
    ) -> None:
        self.stopped = threading.Event()
        self.outcomes = _all(assignments, NOT_ATTEMPTED)
        self._under_way: dict[str, Sequence[Assignment]] = {}
        """Slices that are being sent, by the id of their first row."""
        self._client = client
        self._deadline = deadline
        self._assign = assign
        self._slowest = LEAST_TIME

    def send(self, batch: Sequence[Assignment], in_doubt_until: Deadline | None = None) -> None:
        """One slice. A refused slice is halved until the refused row stands alone.

        `in_doubt_until`: an earlier try of these rows may have landed, so that a refusal now proves
        nothing, and after this they are not sent again.
        """
        if self.stopped.is_set() or self._deadline.left() < self._slowest:
            return
        first = batch[0].row_id
        self._under_way[first] = batch
        began = time.monotonic()
        try:
            self.outcomes |= self._assign(batch, in_doubt_until=in_doubt_until)
            self._slowest = max(self._slowest, time.monotonic() - began)
        except NotStarted:
            pass  # what was known of these rows before is still true
        except RequestFailed as failure:
            self._failed(batch, failure, in_doubt_until)
        except Exception as error:  # noqa: BLE001 - whatever it is, what was sent has to be written down
            words = f"unexpected {type(error).__name__}"
            self.outcomes |= _all(batch, Outcome("unknown", error=words))
        # Only here: where even that failed, these rows go on counting as sent.
        self._under_way.pop(first, None)

    def outcomes_by_now(self, *, over: bool) -> Outcomes:
        """The outcomes; rows of a request that is under way count as sent.

        `over`: no thread writes any more, so that they need not be copied.
        """
        under_way = [*self._under_way.values()]  # first: what is answered meanwhile is then known
        outcomes = self.outcomes if over else dict(self.outcomes)
        for row_id, _ in chain.from_iterable(under_way):
            if outcomes[row_id] is NOT_ATTEMPTED:
                outcomes[row_id] = NO_ANSWER
        return outcomes

    def _failed(
        self, batch: Sequence[Assignment], failure: RequestFailed, in_doubt_until: Deadline | None
    ) -> None:
        """What a refusal, or silence, says of a slice, and what is left to try."""
        in_doubt = in_doubt_until is not None or failure.may_have_landed
        smaller = failure.status in REFUSED and len(batch) > 1
        if in_doubt or not smaller:
            error = self._client.explain("insert", failure)
            self.outcomes |= _all(batch, Outcome("unknown" if in_doubt else "failed", error=error))
        if failure.status in FATAL:
            self.stopped.set()
        if smaller:
            middle, until = len(batch) // 2, failure.in_doubt_until if in_doubt else None
            self.send(batch[:middle], until)
            self.send(batch[middle:], until)
