"""Faults on demand: which requests they meet, and what becomes of those."""

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from local.braintrust.hostile import HOSTILE

KINDS = ("query", "insert", "fetch", "feedback", "user", "group", "project", "overflow")


@dataclass(frozen=True)
class Call:
    """What a fault can tell of a request before it is answered."""

    kind: str
    path: str
    body: bytes
    limit: int | None = None  # rows a query asks for
    row_ids: tuple[str, ...] = ()  # of an insert's events
    events: int = 0
    parsed: Any = None  # the JSON body, if it is any


@dataclass(frozen=True)
class Fault:
    """The next `times` requests that fit get what is asked for here.

    Faults of different effects add up on one request (a latency and a status); of two that collide
    (two statuses, a status and a drop) the one added first strikes, and the other waits for the
    next request.
    """

    # Which requests: all of these must hold
    kind: str = "*"
    times: int | None = 1  # None: until cleared
    after: int = 0  # let this many fitting requests pass first
    probability: float = 1.0
    seed: int = 0
    limit_over: int | None = None  # queries that ask for more rows than this
    bytes_over: int | None = None  # bodies larger than this
    events_over: int | None = None  # inserts of more events than this
    row_id: str | None = None  # inserts that hold this row
    contains: str | None = None  # bodies that hold this text
    when: Callable[[Call], bool] | None = None  # in this process only

    # What becomes of the request
    latency: float = 0.0  # seconds before anything is done
    status: int | None = None  # an error instead of the answer
    drop: bool = False  # the connection is reset instead of an answer
    hang: bool = False  # no answer until the client gives up
    applied: bool = (
        False  # status, drop or hang strike after the request was carried out, not before
    )

    # What an error says
    message: str = "Made to fail"  # {api_key} stands for the key
    style: Literal["json", "text", "gateway"] = "json"
    retry_after: float | None = None
    retry_after_date: bool = False  # say it as an HTTP date

    # How an answer travels
    truncate: bool = False  # half of the promised body, then the connection closes
    dribble: float | None = None  # one byte at a time, with this many seconds between
    redirect: str | None = None  # a 303 to this address
    headers: dict[str, str] | None = None  # these too, or in place of the answer's own
    hostile: str | None = None  # one of `local.braintrust.hostile.HOSTILE`
    size: int = 50_000_000  # bytes of the hostile answer "huge"
    body: str | None = None  # this text instead of the answer's own

    # What a query answers
    stale: float | None = None  # as things stood this many seconds ago
    exhausted_timeout: bool = False  # and realtime_state says so
    short_page: int | None = None  # at most this many rows, still with a cursor
    no_cursor_in_body: bool = False  # the cursor comes in the header only
    stuck_cursor: bool = False  # the cursor that came is the one that goes
    duplicates: int = 0  # rows of the page before, in an older version
    overflow: bool = False  # 303 to a signed object
    overflow_gzip: bool = False  # which is gzip without saying so
    overflow_header: str = "x-amz-meta-bt_cursor"

    def __post_init__(self) -> None:
        if self.kind not in {"*", *KINDS}:
            raise ValueError(f"kind: expected * or one of {', '.join(KINDS)}, got {self.kind!r}")
        if self.hostile is not None and self.hostile not in HOSTILE:
            raise ValueError(
                f"hostile: expected one of {', '.join(sorted(HOSTILE))}, got {self.hostile!r}"
            )

    @property
    def effects(self) -> frozenset[str]:
        """The names of what it does; all that take the answer's place are one."""
        changed = {name for name in _EFFECTS if getattr(self, name) != _DEFAULTS[name]}
        return frozenset(
            "outcome" if name in {"status", "drop", "hang"} else name for name in changed
        )

    def fits(self, call: Call) -> bool:
        return (
            self.kind in {"*", call.kind}
            and _over(call.limit, self.limit_over)
            and _over(len(call.body), self.bytes_over)
            and _over(call.events, self.events_over)
            and (self.row_id is None or self.row_id in call.row_ids)
            and (self.contains is None or self.contains.encode() in call.body)
            and (self.when is None or self.when(call))
        )


def _over(value: int | None, bound: int | None) -> bool:
    return bound is None or (value is not None and value > bound)


_DEFAULTS = {field.name: field.default for field in fields(Fault)}
_EFFECTS = tuple(_DEFAULTS)[tuple(_DEFAULTS).index("latency") :]


@dataclass
class _Armed:
    fault: Fault
    met: int = 0  # requests that fitted
    fired: int = 0
    chance: random.Random = field(default_factory=random.Random)


class Faults:
    """The faults in force, in the order they were added."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._armed: list[_Armed] = []

    def add(self, kind: str = "*", **how: Any) -> Fault:  # noqa: ANN401 - the fields of Fault, whatever their types
        fault = Fault(kind=kind, **how)
        with self._lock:
            self._armed.append(_Armed(fault, chance=random.Random(fault.seed)))  # noqa: S311 - chance, not secrets
        return fault

    def clear(self) -> None:
        with self._lock:
            self._armed.clear()

    def fired(self, fault: Fault) -> int:
        """Return how many requests a fault has struck."""
        with self._lock:
            return sum(armed.fired for armed in self._armed if armed.fault is fault)

    def strike(self, call: Call) -> Fault:
        """Return what befalls a request: every fault that fits and strikes, in one."""
        effects = Fault()
        with self._lock:
            for armed in self._armed:
                if armed.fault.fits(call) and self._fires(armed, effects):
                    effects = _combine(effects, armed.fault)
        return effects

    @staticmethod
    def _fires(armed: _Armed, effects: Fault) -> bool:
        armed.met += 1
        if armed.fault.effects & effects.effects or armed.met <= armed.fault.after:
            return False
        if armed.fault.times is not None and armed.fired >= armed.fault.times:
            return False
        if armed.fault.probability < 1 and armed.chance.random() >= armed.fault.probability:
            return False
        armed.fired += 1
        return True


def _combine(first: Fault, second: Fault) -> Fault:
    added = {
        name: getattr(second, name)
        for name, default in _DEFAULTS.items()
        if getattr(first, name) == default and getattr(second, name) != default
    }
    return replace(first, **added)
