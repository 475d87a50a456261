"""One run, told from beginning to end: load, fetch, filter, distribute, plan, assign, audit."""

import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from lib.assign import Outcome, assign_all
from lib.audit import Audit
from lib.aws import Aws
from lib.braintrust import Braintrust
from lib.deadline import Deadline
from lib.errors import AssignerError, AssignmentError, AuditError, ConfigurationError
from lib.plan import Plan, make_plan, spread, what_became
from lib.roster import Entry, Roster, parse_reviewers, resolve
from lib.rows import Fetched, Row, Window, fetch_all_logs
from lib.settings import Settings, load_settings
from lib.telemetry import emit, logger, run_metrics

RACES = 5  # how often a run starts again when another one commits its plan first
AUDIT_SHARE, AUDIT_RESERVE = (
    0.2,
    30.0,
)  # kept back for the audit: this share of the time, at most so many seconds
INSERT_SHARE = 0.25  # of the time, kept back from fetching for the inserts

Result = dict[str, Any]


def utc_now() -> datetime:
    """The time, for everything that is written down."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Job:
    """One invocation: its settings and the places it talks to."""

    settings: Settings
    entries: tuple[Entry, ...]
    client: Braintrust
    audit: Audit
    window: Window
    fetching: Deadline
    """When to stop asking for rows; the client's own deadline is when to stop assigning."""
    now: Callable[[], datetime]


@dataclass
class Outlook:
    """What the run saw and decided, before anything is written to Braintrust."""

    fetched: Fetched
    roster: Roster
    previous: Plan | None
    plan: Plan
    committed: bool = False
    warnings: list[str] = field(default_factory=list)


def run(
    event: object,
    environ: Mapping[str, str],
    deadline: Deadline,
    request_id: str,
    now: Callable[[], datetime] = utc_now,
) -> Result:
    """Hand out the rows and return the contract's section 5 object. Raises an AssignerError."""
    began, started = time.monotonic(), now()
    try:
        job = load(event, environ, deadline, request_id, now)
        logger.info("run started", run_id=job.audit.run_id, tag=job.settings.tag, window=job.window.to_json())
        outlook = decide(job)
        outcomes = assign(job, outlook)
        return report(job, outlook, outcomes, started, round((time.monotonic() - began) * 1000))
    except AssignerError as error:
        logger.error("run failed", error=type(error).__name__, reason=str(error))
        raise


def load(
    event: object,
    environ: Mapping[str, str],
    deadline: Deadline,
    request_id: str,
    now: Callable[[], datetime],
) -> Job:
    """Read everything a run depends on, and refuse what is wrong with it."""
    settings = load_settings(environ, event)
    aws, started = Aws(environ), now()
    entries = settings.reviewers
    if entries is None:
        entries = parse_reviewers(aws.reviewers(settings), reviewers_source(settings))
    if not entries:
        raise ConfigurationError(
            f"no reviewers: add at least one reviewer id to {reviewers_source(settings)}"
        )
    working = deadline.sooner(min(AUDIT_RESERVE, AUDIT_SHARE * deadline.left()))
    return Job(
        settings,
        entries,
        Braintrust(settings, aws.api_key(settings), working),
        Audit(aws.s3(), settings, started, request_id),
        Window.before(started, settings.days),
        working.sooner(INSERT_SHARE * deadline.left()),
        now,
    )


def decide(job: Job) -> Outlook:
    """Read the ledger, then the rows; plan; commit the plan. Whoever loses the race starts again from the ledger."""
    roster = None
    for race in range(RACES):
        ledger = job.audit.read_ledger()
        fetched = fetch_all_logs(job.client, job.settings, job.window, job.fetching)
        roster = roster or find_reviewers(job)
        draft = Plan(job.settings.project_id, job.settings.tag, job.window.to_json(), job.now())
        plan = make_plan(draft, fetched.rows, roster, ledger.plan, job.settings.max_assignments)
        outlook = Outlook(fetched, roster, ledger.plan, plan)
        nothing_to_say = not any(row.needs_reviewer for row in fetched.rows)
        if job.settings.dry_run or nothing_to_say:
            return outlook
        if job.client.deadline.left() <= 0:
            outlook.warnings.append(
                "time ran out before the plan was written: every row waits for the next run"
            )
            return outlook
        if job.audit.commit(plan, ledger):
            outlook.committed = True
            return outlook
        logger.info("another run committed its plan first, starting again", attempt=race + 1)
        time.sleep(random.random() * 2**race / 4)  # noqa: S311 - so that two losers part
    outlook.warnings.append(
        f"other runs committed their plans first {RACES} times: every row waits for the next run"
    )
    return outlook


def find_reviewers(job: Job) -> Roster:
    """The people behind the reviewers list. Raises ConfigurationError when there is nobody behind it."""
    roster = resolve(job.entries, job.client)
    if not roster.reviewers:
        raise ConfigurationError(
            f"no reviewers: add at least one reviewer id to {reviewers_source(job.settings)}; "
            f"nobody in it is known to the organisation ({', '.join(roster.unknown)})"
        )
    return roster


