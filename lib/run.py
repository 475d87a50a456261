"""One run, told from beginning to end: load, fetch, filter, distribute, plan, assign, audit."""

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from lib.assign import Outcome, assign_all, build_event, build_undo_event
from lib.audit import Audit
from lib.aws import Aws
from lib.braintrust import Braintrust
from lib.deadline import Deadline
from lib.errors import AssignerError, AssignmentError, AuditError, ConfigurationError
from lib.plan import Plan, make_plan, make_undo
from lib.result import Outlook, describe, describe_undo, unwritten
from lib.roster import Entry, Roster, parse_reviewers, resolve
from lib.rows import Window, fetch_all_logs
from lib.settings import Settings, load_settings
from lib.telemetry import emit, logger, run_metrics

RACES = 5  # how often a run starts again when another one commits its plan first
AUDIT_SHARE = 0.2  # of the time, kept back for the audit
AUDIT_RESERVE = 30.0  # seconds that are enough for it
INSERT_SHARE = 0.25  # of the time, kept back from fetching for the inserts
LONGEST_RUN = timedelta(minutes=15)  # Lambda's own limit


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
    max_age: int = 0
    """Seconds for which a warm container may go on using the reviewers it looked up."""


_looked_up: dict[tuple[object, ...], tuple[float, Roster]] = {}


