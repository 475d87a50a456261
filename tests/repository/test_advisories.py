"""`make advisories` fails for what is vulnerable, and never takes silence for good news."""

import json
import os
import subprocess
import sys
from shlex import quote

import pytest

from tests.template.cloudformation import ROOT

FLAW = {"id": "PYSEC-2026-1", "aliases": ["CVE-2026-1"], "fix_versions": ["2.0"]}
SOUND = {"name": "sound", "version": "1.0", "vulns": []}
UNKNOWN = {"name": "unknown", "skip_reason": "not found on PyPI"}


@pytest.fixture
def audit(tmp_path):
    """scripts/advisories.py beside a pip-audit that says what a test wants."""
    (tmp_path / "python").symlink_to(sys.executable)

    def run(says, complains="", code=0, **environ):
        tool = tmp_path / "pip-audit"
        # For the shell: what stands after #! can be no path with a blank in it.
        lines = ("#!/bin/sh", f"echo {quote(says)}", f"echo {quote(complains)} >&2", f"exit {code}")
        tool.write_text("\n".join(lines), "utf-8")
        tool.chmod(0o755)
        return subprocess.run(
            [tmp_path / "python", ROOT / "scripts" / "advisories.py", "requirements.txt"],
            env=os.environ | environ, capture_output=True, text=True, check=False,
        )  # fmt: skip

    return run


def answer(*packages):
    return json.dumps({"dependencies": packages, "fixes": []})


def test_a_vulnerable_package_fails_and_is_named_with_its_repair(audit):
    done = audit(answer(SOUND, {"name": "bad", "version": "1.0", "vulns": [FLAW]}, UNKNOWN), code=1)
    assert done.returncode == 1
    assert done.stdout == "bad 1.0: PYSEC-2026-1, CVE-2026-1; fixed in 2.0\n"


def test_sound_packages_pass(audit):
    done = audit(answer(SOUND))
    assert (done.returncode, done.stdout) == (
        0,
        "no known vulnerabilities in 1 packages of requirements.txt\n",
    )


@pytest.mark.parametrize(("strict", "code"), [("0", 0), ("1", 1)])
@pytest.mark.parametrize(
    ("says", "complains"),
    [("", "requests.exceptions.ConnectionError: no route"), (answer(SOUND, UNKNOWN), "")],
)
def test_what_cannot_be_looked_up_is_said_loudly_and_fails_when_asked_to(
    audit, says, complains, strict, code
):
    done = audit(says, complains, AUDIT_STRICT=strict)
    assert done.returncode == code
    assert "*** NOT AUDITED" in done.stdout
    assert "no known vulnerabilities" not in done.stdout


def test_any_other_failure_fails(audit):
    assert audit("", "Traceback: something else", code=1).returncode == 1
