"""Taking rows back, so that others get them: what somebody has, what has lain for days, or both."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cached_property

from lib.assign import Writing, build_removal
from lib.distribution import Assignment
from lib.errors import ConfigurationError
from lib.gifts import Deed, Mention
from lib.load import Job
from lib.names import Name, compared, shown
from lib.passed import By, Passed, joined
from lib.past import CARRY, Past, freeing
from lib.plan import Outcomes, Plan, Spared
from lib.reading import fetch_all_logs
from lib.result import Outlook, Story, status_of, taken_from
from lib.roster import User, resolve
from lib.rows import Fetched, Row
from lib.taking import Taking


class TakeBack:
    """What to read, to propose, to write and to tell."""

    ordinary = False
    writing = Writing(build_removal, "taken_back")
    did = "taken back"
    again = "run the same take-back again"

    def __init__(self, job: Job, taking: Taking) -> None:
        self._job = job
        self._taking = taking
        self._mentions: Mapping[str, Mention] = {}
        self._goes_on: list[str] = []

    @cached_property
    def person(self) -> str:
        """The id of whoever is named; empty: everybody is meant.

        Raises ConfigurationError where that is nobody.
        """
        name = self._taking.reviewer
        return find_person(name, self._job.directory.users()) if name else ""

    def read(self, past: Past) -> Fetched:
        """The window's rows as they are, and where it matters, since when they have lain."""
        job, person = self._job, self.person
        fetched = fetch_all_logs(job.client, job.settings, job.window, job.fetching)
        fetched = replace(fetched, rows=past.amended(fetched.rows, job.now()))
        if self._taking.days is None:
            return fetched
        rows = {row.id: row.created for row in fetched.rows if whose(row, person)}
        self._mentions, read = job.gifts.newest(past, rows, job.fetching)
        if read:
            return fetched
        words = "time ran out before it was known when all rows were given: send this again"
        return replace(fetched, complete=False, warnings=[*fetched.warnings, words])

    def propose(self, fetched: Fetched, past: Past) -> Plan:
        """What is taken off.

        The list is looked up here, as nobody can be asked once rows were sent.
        """
        job, taking = self._job, self._taking
        self._goes_on = self._still_comes()
        window = job.window.to_json()
        draft = Plan(
            job.settings.project_id,
            job.settings.tag,
            window,
            job.now(),
            job.settings.queue,
            takes_back={"reviewer": self.person or None, "days": taking.days},
        )
        return make_take_back(draft, fetched.rows, past, self._mentions)

    def changes(self, plan: Plan) -> Sequence[Assignment]:
        """What is written to Braintrust."""
        return plan.freed

    def tell(self, outlook: Outlook, outcomes: Outcomes) -> Story:
        """What was taken off, what was left alone, and what is to be done about it."""
        plan, fetched = outlook.plan, outlook.fetched
        counts = Counter(what.status for what in outcomes.values())
        failed = counts["failed"] + counts["unknown"]
        deferred = len(plan.freed) - counts["taken_back"] - failed
        return Story(
            status=status_of(self._job.settings, outlook, failed, deferred)
            or ("taken_back" if plan.freed else "nothing_to_take_back"),
            counts={
                "takes_back": dict(plan.takes_back),
                **fetched.already(len(fetched.needy)),
                "taken_back": counts["taken_back"],
                "left_alone": sum(
                    len(plan.spared.get(why, ())) for why in (Spared.RECENT, Spared.SHARED)
                ),
                "failed": failed,
                "deferred": deferred,
            },
            people={"taken_from": taken_from(plan, outcomes)},
            warnings=[*self._job.directory.warnings, *spared_words(plan), *self._goes_on],
        )

    def _still_comes(self) -> list[str]:
        """A warning where the person is on the list and not away."""
        if not self.person:
            return []
        seen_at = self._job.window.end
        there = {
            compared("id", who.id)
            for who in resolve(self._job.entries, self._job.directory).reviewers
            if not who.away_until(who.today(seen_at))
        }
        if compared("id", self.person) not in there:
            return []
        return [
            (
                f"new rows go on coming to {self.person}: take them off the reviewers list, or "
                "enter there when they are away"
            )
        ]


