"""The modules that decide load neither an HTTP library nor the AWS SDK."""

import subprocess
import sys

import pytest

from tests.template.cloudformation import ROOT

PURE = (
    "jsontext",
    "names",
    "terms",
    "rows",
    "roster",
    "rules",
    "distribution",
    "turns",
    "past",
    "plan",
    "result",
    "settings",
    "pauses",
    "quoting",
)
LOADED = """
import importlib, sys
importlib.import_module(sys.argv[1])
print(*sorted({"requests", "urllib3", "boto3", "botocore", "aws_lambda_powertools"} & {*sys.modules}))
"""


def loads(module: str) -> str:
    """Which of the large libraries a fresh process has after importing a module."""
    return subprocess.run(
        [sys.executable, "-c", LOADED, module], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.mark.parametrize("room", PURE)
def test_what_decides_is_pure(room: str) -> None:
    assert loads(f"lib.{room}") == ""


def test_what_talks_is_not() -> None:
    """So that the test above could fail."""
    assert "requests" in loads("lib.braintrust")