def run(
    event: object,
    environ: Mapping[str, str],
    deadline: Deadline,
    request_id: str,
    now: Callable[[], datetime] = utc_now,
) -> dict[str, Any]:
    """Hand out the rows and return the contract's section 5 object. Raises an AssignerError."""
    began = time.monotonic()
    try:
        job = load(event, environ, deadline, request_id, now)
        logger.info(
            "run started",
            tag=job.settings.tag,
            window=job.window.to_json(),
            dry_run=job.settings.dry_run,
        )
        outlook = decide(job, undo_run(job) if job.settings.undo else plan_run(job))
        outcomes = assign(job, outlook)
        return record(job, outlook, outcomes, began)
    except AssignerError as error:
        logger.error("run failed", error=type(error).__name__, reason=str(error))
        emit({"RunSucceeded": 0})
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
    entries = () if settings.undo else find_entries(settings, aws)
    working = deadline.sooner(min(AUDIT_RESERVE, AUDIT_SHARE * deadline.left()))
    return Job(
        settings,
        entries,
        Braintrust(settings, aws.api_key(settings), working),
        Audit(aws.s3(), settings, started, request_id),
        Window.before(started, settings.days),
        working.sooner(INSERT_SHARE * deadline.left()),
        now,
        aws.max_age,
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


def decide(job: Job, look: Callable[[Plan | None], Outlook]) -> Outlook:
    """Read the ledger, then the rows; plan; commit. Whoever loses the race starts again from the ledger."""
    try:
        for race in range(RACES):
            ledger = job.audit.read_ledger()
            outlook = look(ledger.plan)
            if job.settings.dry_run or not outlook.says_something:
                return outlook
            if job.client.deadline.left() <= 0:
                outlook.warnings.append(
                    "time ran out before the plan was written: every row waits for the next run"
                )
                return outlook
            if job.audit.commit(outlook.plan, ledger):
                outlook.committed = True
                return outlook
            logger.info("another run committed its plan first, starting again", attempt=race + 1)
            time.sleep(random.random() * 2**race / 4)  # noqa: S311 - so that two losers part
    except AuditError as error:
        raise AuditError(f"{error}; nothing was assigned") from error
    outlook.warnings.append(
        f"other runs committed their plans first {RACES} times: every row waits for the next run"
    )
    return outlook


def plan_run(job: Job) -> Callable[[Plan | None], Outlook]:
    """How an ordinary run looks at the rows, given the previous plan."""
    roster = cache(
        lambda: find_reviewers(job)
    )  # after the first query, which meets most refusals; once

    def look(previous: Plan | None) -> Outlook:
        fetched = fetch_all_logs(job.client, job.settings, job.window, job.fetching)
        draft = Plan(job.settings.project_id, job.settings.tag, job.window.to_json(), job.now())
        plan = make_plan(draft, fetched.rows, roster(), previous, job.settings.max_assignments)
        return Outlook(fetched, plan, previous, roster())

    return look


def undo_run(job: Job) -> Callable[[Plan | None], Outlook]:
    """How an undo looks at the rows: with the query of the run that it takes back, and without FILTER."""
    run_id = job.settings.undo
    target = job.audit.read_plan(run_id)
    if target is None:
        raise ConfigurationError(
            f"undo: project {job.settings.project_id} has no plan of a run {run_id}"
        )
    if not job.audit.has_record(run_id) and job.now() - target.created_at < LONGEST_RUN:
        raise ConfigurationError(
            f"undo: run {run_id} may still be going on; try again 15 minutes after its start"
        )
    settings = replace(job.settings, tag=target.tag, filter="")
    window = Window(*(datetime.fromisoformat(target.window[bound]) for bound in ("from", "to")))

    def look(previous: Plan | None) -> Outlook:
        fetched = fetch_all_logs(job.client, settings, window, job.fetching)
        draft = Plan(settings.project_id, target.tag, target.window, job.now())
        plan = make_undo(draft, target, {row.id: row for row in fetched.rows}, previous)
        return Outlook(fetched, plan, previous, target=target)

    return look


def find_reviewers(job: Job) -> Roster:
    """The people behind the reviewers list. Raises ConfigurationError when there is nobody behind it."""
    place = (job.settings.braintrust_api_url, job.settings.impersonate_user, job.entries)
    expires, roster = _looked_up.get(place, (0.0, Roster(())))
    if time.time() >= expires:
        roster = resolve(job.entries, job.client)
        _looked_up[place] = (time.time() + job.max_age, roster)
    if not roster.reviewers:
        raise ConfigurationError(
            f"no reviewers: add at least one reviewer id to {reviewers_source(job.settings)}; "
            f"nobody in it is known to the organisation ({', '.join(roster.unknown)})"
        )
    return roster


def reviewers_source(settings: Settings) -> str:
    """Where the reviewers list stands, in words for a message."""
    return (
        f"SSM parameter {settings.reviewers_parameter}"
        if settings.reviewers is None
        else "event field reviewers"
    )


def assign(job: Job, outlook: Outlook) -> list[Outcome]:
    """Send the committed plan; one outcome a planned row."""
    if not outlook.committed:
        return []
    build = build_undo_event if outlook.target else build_event
    settings = job.settings
    return assign_all(
        job.client,
        outlook.changes,
        settings.batch_size,
        settings.insert_concurrency,
        job.now,
        build,
    )


def record(job: Job, outlook: Outlook, outcomes: list[Outcome], began: float) -> dict[str, Any]:
    """Write down what was done and return it. Raises AuditError or AssignmentError once everything was tried."""
    if outlook.target:
        result = describe_undo(job.settings, outlook, outcomes)
    else:
        result = describe(job.settings, job.window, outlook, outcomes)
    result["duration_ms"] = round((time.monotonic() - began) * 1000)
    problems = []
    try:
        if outcomes:
            job.audit.write_outcomes(outlook.changes, outcomes)
    except AuditError as error:
        problems.append(str(error))
    try:
        job.audit.write_result(result, outlook.changes if job.settings.dry_run else None)
    except AuditError as error:
        problems.append(str(error))
    emit(run_metrics(result, job.client.counts))
    for warning in result["warnings"]:
        logger.warning("run warned", warning=warning)
    logger.info("run finished", result=result)
    failure = unwritten(outcomes)
    if problems:
        done = sum(outcome.assigned_at is not None for outcome in outcomes)
        verb = "taken back" if outlook.target else "assigned"
        told = "; ".join(filter(None, [*problems, failure]))
        raise AuditError(
            f"{done} rows were {verb}, but what happened could not be recorded: {told}"
        )
    if failure:
        where = result["audit"].get("assignments")
        raise AssignmentError(
            f"{failure}. See {where}; the next run sends them to the same reviewers again"
        )
    if not (job.settings.dry_run or job.settings.undo):
        emit({"RunSucceeded": 1})
    return result
