"""`python -m local.invoke [EVENT]`: the handler in this process, against the servers that `make local` keeps up.

EVENT is JSON, or a file that holds it. The result goes to standard output, log lines to standard error.
"""

import argparse
import json
import sys
from pathlib import Path

from lib.errors import AssignerError
from local.aws import HOST, forget_real_aws
from local.function import Function
from local.serve import CONTAINERS, FUNCTION

parser = argparse.ArgumentParser(prog="python -m local.invoke", description=__doc__)
parser.add_argument("event", nargs="?", default="{}", help="JSON or a file; default: {}")
parser.add_argument("--env-file", type=Path, default=Path("env.json"), help="default: %(default)s")


def main(arguments: list[str] | None = None) -> int:
    """One run; 1 if it raised."""
    options = parser.parse_args(arguments)
    try:
        written = json.loads(options.env_file.read_text("utf-8"))[FUNCTION]
    except FileNotFoundError:
        parser.error(f"{options.env_file} is not there: start `make local` in another terminal")
    try:
        inline = options.event.lstrip()[:1] in {"{", "["}
        event = json.loads(options.event if inline else Path(options.event).read_bytes())
    except OSError as error:
        parser.error(
            f"the event {options.event} is neither JSON nor a file that can be read: {error.strerror}"
        )
    except (ValueError, RecursionError) as error:
        parser.error(f"the event {options.event} is no JSON: {error}")
    variables = {name: value.replace(CONTAINERS, HOST) for name, value in written.items()}
    forget_real_aws()
    try:
        result = Function(variables, None).invoke(event)
    except AssignerError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print(json.dumps(result, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
