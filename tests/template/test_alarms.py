"""When each alarm tells, over a day of runs played minute by minute."""

import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from tests.template.cloudformation import Stack
from tests.template.cloudwatch import ALARM, OK, UNKNOWN, WAYS, Alarm, Datum, Ways, told

STACK = Stack(
    {"AlarmTopicArn": "arn:aws:sns:eu-central-1:123456789012:oncall", "QueuesParameter": "/queues"}
)
ALARMS = STACK.of_type("AWS::CloudWatch::Alarm")
SERVICE = FUNCTION = "the-stack"
UNDELIVERED, FAILED = "the-stack-undeliveredqueue", "the-stack-failedrunsqueue"
DAY = 24 * 60
LATE = 2
"""Minutes after which CloudWatch shows what it was told."""


def minute(clock: str) -> int:
    """`"10:05"` as minutes of the day."""
    hours, minutes = clock.split(":")
    return int(hours) * 60 + int(minutes)


@dataclass
class Day:
    """A day, beginning with five hours before it in which all was well, and what CloudWatch hears of it."""

    metrics: dict[tuple[str, str], list[Datum]] = field(default_factory=lambda: defaultdict(list))

    def invocation(self, start: int, minutes: int, *, error: bool) -> int:
        """What Lambda says of one invocation: stamped with its start, told when it has ended. The minute it ends."""
        end = start + minutes
        for name, value in (("Errors", error), ("Duration", minutes * 60_000)):
            self.metrics[name, FUNCTION].append(Datum(start, end + LATE, value))
        return end

    def run(self, start: int, minutes: int = 0, **counted: float) -> None:
        """One run that succeeds, and what it says itself: stamped with its end."""
        end = self.invocation(start, minutes, error=False)
        said = {
            "RunDuration": 1,
            "RowsFailed": 0,
            "OldestWaitingAge": 600,
            "QueuesFailed": 0,
            "UnknownReviewers": 0,
        } | counted
        for name, value in said.items():
            self.metrics[name, SERVICE].append(Datum(end, end + LATE, value))

    def broken_queues(self, start: int, count: int) -> None:
        """A run in which so many queues fail, and its repetition, in which they do once more."""
        for again in (0, 1):
            end = self.invocation(start + again, 0, error=True)
            for name, value in {"RunDuration": 1, "RowsFailed": 0, "QueuesFailed": count}.items():
                self.metrics[name, SERVICE].append(Datum(end, end + LATE, value))
        self.message(FAILED, start + 1)

    def dry_run(self, start: int) -> None:
        """A run that says nothing of rows that wait."""
        self.invocation(start, 0, error=False)
        for name, value in (("RunDuration", 1), ("RowsFailed", 0), ("UnknownReviewers", 0)):
            self.metrics[name, SERVICE].append(Datum(start, start + LATE, value))

    def failed_run(self, start: int, minutes: int = 0, *, again: bool = True) -> None:
        """One that fails; a scheduled one is tried again a minute later, and lands in the queue if that fails too."""
        end = self.invocation(start, minutes, error=True)
        if again:
            self.message(FAILED, self.invocation(end + 1, minutes, error=True))

    def message(self, queue: str, arrives: int, purged: int = DAY) -> None:
        """A message that lies in a queue: SQS says so every minute."""
        self.metrics["ApproximateNumberOfMessagesVisible", queue] += [
            Datum(now, now + LATE, 1) for now in range(arrives, purged)
        ]

    def hourly(self, first: str, last: str, **counted: float) -> None:
        """A run that succeeds at each full hour, the last one included."""
        for start in range(minute(first), minute(last) + 1, 60):
            self.run(start, **counted)


def all_well(day: Day) -> None:
    day.hourly("00:00", "23:00")


def one_failure(day: Day) -> None:
    day.hourly("00:00", "23:00")
    day.failed_run(minute("10:20"), again=False)


def a_scheduled_run_fails_and_its_repetition_succeeds(day: Day) -> None:
    day.hourly("00:00", "09:00")
    day.failed_run(minute("10:00"), 12, again=False)
    day.run(minute("10:13"))
    day.hourly("11:00", "23:00")


def failing_at_once_for_hours(day: Day) -> None:
    day.hourly("00:00", "09:00")
    for start in range(minute("10:00"), minute("15:00"), 60):
        day.failed_run(start)
    day.hourly("15:00", "23:00")


def failing_after_a_quarter_for_hours(day: Day) -> None:
    day.hourly("00:00", "09:00")
    for start in range(minute("10:00"), minute("15:00"), 60):
        day.failed_run(start, 15)
    day.hourly("15:00", "23:00")


