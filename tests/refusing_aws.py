"""The local AWS for tests: they watch what it is asked, and let it refuse what they want refused."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from local.aws import LocalAws


class RefusingAws(LocalAws):
    """`watch` is called with the method and path of every request."""

    def __init__(self) -> None:
        super().__init__()
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

    def answer(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        self.watch(method, path)
        refusal = next((each for each in self._refused if each.strikes(method, path)), None)
        if refusal is None:
            return super().answer(environ, start_response)
        if refusal.applied:
            list(super().answer(environ, lambda *_: None))
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
