"""An ordinary run: rows that have no reviewer are handed out."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple

from lib.assign import ASSIGNING
from lib.bars import Bars, people_named
from lib.distribution import Assignment, Seat, settle
from lib.errors import AuditError
from lib.findings import (
    author_words,
    fewer_words,
    nothing_found,
    oldest_seconds,
    wait_words,
    what_became,
)
from lib.load import Job, find_roster
from lib.lots import Dealt, PerRow, Wish, deal_at_once, hand_out
from lib.past import REST, Past, Standing, settled
from lib.people import leaving, open_rows_warnings, people_of
from lib.plan import Carried, Outcomes, Plan
from lib.reading import Reading
from lib.result import Outlook, Story, status_of
from lib.roster import Roster
from lib.rows import Fetched, Row
from lib.turns import Waits, open_rows, seats_of, spread, turns_of

ONE_EACH = PerRow()
LEAVES = "rows without a reviewer leave the window within"


class HandOut:
    """What to read, to propose, to write and to tell."""

    writing = ASSIGNING
    ordinary = True
    did = "assigned"
    again = "the next run sends them to the same reviewers again"
    """What becomes of rows that could not be written."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._unclear: list[str] = []

    @cached_property
    def roster(self) -> Roster:
        """The people behind the reviewers list, looked up once. Raises ConfigurationError."""
        return find_roster(self._job)

    def read(self, past: Past) -> Fetched:
        """The window's rows as they are: what is confirmed as assigned is, whatever a read says."""
        job, now = self._job, self._job.now()
        counting = any(entry.max_open is not None for entry in job.entries)
        reading = Reading(job.client, job.settings, job.window, job.fetching, counting=counting)
        if job.settings.dry_run:
            fetched = reading.full()
        else:
            planned = {entry.row_id for entry in past.recent(now)}
            fetched = reading.read(past.reading.get(reading.query), planned, now)
        return replace(fetched, rows=past.amended(fetched.rows, now))

    def propose(self, fetched: Fetched, past: Past) -> Plan:
        """Who gets which row. The first query meets most refusals, so the roster comes after it."""
        job = self._job
        window = job.window.to_json()
        settings = job.settings
        draft = Plan(settings.project_id, settings.tag, window, job.now(), settings.queue)
        per_row = PerRow(settings.reviewers_per_row, settings.overlap)

        def planned(past: Past) -> Plan:
            return make_plan(draft, fetched, self.roster, past, settings.max_assignments, per_row)

        plan = planned(past)
        left = self._who_left(plan, fetched, past)
        return planned(replace(past, left=left)) if left else plan

    def _who_left(self, plan: Plan, fetched: Fetched, past: Past) -> Mapping[str, tuple[str, ...]]:
        """Who took themselves off which rows.

        Looked up where `plan` deals any row that somebody may have left. What cannot be found out
        holds no row back.
        """
        job, now = self._job, plan.created_at
        had = past.perhaps_left(fetched.rows, now)
        self._unclear = []
        dealt = (row_id for row_id, _ in plan.assignments[plan.repeated :])
        if not had or {row.id for row in had}.isdisjoint(dealt):
            return {}
        why = "time ran out before all plans were read"
        try:
            left, complete = job.gifts.who_left(past, had, job.fetching)
        except AuditError as error:
            left, complete, why = {}, False, str(error)
        if not complete:
            self._unclear = [f"whoever took themself off a row may get it again: {why}"]
        return left

    def changes(self, plan: Plan) -> Sequence[Assignment]:
        """What is written to Braintrust."""
        return plan.assignments

    def tell(self, outlook: Outlook, outcomes: Outcomes) -> Story:
        """What was seen, given and left; `outcomes` is empty if nothing was sent."""
        settings = self._job.settings
        needy = outlook.fetched.needy
        missed = {row_id: what for row_id, what in outcomes.items() if what.status != "assigned"}
        counts = self._counts(outlook, len(needy), len(outcomes) - len(missed), missed)
        waiting = [row for row in needy if row.id in missed or row.id not in outcomes]
        handed_out = outlook.plan.assignments if outcomes or settings.dry_run else ()
        given = Counter(
            who for row_id, people in handed_out if row_id not in missed for who in people
        )
        return Story(
            status=status_of(settings, outlook, counts["failed"], counts["deferred"])
            or ("assigned" if needy else "nothing_to_assign"),
            counts=counts,
            people=self._people(outlook, given),
            warnings=self._warnings(outlook, waiting),
            further={
                "oldest_waiting_seconds": oldest_seconds(waiting, self._job.window),
                "spread": spread(outlook.plan.turns),
                "unknown_reviewers": len(self.roster.unknown),
                "previous_plan": what_became(outlook.past, outlook.fetched.rows),
            },
        )

    def _counts(
        self, outlook: Outlook, needy: int, assigned: int, missed: Outcomes
    ) -> dict[str, int]:
        """Rows, by what they were and what became of them.

        `missed`: of those that were planned and not assigned.
        """
        became = Counter(what.status for what in missed.values())
        failed = became["failed"] + became["unknown"]
        return {
            **outlook.fetched.already(needy),
            "unassigned": needy,
            "assigned": assigned,
            "failed": failed,
            "deferred": needy - assigned - failed,
        }

    def _people(self, outlook: Outlook, given: Counter[str]) -> dict[str, Mapping[str, Any]]:
        """What everybody was given, in a dry run would be, and after a full read what they have."""
        return {
            "per_reviewer": {who.id: given[who.id] for who in self.roster.reviewers},
            **people_of(outlook.fetched, self.roster, self._job.window),
        }

    def _warnings(self, outlook: Outlook, waiting: Sequence[Row]) -> list[str]:
        settings, window, roster = self._job.settings, self._job.window, self.roster
        fetched, plan = outlook.fetched, outlook.plan
        return [
            *roster.warnings,
            *self._job.directory.warnings,
            *nothing_found(fetched, settings),
            *self._unclear,
            *(wait_words(plan, why, count) for why, count in plan.waiting.items()),
            *fewer_words(plan, settings.reviewers_per_row),
            *(author_words(outlook, roster) if settings.author else ()),
            *leaving(waiting, LEAVES, "raise DAYS or add reviewers", window, settings.days),
            *open_rows_warnings(fetched, roster, window, settings.days),
        ]


