"""Everything a run depends on, read at its start, so that what is wrong with it is refused at once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from lib.audit import Audit
from lib.aws import Aws
from lib.braintrust import Braintrust
from lib.bucket import AuditBucket
from lib.chain import Chain
from lib.deadline import Deadline
from lib.errors import ConfigurationError
from lib.gifts import Gifts
from lib.roster import Entry, Roster, parse_reviewers, resolve
from lib.rows import Window
from lib.settings import Settings, load_settings
from lib.webhook import Webhook

LONGEST_RUN = timedelta(minutes=15)
"""Lambda's own limit; by the wall clock, so that a run which stood still plans nothing by what it read before."""
AUDIT_SHARE = 0.2  # of the time, kept back for the audit
AUDIT_RESERVE = 30.0  # seconds that are enough for it
INSERT_SHARE = 0.25  # of the time, kept back from fetching for the inserts


@dataclass(frozen=True)
class Job:
    """One invocation: its settings and the places it talks to."""

    settings: Settings
    entries: tuple[Entry, ...]
    client: Braintrust
    chain: Chain
    gifts: Gifts
    audit: Audit
    webhook: Webhook | None
    """Where a digest is posted to; None in a dry run, and in every other kind."""
    window: Window
    fetching: Deadline
    """When to stop asking for rows; the client's own deadline is when to stop assigning."""
    now: Callable[[], datetime]


def load(
    event: object,
    environ: Mapping[str, str],
    deadline: Deadline,
    request_id: str,
    now: Callable[[], datetime],
) -> Job:
    """Read everything a run depends on. Raises ConfigurationError for what is wrong with it."""
    settings = load_settings(environ, event)
    aws, started = Aws(environ), now()
    posts = settings.digest and not settings.dry_run
    deadline = deadline.until(started + LONGEST_RUN, now)
    entries = () if settings.undo else find_entries(settings, aws)
    bucket = AuditBucket(aws.s3(), settings)
    chain = Chain(bucket, started)
    working = deadline.sooner(min(AUDIT_RESERVE, AUDIT_SHARE * deadline.left()))
    return Job(
        settings=settings,
        entries=entries,
        client=Braintrust(settings, aws.api_key(settings), working),
        chain=chain,
        gifts=Gifts(bucket, chain),
        audit=Audit(bucket, started, request_id),
        webhook=Webhook(aws.webhook(settings), settings.request_timeout) if posts else None,
        window=Window.before(started, settings.days),
        fetching=working.sooner(INSERT_SHARE * deadline.left()),
        now=now,
    )


def find_entries(settings: Settings, aws: Aws) -> tuple[Entry, ...]:
    """The reviewers list, of the event or else of the SSM parameter. Raises ConfigurationError if it is empty."""
    entries = settings.reviewers
    if entries is None:
        entries = parse_reviewers(aws.reviewers(settings), reviewers_source(settings))
    if not entries:
        raise ConfigurationError(
            f"no reviewers: add at least one reviewer id to {reviewers_source(settings)}"
        )
    return entries


def find_roster(job: Job) -> Roster:
    """The people behind the reviewers list. Raises ConfigurationError when there is nobody behind it."""
    roster = resolve(job.entries, job.client)
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
    return "event field reviewers"
