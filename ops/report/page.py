"""`python -m ops.report` (`make report`): one HTML page from an audit, for whoever leads the reviewers."""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from ops.records import (
    AuditUnreadableError,
    Place,
    Run,
    add_arguments,
    open_audit,
    projects,
    read_lines,
    read_records,
    shown,
)
from ops.report.charts import columns, spark, steps
from ops.report.figures import Figures, Share, needs_a_look, span, work_out
from ops.report.markup import Html, join, tag

OUT = Path(".local/report.html")
STYLE = Path(__file__).with_name("report.css")
POLICY = "default-src 'none'; style-src 'unsafe-inline'"  # whatever gets into the page: it loads and runs nothing
MOST_PROJECTS, MOST_REVIEWERS, MOST_RUNS, MOST_FAILURES, MOST_WARNINGS, LONGEST = (
    6,
    40,
    24,
    20,
    3,
    300,
)
COLOURS = {
    "failed": "bad",
    "incomplete": "warn",
    "assigned": "good",
    "nothing_to_assign": "good",
    "undone": "good",
}
Names = Mapping[str, str]

parser = argparse.ArgumentParser(
    prog="python -m ops.report", description="One HTML page from an audit."
)
add_arguments(parser)
parser.add_argument(
    "--days", type=int, default=30, metavar="N", help="the last N days, today included (30)"
)
parser.add_argument(
    "-o", "--out", type=Path, default=OUT, metavar="FILE", help=f"where the page goes ({OUT})"
)
parser.add_argument("--project", help="this project only; without it, those with the newest runs")
parser.add_argument(
    "--names",
    type=Path,
    metavar="FILE",
    help='a JSON object that names people: {"<user id>": "Ana"}',
)


def main(arguments: list[str] | None = None) -> int:
    """Write the page; 1 if there is no audit to read."""
    chosen = parser.parse_args(arguments)
    try:
        names = read_names(chosen.names)
        place = open_audit(chosen.audit, chosen.stack)
    except AuditUnreadableError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    text = report(place, datetime.now(UTC), min(max(1, chosen.days), 3660), names, chosen.project)
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(text, "utf-8")
    print(f"{chosen.out}: {len(text) / 1000:,.0f} kB, from {place.address}")
    return 0


def read_names(file: Path | None) -> Names:
    """Names by user id. Raises AuditUnreadableError if the file holds anything else."""
    if file is None:
        return {}
    try:
        return {str(who): shown(name) for who, name in json.loads(file.read_text("utf-8")).items()}
    except (OSError, ValueError, AttributeError) as error:
        raise AuditUnreadableError(
            f'{file} is not a JSON object such as {{"<user id>": "Ana"}}: {error}'
        ) from error


def report(
    place: Place, now: datetime, days: int, names: Names | None = None, project: str | None = None
) -> str:
    """The page about the last days of the audit at `place`."""
    since = now.date() - timedelta(days=days - 1)
    start = datetime(since.year, since.month, since.day, tzinfo=UTC)
    all_figures = [
        work_out(
            name, read_records(place, name, start), lambda run: read_lines(place, run), since, now
        )
        for name in ([project] if project else projects(place))
    ]
    all_figures.sort(key=lambda figures: [run.order for run in figures.runs[-1:]], reverse=True)
    return page(all_figures, place.address, now, names or {})


def page(all_figures: Sequence[Figures], address: str, now: datetime, names: Names) -> str:
    several = len(all_figures) > 1
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", "Review assignments"),
        tag("style", Html(STYLE.read_text("utf-8"))),
    )
    left_out = [shown(figures.project) for figures in all_figures[MOST_PROJECTS:]]
    body = tag(
        "body",
        tag(
            "header",
            tag("h1", "Review assignments"),
            tag("p", f"As of {now:%d %B %Y, %H:%M} UTC; days and times are UTC.", class_="muted"),
            tag("p", "From ", tag("span", address, class_="id"), class_="muted"),
        ),
        tag(
            "main",
            [
                section(figures, now, names, several=several)
                for figures in all_figures[:MOST_PROJECTS]
            ],
            left_out and tag("p", "Not shown (--project shows one): ", ", ".join(left_out[:50])),
        ),
    )
    return "<!DOCTYPE html>\n" + tag("html", head, body, lang="en") + "\n"