def failing_after_a_quarter_without_repetition(day: Day) -> None:
    day.hourly("00:00", "09:00")
    for start in range(minute("10:00"), minute("15:00"), 60):
        day.failed_run(start, 15, again=False)
    day.hourly("15:00", "23:00")


def no_runs_at_all(day: Day) -> None:
    day.hourly("00:00", "09:00")


def no_runs_for_a_while(day: Day) -> None:
    day.hourly("00:00", "09:00")
    day.hourly("20:00", "23:00")


def a_run_fails_across_the_hours_edge(day: Day) -> None:
    day.hourly("00:00", "23:00")
    day.failed_run(minute("10:58"), 13, again=False)


def runs_that_end_just_before_the_next_hour_or_just_after(day: Day) -> None:
    for start in range(0, DAY, 60):
        day.run(start + (59 if start % 120 else 0))


def rows_are_refused_for_hours(day: Day) -> None:
    day.hourly("00:00", "09:00")
    day.hourly("10:00", "12:00", RowsFailed=3)
    day.hourly("13:00", "23:00")


def a_reviewer_is_misspelt_for_hours(day: Day) -> None:
    day.hourly("00:00", "09:00")
    day.hourly("10:00", "12:00", UnknownReviewers=1)
    day.hourly("13:00", "23:00")


def slow_for_hours(day: Day) -> None:
    day.hourly("00:00", "09:00")
    for start in range(minute("10:00"), minute("13:00"), 60):
        day.run(start, 14)
    day.hourly("13:00", "23:00")


def a_row_waits_while_runs_fail(day: Day) -> None:
    day.hourly("00:00", "09:00")
    day.hourly("10:00", "11:00", OldestWaitingAge=25 * 3600)
    day.failed_run(minute("12:00"), again=False)
    day.hourly("13:00", "23:00")


def lambda_cannot_be_reached_at_ten(day: Day) -> None:
    day.hourly("00:00", "09:00")
    day.message(UNDELIVERED, minute("10:10"), purged=minute("12:00"))
    day.hourly("11:00", "23:00")


def a_queue_is_broken_all_day_a_second_from_noon_and_at_six_the_schedule_stops(day: Day) -> None:
    for hour in range(18):
        day.broken_queues(hour * 60, 1 + (hour >= 12))


def a_queue_breaks_and_is_repaired(day: Day) -> None:
    day.hourly("00:00", "09:00")
    for hour in (10, 11, 12):
        day.broken_queues(hour * 60, 1)
    day.hourly("13:00", "23:00")


def one_queue_breaks_as_another_is_repaired(day: Day) -> None:
    """As many fail as before: that the first one is well again is seen, the other one in the errors alarm only."""
    day.hourly("00:00", "09:00")
    for hour in range(10, 24):
        day.broken_queues(hour * 60, 1)


