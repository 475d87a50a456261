"""The page: its frame, what needs a look, the figures at its top, the charts.

The tables have a module of their own.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ops.names import Names
from ops.places import Place
from ops.records import projects, read_lines, read_records, shown
from ops.report.charts import columns, steps
from ops.report.figures import Figures, needs_a_look, work_out
from ops.report.markup import Html, tag
from ops.report.sharing import shared_rows
from ops.report.tables import MOST_TAGS, by_day, clipped, failures, last_runs, open_rows, reviewers
from ops.report.words import day, span

STYLE = Path(__file__).with_name("report.css")
# Whatever gets into the page: it loads and runs nothing
POLICY = "default-src 'none'; style-src 'unsafe-inline'"
MOST_PROJECTS = 6


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
        about(figures),
        attention(figures, now),
        tiles(figures, now),
        reviewers(figures, names),
        shared_rows(figures, names),
        open_rows(figures, names),
        charts(figures),
        failures(figures),
        last_runs(figures),
        by_day(figures, names),
    )


def about(figures: Figures) -> Html:
    """Which rows it is about."""
    tags = list(dict.fromkeys(clipped(run.tag) for run in reversed(figures.runs)))
    more = f" and {len(tags) - MOST_TAGS} more tags" if len(tags) > MOST_TAGS else ""
    names = ", ".join(tags[:MOST_TAGS]) + more
    return tag("p", f"Rows with the tag {names}", class_="muted about") if tags else Html()


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
    kinds = Counter(run.kind for run in figures.runs)
    dry, undos, over = kinds["dry run"], kinds["undo"], kinds["take-back"]
    failed = sum(failure.rows for failure in figures.failures)
    taken = sum(figures.taken_back.values())
    period = f"rows since {day(figures.bins[0])}" + (
        f"; {taken:,} more were taken back" if taken else ""
    )
    if moved := figures.handed_over.total():
        period += f"; {moved:,} were handed over"
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
            f"runs: {len(real):,}, dry runs: {dry:,}, undos: {undos:,}"
            + (f", take-backs: {over:,}" if over else ""),
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
            f"By {'day' if figures.bin_days == 1 else f'{figures.bin_days} days'}; most on "
            f"{busiest[1]}: {busiest[0]:,}.",
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
            "Between whoever is owed most rows and fewest, of those who are there: "
            f"{most(spread, 'rows')}.{about}",
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
