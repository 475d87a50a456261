"""One run, told from beginning to end: load, read, propose, commit, write, record."""

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from traceback import walk_tb

from lib.assign import assign_all
from lib.deadline import Deadline
from lib.digest import post_digest
from lib.errors import AssignerError, AssignmentError, AuditError
from lib.handout import HandOut
from lib.load import Job, load
from lib.plan import Outcomes
from lib.result import Outlook, Result, Verdict, build_result, unwritten
from lib.take_back import TakeBack
from lib.telemetry import emit, logger, run_metrics
from lib.undo import Undo

LAST_SENDING = timedelta(minutes=15)  # after the plan: rows rest for as long as this and more
RACES = 5  # how often a run starts again when another one commits its plan first

Kind = HandOut | Undo | TakeBack
"""A kind of run: what to read, to propose, to write and to tell."""


def kind_of(job: Job) -> Kind:
    """The kind of run that the event asks for."""
    settings = job.settings
    if settings.take_back:
        return TakeBack(job, settings.take_back)
    return Undo(job) if settings.undo else HandOut(job)


def utc_now() -> datetime:
    """The time, for everything that is written down."""
    return datetime.now(UTC)


def run(
    event: object,
    environ: Mapping[str, str],
    deadline: Deadline,
    request_id: str,
    now: Callable[[], datetime] = utc_now,
) -> Result:
    """Do what the event asks for and return the contract's section 5 object. Raises an AssignerError."""
    began = time.monotonic()
    try:
        job = load(event, environ, deadline, request_id, now)
        settings = job.settings
        logger.info(
            "run started", tag=settings.tag, window=job.window.to_json(), dry_run=settings.dry_run
        )
        if settings.digest:
            return post_digest(job, began)
        kind = kind_of(job)
        outlook = decide(job, kind)
        outcomes = write(job, kind, outlook)
        return record(job, kind, outlook, outcomes, began)
    except AssignerError as error:
        tell_failure(error, event)
        raise
    except Exception as error:  # noqa: BLE001 - the last net: its text may hold a row or a key
        failure = AssignerError(f"unexpected {type(error).__name__} in {place_of(error)}: a defect")
        tell_failure(failure, event)
        raise failure from None


def tell_failure(error: AssignerError, event: object) -> None:
    """Say that the run failed, in the log and, unless it is none, as a metric."""
    logger.error("run failed", error=type(error).__name__, reason=str(error))
    if not (isinstance(event, dict) and "digest" in event):
        emit({"RunSucceeded": 0})


def place_of(error: Exception) -> str:
    """Where it was raised, as `module:line`, in our own code if any of it is in the way."""
    frames = [
        (frame.f_globals.get("__name__", "?"), line) for frame, line in walk_tb(error.__traceback__)
    ]
    ours = [frame for frame in frames if frame[0].startswith("lib.")]
    name, line = (ours or frames)[-1]
    return f"{name}:{line}"


def decide(job: Job, kind: Kind) -> Outlook:
    """Read the ledger, then the rows; propose; commit. Whoever loses the race starts again from the ledger."""
    try:
        for race in range(RACES):
            past = job.chain.read()
            fetched = kind.read(past)
            outlook = Outlook(fetched, kind.propose(fetched, past), past)
            plan = outlook.plan
            if job.settings.dry_run or not (plan.moves or plan.waiting or fetched.read):
                return outlook
            if job.client.deadline.left() <= 0:
                return replace(outlook, verdict=Verdict.TIME_RAN_OUT)
            if job.audit.commit(plan, past):
                return replace(outlook, verdict=Verdict.COMMITTED)
            if not plan.moves:
                return outlook  # why rows wait, the winner's plan says as well
            logger.info("another run committed its plan first, starting again", attempt=race + 1)
            time.sleep(random.random() * 2**race / 4)  # noqa: S311 - so that two losers part
    except AuditError as error:
        raise AuditError(f"{error}; nothing was {kind.did}") from error
    return replace(outlook, verdict=Verdict.RACES_LOST)


def write(job: Job, kind: Kind, outlook: Outlook) -> Outcomes:
    """Send the committed plan; one outcome a planned row."""
    if outlook.verdict is not Verdict.COMMITTED:
        return {}
    settings, plan = job.settings, outlook.plan
    return assign_all(
        job.client,
        kind.changes(plan),
        settings.batch_size,
        settings.insert_concurrency,
        job.now,
        job.client.deadline.until(plan.created_at + LAST_SENDING, job.now),
        kind.writing,
    )


def record(job: Job, kind: Kind, outlook: Outlook, outcomes: Outcomes, began: float) -> Result:
    """Write down what was done and return it. Raises AuditError or AssignmentError once everything was tried."""
    problems = []
    changes = kind.changes(outlook.plan)
    try:
        if outcomes:
            job.audit.write_outcomes(changes, outcomes, confirming=kind.ordinary)
    except AuditError as error:
        problems.append(str(error))
    story = kind.tell(outlook, outcomes)

    def result_of(run_id: str, audit: Mapping[str, str]) -> Result:
        took = round((time.monotonic() - began) * 1000)
        return build_result(job.settings, outlook, story, run_id, audit, took)

    try:
        result = job.audit.write_result(result_of, changes if job.settings.dry_run else None)
    except AuditError as error:
        problems.append(str(error))
        result = result_of(job.audit.run_id, job.audit.written)
    emit(run_metrics(result, job.client.counts))
    for warning in result["warnings"]:
        logger.warning("run warned", warning=warning)
    logger.info("run finished", result=result)
    failure = unwritten(outcomes)
    if problems:
        done = sum(what.assigned_at is not None for what in outcomes.values())
        words = "; ".join(filter(None, [*problems, failure]))
        raise AuditError(
            f"{done} rows were {kind.did}, but what happened could not be recorded: {words}"
        )
    if failure:
        where = result["audit"].get("assignments")
        raise AssignmentError(f"{failure}. See {where}; {kind.again}")
    if kind.ordinary and not job.settings.dry_run:
        emit({"RunSucceeded": 1})
    return result