Tells = dict[str, list[tuple[str, str, str]]]
"""What each alarm tells: the new state, and from when to when it may say so."""
TALES: list[tuple[Callable[[Day], None], Tells]] = [
    (all_well, {}),
    (one_failure, {"FunctionErrorsAlarm": [(ALARM, "10:22", "10:25"), (OK, "11:40", "12:00")]}),
    (
        a_scheduled_run_fails_and_its_repetition_succeeds,
        {"FunctionErrorsAlarm": [(ALARM, "10:14", "10:15"), (OK, "11:20", "11:40")]},
    ),
    (
        failing_at_once_for_hours,
        {
            "FunctionErrorsAlarm": [(ALARM, "10:02", "10:05"), (OK, "15:20", "15:40")],
            "NoSuccessAlarm": [(UNKNOWN, "12:00", "12:20"), (OK, "15:02", "15:05")],
            "FailedRunsAlarm": [(ALARM, "10:03", "10:08")],
        },
    ),
    (
        failing_after_a_quarter_for_hours,
        {
            "FunctionErrorsAlarm": [(ALARM, "10:17", "10:20"), (OK, "15:35", "15:55")],
            "NoSuccessAlarm": [(UNKNOWN, "12:00", "12:20"), (OK, "15:02", "15:05")],
            "SlowRunAlarm": [(ALARM, "10:17", "10:20"), (OK, "15:35", "15:55")],
            "FailedRunsAlarm": [(ALARM, "10:31", "10:38")],
        },
    ),
    (
        failing_after_a_quarter_without_repetition,
        {
            "FunctionErrorsAlarm": [(ALARM, "10:17", "10:20"), (OK, "15:20", "15:40")],
            "NoSuccessAlarm": [(UNKNOWN, "12:00", "12:20"), (OK, "15:02", "15:05")],
            "SlowRunAlarm": [(ALARM, "10:17", "10:20"), (OK, "15:20", "15:40")],
        },
    ),
    (no_runs_at_all, {"NoSuccessAlarm": [(UNKNOWN, "12:00", "12:20")]}),
    (
        no_runs_for_a_while,
        {"NoSuccessAlarm": [(UNKNOWN, "12:00", "12:20"), (OK, "20:02", "20:05")]},
    ),
    (
        a_run_fails_across_the_hours_edge,
        {"FunctionErrorsAlarm": [(ALARM, "11:13", "11:15"), (OK, "12:15", "12:35")]},
    ),
    (runs_that_end_just_before_the_next_hour_or_just_after, {}),
    (
        rows_are_refused_for_hours,
        {"RowsFailedAlarm": [(ALARM, "10:02", "10:05"), (OK, "13:20", "13:40")]},
    ),
    (
        a_queue_is_broken_all_day_a_second_from_noon_and_at_six_the_schedule_stops,
        {
            "FunctionErrorsAlarm": [(ALARM, "00:02", "00:05"), (OK, "18:20", "18:40")],
            "QueuesFailedAlarm": [
                (ALARM, "00:02", "00:05"),
                (OK, "01:00", "02:05"),
                (ALARM, "12:02", "12:05"),
                (OK, "13:00", "14:05"),
            ],
            "NoSuccessAlarm": [(UNKNOWN, "20:00", "20:20")],
            "FailedRunsAlarm": [(ALARM, "00:03", "00:08")],
        },
    ),
    (
        a_queue_breaks_and_is_repaired,
        {
            "FunctionErrorsAlarm": [(ALARM, "10:02", "10:05"), (OK, "13:20", "13:40")],
            "QueuesFailedAlarm": [(ALARM, "10:02", "10:05"), (OK, "11:00", "12:05")],
            "FailedRunsAlarm": [(ALARM, "10:03", "10:08")],
        },
    ),
    (
        one_queue_breaks_as_another_is_repaired,
        {
            "FunctionErrorsAlarm": [(ALARM, "10:02", "10:05")],
            "QueuesFailedAlarm": [(ALARM, "10:02", "10:05"), (OK, "11:00", "12:05")],
            "FailedRunsAlarm": [(ALARM, "10:03", "10:08")],
        },
    ),
    (
        a_reviewer_is_misspelt_for_hours,
        {"UnknownReviewersAlarm": [(ALARM, "10:02", "10:05"), (OK, "13:20", "13:40")]},
    ),
    (slow_for_hours, {"SlowRunAlarm": [(ALARM, "10:16", "10:20"), (OK, "13:20", "13:40")]}),
    (
        a_row_waits_while_runs_fail,
        {
            "FunctionErrorsAlarm": [(ALARM, "12:02", "12:05"), (OK, "13:20", "13:40")],
            "RowsWaitingAlarm": [(ALARM, "10:02", "10:05"), (OK, "13:00", "13:05")],
        },
    ),
    (
        lambda_cannot_be_reached_at_ten,
        {"UndeliveredAlarm": [(ALARM, "10:12", "10:15"), (OK, "12:00", "12:25")]},
    ),
]


def misses(said: list[tuple[int, str]], expected: list[tuple[str, str, str]]) -> bool:
    """Whether an alarm told anything else, or at another time, than expected."""
    return [state for _, state in said] != [state for state, _, _ in expected] or any(
        not minute(earliest) <= now <= minute(latest)
        for (now, _), (_, earliest, latest) in zip(said, expected, strict=True)
    )


def clock(said: list[tuple[int, str]]) -> list[str]:
    return [f"{now // 60:02}:{now % 60:02} {state}" for now, state in said]


@pytest.mark.parametrize("ways", WAYS, ids=str)
@pytest.mark.parametrize(("tale", "expected"), TALES, ids=[tale.__name__ for tale, _ in TALES])
def test_a_day_of_runs(tale, expected, ways):
    """Each alarm tells what is in the table, once, and no other alarm tells anything."""
    day = Day()
    for start in range(-5 * 60, 0, 60):
        day.run(start)
    tale(day)
    wrong = {}
    for name, alarm in ALARMS.items():
        said = [each for each in told(alarm, day.metrics, -5 * 60, DAY, ways) if each[0] >= 0]
        if misses(said, expected.get(name, [])):
            wrong[name] = clock(said), expected.get(name, [])
    assert wrong == {}


