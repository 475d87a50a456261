"""The artifact as `sam build` makes it, and Lambda's own emulator to run it in."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.artifact.emulator import ROOT


@pytest.fixture(scope="session")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("artifact")
    command = ["make", "build-ReviewAssignerFunction", f"ARTIFACTS_DIR={folder}"]
    made = {"MAKEFLAGS": "", "PYTHON313": os.environ.get("PYTHON313", "")}
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, env=os.environ | made)
    return folder
