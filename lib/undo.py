"""Taking a run back: its rows lose the reviewers it gave them, where nothing else has happened."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from lib.assign import Writing, build_removal
from lib.distribution import Assignment
from lib.errors import ConfigurationError
from lib.load import LONGEST_RUN, Job
from lib.past import Past, freeing
from lib.plan import Carried, Outcomes, Plan, Spared
from lib.reading import fetch_all_logs
from lib.result import Outlook, Story, status_of, taken_from
from lib.rows import Fetched, Row, Window


class Undo:
    """What to read, to propose, to write and to tell.

    Raises ConfigurationError where there is no such run, or it may still be going on.
    """

    ordinary = False
    writing = Writing(build_removal, "undone")
    did = "taken back"
    again = "send the same undo again"

    def __init__(self, job: Job) -> None:
        run_id, target = job.settings.undo, job.chain.plan_of(job.settings.undo)
        if target is None:
            project = job.settings.project_id
            raise ConfigurationError(f"undo: project {project} has no plan of a run {run_id}")
        if target.takes_back:
            raise ConfigurationError(
                f"undo: run {run_id} is a take-back, which cannot be undone: its rows go to others "
                "at the next run"
            )
        ends = target.created_at + LONGEST_RUN
        ends += timedelta(microseconds=-ends.microsecond % 1_000_000)  # so that the words hold
        if job.now() < ends and not job.chain.has_record(run_id):
            raise ConfigurationError(
                f"undo: run {run_id} may still be going on: send this again from "
                f"{ends:%Y-%m-%d %H:%M:%S} UTC on"
            )
        self._job = job
        self._target = target

    def read(self, past: Past) -> Fetched:
        """The rows the run saw: its tag and its window, whatever is set now, and without FILTER."""
        del past  # what a read shows is taken off, whatever was confirmed
        job, target = self._job, self._target
        settings = replace(job.settings, tag=target.tag, filter="")
        window = Window(*(datetime.fromisoformat(target.window[end]) for end in ("from", "to")))
        return fetch_all_logs(job.client, settings, window, job.fetching)

    def propose(self, fetched: Fetched, past: Past) -> Plan:
        """What is taken off.

        Raises ConfigurationError where the run's plan lost the race: it assigned nothing.
        """
        job, target = self._job, self._target
        taken = job.chain.planned_since(past, target)
        if taken is None:
            raise ConfigurationError(
                f"undo: run {target.run_id} assigned nothing: its plan was never committed"
            )
        project, queue = job.settings.project_id, job.settings.queue
        draft = Plan(project, target.tag, target.window, job.now(), queue)
        return make_undo(draft, target, {row.id: row for row in fetched.rows}, past, taken)

    def changes(self, plan: Plan) -> Sequence[Assignment]:
        """What is written to Braintrust."""
        return plan.freed

    def tell(self, outlook: Outlook, outcomes: Outcomes) -> Story:
        """What was taken off, and what was left alone."""
        counts = Counter(what.status for what in outcomes.values())
        failed, freed = counts["failed"] + counts["unknown"], outlook.plan.freed
        given = len(self._target.assignments)
        deferred = len(freed) - counts["undone"] - failed
        return Story(
            status=status_of(self._job.settings, outlook, failed, deferred)
            or ("undone" if freed else "nothing_to_undo"),
            counts={
                "undoes": self._target.run_id,
                "given": given,
                "undone": counts["undone"],
                "left_alone": given - len(freed),
                "failed": failed,
                "deferred": deferred,
            },
            people={"taken_from": taken_from(outlook.plan, outcomes)},
            warnings=[
                f"{len(rows)} {why.value}" for why, rows in outlook.plan.spared.items() if rows
            ],
        )


def make_undo(
    draft: Plan, target: Plan, rows: Mapping[str, Row], past: Past, taken: Collection[str]
) -> Plan:
    """Take back what `target` gave where a row still has exactly those reviewers and is unreviewed.

    `taken`: rows that a later plan has planned, whose people these are now. Rows of the target that
    nobody has, and of which it is not confirmed that they were written, are freed as well, so that
    nothing of it is given out any more; what was planned over two hours ago is not given out for it
    anyway. What is freed stays in the chain and rests, as the undo, or the run itself, may yet
    write.
    """
    recent = past.remembered(draft.created_at)
    its_own = [each for each in target.assignments if each.row_id not in taken]
    freed = [each for each in its_own if is_as_given(rows.get(each.row_id), each)]
    let_go = [
        each for each in its_own if is_unwritten(rows.get(each.row_id), recent.get(each.row_id))
    ]
    spared = {
        Spared.TAKEN: [row_id for row_id, _ in target.assignments if row_id in taken],
        Spared.UNWRITTEN: [row_id for row_id, _ in let_go],
    }
    for row_id, people in (*freed, *let_go):
        recent[row_id] = Carried(row_id, people, draft.created_at, target.run_id, freed=True)
    return replace(
        freeing(draft, past),
        carried=[*recent.values()],
        undoes=target.run_id,
        freed=freed,
        spared=spared,
    )


def is_as_given(row: Row | None, planned: Assignment) -> bool:
    """The row still has exactly the reviewers that it was given, and its review is not finished."""
    people = set(row.reviewers) if row and not row.reviewed else set()
    return bool(people) and people == set(planned.reviewers)


def is_unwritten(row: Row | None, entry: Carried | None) -> bool:
    """The row reads as nobody's, and may have been written or may yet be.

    `entry`: what the last two hours know of it.
    """
    return bool(row and row.needs_reviewer and entry and entry.in_doubt)
