"""One run, told from beginning to end: load, read, propose, commit, write, record."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from traceback import walk_tb
from typing import TypeVar

from lib.assign import assign_all
from lib.deadline import Deadline
from lib.digest import Look, look_at, post_digest
from lib.errors import AssignerError, AssignmentError, AuditError, QueryError, QueuesError
from lib.handout import HandOut
from lib.load import Invocation, Job, load, make_job
from lib.past import Past
from lib.plan import Outcomes
from lib.queues import named, raise_if_any, run_alone, run_each, run_queues
from lib.result import Outlook, Result, Verdict, build_result, unwritten
from lib.rows import Fetched
from lib.settings import Settings
from lib.take_back import TakeBack
from lib.telemetry import Meter, logger, request_metrics, run_metrics
from lib.undo import Undo

LAST_SENDING = timedelta(minutes=15)  # after the plan: rows rest for as long as this and more
RACES = 5  # how often a run starts again when another one commits its plan first

T = TypeVar("T")
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
    """Do what the event asks for; the contract's object of section 5, or of section 9.

    Raises an AssignerError.
    """
    meter = Meter()
    try:
        invocation = told(lambda: load(event, environ, deadline, request_id, now))
        if invocation.runs[0].digest:
            return run_digest(invocation, meter)
        return run_all(invocation, meter)
    except AssignerError as error:
        is_run = not (isinstance(event, dict) and "digest" in event)
        meter.add({"RunSucceeded": 0} if is_run and not isinstance(error, QueuesError) else {})
        raise
    finally:
        meter.flush()


def run_all(invocation: Invocation, meter: Meter) -> Result:
    """The one run, or one a queue."""

    def one(settings: Settings, deadline: Deadline) -> Result:
        return told(lambda: carry_out(make_job(invocation, settings, deadline), meter))

    if invocation.by_queue:
        return run_queues(invocation, one, meter)
    queues = {"QueuesFailed": 1} if invocation.runs[0].queue else {}
    try:
        result = run_alone(invocation, one)
    except AssignerError:
        meter.add(queues)
        raise
    meter.add(dict.fromkeys(queues, 0))
    return result


def run_digest(invocation: Invocation, meter: Meter) -> Result:
    """The message that is no run.

    Raises QueuesError after it was posted, if queues could not be read.
    """

    def look(settings: Settings, deadline: Deadline) -> Look:
        job = make_job(invocation, settings, deadline)
        try:
            return look_at(job)
        finally:
            meter.add(request_metrics(job.client.counts))

    def one(settings: Settings, deadline: Deadline) -> Look:
        return told(lambda: look(settings, deadline))

    looks: dict[str, Look]
    failures: dict[str, AssignerError] = {}
    if invocation.by_queue:
        looks, failures = run_each(invocation, one)
    else:
        looks = {invocation.runs[0].queue: run_alone(invocation, one)}
    result = told(lambda: post_digest(invocation, looks))
    for name, each in result.get("queues", {"": result}).items():
        with named(name):
            tell(each, "digest finished")
    raise_if_any(failures, invocation)
    return result


def told(step: Callable[[], T]) -> T:
    """What a step returns. A failure is logged; what nobody foresaw becomes an AssignerError."""
    try:
        return step()
    except AssignerError as error:
        failure = error
    except Exception as error:  # noqa: BLE001 - the last net: its text may hold a row or a key
        failure = AssignerError(f"unexpected {type(error).__name__} in {place_of(error)}: a defect")
    logger.error("run failed", error=type(failure).__name__, reason=str(failure))
    raise failure


def carry_out(job: Job, meter: Meter) -> Result:
    """One run, from its ledger to its record."""
    settings = job.settings
    logger.info(
        "run started", tag=settings.tag, window=job.window.to_json(), dry_run=settings.dry_run
    )
    try:
        kind = kind_of(job)
        outlook = decide(job, kind)
        outcomes = write(job, kind, outlook)
        return record(job, kind, outlook, outcomes, meter)
    finally:
        job.client.close()  # no thread of it sends anything after this


def place_of(error: Exception) -> str:
    """Where it was raised, as `module:line`, in our own code if any of it is in the way."""
    frames = [
        (frame.f_globals.get("__name__", "?"), line) for frame, line in walk_tb(error.__traceback__)
    ]
    ours = [frame for frame in frames if frame[0].startswith("lib.")]
    name, line = (ours or frames)[-1]
    return f"{name}:{line}"


def decide(job: Job, kind: Kind) -> Outlook:
    """Read the ledger, then the rows; propose; commit.

    Whoever loses the race starts again from the ledger.
    """
    try:
        for race in range(RACES):
            past = job.chain.read()
            fetched = read(job, kind, past)
            outlook = Outlook(fetched, kind.propose(fetched, past), past)
            plan = outlook.plan
            if job.settings.dry_run or not is_worth_a_plan(outlook):
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


def is_worth_a_plan(outlook: Outlook) -> bool:
    """Whether the next runs have to know of it: rows change hands or wait, or all was read."""
    return bool(outlook.plan.moves or outlook.plan.waiting or outlook.fetched.read)


def read(job: Job, kind: Kind, past: Past) -> Fetched:
    """The rows.

    One of several queues that gets no page of them in its time waits for the next run: no error.
    """
    try:
        return kind.read(past)
    except QueryError as error:
        if not (error.no_page and job.shares_time):
            raise
        words = "there was no time for a page of rows, so this queue waits for the next run"
        if not kind.ordinary:
            words = f"there was no time for a page of rows: {kind.again}"
        return Fetched(complete=False, warnings=[f"{words}: {error}"], short=True)


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


def tell(result: Result, message: str) -> None:
    """Log what came of it, and what it warns about."""
    for warning in result["warnings"]:
        logger.warning("run warned", warning=warning)
    logger.info(message, result=result)


def record(job: Job, kind: Kind, outlook: Outlook, outcomes: Outcomes, meter: Meter) -> Result:
    """Write down what was done and return it.

    Raises AuditError or AssignmentError once everything was tried.
    """
    problems = []
    changes = kind.changes(outlook.plan)
    try:
        if outcomes:
            job.audit.write_outcomes(changes, outcomes, confirming=kind.ordinary)
    except AuditError as error:
        problems.append(str(error))
    story = kind.tell(outlook, outcomes)

    def result_of(run_id: str, audit: Mapping[str, str]) -> Result:
        took = round((time.monotonic() - job.began) * 1000)
        return build_result(job.settings, outlook, story, run_id, audit, took)

    try:
        result = job.audit.write_result(result_of, changes if job.settings.dry_run else None)
    except AuditError as error:
        problems.append(str(error))
        result = result_of(job.audit.run_id, job.audit.written)
    meter.add(run_metrics(result, job.client.counts))
    tell(result, "run finished")
    raise_unless_done(kind, result, outcomes, problems)
    if kind.ordinary and not job.settings.dry_run:
        meter.add({"RunSucceeded": 1})
    return result


def raise_unless_done(
    kind: Kind, result: Result, outcomes: Outcomes, problems: Sequence[str]
) -> None:
    """Raise AuditError if what happened could not be recorded.

    Or else AssignmentError if rows could not be written.
    """
    failure = unwritten(outcomes)
    if problems:
        count = sum(what.assigned_at is not None for what in outcomes.values())
        words = "; ".join(filter(None, [*problems, failure]))
        raise AuditError(
            f"{count} rows were {kind.did}, but what happened could not be recorded: {words}"
        )
    if failure:
        where = result["audit"].get("assignments")
        raise AssignmentError(f"{failure}. See {where}; {kind.again}")
