"""An ordinary run: rows that have no reviewer are handed out."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from itertools import starmap
from typing import NamedTuple

from lib.assign import ASSIGNING
from lib.bars import Bars, people_named
from lib.distribution import settle
from lib.errors import AuditError, QueryError
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
from lib.plan import NOT_ATTEMPTED, Assignment, Carried, Outcomes, Plan
from lib.reading import Reading
from lib.result import Outlook, Story, status_of
from lib.roster import Roster
from lib.rows import Fetched
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
        """The rows of the window, as they are: what is confirmed as assigned is, whatever a read shows."""
        job, now = self._job, self._job.now()
        counting = any(entry.max_open is not None for entry in job.entries)
        reading = Reading(job.client, job.settings, job.window, job.fetching, counting=counting)
        try:
            if job.settings.dry_run:
                fetched = reading.full()
            else:
                planned = {entry.row_id for entry in past.recent(now)}
                fetched = reading.read(past.reading.get(reading.query), planned, now)
        except QueryError as error:
            if not (error.no_page and job.shares_time):
                raise
            words = f"there was no time for a page of rows, so this queue waits for the next run: {error}"
            return Fetched(complete=False, warnings=[words], short=True)
        return replace(fetched, rows=past.amended(fetched.rows, now))

    def propose(self, fetched: Fetched, past: Past) -> Plan:
        """Who is to get which row. The roster is looked up after the first query, which meets most refusals."""
        job = self._job
        window = job.window.to_json()
        settings = job.settings
        draft = Plan(settings.project_id, settings.tag, window, job.now(), settings.queue)
        past = replace(past, left=self._who_left(fetched, past))
        per_row = PerRow(settings.reviewers_per_row, settings.overlap)
        return make_plan(draft, fetched, self.roster, past, settings.max_assignments, per_row)

    def _who_left(self, fetched: Fetched, past: Past) -> Mapping[str, tuple[str, ...]]:
        """Who took themselves off which rows that are to be dealt; what cannot be found out holds no row back."""
        job, now = self._job, self._job.now()
        new = [
            row
            for row in fetched.rows
            if row.needs_reviewer and past.standing(row.id, now) is Standing.NEW
        ]
        try:
            return job.gifts.who_left(past, new, job.fetching)
        except AuditError as error:
            self._unclear = [f"whoever took themself off a row may get it again: {error}"]
            return {}

    def changes(self, plan: Plan) -> Sequence[Assignment]:
        """What is written to Braintrust."""
        return plan.assignments

    def tell(self, outlook: Outlook, outcomes: Outcomes) -> Story:
        """What was seen, given and left; `outcomes` is empty if nothing was sent."""
        settings, window, plan = self._job.settings, self._job.window, outlook.plan
        fetched, roster = outlook.fetched, self.roster
        needy = [row for row in fetched.rows if row.needs_reviewer]
        counts = Counter(what.status for what in outcomes.values())
        failed = counts["failed"] + counts["unknown"]
        deferred = len(needy) - counts["assigned"] - failed
        reviewed = sum(row.reviewed and not row.reviewers for row in fetched.rows)

        def landed(row_id: str) -> bool:
            return outcomes.get(row_id, NOT_ATTEMPTED).status == "assigned"

        given = Counter(
            reviewer
            for row_id, reviewers in plan.assignments
            if settings.dry_run or landed(row_id)
            for reviewer in reviewers
        )
        waiting = [row for row in needy if not landed(row.id)]
        people = people_of(fetched, roster, window)
        return Story(
            status=status_of(settings, outlook, failed, deferred)
            or ("assigned" if needy else "nothing_to_assign"),
            counts={
                "already_assigned": len(fetched.rows) - len(needy) - reviewed,
                "already_reviewed": reviewed,
                "unassigned": len(needy),
                "assigned": counts["assigned"],
                "failed": failed,
                "deferred": deferred,
            },
            people={"per_reviewer": {who.id: given[who.id] for who in roster.reviewers}, **people},
            warnings=[
                *roster.warnings,
                *self._job.directory.warnings,
                *nothing_found(fetched, settings),
                *self._unclear,
                *(wait_words(plan, why, count) for why, count in plan.waiting.items()),
                *fewer_words(plan, settings.reviewers_per_row),
                *(author_words(outlook, roster) if settings.author else ()),
                *leaving(waiting, LEAVES, "raise DAYS or add reviewers", window, settings.days),
                *open_rows_warnings(fetched, roster, window, settings.days),
            ],
            further={
                "oldest_waiting_seconds": oldest_seconds(waiting, window),
                "spread": spread(plan.turns),
                "unknown_reviewers": len(roster.unknown),
                "previous_plan": what_became(outlook.past, fetched.rows),
            },
        )


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
    for row in sorted(row for row in fetched.rows if row.needs_reviewer):  # oldest first
        standing = past.standing(row.id, now)
        if standing is Standing.NEW:
            new.append(row.id)
            continue
        entry = past.entries[row.id]
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
    """Fill `draft` (project, tag, window, time): rows planned before go to the same people, then the new ones.

    `most` caps the new rows that are handed out (0: no cap); `per_row` is how many people each of them gets.
    """
    now = draft.created_at
    needy = sort_out(fetched, {reviewer.id for reviewer in roster.reviewers}, past, now)
    repeated = Counter(who for _, people in needy.again for who in people)
    open_now = open_rows(fetched.rows, repeated.elements())
    open_now.update(unseen_people(fetched, past, now))
    open_now.update(needy.perhaps)
    credit = past.plan.credit if past.plan else {}
    seats = seats_of(roster.reviewers, open_now, credit, draft.queue, draft.seen_at)
    bars = Bars(
        authors=people_named(fetched.authors, roster.reviewers),
        passed=past.barred([reviewer.id for reviewer in roster.reviewers], now),
    )
    if bars or per_row.people > 1:
        wishes = [Wish(row_id, per_row.of(row_id), bars.of(row_id)) for row_id in needy.new]
        dealt = hand_out(wishes, seats, most)
    else:
        dealt = deal_at_once(needy.new, seats, most)
    assignments = [*needy.again, *starmap(Assignment, dealt.rows)]
    mine = credit.get(draft.queue, {})
    capped = any(reviewer.max_open is not None for reviewer in roster.reviewers)
    counted = open_now if capped or not fetched.short else None
    planned = past.entries.keys() & (row_id for row_id, _ in assignments)
    return replace(
        draft,
        assignments=assignments,
        repeated=len(needy.again),
        carried=[entry for entry in past.recent(now) if entry.row_id not in planned],
        previous=past.key,
        reading=settled(past, fetched.read, now),
        turns=turns_of(roster.reviewers, counted, mine, dealt.shares, repeated, draft.seen_at),
        unknown=roster.unknown,
        waiting=waiting(needy, dealt, bars, Waits.ELSEWHERE if draft.queue else Waits.LEFT),
        fewer=dealt.fewer,
        rest_until=max((entry.planned_at for entry in needy.resting), default=now - REST) + REST,
        credit={**credit, draft.queue: settle(mine, dealt.shares)},
        passed=past.passed_after(
            draft, sorted(past.left.keys() & (row_id for row_id, _ in assignments))
        ),
    )


def waiting(needy: Needy, dealt: Dealt, bars: Bars, others: Waits) -> Counter[Waits]:
    """Why rows wait, and how many; `others`: why those do that were planned for people who are not on the list."""
    why = Counter(map(bars.why, dealt.barred))
    why[others], why[Waits.RESTS] = needy.left, len(needy.resting)
    why[Waits.CAP], why[Waits.NOBODY] = dealt.capped, dealt.no_room
    return +why


def unseen_people(fetched: Fetched, past: Past, now: datetime) -> list[str]:
    """Who was given rows within two hours that this read does not show: open, unless it shows everything."""
    if fetched.complete:
        return []
    seen = {row.id for row in fetched.rows}
    return [
        who
        for entry in past.recent(now)
        if entry.row_id not in seen and not entry.freed
        for who in entry.reviewers
    ]
