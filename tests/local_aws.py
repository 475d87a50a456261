"""moto's S3, SSM and Secrets Manager on one port: it notes what it is asked, and refuses what a test wants refused."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server


class LocalAws:
    """A WSGI server around moto. `watch` is called with the method and path of every request."""

    def __init__(self) -> None:
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self, threaded=True)
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="local-aws", daemon=True
        )
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.reset()

    def reset(self) -> None:
        """Refuse nothing and watch nothing; what is stored stays."""
        self._refused: list[_Refusal] = []
        self.watch: Callable[[str, str], object] = lambda _method, _path: None

    def refuse(
        self, method: str, part_of_path: str, times: int | None = None, *, applied: bool = False
    ) -> None:
        """Answer 403 to such requests, `times` or from now on; with `applied`, 500 after carrying them out."""
        self._refused.append(_Refusal(method, part_of_path, times, applied))

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        self.watch(method, path)
        refusal = next((each for each in self._refused if each.strikes(method, path)), None)
        if refusal is None:
            return self._moto(environ, start_response)
        if refusal.applied:
            list(self._moto(environ, lambda *_: None))
        else:
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        status = "500 Internal Server Error" if refusal.applied else "403 Forbidden"
        start_response(status, [("Content-Type", "application/xml")])
        return [b"<Error><Code>%s</Code><Message>By the test</Message></Error>" % refusal.code]


@dataclass
class _Refusal:
    method: str
    part_of_path: str
    times: int | None
    applied: bool

    @property
    def code(self) -> bytes:
        return b"InternalError" if self.applied else b"AccessDenied"

    def strikes(self, method: str, path: str) -> bool:
        if method != self.method or self.part_of_path not in path or self.times == 0:
            return False
        if self.times is not None:
            self.times -= 1
        return True
