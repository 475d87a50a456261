"""The function in this process, called as Lambda calls it, with its log lines in a file."""

import importlib
import logging
import os
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

LAMBDA_SECONDS = 900.0


class Function:
    """Lambda's part: an environment, an import by name, a context for each invocation."""

    def __init__(
        self,
        variables: Mapping[str, str],
        log: Path | None,
        remaining_ms: Callable[[], float] = lambda: LAMBDA_SECONDS * 1000,
    ) -> None:
        """`log`: a file that is begun anew; None: standard error.

        `remaining_ms`: what the context tells of the time.
        """
        self._log = log
        self._remaining_ms = remaining_ms
        self._variables = {"POWERTOOLS_SERVICE_NAME": "review-assigner", **variables}
        if log is not None:
            log.parent.mkdir(parents=True, exist_ok=True)
            log.write_text("", "utf-8")

    def invoke(self, event: object) -> dict[str, Any]:
        """`handler.lambda_handler`, now. Raises what it raises."""
        with self._environment(), self._output():
            handler = importlib.import_module("handler")
            context = SimpleNamespace(
                aws_request_id=str(uuid.uuid4()), get_remaining_time_in_millis=self._remaining_ms
            )
            result: dict[str, Any] = handler.lambda_handler(event, context)
            return result

    def run_at(self, moment: datetime, event: object = None) -> dict[str, Any]:
        """The same without the handler's frame, as if it were `moment`."""
        with self._environment(), self._output():
            run = importlib.import_module("lib.run").run
            deadline = importlib.import_module("lib.deadline").Deadline(
                lambda: LAMBDA_SECONDS * 1000
            )
            result: dict[str, Any] = run(
                event, os.environ, deadline, str(uuid.uuid4()), lambda: moment
            )
            return result

    @contextmanager
    def _environment(self) -> Iterator[None]:
        """The variables given, and no other settings.

        A FILTER in the user's shell is not meant for this.
        """
        before = dict(os.environ)
        for name in importlib.import_module("lib.settings").VARIABLES:
            os.environ.pop(name, None)
        os.environ |= self._variables
        try:
            yield
        finally:
            os.environ.clear()
            os.environ |= before

    @contextmanager
    def _output(self) -> Iterator[None]:
        """What is printed, log lines and metrics first of all, goes to the file.

        Lambda sends it to CloudWatch.
        """
        handler = importlib.import_module("lib.telemetry").logger.registered_handler
        if not isinstance(handler, logging.StreamHandler):
            raise TypeError(handler)
        log = (
            nullcontext(sys.stderr) if self._log is None else self._log.open("a", encoding="utf-8")
        )
        with log as file, redirect_stdout(file), redirect_stderr(file):
            before = handler.stream
            handler.setStream(file)
            try:
                yield
            finally:
                handler.stream = before  # setStream would flush first, and a full disk refuse it
