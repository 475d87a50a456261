"""The real run against answers that are written down: up to its next request, or to its end.

A run is a function of the answers that it got and of when they came. So it needs no thread that waits: it is played anew
with one answer more, once for each life that a run can have, however many histories of the world hold it.
"""

import io
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from types import SimpleNamespace
from typing import Any, NamedTuple, Self
from unittest import mock

from botocore.exceptions import ClientError, EndpointConnectionError

import lib.load
import lib.run
from lib.braintrust import Answer, RequestFailed
from lib.deadline import Deadline
from lib.errors import AssignerError
from lib.queue_list import Asked
from lib.roster import User

BEGIN = datetime(2026, 11, 23, 7, tzinfo=UTC)
"""Minute 0 of every history."""
LAMBDA_MINUTES = 15
REPEATS_WITHIN = 60.0
"""Seconds in which an insert that may have landed is sent again."""
PROJECT = "11111111-2222-4333-8444-555555555555"
ENVIRON = {
    "PROJECT_ID": PROJECT,
    "TAG": "T",
    "BRAINTRUST_API_URL": "http://localhost",
    "BRAINTRUST_API_KEY_SECRET_ID": "key",
    "REVIEWERS_PARAMETER": "/reviewers",
    "AUDIT_BUCKET": "audit",
    "AUDIT_PREFIX": "audit/",
    "BATCH_SIZE": "1",
    "INSERT_CONCURRENCY": "1",
}
PEOPLE = {name: f"{number:08}-0000-4000-8000-000000000000" for number, name in enumerate("ABC", 1)}
QUEUES = json.dumps(
    [{"name": "t", "tag": "T"}, {"name": "s", "tag": "S", "reviewers": [PEOPLE["B"], PEOPLE["C"]]}]
)
"""Where a scenario has queues: T's list is the scenario's own, S has another, with somebody who is on both."""


def moment(minute: int) -> datetime:
    """The time so many minutes after the beginning."""
    return BEGIN + timedelta(minutes=minute)


class Ask(NamedTuple):
    """What a run asks of a store."""

    kind: str
    """`get`, `head`, `put`, `list` (S3), `query`, `insert` (Braintrust)."""
    key: str = ""
    """Of a list: what the keys begin with."""
    body: str = ""
    mark: str = ""
    """What the writer leaves on an object, to know it again."""
    match: str | None = None
    """Of a put: `*` (there must be none), an ETag (it must be this one), None (no condition)."""

    @property
    def of(self) -> str:
        """What kind of object it is, by its key: `plans`, `ledger`, ..."""
        return self.key.split("/")[1] if self.key else ""


class Reply(NamedTuple):
    """What a run gets back."""

    kind: str
    """`ok`, `missing`, `beaten` (a condition did not hold), `refused`, `lost` (no answer), `again` (none, and the
    client sends once more)."""
    body: Any = None


class TimedReply(NamedTuple):
    """A reply, and when it came."""

    reply: Reply
    minute: int
    stood: int = 0
    """Minutes of these in which the run stood still, and with it every clock but the one on the wall."""


class Invoked(NamedTuple):
    """One invocation."""

    name: str
    event: str
    """JSON."""
    start: int
    reviewers: str
    request_id: str
    settings: tuple[tuple[str, str], ...] = ()


class Halt(BaseException):
    """The run wants an answer that is not written down yet."""

    def __init__(self, request: Ask) -> None:
        super().__init__()
        self.request = request


class Tape:
    """The answers so far; the last one's minute is the run's clock."""

    def __init__(self, script: Invoked, answers: tuple[TimedReply, ...] = ()) -> None:
        self.script = script
        self.minute = script.start
        self.stood = 0
        self.marks = 0
        self._answers = answers
        self._place = 0

    def ask(self, request: Ask) -> Reply:
        if self._place == len(self._answers):
            raise Halt(request)
        heard = self._answers[self._place]
        self._place += 1
        self.minute = heard.minute
        self.stood += heard.stood
        return heard.reply

    def now(self) -> datetime:
        return moment(self.minute)

    def seconds(self) -> float:
        """By the clock that stands still with the run."""
        return (self.minute - self.stood) * 60.0

    def mark(self) -> SimpleNamespace:
        self.marks += 1
        return SimpleNamespace(hex=f"{self.script.name}-{self.marks}")


