"""Charts as inline SVG, in the page's colours. Each says in words what it shows."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import cycle, pairwise

from ops.report.markup import Html, tag

WIDTH, HEIGHT = 500, 180
LEFT, RIGHT, TOP, BOTTOM = 52, 8, 12, 24
PLOT_WIDTH, PLOT_HEIGHT = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
SPARK_WIDTH, SPARK_HEIGHT = 600, 28
MOST_POINTS = 120
LABEL_WIDTH = 56  # of a date below the axis
Point = tuple[datetime, float]


def columns(label: str, names: Sequence[str], values: Sequence[float], tips: Sequence[str]) -> Html:
    """One column a day, named below the axis where there is room."""
    top = nice(max(values, default=0))
    step = PLOT_WIDTH / max(1, len(values))
    width = min(step * 0.72, 32)
    bars = [
        tag(
            "rect",
            tag("title", tip),
            x=LEFT + (number + 0.5) * step - width / 2,
            y=TOP + PLOT_HEIGHT * (1 - value / top),
            width=width,
            height=PLOT_HEIGHT * value / top,
            rx=min(2.0, step / 8),
            class_="mark",
        )
        for number, (value, tip) in enumerate(zip(values, tips, strict=True))
        if value
    ]
    return frame(label, grid(top), bars, below(names))


def steps(
    label: str,
    points: Sequence[Point],
    names: Sequence[str],
    period: tuple[datetime, datetime],
    say: Callable[[float], str],
) -> Html:
    """A value that stays as it is until the next run.

    Where there are too many runs, it is the highest of each stretch.
    """
    points = thin(points)
    begin, end = period
    top = nice(max((value for _, value in points), default=0))
    span = (end - begin) / timedelta(seconds=1)
    placed = [
        (
            LEFT + PLOT_WIDTH * ((at - begin) / timedelta(seconds=1)) / span,
            TOP + PLOT_HEIGHT * (1 - value / top),
        )
        for at, value in points
    ]
    line = "".join(f"V{y:.1f}H{x_next:.1f}" for (_, y), (x_next, _) in pairwise(placed))
    marks: list[Html] = []
    if placed:
        (x, y), (x_last, y_last) = placed[0], placed[-1]
        path = f"M{x:.1f} {y:.1f}{line}V{y_last:.1f}"
        floor = TOP + PLOT_HEIGHT
        marks.append(tag("path", d=f"{path}V{floor}H{x:.1f}Z", class_="area"))
        marks.append(tag("path", d=path, class_="line"))
        marks += [
            tag(
                "circle",
                tag("title", f"{at:%d %b %H:%M}: {say(value)}"),
                cx=px,
                cy=py,
                r=5,
                class_="touch",
            )
            for (at, value), (px, py) in zip(points, placed, strict=True)
        ]
        marks.append(tag("circle", cx=x_last, cy=y_last, r=4, class_="mark"))
    return frame(label, grid(top), marks, below(names))


def spark(label: str, values: Sequence[float], top: float) -> Html:
    """Small columns for a table's cell; `top` is the same for all rows, so they can be compared."""
    step = SPARK_WIDTH / max(1, len(values))
    width = min(step * 0.76, 48)
    bars = [
        tag(
            "rect",
            x=(number + 0.5) * step - width / 2,
            y=SPARK_HEIGHT * (1 - value / top),
            width=width,
            height=max(1.0, SPARK_HEIGHT * value / top),
            class_="mark",
        )
        for number, value in enumerate(values)
        if value
    ]
    return tag(
        "svg",
        bars,
        viewBox=f"0 0 {SPARK_WIDTH} {SPARK_HEIGHT}",
        class_="spark",
        preserveAspectRatio="none",
        role="img",
        aria_label=label,
    )


def frame(label: str, *parts: object) -> Html:
    return tag(
        "svg", parts, viewBox=f"0 0 {WIDTH} {HEIGHT}", class_="chart", role="img", aria_label=label
    )


def grid(top: float) -> list[Html]:
    """Lines at nothing, half and all of the highest value."""
    drawn = []
    for part in (0.0, 0.5, 1.0):
        y = TOP + PLOT_HEIGHT * (1 - part)
        drawn.append(tag("path", d=f"M{LEFT} {y}H{WIDTH - RIGHT}", class_="grid"))
        drawn.append(
            tag(
                "text",
                f"{top * part:,.3g}" if top < 1000 else f"{top * part:,.0f}",
                x=LEFT - 8,
                y=y + 4,
                text_anchor="end",
            )
        )
    return drawn


def below(names: Sequence[str]) -> list[Html]:
    """Names at even distances below the axis, as many as there is room for."""
    step = PLOT_WIDTH / max(1, len(names))
    every = max(1, -(-LABEL_WIDTH // round(step)))
    return [
        tag("text", name, x=LEFT + (number + 0.5) * step, y=HEIGHT - 7, text_anchor="middle")
        for number, name in enumerate(names)
        if number % every == 0
    ]


def nice(value: float) -> float:
    """The smallest of 2, 4, 10, 20, 40, 100, ... that is not below the value."""
    top, factors = 2.0, cycle((2, 2.5, 2))
    while top < value:
        top *= next(factors)
    return top


def thin(points: Sequence[Point]) -> Sequence[Point]:
    """About so many points, each the highest of its stretch; the last one stays the last."""
    size = -(-len(points) // MOST_POINTS)
    if size <= 1:
        return points
    stretches = (points[at : at + size] for at in range(0, len(points) - 1, size))
    return [*(max(stretch, key=lambda point: point[1]) for stretch in stretches), points[-1]]
