"""The page's table of who shares rows with whom."""

from collections import Counter

from ops.names import Names
from ops.report.figures import Figures
from ops.report.markup import Html, tag
from ops.report.tables import MOST_REVIEWERS, person, table

MOST_TOGETHER = 12  # of a person's partners


def shared_rows(figures: Figures, names: Names) -> Html | None:
    """Who was given rows together with whom; nothing where each row went to one person."""
    if not figures.shared:
        return None
    together: dict[str, Counter[str]] = {}
    for (one, other), rows in figures.shared.items():
        together.setdefault(one, Counter())[other] += rows
        together.setdefault(other, Counter())[one] += rows
    people = sorted(together, key=lambda who: (-together[who].total(), who))

    def line(who: str) -> Html:
        others = [
            tag("div", person(other, names), f" {rows:,}")
            for other, rows in together[who].most_common(MOST_TOGETHER)
        ]
        more = len(together[who]) - MOST_TOGETHER
        return tag(
            "tr",
            tag("th", person(who, names), scope="row"),
            tag("td", others, tag("div", f"and {more} more") if more > 0 else None, class_="wide"),
        )

    return tag(
        "div",
        tag("h3", "Who shares rows with whom"),
        tag(
            "p",
            "Rows that two people were given together, less what was taken back.",
            class_="muted",
        ),
        table(("Reviewer", "Together with"), map(line, people[:MOST_REVIEWERS]), numbers=0),
        class_="card",
    )