class LiveTape(Tape):
    """Answers by `carry_out`, at once: for runs that nothing interferes with."""

    def __init__(self, script: Invoked, carry_out: Callable[[Ask], Reply]) -> None:
        super().__init__(script)
        self.ask = carry_out  # type: ignore[method-assign]


class TapedBucket:
    """The S3 calls that the product makes, with the errors that boto3 raises."""

    def __init__(self, tape: Tape) -> None:
        self._tape = tape

    def get_object(self, *, Key: str, **_: str) -> dict[str, Any]:  # noqa: N803 - boto3's name
        body, etag = self._asked(Ask("get", Key), "GetObject").body
        return {"Body": io.BytesIO(body.encode()), "ETag": etag}

    def head_object(self, *, Key: str, **_: str) -> dict[str, Any]:  # noqa: N803 - the same
        return {"Metadata": {"write": self._asked(Ask("head", Key), "HeadObject").body}}

    def put_object(self, *, Key: str, Body: Any, **others: Any) -> dict[str, Any]:  # noqa: N803 - the same
        body = Body if isinstance(Body, bytes) else Body.read()
        match = others.get("IfNoneMatch") or others.get("IfMatch")
        mark = others["Metadata"]["write"]
        self._asked(Ask("put", Key, body.decode(), mark, match), "PutObject")
        return {}

    def get_paginator(self, _: str) -> "TapedBucket":
        return self

    def paginate(self, *, Prefix: str, StartAfter: str, **_: str) -> Iterator[dict[str, Any]]:  # noqa: N803 - the same
        keys = self._asked(Ask("list", Prefix), "ListObjectsV2").body
        yield {"Contents": [{"Key": key} for key in keys if key > StartAfter]}

    def _asked(self, request: Ask, call: str) -> Reply:
        reply = self._tape.ask(request)
        if reply.kind == "lost":
            raise EndpointConnectionError(endpoint_url="https://s3")
        codes = {
            "missing": "404" if call == "HeadObject" else "NoSuchKey",
            "beaten": "PreconditionFailed",
            "refused": "AccessDenied",
        }
        if code := codes.get(reply.kind):
            raise ClientError({"Error": {"Code": code}}, call)
        return reply


class TapedBraintrust:
    """The product's own client, as far as runs use it. It repeats only what `again` tells it to."""

    def __init__(self, tape: Tape, deadline: Deadline) -> None:
        self._tape = tape
        self.deadline = deadline
        self.counts = Counter[str]()
        self.warnings: list[str] = []

    def query(self, body: Callable[[], Any], *_: object) -> Answer:
        reply = self._tape.ask(Ask("query", body=json.dumps(body())))
        if reply.kind != "ok":
            raise RequestFailed("refused", 400)
        return Answer({}, json.loads(reply.body))

    def insert(
        self, payload: bytes, *, in_doubt_until: Deadline | None = None, **_: object
    ) -> dict[str, list[str]]:
        failure = RequestFailed("no answer", may_have_landed=in_doubt_until is not None)
        failure.in_doubt_until = in_doubt_until
        while failure.in_doubt_until is None or failure.in_doubt_until.left() > 0:
            until = failure.in_doubt_until or self.deadline.within(REPEATS_WITHIN)
            reply = self._tape.ask(Ask("insert", body=payload.decode()))
            if reply.kind == "ok":
                return {"row_ids": [event["id"] for event in json.loads(payload)["events"]]}
            landed = failure.may_have_landed or reply.kind in {"lost", "again"}
            status = 400 if reply.kind == "refused" else None
            failure = RequestFailed(reply.kind, status, may_have_landed=landed)
            failure.in_doubt_until = until if landed else None
            if reply.kind != "again":
                break
        raise failure

    def users(self) -> list[User]:
        return [User(user, "") for user in PEOPLE.values()]

    def groups(self) -> list[Any]:
        return []

    def explain(self, kind: str, failure: RequestFailed) -> str:
        return f"{kind} failed: {failure}"

    def clean(self, text: str) -> str:
        return text

    def close(self) -> None:
        pass


class TapedAws:
    """What a run reads at its start, and S3."""

    def __init__(self, tape: Tape) -> None:
        self._tape = tape

    def api_key(self, _: object) -> str:
        return "key"

    def queues(self, _: object) -> str:
        return QUEUES

    def reviewers(self, _: object) -> str:
        return self._tape.script.reviewers

    def s3(self) -> TapedBucket:
        return TapedBucket(self._tape)


