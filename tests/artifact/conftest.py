"""The artifact as `sam build` makes it, and Lambda's own emulator to run it in."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.artifact.emulator import ROOT
from tests.machine import CALLER


@pytest.fixture(scope="session")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built where much is in the way: another person's machine, in the middle of work on the code."""
    clone = tmp_path_factory.mktemp(os.fsdecode("Größe and blanks".encode())) / "the clone"
    for path in (ROOT / "lib", ROOT / "scripts"):
        # Without their modes: a ZIP file unpacked on Windows has none.
        shutil.copytree(
            path, clone / path.name, copy_function=shutil.copyfile, ignore_dangling_symlinks=True
        )
    for name in ("Makefile", "handler.py", "requirements.txt"):
        shutil.copyfile(ROOT / name, clone / name)
    (clone / ".venv").symlink_to(ROOT / ".venv")
    (clone / "lib" / ".#run.py").symlink_to("somebody@a-machine.4711:1700000000")  # Emacs's lock
    (clone / "lib" / "._run.py").write_bytes(b"\0\5\x16\7")  # macOS's copy of attributes
    elsewhere = str(clone / "elsewhere")
    settings = {
        "PIP_USER": "1",
        "PIP_PREFIX": elsewhere,
        "PIP_TARGET": elsewhere,
        "PIP_ROOT": elsewhere,
        "PIP_CONSTRAINT": elsewhere,
        "PIP_DRY_RUN": "1",
        "PIP_REQUIRE_VIRTUALENV": "1",
        "CDPATH": f".:{clone}",
        "PYTHONSAFEPATH": "1",
        "MAKEFLAGS": "",
    }
    folder = tmp_path_factory.mktemp("an artifact")
    subprocess.run(
        ["make", "build-ReviewAssignerFunction", f"ARTIFACTS_DIR={folder}"],
        cwd=clone,
        env=CALLER | settings,
        umask=0o077,
        check=True,
    )
    return folder
