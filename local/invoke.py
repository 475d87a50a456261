"""`python -m local.invoke [EVENT]`: the handler in this process, against `make local`'s servers.

EVENT is JSON, or a file that holds it. The result goes to standard output, log lines to standard
error.
"""

import argparse
import json
import socket
import sys
from pathlib import Path
from urllib.parse import urlsplit

from lib.errors import AssignerError
from local.aws import HOST, forget_proxies, forget_real_aws
from local.function import Function
from local.serve import CONTAINERS, FUNCTION

parser = argparse.ArgumentParser(prog="python -m local.invoke", description=__doc__)
parser.add_argument("event", nargs="?", default="{}", help="JSON or a file; default: {}")
parser.add_argument("--env-file", type=Path, default=Path("env.json"), help="default: %(default)s")


def main(arguments: list[str] | None = None) -> int:
    """One run; 1 if it raised."""
    options = parser.parse_args(arguments)
    variables = read_variables(options.env_file)
    try:
        inline = options.event.lstrip()[:1] in {"{", "["}
        event = json.loads(options.event if inline else Path(options.event).read_bytes())
    except OSError as error:
        parser.error(
            f"the event {options.event} is neither JSON nor a file that can be read: "
            f"{error.strerror}"
        )
    except (ValueError, RecursionError) as error:
        parser.error(f"the event {options.event} is no JSON: {error}")
    forget_real_aws()
    forget_proxies()
    try:
        result = Function(variables, None).invoke(event)
    except AssignerError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print(json.dumps(result, indent=2))
    return 0


def read_variables(path: Path) -> dict[str, str]:
    """The variables that `make local` wrote, for a process beside it.

    Exits where it did not, or has ended since.
    """
    again = "start `make local` in another terminal"
    try:
        written: dict[str, str] = json.loads(path.read_text("utf-8"))[FUNCTION]
        variables = {name: value.replace(CONTAINERS, HOST) for name, value in written.items()}
        server = urlsplit(variables["AWS_ENDPOINT_URL"])
        socket.create_connection((server.hostname or HOST, server.port or 80), 5).close()
    except FileNotFoundError:
        parser.error(f"{path} is not there: {again}")
    except ConnectionError:
        parser.error(f"{path} is of a `make local` that has ended: {again}")
    except OSError as error:
        parser.error(f"{path} cannot be read, or what it names not be reached: {error}")
    except (ValueError, LookupError, TypeError, AttributeError):
        parser.error(f"{path} is not what `make local` writes: {again}")
    return variables


if __name__ == "__main__":
    sys.exit(main())
