"""CloudWatch's alarms, played minute by minute on a stack's own definitions of them.

How an alarm is judged follows the tables in the user guide, "Configuring how CloudWatch alarms treat missing data":
every minute, from the newest datapoints there are. CloudWatch looks at a few more periods than an alarm names, and does
not say at how many; nor whether periods end at the present minute or at the clock's multiples. `Ways` are those
possibilities. What is expected of an alarm has to hold in all of them.
"""

import itertools
import operator
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

ALARM, OK, UNKNOWN = "ALARM", "OK", "INSUFFICIENT_DATA"
ACTIONS = {ALARM: "AlarmActions", OK: "OKActions", UNKNOWN: "InsufficientDataActions"}
COMPARE: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
}
STATISTICS: dict[str, Callable[[list[float]], float]] = {
    "Sum": sum,
    "Maximum": max,
    "SampleCount": len,
}


class Datum(NamedTuple):
    """One value of a metric: the minute it is stamped with, and the one from which CloudWatch knows it."""

    stamp: int
    known: int
    value: float


class Ways(NamedTuple):
    """What CloudWatch leaves open."""

    further_back: int
    """Periods that it looks at beyond those that an alarm names."""
    by_the_clock: bool
    """Periods begin at multiples of their length; else the newest one ends at the present minute."""


WAYS = [Ways(*each) for each in itertools.product((0, 3), (False, True))]


@dataclass(frozen=True)
class Alarm:
    """An alarm's definition, read once."""

    metric: tuple[str, str]
    statistic: Callable[[list[float]], float]
    period: int
    periods: int
    to_alarm: int
    breaches: Callable[[float], bool]
    missing: str
    tells: frozenset[str]
    rises: bool = False
    """It looks at how much a value is above the one before it."""

    @classmethod
    def of(cls, alarm: dict[str, Any]) -> "Alarm":
        """From the properties of an AWS::CloudWatch::Alarm."""
        part, scale, rises = alarm, 1.0, False
        if "Metrics" in alarm:
            (stat, formula) = alarm["Metrics"]
            assert (formula["ReturnData"], stat["ReturnData"]) == (True, False)
            if rises := formula["Expression"] == f"DIFF(FILL({stat['Id']}, REPEAT))":
                assert alarm["EvaluationPeriods"] > 1, "there may be nothing to compare with"
            else:
                name, divisor = formula["Expression"].split(" / ")
                assert name == stat["Id"]
                scale = float(divisor)
            part = stat["MetricStat"]["Metric"] | stat["MetricStat"]
            part["Statistic"] = part["Stat"]
        threshold, compare = float(alarm["Threshold"]), COMPARE[alarm["ComparisonOperator"]]
        assert part["Period"] % 60 == 0
        assert part["Period"] * alarm["EvaluationPeriods"] <= 24 * 3600, (
            "more than CloudWatch takes"
        )
        (dimension,) = part["Dimensions"]
        return cls(
            (part["MetricName"], dimension["Value"]),
            STATISTICS[part["Statistic"]],
            part["Period"] // 60,
            alarm["EvaluationPeriods"],
            alarm.get("DatapointsToAlarm", alarm["EvaluationPeriods"]),
            lambda value: compare(value / scale, threshold),
            alarm["TreatMissingData"],
            frozenset(state for state, action in ACTIONS.items() if alarm.get(action)),
            rises,
        )

    def points(self, data: list[Datum], now: int, ways: Ways) -> list[float]:
        """The datapoints that are there, newest first; `data` is sorted."""
        end = (now // self.period + 1) * self.period if ways.by_the_clock else now + 1
        begin = end - self.period * (self.periods + ways.further_back)
        values = defaultdict(list)
        for each in data[bisect_left(data, (begin,)) : bisect_left(data, (end,))]:
            if each.known <= now:
                values[(end - 1 - each.stamp) // self.period].append(each.value)
        if not self.rises:
            return [self.statistic(values[age]) for age in sorted(values)]
        filled: list[float] = []  # oldest first
        for age in range(self.periods + ways.further_back - 1, -1, -1):
            if age in values or filled:
                filled.append(self.statistic(values[age]) if age in values else filled[-1])
        return [new - old for old, new in itertools.pairwise(filled)][::-1]

    def state(self, before: str, real: list[float]) -> str:
        """What these datapoints, the newest ones that are there, make of the state before."""
        real = real[: self.periods]
        bad, gaps = sum(self.breaches(value) for value in real), self.periods - len(real)
        if bad + (gaps if self.missing == "breaching" else 0) >= self.to_alarm:
            return ALARM
        if not gaps or self.missing in {"breaching", "notBreaching"} or bad < len(real):
            return OK
        if self.missing == "ignore":
            return before
        return ALARM if real else UNKNOWN


def told(
    alarm: dict[str, Any],
    metrics: dict[tuple[str, str], list[Datum]],
    made: int,
    until: int,
    ways: Ways,
) -> list[tuple[int, str]]:
    """What an alarm that is made at one minute tells until another: (minute, new state), where it has an action for it."""
    played = Alarm.of(alarm)
    data = sorted(metrics.get(played.metric, []))
    state, said = UNKNOWN, []
    for now in range(made + 1, until):
        new = played.state(state, played.points(data, now, ways))
        if new != state and new in played.tells:
            said.append((now, new))
        state = new
    return said
