"""What a run comes back with: the contract's section 5 object, built from what was seen, planned and done. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from lib.assign import Outcome
from lib.plan import Plan, spread, what_became
from lib.roster import Roster
from lib.rows import Fetched, Row, Window
from lib.settings import Settings

Result = dict[str, Any]


@dataclass
class Outlook:
    """What a run saw and decided, before it writes anything to Braintrust."""

    fetched: Fetched
    plan: Plan
    previous: Plan | None
    roster: Roster = field(default_factory=lambda: Roster(()))
    target: Plan | None = None
    """The plan that is taken back; None: an ordinary run."""
    committed: bool = False
    warnings: list[str] = field(default_factory=list)

    @property
    def changes(self) -> list[tuple[str, str]]:
        """(row id, reviewer id) to be assigned, or to be taken back, in the order of sending."""
        return self.plan.freed if self.target else self.plan.assignments

    @property
    def says_something(self) -> bool:
        """Rows change hands, or wait for a reason that the plan tells."""
        return bool(self.changes or self.plan.waiting)


def describe(
    settings: Settings, window: Window, outlook: Outlook, outcomes: Sequence[Outcome]
) -> Result:
    """The result of an ordinary run, but for what only its end knows: `run_id`, `audit`, `duration_ms`.

    `outcomes` has one entry for each of `outlook.changes`, or none if nothing was sent.
    """
    rows, counts = outlook.fetched.rows, Counter(outcome.status for outcome in outcomes)
    needy = [row for row in rows if row.needs_reviewer]
    reviewed = sum(row.reviewed and not row.reviewers for row in rows)
    failed = counts["failed"] + counts["unknown"]
    deferred = len(needy) - counts["assigned"] - failed
    done = [
        change
        for change, outcome in zip(outlook.changes, outcomes, strict=False)
        if outcome.status == "assigned"
    ]
    given = Counter(reviewer for _, reviewer in (outlook.changes if settings.dry_run else done))
    kept = {row_id for row_id, _ in done} if len(done) < len(needy) else None
    waiting = [] if kept is None else [row for row in needy if row.id not in kept]
    oldest = min((row.created for row in waiting), default=window.end.timestamp())
    warnings = [
        *outlook.roster.warnings,
        *outlook.fetched.warnings,
        *outlook.warnings,
        *(f"{count} rows wait: {why}" for why, count in outlook.plan.waiting.items()),
        *_leaving(waiting, window, settings.days),
    ]
    status = _status(
        settings, outlook, failed, deferred, "assigned" if needy else "nothing_to_assign"
    )
    return {
        **_beginning(settings, outlook, status),
        "already_assigned": len(rows) - len(needy) - reviewed,
        "already_reviewed": reviewed,
        "unassigned": len(needy),
        "assigned": counts["assigned"],
        "failed": failed,
        "deferred": deferred,
        "per_reviewer": {person.id: given[person.id] for person in outlook.roster.reviewers},
        **_end(outlook, warnings),
        "oldest_waiting_seconds": max(0, round(window.end.timestamp() - oldest)),
        "spread": spread(outlook.plan, given),
        "unknown_reviewers": len(outlook.roster.unknown),
        "previous_plan": outlook.previous
        and what_became(outlook.previous, {row.id: row for row in rows}),
    }


def describe_undo(settings: Settings, outlook: Outlook, outcomes: Sequence[Outcome]) -> Result:
    """The result of taking a run back, but for what only its end knows."""
    counts = Counter(outcome.status for outcome in outcomes)
    failed = counts["failed"] + counts["unknown"]
    deferred = len(outlook.changes) - counts["undone"] - failed
    given = len(outlook.target.assignments) if outlook.target else 0
    status = _status(
        settings, outlook, failed, deferred, "undone" if outlook.changes else "nothing_to_undo"
    )
    return {
        **_beginning(settings, outlook, status),
        "undoes": outlook.plan.undoes,
        "given": given,
        "left_alone": given - len(outlook.changes),
        "undone": counts["undone"],
        "failed": failed,
        "deferred": deferred,
        **_end(outlook, [*outlook.fetched.warnings, *outlook.warnings]),
    }


def _beginning(settings: Settings, outlook: Outlook, status: str) -> Result:
    return {
        "run_id": "",
        "status": status,
        "dry_run": settings.dry_run,
        "project_id": settings.project_id,
        "tag": outlook.plan.tag,
        "window": outlook.plan.window,
        "fetched": len(outlook.fetched.rows),
    }


def _end(outlook: Outlook, warnings: list[str]) -> Result:
    return {
        "complete": outlook.fetched.complete,
        "audit": {},
        "warnings": warnings,
        "duration_ms": 0,
    }


def _status(
    settings: Settings, outlook: Outlook, failed: int, deferred: int, otherwise: str
) -> str:
    if settings.dry_run:
        return "dry_run"
    if failed:
        return "failed"
    return "incomplete" if deferred or not outlook.fetched.complete else otherwise


def _leaving(waiting: list[Row], window: Window, days: int) -> list[str]:
    """A warning about rows that the window is about to leave behind without a reviewer."""
    margin = timedelta(days=min(1.0, days / 7))
    count = sum(row.created < (window.start + margin).timestamp() for row in waiting)
    hours = margin.total_seconds() / 3600
    sentence = f"{count} rows without a reviewer leave the window within {hours:.0f} hours: raise DAYS or add reviewers"
    return [sentence] if count else []


def unwritten(outcomes: Sequence[Outcome]) -> str:
    """The sentence about rows that could not be written; empty if there are none."""
    errors = [outcome.error for outcome in outcomes if outcome.status in {"failed", "unknown"}]
    if not errors:
        return ""
    return f"{len(errors)} of {len(outcomes)} planned rows could not be written, the first because: {errors[0]}"
