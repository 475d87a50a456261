"""How each queue is doing: the newest record that it left."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from ops.places import AT_ONCE, Place
from ops.records import Run, keys_of, name_of, read_record

REQUEST = re.compile(r"^\d{8}T\d{6}Z-([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})?")
QUEUE_DAYS = 8  # within which a queue that leaves no record is still remembered


def newest_of_queues(place: Place, project: str, now: datetime) -> list[Run]:
    """The newest record of each queue in the last days, whichever has waited longest first.

    A queue that fails before its plan leaves no record: the older this one is, the longer it has
    been broken. Which records to read is told by the ids, which end with a queue's name; whose they
    are, they say themselves.
    """
    since = now - timedelta(days=QUEUE_DAYS)
    keys = keys_of(place, "runs", project, since) + keys_of(place, "dry_runs", project, since)
    newest = {_ending(name_of(key)): key for key in sorted(keys, key=name_of)}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        read = list(pool.map(lambda key: read_record(place, key), newest.values()))
    runs = sorted((run for run in read if isinstance(run, Run)), key=lambda run: run.order)
    return sorted({run.queue: run for run in runs if run.queue}.values(), key=lambda run: run.order)


def _ending(run_id: str) -> str:
    """What follows the request's id, in Lambda a UUID: `-<queue>`, where there are queues."""
    return REQUEST.sub("", run_id)
