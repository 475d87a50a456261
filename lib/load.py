"""Everything a run depends on, read at its start, so that what is wrong is refused at once."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from lib.audit import Audit
from lib.aws import Aws
from lib.braintrust import Braintrust
from lib.bucket import AuditBucket
from lib.chain import Chain
from lib.deadline import Deadline
from lib.directory import SharedDirectory
from lib.errors import ConfigurationError
from lib.gifts import Gifts
from lib.queue_list import load_asked
from lib.roster import Entry, Roster, parse_reviewers, resolve
from lib.rows import Window
from lib.settings import Settings
from lib.webhook import Webhook

LONGEST_RUN = timedelta(minutes=15)
"""Lambda's own limit; by the wall clock, so that a run which stood still plans nothing by what it
read before."""
AUDIT_SHARE = 0.2  # of the time, kept back for the audit
AUDIT_RESERVE = 30.0  # seconds that are enough for it
INSERT_SHARE = 0.25  # of the time, kept back from fetching for the inserts


@dataclass(frozen=True)
class Invocation:
    """What all its runs share."""

    runs: tuple[Settings, ...]
    """Of each run, in their order."""
    by_queue: bool
    """What comes back is an object a queue."""
    aws: Aws
    api_key: str = field(repr=False)
    deadline: Deadline
    request_id: str
    now: Callable[[], datetime]
    webhook: Webhook | None
    """Where a digest is posted to; None in a dry run, and in every other kind."""
    looked_up: dict[str, Any] = field(default_factory=dict, repr=False)
    """What was looked up of the organisation."""


@dataclass(frozen=True)
class Job:
    """One run: its settings and the places it talks to."""

    settings: Settings
    entries: tuple[Entry, ...]
    client: Braintrust
    directory: SharedDirectory
    chain: Chain
    gifts: Gifts
    audit: Audit
    window: Window
    fetching: Deadline
    """When to stop asking for rows; the client's own deadline is when to stop assigning."""
    now: Callable[[], datetime]
    began: float
    """By the monotonic clock, in seconds."""
    shares_time: bool
    """It is one of several, so that to get no page of rows is no error."""


def load(
    event: object,
    environ: Mapping[str, str],
    deadline: Deadline,
    request_id: str,
    now: Callable[[], datetime],
) -> Invocation:
    """Read what all runs of an invocation depend on.

    Raises ConfigurationError for what is wrong with it.
    """
    aws, started = Aws(environ), now()
    asked = load_asked(environ, event, aws.queues)
    runs = asked.runs
    posts = runs[0].digest and not all(run.dry_run for run in runs)
    if runs[0].undo and len(runs) > 1:
        runs = (find_place(runs, aws, started),)
    return Invocation(
        runs,
        asked.by_queue,
        aws,
        aws.api_key(runs[0]),
        deadline.until(started + LONGEST_RUN, now),
        request_id,
        now,
        Webhook(aws.webhook(runs[0]), runs[0].request_timeout) if posts else None,
    )


def make_job(invocation: Invocation, settings: Settings, deadline: Deadline) -> Job:
    """Read what one run depends on. Raises ConfigurationError for what is wrong with it.

    `deadline`: the end of its time, which it may share with others.
    """
    began, started, now = time.monotonic(), invocation.now(), invocation.now
    entries = () if settings.undo else find_entries(settings, invocation.aws)
    bucket = AuditBucket(invocation.aws.s3(), settings)
    chain = Chain(bucket, started)
    working = deadline.sooner(min(AUDIT_RESERVE, AUDIT_SHARE * deadline.left()))
    client = Braintrust(settings, invocation.api_key, working)
    suffix = f"-{settings.queue}" if settings.queue else ""
    return Job(
        settings=settings,
        entries=entries,
        client=client,
        directory=SharedDirectory(invocation.looked_up, client, client.warnings),
        chain=chain,
        gifts=Gifts(bucket, chain),
        audit=Audit(bucket, started, invocation.request_id + suffix),
        window=Window.before(started, settings.days),
        fetching=working.sooner(INSERT_SHARE * deadline.left()),
        now=now,
        began=began,
        shares_time=invocation.by_queue,
    )


def find_place(places: Iterable[Settings], aws: Aws, started: datetime) -> Settings:
    """The settings by which a run is taken back, given where it may have been.

    Raises ConfigurationError where no project has its plan.
    """
    by_project: dict[str, list[Settings]] = {}
    for place in places:
        by_project.setdefault(place.project_id, []).append(place)
    for here in by_project.values():
        plan = Chain(AuditBucket(aws.s3(), here[0]), started).plan_of(here[0].undo)
        if plan:
            its_own = (place for place in here if place.queue == plan.queue)
            return next(its_own, replace(here[-1], queue=plan.queue))  # the last has no name
    raise ConfigurationError(
        f"undo: none of the projects {', '.join(by_project)} has a plan of a run {here[0].undo}"
    )


def find_entries(settings: Settings, aws: Aws) -> tuple[Entry, ...]:
    """The reviewers list, of the settings or else of the SSM parameter.

    Raises ConfigurationError if it is empty.
    """
    entries = settings.reviewers
    if entries is None:
        entries = parse_reviewers(aws.reviewers(settings), reviewers_source(settings))
    if not entries:
        raise ConfigurationError(
            f"no reviewers: add at least one reviewer id to {reviewers_source(settings)}"
        )
    return entries


def find_roster(job: Job) -> Roster:
    """The people behind the reviewers list.

    Raises ConfigurationError when there is nobody behind it.
    """
    roster = resolve(job.entries, job.directory)
    if not roster.reviewers:
        who = "" if job.settings.digest else f" ({', '.join(roster.unknown)})"  # it names nobody
        raise ConfigurationError(
            f"no reviewers: add at least one reviewer id to {reviewers_source(job.settings)}; "
            f"nobody in it is known to the organisation{who}"
        )
    return roster


def reviewers_source(settings: Settings) -> str:
    """Where the reviewers list stands, in words for a message."""
    if settings.reviewers is None:
        return f"SSM parameter {settings.reviewers_parameter}"
    return f"the reviewers of queue {settings.queue}" if settings.queue else "event field reviewers"
