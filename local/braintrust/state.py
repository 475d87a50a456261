"""What the server holds: the organisation, and what tests set and look at while it runs."""

from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from local.braintrust.faults import Faults
from local.braintrust.options import Options
from local.braintrust.request_log import RequestLog
from local.braintrust.store import Store

if TYPE_CHECKING:
    from starlette.responses import Response


class State:
    """`reset` replaces `store`, `options` and the objects, and empties `faults` and `requests`."""

    def __init__(
        self, api_key: str, project_id: str, clock: Callable[[], datetime] | None = None
    ) -> None:
        self.api_key = api_key
        self.project_id = project_id
        self.requests = RequestLog()
        self.faults = Faults()
        self.objects_address: tuple[str, int] = ("", 0)
        self._clock = clock
        self.reset()

    def reset(self) -> None:
        """Forget everything: rows, users, groups, faults, options, requests."""
        self.store = Store(self.project_id, self._clock)
        self.options = Options()
        self.faults.clear()
        self.requests.clear()
        self.objects: dict[str, Response] = {}
        """Answers that went to the object store, by name."""
        self.queried: deque[datetime] = deque()
        """When the queries of the last minute came, where they are counted."""
