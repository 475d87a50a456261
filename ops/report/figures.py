"""What the report shows, worked out of a project's records.

Pure, but for the lines that it asks for.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import combinations, islice

from ops.health import QUEUE_DAYS
from ops.records import Line, Records, Run
from ops.report.words import span

MOST_BINS = 62  # columns in a chart; with more days, a column is a week or more
LEAST_DAYS = 7
MOST_LOOKED_INTO = 200  # runs whose assignments are read, for undos and failures each
LATE, OLD = timedelta(hours=3), timedelta(hours=24)  # the alarms' own default thresholds
RECENT = timedelta(
    minutes=20
)  # a plan younger than this may belong to a run that is still going on
Lines = Callable[[Run], Iterable[Line]]


@dataclass(frozen=True)
class Portion:
    """What one reviewer got in the period; what was taken back later is not in it."""

    reviewer: str
    rows: int
    per_bin: list[int]


@dataclass(frozen=True)
class Failure:
    """Rows of one run that were refused or never answered, for the same reason."""

    run: Run
    status: str
    error: str
    rows: int


@dataclass(frozen=True)
class Figures:
    """One project's figures."""

    project: str
    bins: list[date]
    """The first days of the columns."""
    bin_days: int
    runs: list[Run]
    """Oldest first."""
    shares: list[Portion]
    """Most rows first."""
    per_bin: list[int]
    taken_back: dict[str, int]
    """Rows that an undo took back, by the run that had given them."""
    handed_over: Counter[str]
    """Rows that take-backs took off each person; they stay counted for whoever had them first."""
    shared: Counter[tuple[str, str]]
    """Rows that two people were given together, less what was taken back; of the newest runs that
    gave any."""
    failures: list[Failure]
    """Newest first."""
    records: Records

    @property
    def real(self) -> list[Run]:
        """The runs that handed out rows."""
        return [run for run in self.runs if run.kind == "run"]

    @property
    def begin(self) -> datetime:
        return datetime.combine(self.bins[0], time(), UTC)

    @property
    def end(self) -> datetime:
        return self.begin + timedelta(days=self.bin_days * len(self.bins))

    @property
    def given(self) -> int:
        return sum(self.per_bin)


