"""The object store that large answers go to: a query is redirected there, to a signed address."""

import gzip
import json
import uuid

from starlette.responses import RedirectResponse, Response

from local.braintrust.answers import Refusal
from local.braintrust.exchange import Exchange
from local.braintrust.faults import Fault
from local.braintrust.merge import Row
from local.braintrust.state import State


def overflown(state: State, payload: Row, cursor: str | None, effects: Fault) -> Response:
    payload.pop("cursor", None)
    body = json.dumps(payload).encode()
    stored = Response(
        gzip.compress(body) if effects.overflow_gzip else body, media_type="application/json"
    )
    if cursor is not None:
        stored.headers[effects.overflow_header] = cursor
    name = uuid.uuid4().hex
    state.objects[name] = stored
    host, port = state.objects_address
    return RedirectResponse(f"http://{host}:{port}/objects/{name}?X-Amz-Signature=local", 303)


def stored_object(exchange: Exchange) -> Response:
    if exchange.record.authorization:
        raise Refusal(400, "Only one auth mechanism allowed", "text")
    stored = exchange.state.objects.get(exchange.request.path_params["name"])
    if stored is None or exchange.param("X-Amz-Signature") != "local":
        raise Refusal(403, "AccessDenied", "text")
    return stored


def elsewhere(exchange: Exchange) -> Response:
    raise Refusal(404, f"Nothing at {exchange.call.path}", "text")