class AtOnce:
    """A pool whose one thread is the caller's."""

    def __init__(self, *_: object) -> None:
        pass

    def submit(self, function: Callable[..., Any], *args: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(function(*args))
        return future

    def map(self, function: Callable[..., Any], *args: Any) -> Iterator[Any]:
        return map(function, *args)

    def shutdown(self, **_: object) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class Now:
    """The tape of the run that is played at this moment, for what the product takes from its modules."""

    tape: Tape

    @classmethod
    def monotonic(cls) -> float:
        return cls.tape.seconds()

    @classmethod
    def mark(cls) -> SimpleNamespace:
        return cls.tape.mark()

    @staticmethod
    def sleep(seconds: float) -> None:
        pass

    @staticmethod
    def random() -> float:
        return 0.5


class Silence:
    """A logger that says nothing, and a way to emit nothing."""

    def __getattr__(self, _: str) -> Callable[..., None]:
        return lambda *_, **__: None

    def __call__(self, *_: object) -> None:
        pass


@contextmanager
def stilled() -> Iterator[None]:
    """The product without clocks, chance, threads and words, for as long as this lasts."""
    silence = Silence()
    instead = {
        "time": lambda was: Now if was is sys.modules["time"] else was,
        "random": lambda was: Now if was is sys.modules["random"] else was,
        "uuid4": lambda _: Now.mark,
        "logger": lambda _: silence,
        "emit": lambda _: silence,
        "ThreadPoolExecutor": lambda _: AtOnce,
    }
    patches = [
        mock.patch.object(module, name, instead[name](getattr(module, name)))
        for key, module in sorted(sys.modules.items())
        if key.startswith("lib.")
        for name in instead
        if hasattr(module, name)
    ]
    load_asked = lib.load.load_asked

    @cache
    def asked(environ: tuple[tuple[str, str], ...], event: str) -> Asked:
        return load_asked(dict(environ), json.loads(event), lambda _: QUEUES)

    loading = {
        "load_asked": lambda environ, event, _: asked(tuple(environ.items()), json.dumps(event)),
        "Aws": lambda _: TapedAws(Now.tape),
        "Braintrust": lambda _, __, deadline: TapedBraintrust(Now.tape, deadline),
    }
    patches += [mock.patch.object(lib.load, name, value) for name, value in loading.items()]
    for patch in patches:
        patch.start()
    try:
        yield
    finally:
        for patch in patches:
            patch.stop()


def play(tape: Tape) -> Ask | str:
    """The run's next request; or how it ended."""
    script, Now.tape = tape.script, tape
    ends = (script.start + LAMBDA_MINUTES) * 60.0
    deadline = Deadline(lambda: (ends - tape.seconds()) * 1000, tape.seconds)
    environ: Mapping[str, str] = ENVIRON | dict(script.settings)
    try:
        result = lib.run.run(
            json.loads(script.event), environ, deadline, script.request_id, tape.now
        )
    except Halt as stop:
        return stop.request
    except AssignerError as error:
        if type(error) is AssignerError:
            raise  # what nobody foresaw is a defect, here or there, and no way for a run to end
        return f"{type(error).__name__}: {error}"
    return str(result["status"])


class Life:
    """What one run has lived through: its answers so far. Equal lives are one object."""

    __slots__ = ("_answers", "_later", "at", "request", "script")
    known: dict[Invoked, "Life"] = {}  # noqa: RUF012 - of the class
    played = 0

    def __init__(self, script: Invoked, answers: tuple[TimedReply, ...]) -> None:
        self.script = script
        self.at = answers[-1].minute if answers else script.start
        self._answers = answers
        self._later: dict[TimedReply, Life] = {}
        Life.played += 1
        self.request = play(Tape(script, answers))

    @classmethod
    def begun(cls, script: Invoked) -> "Life":
        if script not in cls.known:
            cls.known[script] = cls(script, ())
        return cls.known[script]

    def told(self, reply: Reply, minute: int, stood: int = 0) -> "Life":
        """The life with one answer more."""
        heard = TimedReply(reply, minute, stood)
        later = self._later.get(heard)
        if later is None:
            later = self._later[heard] = Life(self.script, (*self._answers, heard))
        return later
