"""What a run comes back with: the contract's section 5 object.

Built once from what was seen, planned and done. Pure.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from lib.past import Past
from lib.plan import Outcome, Plan
from lib.rows import Fetched
from lib.settings import Settings

Result = dict[str, Any]


class Verdict(Enum):
    """What became of a plan; the value is the words for it."""

    COMMITTED = "the plan was committed"
    NEEDLESS = "there was nothing to write"
    TIME_RAN_OUT = "time ran out before the plan was written: every row waits for the next run"
    RACES_LOST = "other runs committed their plans first 5 times: every row waits for the next run"


@dataclass(frozen=True)
class Outlook:
    """What a run saw and decided, before it writes anything to Braintrust."""

    fetched: Fetched
    plan: Plan
    past: Past = field(default_factory=Past)
    verdict: Verdict = Verdict.NEEDLESS


@dataclass(frozen=True)
class Story:
    """What one kind of run has to tell beside what every run tells."""

    status: str
    counts: Mapping[str, Any]
    people: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Fields with an entry a person: they come last, as a log line has room for so many fields
    only."""
    warnings: Iterable[str] = ()
    further: Mapping[str, Any] = field(default_factory=dict)
    """Fields beside the contract's; documented in docs/design.md."""


def build_result(
    settings: Settings,
    outlook: Outlook,
    story: Story,
    run_id: str,
    audit: Mapping[str, str],
    duration_ms: int,
) -> Result:
    """The object that comes back, and that the audit keeps."""
    warnings = [*outlook.fetched.warnings, *story.warnings]
    if outlook.verdict in {Verdict.TIME_RAN_OUT, Verdict.RACES_LOST}:
        warnings.append(outlook.verdict.value)
    return {
        "run_id": run_id,
        "status": story.status,
        **({"queue": settings.queue} if settings.queue else {}),
        "dry_run": settings.dry_run,
        "project_id": settings.project_id,
        "tag": outlook.plan.tag,
        "window": dict(outlook.plan.window),
        "read": "short" if outlook.fetched.short else "full",
        "fetched": len(outlook.fetched.rows),
        **story.counts,
        "complete": outlook.fetched.complete,
        "duration_ms": duration_ms,
        **story.further,
        "audit": dict(audit),
        "warnings": warnings,
        **story.people,
    }


def status_of(settings: Settings, outlook: Outlook, failed: int, deferred: int) -> str:
    """The status that is the same for every kind of run; empty where a kind has its own word."""
    if settings.dry_run:
        return "dry_run"
    if failed:
        return "failed"
    return "incomplete" if deferred or not outlook.fetched.complete else ""


def taken_from(plan: Plan, outcomes: Mapping[str, Outcome]) -> dict[str, int]:
    """Rows that were taken off each person; before anything is written, rows that would be."""
    return dict(
        Counter(
            who
            for row_id, people in plan.freed
            if not outcomes or outcomes[row_id].assigned_at
            for who in people
        )
    )


def unwritten(outcomes: Mapping[str, Outcome]) -> str:
    """The sentence about rows that could not be written; empty if there are none."""
    errors = [what.error for what in outcomes.values() if what.status in {"failed", "unknown"}]
    if not errors:
        return ""
    return (
        f"{len(errors)} of {len(outcomes)} planned rows could not be written, the first because: "
        f"{errors[0]}"
    )
