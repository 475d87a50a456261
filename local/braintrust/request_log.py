"""What the server was asked, and what it answered."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass
class Record:
    """One request. `status` is None while it is in flight, 0 if it was never answered."""

    kind: str
    method: str
    path: str
    at: datetime
    headers: dict[str, str]  # in lower case, without Authorization
    authorization: bool  # whether it was sent
    query: Any = None  # the text or AST of a query
    params: dict[str, list[str]] = field(default_factory=dict)  # of the URL
    limit: int | None = None  # rows asked for
    events: int = 0  # of an insert
    bytes: int = 0  # of the body
    rows: int | None = None  # in the answer
    status: int | None = None
    in_flight: int = 1  # of this kind, this one included, when it came

    @property
    def impersonated(self) -> str | None:
        return self.headers.get("x-bt-impersonate-user")


class RequestLog:
    """Every request since the start or last `clear`, in the order they came; iterate over it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._records: list[Record] = []
        self._in_flight: Counter[str] = Counter()
        self.max_in_flight: Counter[str] = Counter()

    def __iter__(self) -> Iterator[Record]:
        with self._lock:
            return iter(list(self._records))

    def __len__(self) -> int:
        return len(self._records)

    def of(self, kind: str) -> list[Record]:
        return [record for record in self if record.kind == kind]

    def count(self, kind: str) -> int:
        return len(self.of(kind))

    def clear(self) -> None:
        with self._lock:
            self._records.clear()
            self._in_flight = Counter()  # requests still under way go on counting in the old one
            self.max_in_flight.clear()

    @contextmanager
    def watch(self, record: Record) -> Iterator[Record]:
        """Keep a record, and count its request as in flight until the block ends."""
        with self._lock:
            in_flight = self._in_flight
            self._records.append(record)
            in_flight[record.kind] += 1
            record.in_flight = in_flight[record.kind]
            self.max_in_flight[record.kind] = max(self.max_in_flight[record.kind], record.in_flight)
        try:
            yield record
        finally:
            with self._lock:
                in_flight[record.kind] -= 1
