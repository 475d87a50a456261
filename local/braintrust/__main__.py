"""`python -m local.braintrust`: the server as a process of its own."""

import argparse
import contextlib
import gc
import json
import sys
from datetime import timedelta

from local.braintrust.server import API_KEY, HOST, LocalBraintrust
from local.listen import CannotListenError

parser = argparse.ArgumentParser(
    prog="python -m local.braintrust", description="A Braintrust on this machine."
)
parser.add_argument("--host", default=HOST, help="address to listen on; 0.0.0.0 lets containers in")
parser.add_argument("--port", type=int, default=8787, help="0 finds a free one")
parser.add_argument("--api-key", default=API_KEY)
parser.add_argument("--project-id", default="11111111-1111-4111-8111-111111111111")
parser.add_argument("--rows", type=int, default=0, help="tagged rows to start with")
parser.add_argument("--tag", default="review", help="their tag")
parser.add_argument(
    "--days", type=float, default=5, help="the time they are spread over, up to now"
)
parser.add_argument(
    "--user", action="append", default=[], metavar="EMAIL", help="a user to start with; repeatable"
)


def main(arguments: list[str] | None = None) -> None:
    """Serve until interrupted; one line of JSON says where, and who the users are."""
    options = parser.parse_args(arguments)
    try:
        braintrust = LocalBraintrust(
            host=options.host,
            port=options.port,
            api_key=options.api_key,
            project_id=options.project_id,
        )
    except CannotListenError as error:
        sys.exit(f"error: {error}; see --port")
    users = {email: braintrust.store.add_user(email) for email in options.user}
    braintrust.store.add_rows(options.rows, tag=options.tag, span=timedelta(days=options.days))
    # The rows are here to stay: without this, looking through them doubles the cost of an insert.
    gc.freeze()
    ready = {
        "url": braintrust.url,
        "project_id": braintrust.project_id,
        "api_key": braintrust.api_key,
        "users": users,
        "rows": options.rows,
    }
    print(json.dumps(ready), flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        braintrust.serve()


if __name__ == "__main__":
    main()
