"""Work with a deployed stack: run it, undo one run, take rows back from people, print its outputs.

python -m ops.stack invoke|undo|take-back|outputs <stack> ...; region and credentials are the AWS
SDK's usual ones.
"""

import argparse
import json
import shlex
import socket
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    SSOError,
    TokenRetrievalError,
)

# As long as a run may take; and one try, because repeating an invocation that did not answer starts
# another run.
PATIENT = Config(
    connect_timeout=10, read_timeout=930, retries={"total_max_attempts": 1}, tcp_keepalive=True
)
# Nothing is said on a connection while the function runs, and NAT gateways forget one after 350
# seconds. The systems' own first probe comes after two hours. (Linux and macOS name the seconds to
# the first probe differently.)
PROBES = {"TCP_KEEPIDLE": 60, "TCP_KEEPALIVE": 60, "TCP_KEEPINTVL": 60, "TCP_KEEPCNT": 5}
UNKNOWN_TO_AWS = frozenset(
    {
        *("ExpiredToken", "ExpiredTokenException", "RequestExpired", "InvalidClientTokenId"),
        *("UnrecognizedClientException", "SignatureDoesNotMatch", "InvalidAccessKeyId"),
    }
)
"""Codes for credentials that AWS does not, or no longer, know."""


class NoStackError(Exception):
    """Raised when there is no stack of this name in the region."""


