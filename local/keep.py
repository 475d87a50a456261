"""A folder that keeps what is put into the bucket: on the disk itself, before S3 answers."""

import errno
import fcntl
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

from werkzeug.wrappers import Response

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
"""As WSGI has it."""


class InUseError(Exception):
    """Another process puts things into the folder: its ledger would not know of ours."""


class Keep:
    """What was put is a file of its key's name, whole or not at all.

    That holds after a kill or a power cut, too.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.keys: list[str] = []
        """What was put since it was opened, in order."""
        self.refused: OSError | None = None
        """Why the disk did not take what was put last and refused."""

    def __enter__(self) -> Self:
        """Have it for this process alone.

        Raises InUseError, or OSError where nothing can be kept.
        """
        make_folder(self.folder)
        self._lock = (self.folder / ".lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._lock.close()
            raise InUseError(
                f"{self.folder} is in use: wait until the other run has ended"
            ) from error
        for part in self.folder.rglob(".*.part"):  # of a process that was killed
            part.unlink()
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.close()

    def objects(self) -> Iterator[tuple[str, bytes]]:
        """What is kept, by key."""
        for path in sorted(self.folder.rglob("*.json*")):
            yield path.relative_to(self.folder).as_posix(), path.read_bytes()

    def put_last(self, kind: str) -> str | None:
        """The key of the audit's object of a kind (`plans`, ...) that was put last, if one was."""
        keys = (key for key in reversed(self.keys) if f"/{kind}/project_id=" in f"/{key}")
        return next(keys, None)

    def put(
        self, key: str, s3: Application, environ: dict[str, Any], respond: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Pass a PUT on to `s3`; once it has said yes, the object is on the disk.

        What the disk refuses is an error.
        """
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        answers: list[tuple[Any, ...]] = []
        try:
            part = self._lay_down(key, body)
            answer = s3(environ | {"wsgi.input": BytesIO(body)}, lambda *how: answers.append(how))
            if answers[0][0].startswith("200"):
                part.replace(self.folder / key)
                flush(part.parent)
                self.keys.append(key)
            else:
                part.unlink()
        except OSError as error:
            self.refused = error
            return refusal(error)(environ, respond)
        respond(*answers[0])
        return answer

    def _lay_down(self, key: str, body: bytes) -> Path:
        """The object on the disk, under another name than its own."""
        path = self.folder / key
        if ".." in path.parts or path.relative_to(self.folder).as_posix() != key:
            raise OSError(
                errno.EINVAL, "no name that a file can have"
            )  # it would be lost or outside
        part = path.with_name(f".{uuid4().hex}.part")
        make_folder(part.parent)
        try:
            with part.open("xb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            with suppress(OSError):
                part.unlink()
            raise
        return part


def make_folder(folder: Path) -> None:
    """Make it, and those above it, so that they outlast a power cut."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        flush(folder.parent)


def flush(folder: Path) -> None:
    """Have the names in it on the disk itself."""
    here = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(here)
    finally:
        os.close(here)


def refusal(error: OSError) -> Response:
    """S3's form of an error; with a status that the SDK does not try again."""
    code = errno.errorcode.get(error.errno or 0, "EIO")
    text = f"<Error><Code>{code}</Code><Message>{error.strerror}</Message></Error>"
    return Response(text, 507, content_type="application/xml")
