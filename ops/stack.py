"""Work with a deployed stack: run it, undo one run, print its outputs.

python -m ops.stack invoke|undo|outputs <stack> ...; region and credentials are the AWS SDK's usual ones.
"""

import argparse
import json
import socket
import sys
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from ops.stacks import NoStackError, outputs, reason

# As long as a run may take; and one try, because repeating an invocation that did not answer starts another run.
PATIENT = Config(
    connect_timeout=10, read_timeout=930, retries={"total_max_attempts": 1}, tcp_keepalive=True
)
# Nothing is said on a connection while the function runs, and NAT gateways forget one after 350 seconds. The systems'
# own first probe comes after two hours. (Linux and macOS name the seconds to the first probe differently.)
PROBES = {"TCP_KEEPIDLE": 60, "TCP_KEEPALIVE": 60, "TCP_KEEPINTVL": 60, "TCP_KEEPCNT": 5}


def main() -> int:
    """Do what the command line says; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m ops.stack", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    invoke = commands.add_parser("invoke", help="one run now, with an event from a file")
    undo = commands.add_parser("undo", help="take back what one run assigned")
    show = commands.add_parser("outputs", help="print the stack's outputs, one a line")
    for command in (invoke, undo, show):
        command.add_argument("stack")
    invoke.add_argument("event", type=Path)
    undo.add_argument("run_id", nargs="?")
    undo.add_argument("--dry-run", action="store_true")
    show.add_argument("--quiet", action="store_true", help="only see whether the stack is there")
    chosen = parser.parse_args()
    try:
        if chosen.command == "outputs":
            found = outputs(chosen.stack)
            if not chosen.quiet:
                print("\n".join(f"{name}: {value}" for name, value in sorted(found.items())))
            return 0
        if chosen.command == "invoke":
            return invoke_function(chosen.stack, json.loads(chosen.event.read_text()))
        if not chosen.run_id:
            sys.exit("which run? make undo RUN_ID=... (make status lists them)")
        return invoke_function(chosen.stack, {"undo": chosen.run_id, "dry_run": chosen.dry_run})
    except NoStackError as error:
        sys.exit(str(error))
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"AWS: {reason(error)}")


def invoke_function(stack: str, event: Any) -> int:  # noqa: ANN401 - any JSON
    """Run the function with the event and print what it returns; 1 if it raised."""
    answer = probing(boto3.client("lambda", config=PATIENT)).invoke(
        FunctionName=outputs(stack)["FunctionName"], Payload=json.dumps(event).encode()
    )
    result = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        print(
            f"{result.get('errorType', 'error')}: {result.get('errorMessage', result)}",
            file=sys.stderr,
        )
        return 1
    print(json.dumps(result, indent=2, ensure_ascii=False))
    return 0


def probing(client: Any) -> Any:  # noqa: ANN401 - boto3's clients have no type of their own
    """The client, with probes early enough on its idle connections. botocore itself only turns them on."""
    http_session = getattr(getattr(client, "_endpoint", None), "http_session", None)
    getattr(http_session, "_socket_options", []).extend(
        (socket.IPPROTO_TCP, getattr(socket, name), value)
        for name, value in PROBES.items()
        if hasattr(socket, name)
    )
    return client


if __name__ == "__main__":
    sys.exit(main())
