"""Responses, good and bad: the error bodies of Braintrust and its gateway, and ways to go wrong."""

import asyncio
import socket
import struct
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from email.utils import format_datetime

from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

Address = tuple[str, int]
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, no seconds

CODES = {
    400: "BadRequestError",
    401: "UnauthorizedError",
    403: "ForbiddenError",
    404: "NotFoundError",
    408: "TimeoutError",
    413: "PayloadTooLargeError",
    429: "TooManyRequestsError",
    500: "InternalServerError",
    502: "BadGatewayError",
    503: "ServiceUnavailableError",
    504: "GatewayTimeoutError",
}


class Refusal(Exception):  # noqa: N818 - an answer, not a mistake of this program
    """Raised where a request is to be answered with an error."""

    def __init__(
        self,
        status: int,
        message: str,
        style: str = "json",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.style = style
        self.headers = dict(headers or {})

    def response(self, path: str) -> Response:
        if self.style == "text":
            return PlainTextResponse(self.message, self.status, self.headers)
        if self.style == "gateway":
            return JSONResponse({"message": self.message}, self.status, self.headers)
        body = {
            "Code": CODES.get(self.status, "InternalServerError"),
            "Message": self.message,
            "InternalTraceId": uuid.uuid4().hex,
            "Path": path,
            "Service": "api",
        }
        return JSONResponse(body, self.status, self.headers)


def retry_after(seconds: float, now: datetime, *, as_date: bool) -> dict[str, str]:
    moment = now + timedelta(seconds=seconds)
    return {"retry-after": format_datetime(moment, usegmt=True) if as_date else f"{seconds:g}"}


class Transports:
    """The open connections, by client address: for answers that end in a broken connection."""

    def __init__(self) -> None:
        self._by_client: dict[Address, asyncio.Transport] = {}

    def opened(self, client: Address, transport: asyncio.Transport) -> None:
        self._by_client[client] = transport

    def closed(self, client: Address) -> None:
        self._by_client.pop(client, None)

    def of(self, scope: Scope) -> asyncio.Transport:
        return self._by_client[tuple(scope["client"])]


class Dropped(Response):
    """No answer: the connection is reset."""

    def __init__(self, transports: Transports) -> None:
        super().__init__()
        self._transports = transports

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - as ASGI has it
        transport = self._transports.of(scope)
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        transport.abort()
        await _gone(receive)


class Hanging(Response):
    """No answer until the client gives up."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - as ASGI has it
        await _gone(receive)


class Truncated(Response):
    """The headers of an answer and half of its body, then the connection closes."""

    def __init__(self, whole: Response, transports: Transports) -> None:
        super().__init__(status_code=whole.status_code)
        self._whole = whole
        self._transports = transports

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = bytes(self._whole.body)
        headers = self._whole.raw_headers
        await send(
            {"type": "http.response.start", "status": self._whole.status_code, "headers": headers}
        )
        await send(
            {"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True}
        )
        self._transports.of(scope).close()
        await _gone(receive)


class Dribbled(Response):
    """An answer that comes one byte at a time."""

    def __init__(self, whole: Response, seconds: float) -> None:
        super().__init__(status_code=whole.status_code)
        self._whole = whole
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - as ASGI has it
        gone = asyncio.ensure_future(_gone(receive))
        headers = self._whole.raw_headers
        await send(
            {"type": "http.response.start", "status": self._whole.status_code, "headers": headers}
        )
        for byte in bytes(self._whole.body):
            if gone.done():
                return
            await send({"type": "http.response.body", "body": bytes([byte]), "more_body": True})
            await asyncio.sleep(self._seconds)
        gone.cancel()
        await send({"type": "http.response.body", "body": b""})


async def _gone(receive: Receive) -> None:
    """Wait until the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