def deployed_and_left_alone(day: Day) -> None:
    day.hourly("10:00", "23:00")


def deployed_and_run_by_hand_at_once(day: Day) -> None:
    day.run(minute("09:25"))
    day.hourly("10:00", "23:00")


def tried_dry_and_then_meant(day: Day) -> None:
    day.dry_run(minute("08:59"))
    day.dry_run(minute("09:19"))
    day.hourly("10:00", "23:00")


def tried_dry_with_a_wrong_key_repaired_and_then_meant(day: Day) -> None:
    day.failed_run(minute("07:10"), again=False)
    day.dry_run(minute("09:19"))
    day.hourly("10:00", "23:00")


BEGINNINGS = [
    deployed_and_left_alone,
    deployed_and_run_by_hand_at_once,
    tried_dry_and_then_meant,
    tried_dry_with_a_wrong_key_repaired_and_then_meant,
]


@pytest.mark.parametrize("ways", WAYS, ids=str)
@pytest.mark.parametrize("tale", BEGINNINGS)
def test_no_alarm_begins_by_crying_wolf(tale, ways):
    """Every alarm is made at 09:20, as at a deployment that makes the function work: it says OK at most, and once."""
    day = Day()
    tale(day)
    for name, alarm in ALARMS.items():
        said = told(alarm, day.metrics, minute("09:20"), DAY, ways)
        assert [state for _, state in said] in ([], [OK]), (name, clock(said))


def test_every_alarm_goes_on_in_some_tale():
    assert {name for _, expected in TALES for name in expected} == {*ALARMS}


@pytest.mark.parametrize(
    ("points", "to_alarm", "states"),
    [
        # The guide's tables for three datapoints of three: what each way to treat missing data makes of them.
        ("0-X-X", 3, [OK, OK, OK, OK]),
        ("0----", 3, [OK, OK, OK, OK]),
        ("-----", 3, [UNKNOWN, "as before", ALARM, OK]),
        ("0XX-X", 3, [ALARM, ALARM, ALARM, ALARM]),
        ("--X--", 3, [ALARM, "as before", ALARM, OK]),
        # And for two of three.
        ("0-X-X", 2, [ALARM, ALARM, ALARM, ALARM]),
        ("00X0X", 2, [ALARM, ALARM, ALARM, ALARM]),
        ("0-X--", 2, [OK, OK, ALARM, OK]),
        ("----0", 2, [OK, OK, ALARM, OK]),
        ("---X-", 2, [ALARM, "as before", ALARM, OK]),
    ],
)
def test_the_player_knows_the_guides_tables(points, to_alarm, states):
    """The newest datapoint is the last; five are in reach, three are asked for."""
    alarm = {
        "MetricName": "m", "Dimensions": [{"Name": "n", "Value": "v"}], "Statistic": "Sum", "Period": 60,
        "EvaluationPeriods": 3, "DatapointsToAlarm": to_alarm, "Threshold": 1,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
    }  # fmt: skip
    data = [Datum(at, at, sign == "X") for at, sign in enumerate(points) if sign != "-"]
    found = []
    for treatment in ("missing", "ignore", "breaching", "notBreaching"):
        played = Alarm.of(alarm | {"TreatMissingData": treatment})
        real = played.points(data, 4, Ways(2, by_the_clock=False))
        found.append(played.state("as before", real))
    assert found == states


def test_a_metric_that_comes_late_is_seen_where_an_alarm_looks_back_far_enough():
    """Why 300 seconds, one datapoint of one, missed a run that failed after a quarter of an hour."""
    day = Day()
    day.failed_run(minute("10:00"), 15, again=False)
    short = ALARMS["FunctionErrorsAlarm"] | {"EvaluationPeriods": 1}
    for ways in [ways for ways in WAYS if not ways.further_back]:
        assert ALARM not in [state for _, state in told(short, day.metrics, 0, DAY, ways)]


def test_the_silence_alarm_is_the_one_that_tells_of_missing_data():
    told_of_silence = {name for name, alarm in ALARMS.items() if "InsufficientDataActions" in alarm}
    assert told_of_silence == {"NoSuccessAlarm"}
    silence = ALARMS["NoSuccessAlarm"]
    assert silence["Period"] * silence["EvaluationPeriods"] == 3 * 3600
    assert re.search(r"for three hours\b", silence["AlarmDescription"])
