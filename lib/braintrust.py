"""The Braintrust API over HTTP: the calls this product makes and the one loop that repeats them."""

import json
import math
import threading
from collections import Counter
from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote

from lib.answer import Answer
from lib.deadline import Deadline
from lib.directory import LookUp
from lib.errors import QueryError
from lib.pauses import own_pause
from lib.quoting import Words
from lib.roster import Group, User
from lib.settings import Settings
from lib.verdict import ALWAYS, NotStarted, RequestFailed, Setback, judge
from lib.wire import Request, Wire

__all__ = ["CURSOR_HEADERS", "Answer", "Braintrust", "NotStarted", "RequestFailed"]

SHORTEST_PAUSE = 0.001  # less is a rounding error
LEAST_TIME = 0.1  # seconds that an attempt must have to be worth starting
LEAST_INSERT_TIME = 1.0  # and one that writes: what is not answered is in doubt
REPEATS_WITHIN = 60.0  # seconds from the first attempt, for what may have landed
CURSOR_HEADERS = ("x-bt-cursor", "x-amz-meta-bt_cursor", "x-amz-meta-bt-cursor")
NAMES = {
    "query": "BTQL query",
    "insert": "insert",
    "user": "user look-up",
    "group": "group look-up",
}
WRONG_PROJECT = "verify that PROJECT_ID {project} exists and that the key may read it"
ADVICE = {
    401: "check that the API key is correct and has not expired; keys of organisations in the EU "
    "need BRAINTRUST_API_URL https://api-eu.braintrust.dev",
    403: WRONG_PROJECT,
    404: WRONG_PROJECT,
}

T = TypeVar("T")


class _Call(NamedTuple):
    """A request, with what bounds its repeats."""

    kind: str
    method: str
    path: str
    deadline: Deadline
    body: Callable[[], bytes | None] = lambda: None
    lighten: Callable[[], bool] = lambda: False
    as_heavy: float = ALWAYS
    """How often it is tried again where it is too heavy and cannot be made lighter."""
    least: float = LEAST_TIME
    """Seconds that an attempt must have."""
    in_doubt_until: Deadline | None = None
    """Set: earlier attempts may have landed, and from then on nothing is sent again."""
    patience: Deadline | None = None
    """Set: how long an answer may take, waits for a throttled server aside."""

    def tries(self, setback: Setback) -> float:
        """How often it is tried again after such a setback."""
        return min(setback.tries, self.as_heavy) if setback.too_heavy else setback.tries

    def after_throttling(self, seconds: float) -> "_Call":
        """The same, after such a wait."""
        patience = self.patience
        return self if patience is None else self._replace(patience=patience.sooner(-seconds))


