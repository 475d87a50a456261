"""The digest: one message for the team. It is no run: nothing is planned, and nothing is written but the message."""

import time
from collections import Counter
from collections.abc import Iterable

from lib.load import Job, find_roster
from lib.message import UNSEEN_ROWS, Heading, labels_of, message
from lib.people import people_of
from lib.reading import fetch_all_logs
from lib.result import Result
from lib.roster import Roster, unknown_words
from lib.rows import Fetched, Row
from lib.telemetry import emit, logger, request_metrics


def post_digest(job: Job, began: float) -> Result:
    """Read everything, tell the team who has how many open rows, and return what came of it.

    Names are in the message only; what comes back, and what a dry run says, has ids in their place. Raises QueryError,
    DigestError.
    """
    fetched = fetch_all_logs(job.client, job.settings, job.window, job.fetching)
    roster = find_roster(job)
    heading, people = heading_of(job.settings.tag, fetched.rows), open_by_person(fetched.rows)
    status, more = "nothing_to_post", {}
    if job.settings.dry_run:
        status, more = "dry_run", {"text": text_of([heading], people, fetched, {})}
    elif job.webhook and (heading.open or heading.waiting):
        labels = labels_of(people, job.client.users() or [])
        job.webhook.post(text_of([heading], people, fetched, labels), job.client.deadline)
        status = "posted"
    took = round((time.monotonic() - began) * 1000)
    result = result_of(job, status, heading, fetched, roster) | {"duration_ms": took} | more
    emit(request_metrics(job.client.counts))
    for warning in result["warnings"]:
        logger.warning("run warned", warning=warning)
    logger.info("digest finished", result=result)
    return result


def is_open(row: Row) -> bool:
    """Somebody has it, and nobody has finished it."""
    return bool(row.reviewers) and not row.reviewed


def heading_of(name: str, rows: Iterable[Row]) -> Heading:
    """How many of the rows are open, and how many wait for a reviewer."""
    rows = list(rows)
    return Heading(name, sum(map(is_open, rows)), sum(row.needs_reviewer for row in rows))


def open_by_person(rows: Iterable[Row]) -> dict[str, int]:
    """Open rows by user id, a row once for each of its people."""
    return Counter(who for row in rows if is_open(row) for who in {*row.reviewers})


def text_of(
    headings: list[Heading], people: dict[str, int], fetched: Fetched, labels: dict[str, str]
) -> str:
    """The message; people without a label by their ids."""
    return message(headings, people, labels, [] if fetched.complete else [UNSEEN_ROWS])


def result_of(job: Job, status: str, heading: Heading, fetched: Fetched, roster: Roster) -> Result:
    """What comes back: of a run's fields those that a message has, and `open`."""
    settings, rows = job.settings, fetched.rows
    reviewed = sum(row.reviewed and not row.reviewers for row in rows)
    nobody = {unknown_words(label) for label in roster.unknown}  # may hold an address
    return {
        "run_id": job.audit.run_id,
        "status": status,
        "dry_run": settings.dry_run,
        "project_id": settings.project_id,
        "tag": settings.tag,
        "window": job.window.to_json(),
        "read": "full",
        "fetched": len(rows),
        "already_assigned": len(rows) - heading.waiting - reviewed,
        "already_reviewed": reviewed,
        "unassigned": heading.waiting,
        "open": heading.open,
        "complete": fetched.complete,
        "audit": {},
        "warnings": [
            *fetched.warnings,
            *(warning for warning in roster.warnings if warning not in nobody),
            *job.client.warnings,
        ],
        **people_of(fetched, roster, job.window),
    }