def assign(job: Job, outlook: Outlook) -> list[Outcome]:
    """Send the committed plan; one outcome a planned row."""
    if not outlook.committed:
        return []
    settings = job.settings
    outcomes = assign_all(
        job.client, outlook.plan.assignments, settings.batch_size, settings.insert_concurrency, job.now
    )
    logger.info("assigned", outcomes=dict(Counter(outcome.status for outcome in outcomes)))
    return outcomes


def report(
    job: Job, outlook: Outlook, outcomes: list[Outcome], started: datetime, duration_ms: int
) -> Result:
    """Write down what was done and return it. Raises AuditError or AssignmentError once that is tried."""
    planned = outlook.plan.assignments if outlook.committed else []
    result = compose(job, outlook, planned, outcomes, started)
    result["duration_ms"] = duration_ms
    problems = []
    try:
        if planned:
            job.audit.write_outcomes(planned, outcomes)
    except AuditError as error:
        problems.append(str(error))
    try:
        job.audit.write_result(result, outlook.plan.assignments if job.settings.dry_run else None)
    except AuditError as error:
        problems.append(str(error))
    emit(run_metrics(result, job.client.counts))
    logger.info("run finished", result=result)
    failure = failed_rows(result, outcomes)
    if problems:
        raise AuditError(
            f"{result['assigned']} rows were assigned, but what happened could not be recorded: "
            + "; ".join(filter(None, [*problems, failure]))
        )
    if failure:
        raise AssignmentError(failure)
    return result


def failed_rows(result: Result, outcomes: list[Outcome]) -> str:
    """The sentence about rows that could not be written; empty if there are none."""
    errors = [outcome.error for outcome in outcomes if outcome.status in {"failed", "unknown"}]
    if not errors:
        return ""
    return (
        f"{len(errors)} of {len(outcomes)} planned rows could not be written, the first because: {errors[0]}. "
        f"See {result['audit'].get('assignments')}; the next run sends them to the same reviewers again"
    )


def compose(
    job: Job, outlook: Outlook, planned: list[tuple[str, str]], outcomes: list[Outcome], started: datetime
) -> Result:
    """The contract's section 5 object, with what waits, why, and what became of the previous plan."""
    settings, fetched = job.settings, outlook.fetched
    needy = [row for row in fetched.rows if row.needs_reviewer]
    statuses = Counter(outcome.status for outcome in outcomes)
    failed = statuses["failed"] + statuses["unknown"]
    given = Counter(
        reviewer
        for (_, reviewer), outcome in zip(planned, outcomes, strict=True)
        if outcome.status == "assigned"
    )
    if settings.dry_run:
        given = Counter(reviewer for _, reviewer in outlook.plan.assignments)
    done = {
        row_id for (row_id, _), outcome in zip(planned, outcomes, strict=True) if outcome.status == "assigned"
    }
    waiting = [row for row in needy if row.id not in done]
    deferred = len(needy) - statuses["assigned"] - failed
    reviewed = sum(row.reviewed and not row.reviewers for row in fetched.rows)
    if settings.dry_run:
        status = "dry_run"
    elif failed:
        status = "failed"
    elif deferred or not fetched.complete:
        status = "incomplete"
    else:
        status = "assigned" if needy else "nothing_to_assign"
    return {
        "run_id": job.audit.run_id,
        "status": status,
        "dry_run": settings.dry_run,
        "project_id": settings.project_id,
        "tag": settings.tag,
        "window": job.window.to_json(),
        "fetched": len(fetched.rows),
        "already_assigned": len(fetched.rows) - len(needy) - reviewed,
        "already_reviewed": reviewed,
        "unassigned": len(needy),
        "assigned": statuses["assigned"],
        "failed": failed,
        "deferred": deferred,
        "per_reviewer": {person.id: given[person.id] for person in outlook.roster.reviewers},
        "complete": fetched.complete,
        "audit": {},
        "warnings": [
            *outlook.roster.warnings,
            *fetched.warnings,
            *outlook.warnings,
            *leaving(waiting, job.window, settings.days),
        ],
        "duration_ms": 0,
        "oldest_waiting_seconds": round(
            started.timestamp() - min((row.created for row in waiting), default=started.timestamp())
        ),
        "spread": spread(outlook.plan, given),
        "unknown_reviewers": len(outlook.roster.unknown),
        "previous_plan": outlook.previous
        and what_became(outlook.previous, {row.id: row for row in fetched.rows}),
    }


def leaving(waiting: list[Row], window: Window, days: int) -> list[str]:
    """A warning about rows that the window is about to leave behind without a reviewer."""
    margin = timedelta(days=min(1.0, days / 7))
    count = sum(row.created < (window.start + margin).timestamp() for row in waiting)
    if not count:
        return []
    hours = margin.total_seconds() / 3600
    return [
        f"{count} rows without a reviewer leave the window within {hours:.0f} hours: raise DAYS or add reviewers"
    ]


def reviewers_source(settings: Settings) -> str:
    """Where the reviewers list stands, in words for a message."""
    return (
        f"SSM parameter {settings.reviewers_parameter}"
        if settings.reviewers is None
        else "the event field reviewers"
    )