class Needy(NamedTuple):
    """Rows that need a reviewer, by what is to be done with them; all from the oldest on."""

    new: list[str]
    """To be dealt."""
    again: list[Assignment]
    """To be sent to the people they were planned for."""
    resting: list[Carried]
    """Left alone until it is certain what became of them."""
    left: int
    """How many wait because somebody they were planned for has left the list."""
    perhaps: list[str]
    """Whose rows wait that may have been written, or may yet be; once a row and person."""


def sort_out(fetched: Fetched, listed: set[str], past: Past, now: datetime) -> Needy:
    """What is to be done with each row that reads as if it needed a reviewer."""
    new: list[str] = []
    again: list[Assignment] = []
    resting: list[Carried] = []
    left, perhaps = 0, list[str]()
    for row in sorted(fetched.needy):  # oldest first
        entry = past.entries.get(row.id)
        if entry is None or (standing := past.standing(row.id, now)) is Standing.NEW:
            new.append(row.id)
            continue
        if standing is Standing.RESTS and not entry.freed:
            perhaps += entry.reviewers
        if not (entry.freed or listed.issuperset(entry.reviewers)):
            left += 1
        elif standing is Standing.AGAIN:
            again.append(Assignment(row.id, entry.reviewers))
        else:
            resting.append(entry)
    return Needy(new, again, resting, left, perhaps)


def make_plan(
    draft: Plan,
    fetched: Fetched,
    roster: Roster,
    past: Past,
    most: int = 0,
    per_row: PerRow = ONE_EACH,
) -> Plan:
    """Fill `draft` (project, tag, window, time).

    Rows planned before go to the same people, then the new ones. `most` caps the new rows that are
    handed out (0: no cap); `per_row` is how many people each of them gets.
    """
    now = draft.created_at
    needy = sort_out(fetched, {*roster.ids}, past, now)
    repeated = Counter(who for _, people in needy.again for who in people)
    open_now = open_rows(fetched.assigned, repeated.elements())
    open_now.update(unseen_people(fetched, past, now, draft.queue))
    open_now.update(needy.perhaps)
    seats = seats_of(roster.reviewers, open_now, past.credit, draft.queue, draft.seen_at)
    bars = Bars(
        authors=people_named(fetched.authors, roster.reviewers), passed=past.barred(roster.ids, now)
    )
    dealt = deal(needy.new, seats, bars, per_row, most)
    assignments = [*needy.again, *dealt.rows]
    mine = past.credit.get(draft.queue, {})
    counted = open_now if roster.has_caps or not fetched.short else None
    known = past.entries.keys() | past.left.keys()  # a set of all that is given would be as large
    given = known.intersection(row_id for row_id, _ in assignments)
    return replace(
        draft,
        assignments=assignments,
        repeated=len(needy.again),
        carried=[entry for entry in past.recent(now) if entry.row_id not in given],
        previous=past.key,
        reading=settled(past, fetched.read, now),
        turns=turns_of(roster.reviewers, counted, mine, dealt.shares, repeated, draft.seen_at),
        unknown=roster.unknown,
        waiting=waiting(needy, dealt, bars, Waits.ELSEWHERE if draft.queue else Waits.LEFT),
        fewer=dealt.fewer,
        rest_until=max((entry.planned_at for entry in needy.resting), default=now - REST) + REST,
        credit={**past.credit, draft.queue: settle(mine, dealt.shares)},
        passed=past.passed_after(draft, sorted(given & past.left.keys())),
    )


def deal(
    rows: Sequence[str], seats: Sequence[Seat], bars: Bars, per_row: PerRow, most: int
) -> Dealt:
    """Who gets which of the rows, from the oldest on."""
    if not bars and per_row.people == 1:
        return deal_at_once(rows, seats, most)
    wishes = [Wish(row_id, per_row.of(row_id), bars.of(row_id)) for row_id in rows]
    return hand_out(wishes, seats, most)


def waiting(needy: Needy, dealt: Dealt, bars: Bars, others: Waits) -> Counter[Waits]:
    """Why rows wait, and how many.

    `others`: why those do that were planned for people who are not on the list.
    """
    there = {share.seat.user for share in dealt.shares}
    why = Counter(bars.why(row_id, there) for row_id in dealt.barred)
    why[others], why[Waits.RESTS] = needy.left, len(needy.resting)
    why[Waits.CAP], why[Waits.NOBODY] = dealt.capped, dealt.no_room
    return +why


def unseen_people(fetched: Fetched, past: Past, now: datetime, queue: str) -> list[str]:
    """Whom this queue gave rows in two hours that its read leaves out: open, unless it is whole."""
    if fetched.complete:
        return []
    ids = {row.id for row in fetched.rows}
    return [
        who
        for entry in past.recent(now)
        if entry.row_id not in ids and not entry.freed and may_be_of(queue, entry.run_id)
        for who in entry.reviewers
    ]


def may_be_of(queue: str, run_id: str) -> bool:
    """Whether a run may be of this queue, or of one whose name ends so, by the end of its id."""
    if not (queue and run_id):
        return True
    return bool(re.search(rf"-{queue}(-[0-9]+)?$", run_id))
