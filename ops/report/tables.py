"""The page's tables: who got how much, what failed, the runs, the charts' numbers."""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta

from ops.names import Names
from ops.records import Holding, Run, full_reads
from ops.report.charts import spark
from ops.report.figures import Figures, Portion
from ops.report.markup import Html, join, tag
from ops.report.words import day, span

MOST_REVIEWERS, MOST_RUNS, MOST_FAILURES, MOST_WARNINGS, MOST_TAGS = 40, 24, 20, 3, 5
LONGEST = 300  # characters of a warning or a name
COLOURS = {
    "failed": "bad",
    "incomplete": "warn",
    "assigned": "good",
    "nothing_to_assign": "good",
    "undone": "good",
    "taken_back": "good",
}
COUNTS = {
    "Fetched": "fetched",
    "Needed": "unassigned",
    "Given": "assigned",
    "Failed": "failed",
    "Left": "deferred",
}
"""What a run's counts are called here."""


def reviewers(figures: Figures, names: Names) -> Html:
    """One line a person, with the same scale for all."""
    top = max((rows for share in figures.shares for rows in share.per_bin), default=0) or 1
    hidden = figures.shares[MOST_REVIEWERS:]
    received = sum(
        share.rows for share in figures.shares
    )  # more than rows where they go to several
    over = ("Handed over",) if figures.handed_over else ()
    column = "day" if figures.bin_days == 1 else f"{figures.bin_days} days"

    def line(share: Portion) -> Html:
        words = ", ".join(
            f"{day(at)}: {rows}"
            for at, rows in zip(figures.bins, share.per_bin, strict=True)
            if rows
        )
        part = f"{100 * share.rows / received:.0f} %" if received else "-"
        return tag(
            "tr",
            tag("th", person(share.reviewer, names), scope="row"),
            tag("td", spark(f"Rows by {column}: {words or 'none'}", share.per_bin, top)),
            tag("td", f"{share.rows:,}", class_="n"),
            tag("td", part, class_="n"),
            tag("td", f"{figures.handed_over[share.reviewer]:,}", class_="n") if over else None,
        )

    axis = (
        f"{day(figures.bins[0])} to {day(figures.end.date() - timedelta(days=1))}, "
        f"a column a {column}; highest {top:,}"
    )
    return tag(
        "div",
        tag("h3", "Rows per reviewer"),
        tag(
            "p",
            "What undos took back is not counted."
            + (" What was handed over is counted for both." if over else ""),
            class_="muted",
        ),
        table(
            ("Reviewer", axis, "Rows", "Share", *over),
            map(line, figures.shares[:MOST_REVIEWERS]),
            numbers=2 + len(over),
        ),
        hidden
        and tag(
            "p",
            f"and {len(hidden)} more with {sum(share.rows for share in hidden):,} rows",
            class_="muted",
        ),
        class_="card reviewers",
    )


def open_rows(figures: Figures, names: Names) -> list[Html]:
    """Who has how many open rows, by the last run of each tag that read everything."""

    def line(has: Holding) -> Html:
        return tag(
            "tr",
            tag("th", person(has.person, names), scope="row"),
            tag("td", f"{has.open:,}", class_="n"),
            tag("td", "-" if has.oldest is None else span(has.oldest), class_="n"),
            tag("td", f"{has.reviewed:,}", class_="n"),
        )

    cards = []
    for run in full_reads(figures.runs):
        more = run.people[MOST_REVIEWERS:]
        rest = f"and {len(more)} more with {sum(has.open for has in more):,} open rows"
        cards.append(
            tag(
                "div",
                tag("h3", "Open rows per person"),
                tag(
                    "p",
                    f"{named(run)}, in the whole window, as of {run.at:%d %b %H:%M}.",
                    class_="muted",
                ),
                table(
                    ("Person", "Open", "Oldest of them", "Reviewed"),
                    map(line, run.people[:MOST_REVIEWERS]),
                    numbers=3,
                ),
                tag("p", rest, class_="muted") if more else None,
                class_="card",
            )
        )
    return cards[:MOST_TAGS]


def named(run: Run) -> str:
    """The queue of a run, or else its tag."""
    return f"Queue {clipped(run.queue)}" if run.queue else f"With the tag {clipped(run.tag)}"


def failures(figures: Figures) -> Html | None:
    if not figures.failures:
        return None
    lines = (
        tag(
            "tr",
            tag("td", f"{failure.run.at:%d %b %H:%M}", class_="nowrap"),
            tag("td", "no answer" if failure.status == "unknown" else "refused", class_="nowrap"),
            tag("td", f"{failure.rows:,}", class_="n", data_head="Rows"),
            tag("td", failure.error, class_="wide"),
            tag("td", failure.run.run_id, class_="id"),
        )
        for failure in figures.failures[:MOST_FAILURES]
    )
    more = len(figures.failures) - MOST_FAILURES
    return tag(
        "div",
        tag("h3", "What could not be written"),
        tag(
            "p",
            "Such rows go to the same people again in the next run. One that was not answered may "
            "have landed.",
            class_="muted",
        ),
        table(("Run", "What", "Rows", "Reason", "Run id"), lines, number_at=2),
        f"and {more} more" if more > 0 else None,
        class_="card lines",
    )


