"""Findings: what a run that hands rows out says of what it saw, in words and figures. Pure."""

from collections.abc import Sequence
from datetime import timedelta

from lib.names import shown
from lib.past import Past, Standing
from lib.plan import Plan
from lib.result import Outlook
from lib.roster import Roster
from lib.rows import Fetched, Row, Window
from lib.settings import Settings
from lib.turns import Waits


def nothing_found(fetched: Fetched, settings: Settings) -> list[str]:
    """A warning where all was read and no row was there: a mistyped tag fails in no other way."""
    if fetched.rows or fetched.short or not fetched.complete:
        return []
    met = " and meets FILTER" if settings.filter else ""
    tag = f"{shown(settings.tag)}{met} (tags are compared letter by letter)"
    return [f"no row of the last {settings.days} days carries the tag {tag}"]


def wait_words(plan: Plan, why: Waits, count: int) -> str:
    """Why rows wait, and where it is known, until when."""
    until = ""
    if why is Waits.RESTS and plan.rest_until:
        end = plan.rest_until + timedelta(minutes=1)  # the next whole minute
        until = f"; all will be clear by {end:%H:%M} UTC"
    return f"{count} rows wait: {why.value}{until}"


def fewer_words(plan: Plan, people: int) -> list[str]:
    """A warning about rows that not so many people may have as there should be."""
    if not plan.fewer:
        return []
    why = "no more are there who have room and may have them; nobody is added later"
    return [f"{plan.fewer} rows get fewer people than REVIEWERS_PER_ROW ({people}) says: {why}"]


def author_words(outlook: Outlook, roster: Roster) -> list[str]:
    """Warnings where AUTHOR does nothing, or less than it seems."""
    fetched, past, now = outlook.fetched, outlook.past, outlook.plan.created_at
    new = [
        row.id
        for row in fetched.rows
        if row.needs_reviewer and past.standing(row.id, now) is Standing.NEW
    ]
    warnings = []
    if not roster.checked:
        warnings.append(
            "AUTHOR: the key may not list users (403), so authors who are named by e-mail address "
            "are not recognised"
        )
    if new and fetched.authors.keys().isdisjoint(new):
        warnings.append(f"AUTHOR: none of {len(new)} new rows has anything there: check the path")
    return warnings


def what_became(past: Past, rows: Sequence[Row]) -> dict[str, object] | None:
    """The last plan as this run sees it: `landed`, `reassigned`, still `unassigned`, or `unseen`.

    What a short read does not show has landed where its run's record says so.
    """
    if past.plan is None:
        return None
    counts = {"landed": 0, "reassigned": 0, "unassigned": 0, "unseen": 0}
    planned = {row_id for row_id, _ in past.plan.assignments}
    by_id = {row.id: row for row in rows if row.id in planned}
    for row_id, reviewers in past.plan.assignments:
        row, entry = by_id.get(row_id), past.entries.get(row_id)
        if row is None:
            counts["landed" if entry and entry.confirmed else "unseen"] += 1
        elif set(reviewers) <= set(row.reviewers):
            counts["landed"] += 1
        else:
            counts["unassigned" if row.needs_reviewer else "reassigned"] += 1
    return {"run_id": past.plan.run_id, **counts}


def oldest_seconds(waiting: Sequence[Row], window: Window) -> int:
    """The age of the oldest row that waits, from creation; 0 if none does."""
    oldest = min((row.created for row in waiting), default=window.end.timestamp())
    return max(0, round(window.end.timestamp() - oldest))
