"""Taking one run back: its rows lose the reviewers that it gave them, where nothing else has happened to them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from lib.assign import Writing, build_removal
from lib.errors import ConfigurationError
from lib.fetch import fetch_all_logs
from lib.load import Job
from lib.plan import Assignment, Outcomes, Plan
from lib.result import Outlook, Story, status_of
from lib.rows import Fetched, Row, Window

LONGEST_RUN = timedelta(minutes=15)  # Lambda's own limit


class Undo:
    """What to read, to propose, to write and to tell.

    Raises ConfigurationError where there is no such run, or it may still be going on.
    """

    writing = Writing(build_removal, "undone")
    ordinary = False
    did = "taken back"
    again = "the next run sends them to the same reviewers again"

    def __init__(self, job: Job) -> None:
        run_id, target = job.settings.undo, job.audit.read_plan(job.settings.undo)
        if target is None:
            project = job.settings.project_id
            raise ConfigurationError(f"undo: project {project} has no plan of a run {run_id}")
        if not job.audit.has_record(run_id) and job.now() - target.created_at < LONGEST_RUN:
            raise ConfigurationError(
                f"undo: run {run_id} may still be going on; try again 15 minutes after its start"
            )
        self._job = job
        self._target = target

    def read(self) -> Fetched:
        """The rows that the run saw: its tag and its window, whatever is set now, and without FILTER."""
        job, target = self._job, self._target
        settings = replace(job.settings, tag=target.tag, filter="")
        window = Window(*(datetime.fromisoformat(target.window[end]) for end in ("from", "to")))
        return fetch_all_logs(job.client, settings, window, job.fetching)

    def propose(self, fetched: Fetched, previous: Plan | None) -> Plan:
        """What is taken off."""
        target = self._target
        draft = Plan(self._job.settings.project_id, target.tag, target.window, self._job.now())
        return make_undo(draft, target, {row.id: row for row in fetched.rows}, previous)

    def changes(self, plan: Plan) -> Sequence[Assignment]:
        """What is written to Braintrust."""
        return plan.freed

    def tell(self, outlook: Outlook, outcomes: Outcomes) -> Story:
        """What was taken off, and what was left alone."""
        counts = Counter(what.status for what in outcomes.values())
        failed, given, freed = (
            counts["failed"] + counts["unknown"],
            len(self._target.assignments),
            len(outlook.plan.freed),
        )
        deferred = freed - counts["undone"] - failed
        return Story(
            status=status_of(self._job.settings, outlook, failed, deferred)
            or ("undone" if freed else "nothing_to_undo"),
            counts={
                "undoes": self._target.run_id,
                "given": given,
                "left_alone": given - freed,
                "undone": counts["undone"],
                "failed": failed,
                "deferred": deferred,
            },
        )


def make_undo(draft: Plan, target: Plan, rows: Mapping[str, Row], previous: Plan | None) -> Plan:
    """Take back what `target` gave, where the row still has exactly that reviewer and is not reviewed.

    What is freed is not carried any more, so that the next run may give it to anyone.
    """
    freed = []
    for planned in target.assignments:
        row = rows.get(planned.row_id)
        if row and not row.reviewed and set(row.reviewers) == set(planned.reviewers):
            freed.append(planned)
    gone = {planned.row_id for planned in freed}
    carried = previous.carry(draft.created_at).values() if previous else ()
    return replace(
        draft,
        carried=[entry for entry in carried if entry.row_id not in gone],
        credit=previous.credit if previous else {},
        undoes=target.run_id,
        freed=freed,
    )
