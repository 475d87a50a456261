"""One request on its way to an answer: what it asks, who may ask it, what answers are made of."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from local.braintrust.answers import Refusal
from local.braintrust.faults import Call, Fault
from local.braintrust.merge import Row
from local.braintrust.options import Options
from local.braintrust.request_log import Record
from local.braintrust.state import State
from local.braintrust.store import Store

if TYPE_CHECKING:
    from local.braintrust.btql import Query
    from local.braintrust.tokens import BtqlError

PAGE = 1000  # rows in a query page at most, and where no limit is given


class Exchange:
    """What a handler sees of a request, and the server that it came to."""

    def __init__(
        self, state: State, request: Request, call: Call, record: Record, effects: Fault
    ) -> None:
        self.state = state
        self.request = request
        self.call = call
        self.record = record
        self.effects = effects
        self.compiled: Query | BtqlError | None = None

    @property
    def store(self) -> Store:
        return self.state.store

    @property
    def options(self) -> Options:
        return self.state.options

    @property
    def params(self) -> dict[str, list[str]]:
        return self.record.params

    def param(self, name: str) -> str | None:
        values = self.params.get(name)
        return values[-1] if values else None

    def body(self) -> Row:
        if not isinstance(self.call.parsed, dict):
            raise Refusal(400, "Expected a JSON object as the body", "text")
        return self.call.parsed

    def items(self, key: str) -> list[Any]:
        """The one thing that the body may hold, a list."""
        body = self.body()
        if body.keys() != {key} or not isinstance(body[key], list):
            raise Refusal(400, f'Expected {{"{key}": [...]}}')
        items: list[Any] = body[key]
        return items

    # Who may

    def authenticate(self) -> None:
        if self.request.headers.get("authorization") != f"Bearer {self.state.api_key}":
            raise Refusal(401, "Unauthorized: invalid API key", self.options.unauthorized_style)
        user = self.record.impersonated
        known = {value for row in self.store.users for value in (row["id"], row["email"]) if value}
        if user is not None and (user not in known or not self.options.may_impersonate):
            raise Refusal(403, f"Cannot impersonate {user}: it needs the Owner role")

    def authorize(self, project_id: str) -> None:
        if project_id not in self.store.logs:
            raise Refusal(
                403,
                "User service@example.com does not have permission to read project_logs "
                f"{project_id}",
            )

    def project(self) -> str:
        """The project of a log's path, if the key may read it."""
        project_id: str = self.request.path_params["project_id"]
        self.authorize(project_id)
        return project_id


Handler = Callable[[Exchange], Response]
"""What answers one kind of request. Raises Refusal and BtqlError."""


def json_answer(payload: object, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse(payload, headers=headers)
