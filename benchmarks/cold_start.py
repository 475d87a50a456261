"""Cold start: importing the handler and making its clients, beside the least that its three packages allow."""

import os
import subprocess
import sys
from typing import NamedTuple

from local.aws import CREDENTIALS

CLIENTS = ("s3", "ssm", "secretsmanager")
FLOOR = f"""
import boto3, requests, aws_lambda_powertools
for service in {CLIENTS}:
    boto3.client(service)
"""
OURS = """
import os
import handler
from lib.aws import Aws
aws = Aws(os.environ)
for service in ("s3", "ssm", "secretsmanager"):
    aws._client(service)
"""
TIMED = """
import time
began, cpu = time.perf_counter(), time.process_time()
{code}
print(time.perf_counter() - began, time.process_time() - cpu, len(__import__("sys").modules))
"""


class Start(NamedTuple):
    """Seconds, and modules loaded."""

    wall: float
    cpu: float
    modules: float


def measure(code: str) -> Start:
    """One fresh interpreter; its own start is not counted."""
    ran = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", TIMED.format(code=code)],
        env=CREDENTIALS | {"PATH": os.environ["PATH"], "POWERTOOLS_SERVICE_NAME": "bench"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return Start(*map(float, ran.stdout.split()))


def compare(times: int) -> tuple[Start, Start]:
    """The best of ours and of the floor, measured in turns: whatever else the machine does only adds to them."""
    pairs = [(measure(OURS), measure(FLOOR)) for _ in range(times + 1)][
        1:
    ]  # the first one compiles
    ours, floor = (
        Start(*map(min, zip(*starts, strict=True))) for starts in zip(*pairs, strict=True)
    )
    return ours, floor


def import_times(most: int) -> list[str]:
    """The modules whose import takes longest by themselves, as `-X importtime` prints them: own, cumulated, name."""
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import handler"],
        stderr=subprocess.PIPE,
        text=True,
        check=True,
    )
    lines = [
        line.removeprefix("import time:")
        for line in ran.stderr.splitlines()
        if line.startswith("import time:")
    ]
    lines = [line for line in lines if line.split("|")[0].strip().isdigit()]
    return sorted(lines, key=lambda line: -int(line.split("|")[0]))[:most]
