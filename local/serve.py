"""`python -m local.serve` (`make local`): a Braintrust and an AWS that stay up.

They are for `sam local` and for curl.
"""

import argparse
import json
import platform
import signal
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from braintrust_api import Braintrust

from local.aws import BUCKET, HOST, LocalAws, forget_proxies, forget_real_aws
from local.braintrust.server import LocalBraintrust
from local.listen import CannotListenError
from local.screen import Screen
from local.traffic import TAG, TEAM, Traffic, send

FUNCTION = "ReviewAssignerFunction"  # its logical id in template.yaml
CONTAINERS = "host.docker.internal"  # this machine, as containers call it
PYTHON = ".venv/bin/python"
PROJECT = "11111111-1111-4111-8111-111111111111"
EVERYWHERE = "0.0.0.0"  # noqa: S104 - only with --containers: on Linux they do not come in through the loopback interface

parser = argparse.ArgumentParser(prog="python -m local.serve", description=__doc__)
parser.add_argument(
    "--host", default=HOST, help="address to listen on (default: %(default)s, this machine alone)"
)
parser.add_argument(
    "--containers",
    action="store_true",
    help=(
        "let containers in: on Linux that is everybody on this network, too "
        "(Docker Desktop needs nothing)"
    ),
)
parser.add_argument(
    "--braintrust-port", type=int, default=8787, help="default: %(default)s; 0 finds a free one"
)
parser.add_argument(
    "--aws-port", type=int, default=8788, help="default: %(default)s; 0 finds a free one"
)
parser.add_argument(
    "--rows",
    type=int,
    default=2000,
    help="questions in the log to start with (default: %(default)s)",
)
parser.add_argument("--env-file", type=Path, default=Path("env.json"), help="default: %(default)s")


def main(arguments: list[str] | None = None) -> int:
    """Serve until interrupted; 1 if a port is taken."""
    options = parser.parse_args(arguments)
    if options.containers and platform.system() == "Linux":
        options.host = EVERYWHERE
    screen = Screen()
    forget_real_aws()
    forget_proxies()
    for ending in (
        signal.SIGINT,
        signal.SIGTERM,
    ):  # also where a shell started it in the background
        signal.signal(ending, signal.default_int_handler)
    option = "--braintrust-port"
    try:
        server = LocalBraintrust(
            host=options.host, port=options.braintrust_port, project_id=PROJECT
        )
        option = "--aws-port"
        cloud = LocalAws(options.host, options.aws_port)
    except CannotListenError as error:
        screen.say(f"error: {error}; see {option}", "red")
        return 1
    with suppress(KeyboardInterrupt), server as braintrust, cloud as aws:
        port = int(braintrust.url.rpartition(":")[2])
        users = [braintrust.store.add_user(person.email) for person in TEAM]
        aws.prepare(braintrust.api_key, ", ".join(person.email for person in TEAM))
        client = Braintrust(api_key=braintrust.api_key, base_url=f"http://{HOST}:{port}")
        send(client, PROJECT, Traffic(3, users).past(options.rows, datetime.now(UTC), days=9))
        try:
            write_env_file(options.env_file, port, aws)
        except OSError as error:
            screen.say(
                f"error: {options.env_file} cannot be written: {error.strerror}; see --env-file",
                "red",
            )
            return 1
        explain(screen, options, braintrust.api_key, port, aws)
        wait()
    screen.say("Both servers have ended; what they held is gone.")
    return 0


def wait() -> None:
    """For as long as no signal comes."""
    while True:
        time.sleep(3600)


def opening(host: str) -> list[str]:
    """What has to be done first, so that containers come in."""
    if host == HOST and platform.system() == "Linux":
        return ["make local ARGS=--containers    # in place of this one"]
    return []


def write_env_file(path: Path, port: int, aws: LocalAws) -> None:
    """What `sam local invoke --env-vars` reads: it passes on what the template declares."""
    variables = {
        "PROJECT_ID": PROJECT,
        "TAG": TAG,
        "DRY_RUN": "false",
        "BRAINTRUST_API_URL": f"http://{CONTAINERS}:{port}",
        "BRAINTRUST_API_KEY_PARAMETER": "",
        **aws.variables,
        "AWS_ENDPOINT_URL": f"http://{CONTAINERS}:{aws.port}",
    }
    path.write_text(json.dumps({FUNCTION: variables}, indent=2) + "\n", "utf-8")


def explain(
    screen: Screen, options: argparse.Namespace, api_key: str, port: int, aws: LocalAws
) -> None:
    """Say where everything is and what can be done with it; each command is a line to be copied."""
    url = f"http://{HOST}:{port}"
    screen.say("Up, until Ctrl-C:", "bold green")
    screen.fact("Braintrust", f"{url}  key {api_key}, project {PROJECT}")
    screen.fact("AWS", f"{aws.url}  bucket {BUCKET}, any credentials")
    if options.host == HOST:
        screen.fact("Open to", "this machine only")
    else:
        screen.fact(
            "Open to",
            f"EVERYBODY who can reach {options.host}: containers, and this network. Nothing secret "
            "is in here.",
        )
    screen.fact("Variables", f"{options.env_file}, written for {FUNCTION}")
    arch = "x86_64" if platform.machine() in {"x86_64", "AMD64"} else "arm64"
    with_file = "" if options.env_file == Path("env.json") else f" --env-file {options.env_file}"
    container = (
        f".venv-tools/bin/sam local invoke {FUNCTION} --env-vars {options.env_file} --event "
        f"events/empty.json --add-host {CONTAINERS}:host-gateway --parameter-overrides "
        f"Architecture={arch}"
    )
    bearer = f'-H "Authorization: Bearer {api_key}"'
    query = (
        f"select: id, metadata | from: project_logs('{PROJECT}') "
        f"| filter: tags INCLUDES '{TAG}' | limit: 2"
    )
    body = json.dumps({"query": query}).replace('"', '\\"')
    for title, commands in (
        (
            "Run the function here, without Docker",
            [f"{PYTHON} -m local.invoke{with_file} '{{\"dry_run\": true}}'"],
        ),
        (
            "Run the artifact in a container, with Docker",
            [*opening(options.host), f"make build ARCH={arch}", container],
        ),
        (
            "Look at rows, at who has which, at the audit",
            [
                f'curl -s {url}/btql {bearer} -H "Content-Type: application/json" -d "{body}"',
                f'curl -s "{url}/v1/project_logs/{PROJECT}/fetch?limit=1" {bearer}',
                f"curl -s {url}/_local/assignments",
                f'curl -s "{aws.url}/{BUCKET}?list-type=2"',
            ],
        ),
    ):
        screen.say()
        screen.say(title + ":")
        for command in commands:
            print("  " + command)
    screen.say()
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