def section(figures: Figures, now: datetime, names: Names, *, several: bool) -> Html:
    """Everything about one project."""
    return tag(
        "section",
        tag("h2", "Project ", tag("span", shown(figures.project), class_="id"))
        if several
        else None,
        attention(figures, now),
        tiles(figures, now),
        reviewers(figures, names),
        charts(figures),
        failures(figures),
        last_runs(figures),
        by_day(figures, names),
    )


def attention(figures: Figures, now: datetime) -> Html:
    sentences = needs_a_look(figures, now)
    if not sentences:
        return tag("p", "Nothing needs a look: the newest run ended well.", class_="card fine")
    return tag(
        "div",
        tag("h3", "Needs a look"),
        tag("ul", [tag("li", text) for text in sentences]),
        class_="card look",
    )


def tiles(figures: Figures, now: datetime) -> Html:
    real = figures.real
    last = real[-1] if real else None
    dry, undos = (sum(run.kind == kind for run in figures.runs) for kind in ("dry run", "undo"))
    failed = sum(failure.rows for failure in figures.failures)
    taken = sum(figures.taken_back.values())
    period = f"rows since {day(figures.bins[0])}" + (
        f"; {taken:,} more were taken back" if taken else ""
    )
    shown_tiles = [
        ("Handed out", f"{figures.given:,}", period),
        ("Waiting now", f"{last.left:,}" if last else "-", "rows without a reviewer"),
        (
            "Oldest of them",
            span(last.oldest_waiting) if last and last.left else "-",
            "since it was logged",
        ),
        ("Not written", f"{failed:,}", "rows refused or not answered, each try counted"),
        ("Spread", f"{last.spread:,.3g}" if last else "-", "rows between most and least owed"),
        (
            "Newest run",
            f"{span(now - last.at)} ago" if last else "-",
            f"runs: {len(real):,}, dry runs: {dry:,}, undos: {undos:,}",
        ),
    ]
    return tag(
        "dl",
        [
            tag(
                "div",
                tag("dt", name),
                tag("dd", value, class_="big"),
                tag("dd", note, class_="muted"),
                class_="card",
            )
            for name, value, note in shown_tiles
        ],
        class_="tiles",
    )


def reviewers(figures: Figures, names: Names) -> Html:
    """One line a person, with the same scale for all."""
    top = max((rows for share in figures.shares for rows in share.per_bin), default=0) or 1
    hidden = figures.shares[MOST_REVIEWERS:]
    column = "day" if figures.bin_days == 1 else f"{figures.bin_days} days"

    def line(share: Share) -> Html:
        said = ", ".join(
            f"{day(at)}: {rows}"
            for at, rows in zip(figures.bins, share.per_bin, strict=True)
            if rows
        )
        part = f"{100 * share.rows / figures.given:.0f} %" if figures.given else "-"
        return tag(
            "tr",
            tag("th", person(share.reviewer, names), scope="row"),
            tag("td", spark(f"Rows by {column}: {said or 'none'}", share.per_bin, top)),
            tag("td", f"{share.rows:,}", class_="n"),
            tag("td", part, class_="n"),
        )

    axis = f"{day(figures.bins[0])} to {day(figures.end.date() - timedelta(days=1))}, a column a {column}; highest {top:,}"
    return tag(
        "div",
        tag("h3", "Rows per reviewer"),
        tag("p", "What undos took back is not counted.", class_="muted"),
        table(
            ("Reviewer", axis, "Rows", "Share"),
            map(line, figures.shares[:MOST_REVIEWERS]),
            numbers=2,
        ),
        hidden
        and tag(
            "p",
            f"and {len(hidden)} more with {sum(share.rows for share in hidden):,} rows",
            class_="muted",
        ),
        class_="card reviewers",
    )