def last_runs(figures: Figures) -> Html:
    """The newest runs, and of the earlier ones those that somebody may ask about."""
    newest = figures.runs[: -MOST_RUNS - 1 : -1]
    odd = [run for run in reversed(figures.runs[:-MOST_RUNS]) if is_odd(run, figures)]
    more = f"and {len(odd) - MOST_RUNS:,} more" if len(odd) > MOST_RUNS else None
    return join(
        [
            tag("div", tag("h3", "The last runs"), run_table(newest, figures), class_="card lines"),
            odd
            and tag(
                "div",
                tag("h3", "Earlier ones to know about"),
                tag(
                    "p",
                    "Dry runs, undos, what they took back, take-backs, and runs that left rows "
                    "behind.",
                    class_="muted",
                ),
                run_table(odd[:MOST_RUNS], figures),
                more,
                class_="card lines",
            ),
        ]
    )


def is_odd(run: Run, figures: Figures) -> bool:
    return run.kind != "run" or run.left > 0 or figures.taken_back.get(run.run_id, 0) > 0


def run_table(runs: Sequence[Run], figures: Figures) -> Html:
    lines = (run_line(run, figures) for run in runs)
    heads = ("Run", "Status", "Read", *COUNTS, "What to know")
    return table(heads, lines, numbers=len(COUNTS), number_at=3)


def run_line(run: Run, figures: Figures) -> Html:
    notes: list[object] = [f"Queue {clipped(run.queue)}"] if run.queue else []
    if run.kind == "dry run":
        notes.append(
            "Dry run: would "
            + (
                f"take back rows of {run.undoes}"
                if run.undoes
                else f"hand over {run.counts.get('deferred', 0):,} {run.takes_back}"
                if run.takes_back
                else f"give {sum(run.per_reviewer.values()):,} rows"
            )
        )
    elif run.kind == "undo":
        notes.append(f"Undo: took back {run.counts.get('undone', 0):,} rows of {run.undoes}")
    elif run.kind == "take-back":
        notes.append(f"Handed over {run.counts.get('taken_back', 0):,} {run.takes_back}")
    if figures.taken_back.get(run.run_id):
        notes.append(f"Undone later: {figures.taken_back[run.run_id]:,} rows taken back")
    notes += [clipped(warning) for warning in run.warnings[:MOST_WARNINGS]]
    if len(run.warnings) > MOST_WARNINGS:
        notes.append(f"and {len(run.warnings) - MOST_WARNINGS} more warnings")
    counts = ((head, run.counts.get(name)) for head, name in COUNTS.items())
    return tag(
        "tr",
        tag("td", f"{run.at:%d %b %H:%M}", class_="nowrap", title=run.run_id),
        tag(
            "td",
            tag(
                "span",
                run.status[:40].replace("_", " "),
                class_=f"chip {COLOURS.get(run.status, '')}",
            ),
        ),
        tag("td", run.read[:5] or "-", data_head="Read"),
        [
            tag("td", "-" if count is None else f"{count:,}", class_="n", data_head=head)
            for head, count in counts
        ],
        tag("td", [tag("div", note) for note in notes], class_="wide"),
        class_="dry" if run.kind == "dry run" else None,
    )


def by_day(figures: Figures, names: Names) -> Html:
    """The charts' numbers, for whoever reads numbers or has them read aloud."""
    people = figures.shares[:MOST_REVIEWERS]
    lines = (
        tag(
            "tr",
            tag("th", day(at), scope="row", class_="nowrap"),
            tag("td", f"{figures.per_bin[number]:,}", class_="n"),
            [tag("td", value, class_="n") for value in worst(figures, at)],
            [tag("td", f"{share.per_bin[number]:,}", class_="n") for share in people],
        )
        for number, at in enumerate(figures.bins)
    )
    heads = (
        "Day",
        "Handed out",
        "Most waiting",
        "Oldest, hours",
        "Spread",
        *(person(share.reviewer, names) for share in people),
    )
    return tag(
        "details",
        tag("summary", "The charts' numbers as a table"),
        table(heads, lines, numbers=len(heads) - 1),
        class_="card",
    )


def worst(figures: Figures, at: date) -> list[str]:
    """The highest waiting, age and spread of the days from `at`."""
    until = at + timedelta(days=figures.bin_days)
    runs = [run for run in figures.real if at <= run.at.date() < until]
    if not runs:
        return ["-"] * 3
    age = max(run.oldest_waiting for run in runs) / timedelta(hours=1)
    return [
        f"{max(run.left for run in runs):,}",
        f"{age:,.1f}",
        f"{max(run.spread for run in runs):,.3g}",
    ]


def table(
    heads: Iterable[object], lines: Iterable[Html], numbers: int = 1, number_at: int | None = None
) -> Html:
    """`numbers` columns from `number_at` are numbers; without it, the last ones."""
    cells = list(heads)
    first = len(cells) - numbers if number_at is None else number_at
    head = [
        tag("th", cell, scope="col", class_="n" if first <= number < first + numbers else None)
        for number, cell in enumerate(cells)
    ]
    body = join(lines) or tag("tr", tag("td", "None.", colspan=len(cells), class_="muted"))
    return tag(
        "div", tag("table", tag("thead", tag("tr", head)), tag("tbody", body)), class_="scroll"
    )


def person(reviewer: str, names: Names) -> Html:
    """The name, or the beginning of the id; the whole id on hovering."""
    if reviewer in names:
        return tag("span", clipped(names[reviewer]), title=reviewer)
    return tag(
        "span", reviewer[:8] + ("…" if len(reviewer) > 8 else ""), class_="id", title=reviewer
    )


def clipped(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