def main() -> int:
    """Do what the command line says; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m ops.stack", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    invoke = commands.add_parser("invoke", help="one run now, with an event from a file")
    undo = commands.add_parser("undo", help="take back what one run assigned")
    take = commands.add_parser("take-back", help="take open rows back from people")
    show = commands.add_parser("outputs", help="print the stack's outputs, one a line")
    for command in (invoke, undo, take, show):
        command.add_argument("stack")
    invoke.add_argument("event", type=Path)
    undo.add_argument("run_id", nargs="?")
    take.add_argument("--reviewer", help="all that this person has: an id or an e-mail address")
    take.add_argument("--days", type=int, help="what has lain for so many times 24 hours")
    for command in (undo, take):
        command.add_argument("--dry-run", action="store_true")
    show.add_argument("--quiet", action="store_true", help="only see whether the stack is there")
    chosen = parser.parse_args()
    with failures_in_words():
        if chosen.command == "outputs":
            lines = [f"{name}: {value}" for name, value in sorted(outputs(chosen.stack).items())]
            if not chosen.quiet:
                print("\n".join(lines))
            return 0
        if chosen.command == "invoke":
            return invoke_function(chosen.stack, read_event(chosen.event))
        return take_off(chosen.stack, *wanted(chosen), dry_run=chosen.dry_run)


@contextmanager
def failures_in_words() -> Iterator[None]:
    """Exits where the stack is not there, AWS refuses, or somebody has had enough.

    It says so in place of a traceback.
    """
    try:
        yield
    except NoStackError as error:
        sys.exit(str(error))
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"AWS: {reason(error)}")
    except KeyboardInterrupt:
        sys.exit("\nStopped here. A run that has begun goes on by itself: make status shows it.")


def wanted(chosen: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """The event of an undo or a take-back, and the `make` command for it.

    Exits where it is not said what is meant.
    """
    if chosen.command == "undo":
        if not chosen.run_id:
            sys.exit("which run? make undo RUN_ID=... (make status lists them)")
        return {"undo": chosen.run_id}, f"make undo RUN_ID={chosen.run_id}"
    named = {"reviewer": chosen.reviewer, "days": chosen.days}
    taking = {name: value for name, value in named.items() if value not in (None, "")}
    if not taking:
        sys.exit("whose rows? make take-back REVIEWER=bo@example.com, DAYS=3, or both")
    words = " ".join(f"{name.upper()}={shlex.quote(str(value))}" for name, value in taking.items())
    return {"take_back": taking}, f"make take-back {words}"


def take_off(stack: str, event: dict[str, Any], command: str, *, dry_run: bool) -> int:
    """Undo or take back; print what comes back, and in words how many rows of whom.

    1 if the function raised.
    """
    result = ask_function(stack, event | {"dry_run": dry_run})
    if result is None:
        return 1
    print(written(result), flush=True)
    print(*taken_words(over_all(result), f"{command} STACK={stack}"), sep="\n", file=sys.stderr)
    return 0


def over_all(result: dict[str, Any]) -> dict[str, Any]:
    """Of a take-back that went through several queues, their numbers together."""
    if "queues" not in result:
        return result
    own = list(result["queues"].values())
    taken_from: Counter[str] = Counter()
    for each in own:
        taken_from.update(each["taken_from"])
    return {
        "dry_run": all(each["dry_run"] for each in own),
        "taken_back": sum(each["taken_back"] for each in own),
        "deferred": sum(each["deferred"] for each in own),
        "taken_from": taken_from,
    }


def taken_words(result: dict[str, Any], command: str) -> Iterator[str]:
    """How many rows of whom; of a dry run, how many it would be, and the command that does it."""
    dry, takes_back = result.get("dry_run"), "taken_back" in result
    done = result.get("taken_back" if takes_back else "undone", 0)
    rows = result.get("deferred", 0) if dry else done
    yield f"{rows} rows {'would be' if dry else 'were'} taken back"
    for who, count in result.get("taken_from", {}).items():
        yield f"{count:>7} from {who}"
    if takes_back:
        yield "A take-back cannot be undone: the next run gives its rows to others."
    if dry and rows:
        yield f"Nothing was written. To take them back: {command}"


def read_event(path: Path) -> Any:  # noqa: ANN401 - any JSON
    """The JSON in a file, in any of Unicode's encodings, with a byte order mark or without.

    Exits if there is none.
    """
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        sys.exit(f"error: the event {path} cannot be read: {error.strerror}")
    except (ValueError, RecursionError) as error:
        sys.exit(f"error: the event {path} is no JSON: {error}")


class FunctionError(Exception):
    """Raised when the function raised: says which error, and its message."""


def invoke_function(stack: str, event: Any) -> int:  # noqa: ANN401 - any JSON
    """Run the function with the event and print what it returns; 1 if it raised."""
    result = ask_function(stack, event)
    if result is None:
        return 1
    print(written(result))
    return 0


def ask_function(stack: str, event: Any) -> Any:  # noqa: ANN401 - any JSON
    """What the function returns; None if it raised, which is said on standard error."""
    try:
        return invoke(stack, event)
    except FunctionError as error:
        print(error, file=sys.stderr)
        return None


def invoke(stack: str, event: Any) -> Any:  # noqa: ANN401 - any JSON
    """What the function returns for the event. Raises FunctionError."""
    answer = probing(boto3.client("lambda", config=PATIENT)).invoke(
        FunctionName=outputs(stack)["FunctionName"], Payload=json.dumps(event).encode()
    )
    result = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        raise FunctionError(
            f"{result.get('errorType', 'error')}: {result.get('errorMessage', result)}"
        )
    return result


def probing(client: Any) -> Any:  # noqa: ANN401 - boto3's clients have no type of their own
    """The client, with probes early enough on its idle connections.

    botocore itself only turns them on.
    """
    http_session = getattr(getattr(client, "_endpoint", None), "http_session", None)
    getattr(http_session, "_socket_options", []).extend(
        (socket.IPPROTO_TCP, getattr(socket, name), value)
        for name, value in PROBES.items()
        if hasattr(socket, name)
    )
    return client


def written(result: Any) -> str:  # noqa: ANN401 - any JSON
    """JSON with the letters that this terminal can show as they are, else with none but ASCII's."""
    text = json.dumps(result, indent=2, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(result, indent=2)
    return text


def outputs(stack: str) -> dict[str, str]:
    """The stack's outputs: FunctionName, ... Raises NoStackError."""
    entries = described(stack).get("Outputs", [])
    return {output["OutputKey"]: output["OutputValue"] for output in entries}


def parameters(stack: str) -> dict[str, str]:
    """What the stack was deployed with: ReviewersParameter, ... Raises NoStackError."""
    entries = described(stack).get("Parameters", [])
    return {each["ParameterKey"]: each["ParameterValue"] for each in entries}


def described(stack: str) -> dict[str, Any]:
    """What CloudFormation says of the stack. Raises NoStackError."""
    client: Any = boto3.client("cloudformation")
    try:
        description: dict[str, Any] = client.describe_stacks(StackName=stack)["Stacks"][0]
    except ClientError as error:
        if "does not exist" not in str(
            error
        ):  # CloudFormation's code for it, ValidationError, says many things
            raise
        raise NoStackError(
            f"no stack {stack} in region {client.meta.region_name}; name another: STACK=..."
        ) from error
    return description


def reason(error: BotoCoreError | ClientError | OSError) -> str:
    """The error in words that say what to do, where we know it."""
    if isinstance(error, NoRegionError):
        return "No region: export AWS_REGION=... (the one that the stack is in)"
    if isinstance(error, NoCredentialsError):
        return "No AWS credentials: set AWS_PROFILE, or run `aws sso login` or `aws configure`"
    if isinstance(error, EndpointConnectionError):
        return f"{error}: is that a region, and is there a network?"
    if (
        isinstance(error, ClientError)
        and (code := error.response["Error"]["Code"]) in UNKNOWN_TO_AWS
    ):
        return (
            f"the credentials are wrong or have expired ({code}): "
            "run `aws sso login`, or set AWS_PROFILE"
        )
    if isinstance(error, SSOError | TokenRetrievalError):
        return f"{error}: run `aws sso login`"
    return str(error)


if __name__ == "__main__":
    sys.exit(main())