def charts(figures: Figures) -> Html:
    """Over time: rows handed out, waiting, age, spread."""
    real = figures.real
    tags = sorted({run.tag for run in real})
    about = f" All {len(tags)} tags." if len(tags) > 1 else ""
    days = [day(at) for at in figures.bins]
    tips = [f"{name}: {rows:,} rows" for name, rows in zip(days, figures.per_bin, strict=True)]
    period = (figures.begin, figures.end)
    waiting = [(run.at, float(run.left)) for run in real]
    age = [(run.at, run.oldest_waiting / timedelta(hours=1)) for run in real]
    spread = [(run.at, run.spread) for run in real]

    def most(points: Sequence[tuple[datetime, float]], unit: str) -> str:
        if not points:
            return "no runs"
        at, value = max(points, key=lambda point: point[1])
        if not value:
            return "never any"
        return f"at most {value:,.3g} {unit} ({at:%d %b %H:%M}), now {points[-1][1]:,.3g}"

    busiest = max(zip(figures.per_bin, days, strict=True))
    return tag(
        "div",
        chart(
            "Rows handed out",
            f"By {'day' if figures.bin_days == 1 else f'{figures.bin_days} days'}; most on {busiest[1]}: {busiest[0]:,}.",
            lambda label: columns(label, days, figures.per_bin, tips),
        ),
        chart(
            "Rows waiting",
            f"Without a reviewer when a run ended: {most(waiting, 'rows')}.{about}",
            lambda label: steps(
                label, waiting, days, period, lambda value: f"{value:,.0f} rows waiting"
            ),
        ),
        chart(
            "Age of the oldest waiting row",
            f"In hours: {most(age, 'hours')}.{about}",
            lambda label: steps(label, age, days, period, lambda value: f"{value:,.1f} hours"),
        ),
        chart(
            "Spread",
            f"Rows between whoever is owed most and least of those there: what was due to them less what they received: {most(spread, 'rows')}.{about}",
            lambda label: steps(label, spread, days, period, lambda value: f"{value:,.3g} rows"),
        ),
        class_="pair",
    )


def chart(title: str, caption: str, draw: Callable[[str], Html]) -> Html:
    return tag(
        "figure",
        tag("h3", title),
        tag("figcaption", caption),
        draw(f"{title}. {caption}"),
        class_="card",
    )


def failures(figures: Figures) -> Html | None:
    if not figures.failures:
        return None
    lines = (
        tag(
            "tr",
            tag("td", f"{failure.run.at:%d %b %H:%M}", class_="nowrap"),
            tag("td", "no answer" if failure.status == "unknown" else "refused", class_="nowrap"),
            tag("td", f"{failure.rows:,}", class_="n"),
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
            "Such rows go to the same people again in the next run. One that was not answered may have landed.",
            class_="muted",
        ),
        table(("Run", "What", "Rows", "Reason", "Run id"), lines, number_at=2),
        f"and {more} more" if more > 0 else None,
        class_="card",
    )


def last_runs(figures: Figures) -> Html:
    """The newest runs, and of the earlier ones those that somebody may ask about."""
    newest = figures.runs[: -MOST_RUNS - 1 : -1]
    odd = [run for run in reversed(figures.runs[:-MOST_RUNS]) if is_odd(run, figures)]
    more = f"and {len(odd) - MOST_RUNS:,} more" if len(odd) > MOST_RUNS else None
    return join(
        [
            tag("div", tag("h3", "The last runs"), run_table(newest, figures), class_="card"),
            odd
            and tag(
                "div",
                tag("h3", "Earlier ones to know about"),
                tag(
                    "p",
                    "Dry runs, undos, what they took back, and runs that left rows behind.",
                    class_="muted",
                ),
                run_table(odd[:MOST_RUNS], figures),
                more,
                class_="card",
            ),
        ]
    )


def is_odd(run: Run, figures: Figures) -> bool:
    return run.kind != "run" or run.left > 0 or figures.taken_back.get(run.run_id, 0) > 0


def run_table(runs: Sequence[Run], figures: Figures) -> Html:
    heads = ("Run", "Status", "Fetched", "Needed", "Given", "Failed", "Left", "What to know")
    return table(heads, (run_line(run, figures) for run in runs), numbers=5, number_at=2)


def run_line(run: Run, figures: Figures) -> Html:
    notes: list[object] = []
    if run.kind == "dry run":
        notes.append(
            "Dry run: would "
            + (
                f"take back rows of {run.undoes}"
                if run.undoes
                else f"give {sum(run.per_reviewer.values()):,} rows"
            )
        )
    elif run.kind == "undo":
        notes.append(f"Undo: took back {run.counts.get('undone', 0):,} rows of {run.undoes}")
    if figures.taken_back.get(run.run_id):
        notes.append(f"Undone later: {figures.taken_back[run.run_id]:,} rows taken back")
    notes += [clipped(warning) for warning in run.warnings[:MOST_WARNINGS]]
    if len(run.warnings) > MOST_WARNINGS:
        notes.append(f"and {len(run.warnings) - MOST_WARNINGS} more warnings")
    counts = (
        run.counts.get(name) for name in ("fetched", "unassigned", "assigned", "failed", "deferred")
    )
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
        [tag("td", "-" if count is None else f"{count:,}", class_="n") for count in counts],
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


def day(at: date) -> str:
    return f"{at.day} {at:%b}"