def find_person(name: Name, users: Sequence[User] | None) -> str:
    """The id behind an id or an address, as the organisation writes it; it need not know an id.

    `users`: None where the key may not list them. Raises ConfigurationError for an address that
    nobody has.
    """
    if users is None and name.kind == "email":
        raise ConfigurationError(
            "take_back: the key may not list users (403), so that nobody can be found by an e-mail "
            "address: send the user's id"
        )
    key = compared(name.kind, name.text)
    for user in users or ():
        if key == compared(name.kind, user.id if name.kind == "id" else user.email):
            return user.id
    if name.kind == "email":
        raise ConfigurationError(
            f"take_back: nobody in the organisation has the address {shown(name.text)}: send the "
            "user's id"
        )
    return name.text


def whose(row: Row, person: str) -> set[str]:
    """Those who have the row open; with `person`, only them."""
    if row.reviewed:
        return set()
    key = compared("id", person)
    return {who for who in row.reviewers if not person or compared("id", who) == key}


def make_take_back(
    draft: Plan, rows: Iterable[Row], past: Past, mentions: Mapping[str, Mention]
) -> Plan:
    """Fill `draft`: open rows that are meant lose their only reviewer.

    `draft` has the project, the tag, the window, the time and what is meant. Rows planned in the
    last two hours are left alone, so that what is freed is in no plan's `carried`, and the next run
    deals it. `mentions`: the newest plan that names a row, where `days` are meant.
    """
    draft, now = freeing(draft, past), draft.created_at
    by = By.REVIEWER if draft.takes_back["reviewer"] else By.DAYS
    recent = past.remembered(now)
    moved = moved_by_days(draft.passed) if by is By.DAYS else set[str]()
    freed: list[Assignment] = []
    spared: dict[Spared, list[str]] = {}
    for row in rows:
        mention = mentions.get(row.id)
        if not (meant := who_is_meant(draft, row, mention)):
            continue
        if why := why_spared(row, mention, recent, moved):
            spared.setdefault(why, []).append(row.id)
        else:
            freed.append(Assignment(row.id, (*meant,)))
    until = now + draft.span
    left = [Passed(row_id, who, now, by, until) for row_id, people in freed for who in people]
    ends = (recent[row_id].planned_at + CARRY for row_id in spared.get(Spared.RECENT, ()))
    return replace(
        draft,
        carried=[*recent.values()],
        passed=joined(draft.passed, left),
        freed=freed,
        spared=spared,
        rest_until=max(ends, default=None),
    )


def who_is_meant(draft: Plan, row: Row, mention: Mention | None) -> set[str]:
    """Those with the row open whom the take-back means: a person, or with whom it has lain."""
    people = whose(row, str(draft.takes_back["reviewer"] or ""))
    days = int(draft.takes_back["days"] or 0)
    return people & lain(mention, draft.created_at, timedelta(days=days)) if days else people


def moved_by_days(passed: Iterable[Passed]) -> set[str]:
    """Rows that a take-back which named no one has moved once."""
    return {each.row_id for each in passed if each.by is By.DAYS}


def why_spared(
    row: Row, mention: Mention | None, recent: Collection[str], moved: Collection[str]
) -> Spared | None:
    """Why a row that is meant is left alone; None: it is taken.

    `recent`: rows planned in the last two hours; `moved`: those that must not be moved a second
    time.
    """
    if row.id in recent:
        return Spared.RECENT
    if row.id in moved and mention and mention.deed is Deed.GAVE:
        return Spared.MOVED
    return Spared.SHARED if len(set(row.reviewers)) > 1 else None


def lain(mention: Mention | None, now: datetime, time: timedelta) -> set[str]:
    """Whoever was given a row so long ago, or had it taken by a take-back that was not finished."""
    if mention is None or mention.deed is Deed.UNDID:
        return set()
    old = now - mention.at >= time or mention.deed is Deed.TOOK_BACK
    return set(mention.people) if old else set()


def spared_words(plan: Plan) -> list[str]:
    """Why rows were left alone, and where it helps, from when on to send the same again."""
    words = []
    for why, rows in plan.spared.items():
        after = ""
        if why is Spared.RECENT and plan.rest_until:
            end = plan.rest_until + timedelta(minutes=1)  # the next whole minute
            after = f": send this again from {end:%Y-%m-%d %H:%M} UTC on"
        elif why is Spared.MOVED:
            after = f" {shown(rows[0])}"
        words.append(f"{len(rows)} {why.value}{after}")
    return words
