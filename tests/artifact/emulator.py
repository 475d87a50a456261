"""Lambda's runtime interface emulator around an artifact, in an environment that holds nothing else."""

import json
import os
import socket
import subprocess
import sys
import time
from importlib.metadata import files
from pathlib import Path
from typing import Any, Self

import requests

ROOT = Path(__file__).parents[2]
RIE = ROOT / ".venv" / "bin" / "aws-lambda-rie"
RUNTIME = ("awslambdaric", "simplejson", "snapshot-restore-py")
"""What stands beside the artifact in the real runtime too: the interface client, with what it needs."""


class Emulator:
    """`with Emulator(artifact, environ, folder) as emulator: emulator.invoke({})`; one call at a time."""

    def __init__(self, artifact: Path, environ: dict[str, str], folder: Path) -> None:
        runtime = folder / "runtime"
        _link_runtime(runtime)
        ports = _free_ports(2)
        self.log = folder / "emulator.log"
        self._url = f"http://127.0.0.1:{ports[0]}/2015-03-31/functions/function/invocations"
        self._port = ports[0]
        # -S: no site-packages, so that whatever the artifact lacks is missing here as it would be in Lambda.
        self.python = [getattr(sys, "_base_executable", sys.executable), "-S"]
        self._command = [
            RIE,
            *("--runtime-interface-emulator-address", f"127.0.0.1:{ports[0]}"),
            *("--runtime-api-address", f"127.0.0.1:{ports[1]}"),
            *self.python,
            *("-m", "awslambdaric"),
            "handler.lambda_handler",
        ]
        self._artifact = artifact
        self.environ = {
            "PATH": os.defpath,
            "PYTHONPATH": f"{artifact}:{runtime}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "LAMBDA_TASK_ROOT": str(artifact),
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "emulated",
            "AWS_SECRET_ACCESS_KEY": "emulated",
            "AWS_LAMBDA_FUNCTION_NAME": "emulated",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
            "AWS_LAMBDA_FUNCTION_TIMEOUT": "900",
            **environ,
        }

    def __enter__(self) -> Self:
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._artifact,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self._port)) == 0:
                    return self
            time.sleep(0.05)
        raise TimeoutError(self.log.read_text("utf-8"))

    def __exit__(self, *_: object) -> None:
        self._process.terminate()  # it takes its runtime along
        self._process.wait(10)

    def invoke(self, event: object) -> Any:
        """What the function returns, or the error object that Lambda makes of what it raises."""
        answer = requests.post(self._url, data=json.dumps(event), timeout=120)
        assert answer.content, f"the runtime died:\n{self.log.read_text('utf-8')}"
        return json.loads(answer.content)


def _link_runtime(folder: Path) -> None:
    folder.mkdir()
    for package in RUNTIME:
        for top in {file.parts[0] for file in files(package) or []} - {".."}:
            if not top.endswith((".dist-info", "__pycache__")) and not (folder / top).exists():
                (folder / top).symlink_to(Path(str(_location(package))) / top)


def _location(package: str) -> Path:
    first = next(iter(files(package) or []))
    return Path(str(first.locate())).parents[len(first.parts) - 1]


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
