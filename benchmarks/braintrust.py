"""`python -m benchmarks.braintrust`: a local Braintrust whose answers take a given time, its own work included.

Its `latency` fault sleeps before the work is done, so that on a small machine this server's own work would come on
top, and eight inserts at once would queue for it. The real one's work is a part of its latency.
"""

import argparse
import asyncio
import gc
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from local.braintrust.server import LocalBraintrust

TAG = "review"
REVIEWERS = 5
PENDING = {"__bt_default_review_list": {"status": "PENDING"}}

parser = argparse.ArgumentParser(prog="python -m benchmarks.braintrust", description=__doc__)
parser.add_argument("--rows", type=int, required=True)
parser.add_argument("--assigned", type=int, default=0, help="rows before them that somebody has")
parser.add_argument("--query", type=float, required=True, help="seconds that a page takes")
parser.add_argument("--insert", type=float, required=True, help="seconds that an insert takes")


def take_time(braintrust: LocalBraintrust, seconds: Mapping[str, float]) -> None:
    """Let each kind of request take so long from its arrival to the beginning of its answer."""
    answer = braintrust.app.answer

    async def answer_late(kind: str, handler: Any, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI's
        clock = asyncio.get_running_loop().time
        due = clock() + seconds.get(kind, 0.0)

        async def send_late(message: Any) -> None:  # noqa: ANN401 - ASGI's
            if message["type"] == "http.response.start":
                await asyncio.sleep(due - clock())
            await send(message)

        await answer(kind, handler, scope, receive, send_late)

    braintrust.app.answer = answer_late  # type: ignore[method-assign] # the one place that all answers pass


def main() -> None:
    """Serve until interrupted; one line of JSON says where, and who the users are."""
    options = parser.parse_args()
    braintrust = LocalBraintrust()
    take_time(braintrust, {"query": options.query, "insert": options.insert})
    users = [
        braintrust.store.add_user(f"reviewer{number}@example.com") for number in range(REVIEWERS)
    ]
    empty = braintrust.store.add_project("Empty")
    held = {"~__bt_assignments": users[:1], "~__bt_review_lists": PENDING}
    braintrust.store.add_rows(options.assigned, tag=TAG, metadata=held)
    braintrust.store.add_rows(options.rows, tag=TAG)
    gc.freeze()  # the rows are here to stay: without this, looking through them doubles the cost of an insert
    ready = {
        "BRAINTRUST_API_URL": braintrust.url,
        "BRAINTRUST_API_KEY": braintrust.api_key,
        "PROJECT_ID": braintrust.project_id,
        "EMPTY_PROJECT_ID": empty,
        "TAG": TAG,
        "USER_IDS": ",".join(users),
    }
    print(json.dumps(ready), flush=True)
    with suppress(KeyboardInterrupt):
        braintrust.serve()


if __name__ == "__main__":
    main()