def work_out(project: str, records: Records, lines: Lines, since: date, now: datetime) -> Figures:
    """The figures of the days from `since` to today. `lines` reads what became of a run's rows."""
    runs = records.runs
    first = min((run.at.date() for run in runs), default=now.date())
    start = max(since, min(first, now.date() - timedelta(days=LEAST_DAYS - 1)))
    days = (now.date() - start).days + 1
    width = -(-days // MOST_BINS)
    bins = [start + timedelta(days=width * number) for number in range(-(-days // width))]
    taken_back = _taken_back(runs, lines)
    per_bin = [0] * len(bins)
    given: dict[str, list[int]] = defaultdict(lambda: [0] * len(bins))
    for run in (run for run in runs if run.kind == "run"):
        place = min(max(0, (run.at.date() - start).days // width), len(bins) - 1)
        taken = taken_back[run.run_id]
        per_bin[place] += max(0, run.counts.get("assigned", 0) - len(taken))
        by_reviewer = Counter(reviewer for people in taken.values() for reviewer in people)
        for reviewer, rows in run.per_reviewer.items():
            given[reviewer][place] += max(0, rows - by_reviewer[reviewer])
    shares = [Portion(reviewer, sum(rows), rows) for reviewer, rows in given.items()]
    return Figures(
        project=project,
        bins=bins,
        bin_days=width,
        runs=runs,
        shares=sorted(shares, key=lambda share: (-share.rows, share.reviewer)),
        per_bin=per_bin,
        taken_back={run_id: len(rows) for run_id, rows in taken_back.items()},
        handed_over=_handed_over(runs),
        shared=_shared(runs, taken_back, lines),
        failures=_failures(runs, lines),
        records=records,
    )


Taken = dict[str, dict[str, set[str]]]
"""By run, then by row: the people who were taken off."""


def _taken_back(runs: Sequence[Run], lines: Lines) -> Taken:
    people: Taken = defaultdict(lambda: defaultdict(set))
    undos = [run for run in runs if run.kind == "undo" and run.counts.get("undone")]
    for undo in undos[-MOST_LOOKED_INTO:]:
        for line in lines(undo):
            if line.status == "undone":
                people[undo.undoes][line.row_id].add(line.reviewer_id)
    return people


def _handed_over(runs: Iterable[Run]) -> Counter[str]:
    rows: Counter[str] = Counter()
    for run in runs:
        if run.kind == "take-back":
            rows.update(run.taken_from)
    return rows


def _shared(runs: Sequence[Run], taken_back: Taken, lines: Lines) -> Counter[tuple[str, str]]:
    several = [
        run
        for run in runs
        if run.kind == "run" and sum(run.per_reviewer.values()) > run.counts.get("assigned", 0)
    ]
    pairs: Counter[tuple[str, str]] = Counter()
    for run in several[-MOST_LOOKED_INTO:]:
        people: dict[str, set[str]] = defaultdict(set)
        for line in lines(run):
            if line.status == "assigned" and line.row_id not in taken_back[run.run_id]:
                people[line.row_id].add(line.reviewer_id)
        for these in people.values():
            pairs.update(combinations(sorted(these), 2))
    return pairs


def _failures(runs: Sequence[Run], lines: Lines) -> list[Failure]:
    refused = [run for run in reversed(runs) if run.counts.get("failed") and run.kind != "dry run"]
    failures = []
    for run in islice(refused, MOST_LOOKED_INTO):
        failed = {  # a row of several people has several lines
            line.row_id: (line.status, line.error[:300])
            for line in lines(run)
            if line.status in {"failed", "unknown"}
        }
        reasons = Counter(failed.values())
        if not reasons:
            reasons[("failed", "what became of its rows could not be recorded")] = run.counts[
                "failed"
            ]
        failures += [Failure(run, *reason, rows) for reason, rows in reasons.most_common()]
    return failures


def needs_a_look(figures: Figures, now: datetime) -> list[str]:
    """Sentences about what somebody should look into, the gravest first."""
    real = figures.real
    return [
        *(
            [words for run in newest_by_queue(real) for words in _about_the_last(run, now)]
            if real
            else _nothing_but_dry(figures)
        ),
        *_unfinished(figures, now),
        *(f"This record cannot be read: {key}" for key in figures.records.unreadable[:5]),
        *_cut(figures.records),
    ]


def newest_by_queue(runs: Sequence[Run]) -> list[Run]:
    """The newest of these runs, which are oldest first; where there are queues, that of each."""
    last = runs[-1]
    alike = (
        run
        for run in runs
        if bool(run.queue) == bool(last.queue) and last.at - run.at < timedelta(days=QUEUE_DAYS)
    )
    return list({run.queue: run for run in alike}.values())


def _about_the_last(last: Run, now: datetime) -> list[str]:
    """One that fails before its plan leaves no record, so that the age of the newest one tells."""
    sentences = []
    the_run = f"The newest run of the queue {last.queue}" if last.queue else "The newest run"
    the_row = f"The queue {last.queue}'s oldest" if last.queue else "The oldest"
    if now - last.at > LATE:
        sentences.append(
            f"{the_run} is {span(now - last.at)} old: see whether the schedule and the function "
            "are well."
        )
    if last.status in {"failed", "incomplete"}:
        sentences.append(f"{the_run} says {last.status}: {last.left:,} rows wait for the next one.")
    if last.oldest_waiting > OLD:
        sentences.append(f"{the_row} waiting row has waited for {span(last.oldest_waiting)}.")
    if last.counts.get("unknown_reviewers"):
        sentences.append(
            f"{last.counts['unknown_reviewers']} reviewers on the list are unknown to the "
            "organisation."
        )
    return sentences


def _nothing_but_dry(figures: Figures) -> list[str]:
    dry = [run for run in figures.runs if run.kind == "dry run"]
    if not dry:
        return ["No run has handed anything out in this period."]
    people = sum(rows > 0 for rows in dry[-1].per_reviewer.values())
    would = f"{sum(dry[-1].per_reviewer.values()):,} rows to {people} people"
    return [
        (
            "Only dry runs in this period: nothing was handed out. "
            f"The newest would have given {would}."
        )
    ]


def _unfinished(figures: Figures, now: datetime) -> list[str]:
    landed = dict(run.previous for run in figures.runs)
    return [
        f"Run {run_id} made a plan and left no record: it was cut off, or could not write one. "
        + (
            f"Of its plan, the next run saw {landed[run_id]:,} rows landed."
            if run_id in landed
            else "No later run has looked at its plan yet."
        )
        for run_id in figures.records.unfinished[-5:]
        if run_id[:16] < f"{now - RECENT:%Y%m%dT%H%M%SZ}"
    ]


def _cut(records: Records) -> list[str]:
    return (
        [f"{records.cut:,} older records are left out: ask for fewer days."] if records.cut else []
    )