class Braintrust:
    """The calls this product makes.

    Safe to use from several threads; each call ends by the deadline.
    """

    def __init__(
        self,
        settings: Settings,
        api_key: str,
        deadline: Deadline,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        self.deadline = deadline
        self.counts: Counter[str] = Counter()
        """Requests sent, by kind (`query`, `insert`, `user`, `group`), and `retries` and
        `throttles`."""
        self.warnings: list[str] = []
        """What the look-ups had to leave out, in sentences."""
        self._project_id = settings.project_id
        self._timeout = settings.request_timeout
        self._words = Words(api_key)
        self._wire = Wire(settings, api_key)
        self._sleep = sleep or self._wire.sleep
        self._look_ups = LookUp(self._look_up, self.warnings)
        self._lock = threading.Lock()
        self._not_before: dict[str, float] = {}

    def close(self) -> None:
        """Let go of the connections.

        Nothing is sent after this, not even by a thread that Lambda thaws later.
        """
        self._wire.close()

    def query(
        self,
        body: Callable[[], Any],
        lighten: Callable[[], bool],
        deadline: Deadline,
        patience: Deadline | None = None,
        as_heavy: float = ALWAYS,
    ) -> Answer:
        """POST `body()` to /btql.

        Where fewer rows may help, `lighten()` changes the next body and says if it could.
        `as_heavy`: how often it is tried again where it could not. `patience`: how long an answer
        may take, waits for a throttled server aside.
        """
        call = _Call(
            "query",
            "POST",
            "/btql",
            deadline,
            lambda: json.dumps(body()).encode(),
            lighten,
            as_heavy,
            patience=patience,
        )
        return self._request(call)

    def insert(
        self,
        payload: bytes,
        *,
        deadline: Deadline | None = None,
        least: float = LEAST_INSERT_TIME,
        in_doubt_until: Deadline | None = None,
    ) -> Any:  # noqa: ANN401 - JSON, for the caller to check
        """POST the JSON `payload` to the project's insert endpoint; returns the decoded answer.

        Nothing is sent after `deadline` (the client's own, if none is given), and no attempt starts
        with less than `least` seconds left. Once an attempt may have landed, none starts later than
        a minute after the first one began. A failure carries that moment as its `in_doubt_until`;
        whoever sends some of the same rows again, after they may have landed, hands it on.
        """
        path = f"/v1/project_logs/{quote(self._project_id, safe='')}/insert"
        call = _Call(
            "insert",
            "POST",
            path,
            deadline or self.deadline,
            lambda: payload,
            least=least,
            in_doubt_until=in_doubt_until,
        )
        return self._request(call).body

    def users(self) -> list[User] | None:
        """All the organisation's users, asked for once; None if the key may not list them (403)."""
        return self._users

    @cached_property
    def _users(self) -> list[User] | None:
        return self._listed("user", self._look_ups.users)

    def groups(self) -> list[Group] | None:
        """Every group of the organisation; None if the key may not list them (403)."""
        return self._listed("group", self._look_ups.groups)

    def _listed(self, kind: str, look_up: Callable[[], list[T]]) -> list[T] | None:
        try:
            return look_up()
        except RequestFailed as failure:
            if failure.status == 403:
                return None
            raise QueryError(self.explain(kind, failure)) from failure

    def _look_up(self, kind: str, path: str) -> Any:  # noqa: ANN401 - JSON
        return self._request(_Call(kind, "GET", path, self.deadline)).body

    def explain(self, kind: str, failure: RequestFailed) -> str:
        """The failure in one sentence that says what to do."""
        advice = ADVICE.get(failure.status or 0, "").format(project=self._project_id)
        trace = f" (x-bt-internal-trace-id {failure.trace})" if failure.trace else ""
        return f"{NAMES[kind]} failed ({failure.answered}): {advice or failure}{trace}"

    def clean(self, text: str) -> str:
        """The server's words for logs and errors: one short line without key or e-mail address."""
        return self._words.clean(text)

    def _request(self, call: _Call) -> Answer:
        """Send until it is answered, refused or out of time: the one place that repeats."""
        failure: RequestFailed = NotStarted("there was no time left to send it")
        failure.may_have_landed = call.in_doubt_until is not None
        failure.in_doubt_until = call.in_doubt_until
        tries, rare, pause = 0, 0, 0.0
        while True:
            held_back = max(0.0, self._held_back(call))
            pause = max(pause, held_back)
            if not self._may_start(call, failure, pause, held_back):
                failure.out_of_time = True
                raise failure
            if pause > SHORTEST_PAUSE:
                self._sleep(pause)
                call, pause = call.after_throttling(held_back), 0.0
                continue  # that was a wait: look at everything again
            outcome = self._attempt(call, failure, tries)
            if isinstance(outcome, Answer):
                return outcome
            if outcome.unsent:
                continue
            failure = outcome.failure(failure)
            if outcome.too_heavy and call.lighten():
                tries = 0
            elif (most := call.tries(outcome)) <= rare:
                raise failure
            else:
                rare += most < ALWAYS
            tries += 1
            pause = self._pause(call, outcome, tries)

    def _attempt(self, call: _Call, failure: RequestFailed, tries: int) -> Answer | Setback:
        """Send once; `failure` is what earlier attempts came to."""
        if call.kind == "insert" and failure.in_doubt_until is None:
            failure.in_doubt_until = call.deadline.within(REPEATS_WITHIN)
        self._count(call.kind, *(["retries"] if tries else []))
        request = Request(call.kind, call.method, call.path, call.body())
        seconds = min(self._timeout, call.deadline.left())
        if call.patience:
            seconds = min(seconds, call.patience.left())
        outcome = self._wire.attempt(request, seconds, lambda: _left(call, failure) > 0)
        return judge(call.kind, request.body, outcome, self._words)

    def _may_start(
        self, call: _Call, failure: RequestFailed, pause: float, held_back: float
    ) -> bool:
        if self._wire.closed or call.deadline.left() - pause < call.least:
            return False
        if call.patience and call.patience.left() - (pause - held_back) < call.least:
            return False
        return _left(call, failure) > pause

    def _pause(self, call: _Call, setback: Setback, tries: int) -> float:
        """Seconds until the next try.

        When one request is throttled, all of its kind wait: its allowance is shared.
        """
        throttled = setback.status == 429
        own = own_pause(tries, throttled_query=throttled and call.kind == "query")
        pause = max(own, setback.asked)
        if throttled:
            self._count("throttles")
            resumes = call.deadline.clock() + pause
            with self._lock:
                self._not_before[call.kind] = max(self._not_before.get(call.kind, resumes), resumes)
        return pause

    def _held_back(self, call: _Call) -> float:
        """Seconds that a request of this kind still has to wait because another was throttled."""
        return self._not_before.get(call.kind, -math.inf) - call.deadline.clock()

    def _count(self, *names: str) -> None:
        with self._lock:
            self.counts.update(names)


def _left(call: _Call, failure: RequestFailed) -> float:
    """Seconds in which the request may still be sent, after what earlier attempts came to."""
    left = call.deadline.left()
    if failure.may_have_landed and failure.in_doubt_until is not None:
        return min(left, failure.in_doubt_until.left())
    return left
