"""Alarms, dashboard and saved queries: they look at what the code really says."""

import io
import json
import re
import subprocess
import sys
from contextlib import contextmanager

import pytest

from lib import telemetry
from lib.errors import ConfigurationError
from tests.template.cloudformation import ROOT, Stack, source

LAMBDAS = {"Errors", "Duration", "Throttles"}
TOPIC = "arn:aws:sns:eu-central-1:123456789012:oncall"


def alarms(stack):
    return stack.of_type("AWS::CloudWatch::Alarm")


def watched(alarm):
    """(namespace, metric, dimensions) of everything that an alarm looks at."""
    parts = [
        each["MetricStat"]["Metric"] for each in alarm.get("Metrics", []) if "MetricStat" in each
    ] or [alarm]
    return [
        (
            part["Namespace"],
            part["MetricName"],
            {each["Name"]: each["Value"] for each in part["Dimensions"]},
        )
        for part in parts
    ]


def exists(stack, namespace, metric, dimensions):
    """Whether anybody emits the metric with these very dimensions."""
    ((_, function),) = stack.of_type("AWS::Lambda::Function").items()
    service = function["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"]
    queues = ["the-stack-undeliveredqueue", "the-stack-failedrunsqueue"]
    return {
        telemetry.NAMESPACE: metric in telemetry.METRICS and dimensions == {"service": service},
        "AWS/Lambda": metric in LAMBDAS
        and dimensions == {"FunctionName": function["FunctionName"]},
        "AWS/SQS": metric == "ApproximateNumberOfMessagesVisible"
        and dimensions.keys() == {"QueueName"}
        and dimensions["QueueName"] in queues,
    }[namespace]


def test_every_alarm_watches_a_metric_that_somebody_emits(stack):
    for name, alarm in alarms(stack).items():
        for each in watched(alarm):
            assert exists(stack, *each), (name, each)


def test_what_is_watched(stack):
    assert {name: [(metric, *dimensions.values()) for _, metric, dimensions in watched(alarm)] for name, alarm in alarms(stack).items()} == {
        "FunctionErrorsAlarm": [("Errors", "the-stack")],
        "NoSuccessAlarm": [("RunDuration", "the-stack")],
        "RowsFailedAlarm": [("RowsFailed", "the-stack")],
        "RowsWaitingAlarm": [("OldestWaitingAge", "the-stack")],
        "UnknownReviewersAlarm": [("UnknownReviewers", "the-stack")],
        "SlowRunAlarm": [("Duration", "the-stack")],
        "UndeliveredAlarm": [("ApproximateNumberOfMessagesVisible", "the-stack-undeliveredqueue")],
        "FailedRunsAlarm": [("ApproximateNumberOfMessagesVisible", "the-stack-failedrunsqueue")],
    }  # fmt: skip


@pytest.mark.parametrize("parameters", [{"DryRun": "true"}, {"ScheduleState": "DISABLED"}])
def test_no_heartbeat_is_expected_of_dry_or_unscheduled_runs(parameters):
    stack = Stack(parameters)
    assert "NoSuccessAlarm" not in alarms(stack)
    assert (
        "NoSuccess" not in stack.of_type("AWS::CloudWatch::Dashboard")["Dashboard"]["DashboardBody"]
    )


def test_thresholds_follow_what_they_watch(function):
    stack = Stack({"MaxWaitingHours": 48})
    assert alarms(stack)["RowsWaitingAlarm"]["Threshold"] == "48"
    assert "more than 48 hours" in alarms(stack)["RowsWaitingAlarm"]["AlarmDescription"]
    slow = alarms(stack)["SlowRunAlarm"]["Threshold"] / 1000
    assert 0.8 * function["Timeout"] < slow < function["Timeout"]
    assert f"over {slow / 60:.0f} of its {function['Timeout'] / 60:.0f} minutes" in alarms(stack)["SlowRunAlarm"]["AlarmDescription"]  # fmt: skip


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({}, []),
        (
            {"AlarmEmail": "oncall@example.com"},
            ["arn:aws:sns:eu-central-1:123456789012:AlarmTopic"],
        ),
        ({"AlarmTopicArn": TOPIC}, [TOPIC]),
        (
            {"AlarmEmail": "oncall@example.com", "AlarmTopicArn": TOPIC},
            ["arn:aws:sns:eu-central-1:123456789012:AlarmTopic", TOPIC],
        ),
    ],
)
def test_every_alarm_tells_whom_it_should(parameters, told):
    stack = Stack(parameters)
    for alarm in alarms(stack).values():
        assert alarm["AlarmActions"] == alarm["OKActions"] == told
        assert alarm.get("InsufficientDataActions", told) == told
    subscribed = [topic["Subscription"] for topic in stack.of_type("AWS::SNS::Topic").values()]
    expected = (
        [[{"Protocol": "email", "Endpoint": "oncall@example.com"}]]
        if "AlarmEmail" in parameters
        else []
    )
    assert subscribed == expected


def test_every_alarm_says_what_it_means_and_what_to_do_first(stack):
    for name, alarm in alarms(stack).items():
        assert re.fullmatch(r"Meaning: .+\. First action: .+\.", alarm["AlarmDescription"]), name
        assert len(alarm["AlarmDescription"]) <= 1024


def dashboard(stack):
    return json.loads(stack.of_type("AWS::CloudWatch::Dashboard")["Dashboard"]["DashboardBody"])[
        "widgets"
    ]


def plotted(widget):
    """The metrics of a widget, with CloudWatch's dots for `as above` filled in."""
    above = []
    for line in widget["properties"]["metrics"]:
        names = [part for part in line if isinstance(part, str)]
        if names:
            above = [above[place] if name == "." else name for place, name in enumerate(names)]
            yield above[0], above[1], dict(zip(above[2::2], above[3::2], strict=True))


def test_the_dashboard_shows_every_metric_and_none_that_nobody_emits(stack):
    shown = [
        each
        for widget in dashboard(stack)
        if widget["type"] == "metric"
        for each in plotted(widget)
    ]
    for each in shown:
        assert exists(stack, *each), each
    assert {metric for namespace, metric, _ in shown if namespace == telemetry.NAMESPACE} == {
        *telemetry.METRICS
    }


def test_two_regions_of_an_account_have_a_dashboard_each():
    """Dashboards belong to an account, not to a region."""
    names = [
        Stack(pseudo={"AWS::Region": region}).of_type("AWS::CloudWatch::Dashboard")["Dashboard"][
            "DashboardName"
        ]
        for region in ("eu-central-1", "us-east-1")
    ]
    assert names == ["the-stack-eu-central-1", "the-stack-us-east-1"]


def test_the_dashboards_widgets_keep_their_periods(stack):
    """By itself, a dashboard of a week shows quarters of hours as sums of an hour, and the other way round."""
    body = json.loads(stack.of_type("AWS::CloudWatch::Dashboard")["Dashboard"]["DashboardBody"])
    assert (body["start"], body["periodOverride"]) == ("-P7D", "inherit")


def test_the_dashboard_shows_every_alarm(stack):
    (widget,) = [widget for widget in dashboard(stack) if widget["type"] == "alarm"]
    shown = {arn.rsplit("-", 1)[1] for arn in widget["properties"]["alarms"]}
    assert shown == {name.lower() for name in alarms(stack)}


def test_no_widget_covers_another(stack):
    taken = set()
    for widget in dashboard(stack):
        cells = {
            (x, y)
            for x in range(widget["x"], widget["x"] + widget["width"])
            for y in range(widget["y"], widget["y"] + widget["height"])
        }
        assert not cells & taken, widget
        assert max(x for x, _ in cells) < 24
        taken |= cells


def queries(stack):
    widgets = [
        widget["properties"]["query"] for widget in dashboard(stack) if widget["type"] == "log"
    ]
    return widgets + [
        each["QueryString"] for each in stack.of_type("AWS::Logs::QueryDefinition").values()
    ]


@contextmanager
def overheard():
    """The log, as it is written."""
    handler, said = telemetry.logger.registered_handler, io.StringIO()
    before = handler.setStream(said)
    yield said
    handler.setStream(before)


@pytest.fixture
def last_line(world):
    """The text of a run's last log line."""
    world.add_users(2)
    world.add_rows(3)
    with overheard() as said:
        world.run()
    return said.getvalue().splitlines()[-1]


def test_every_query_looks_for_messages_and_fields_that_the_code_logs(stack, last_line):
    line = json.loads(last_line)
    assert queries(stack)
    for query in queries(stack):
        assert {*re.findall(r"message = [\"']([^\"']+)[\"']", query)} <= {line["message"]}
        for field in re.findall(r"\bresult\.(\w+)", query):
            assert field in line["result"], query


THE_RUNTIMES_LINE = """
from awslambdaric.bootstrap import log_error, make_error
class Sink:
    def log_error(self, lines): print(*lines)
log_error(make_error("set TAG", "ConfigurationError", [], "r1"), Sink())
"""


def platform(kind, status, **more):
    return {"type": f"platform.{kind}", "record": {"requestId": "r1", "status": status} | more}


def shown(query, lines):
    """What a query's filter and fields make of log lines: (what, words) of each line that is let through."""
    condition = re.search(r"filter (.+?)\s*\| fields", query, re.DOTALL)[1]
    for pattern, expression in (
        (r"ispresent\((\w+)\)", r"(field('\1') is not None)"),
        (r"\b([a-z][\w.]*) = ", r"field('\1') == "),
        (r"\b([a-z][\w.]*) in \[", r"field('\1') in ["),
    ):
        condition = re.sub(pattern, expression, condition)

    def reader(line):
        def field(name):
            value = line
            for part in name.split("."):
                value = value.get(part) if isinstance(value, dict) else None
            return value

        return field

    found = []
    for field in map(reader, lines):
        if eval(condition, {"field": field}):  # noqa: S307 - our own template's text
            what = [field(name) for name in ("errorType", "record.errorType", "record.status")]
            found.append((next(filter(None, what)), field("errorMessage")))
    return found


def test_last_errors_show_each_failure_once(stack, world):
    """The function, Lambda's runtime and the platform, twice, speak of one run that raised."""
    world.set_reviewers(",")
    with overheard() as said, pytest.raises(ConfigurationError):
        world.run()
    ours = [json.loads(line) for line in said.getvalue().splitlines()]
    ran = subprocess.run(
        [sys.executable, "-c", THE_RUNTIMES_LINE],
        env={"AWS_LAMBDA_LOG_FORMAT": "JSON"},
        capture_output=True,
        text=True,
        check=True,
    )
    raised = [
        *ours,
        json.loads(ran.stdout),
        platform("runtimeDone", "error", errorType="ConfigurationError"),
        platform("report", "error", errorType="ConfigurationError"),
    ]
    timed_out = [platform("runtimeDone", "timeout"), platform("report", "timeout")]
    killed = [
        platform("runtimeDone", "failure", errorType="Runtime.OutOfMemory"),
        platform("report", "failure", errorType="Runtime.OutOfMemory"),
    ]
    succeeded = [platform("runtimeDone", "success"), platform("report", "success")]
    both = [query for query in queries(stack) if "errorType" in query]
    assert len(both) == 2
    for query in both:
        assert "coalesce(errorType, record.errorType, record.status) as what" in query
        assert "errorMessage as words" in query
        assert shown(query, raised) == [("ConfigurationError", "set TAG")]
        assert shown(query, timed_out) == [("timeout", None)]
        assert shown(query, killed) == [("Runtime.OutOfMemory", None)]
        assert shown(query, succeeded) == []


def test_rows_per_reviewer_are_found_in_the_log_line(stack, last_line):
    patterns = {
        match
        for query in queries(stack)
        for match in re.findall(r"parse @message /(.+?)/(?=\s)", query)
    }
    assert len(patterns) == 1
    found = re.search(patterns.pop().replace("(?<", "(?P<"), last_line)
    assert (
        json.loads("{" + found["per_reviewer"] + "}")
        == json.loads(last_line)["result"]["per_reviewer"]
    )


def test_every_query_reads_the_functions_own_log(stack, function):
    log = function["LoggingConfig"]["LogGroup"]
    for widget in dashboard(stack):
        if widget["type"] == "log":
            assert widget["properties"]["query"].startswith(f"SOURCE '{log}' |")
    for query in stack.of_type("AWS::Logs::QueryDefinition").values():
        assert query["LogGroupNames"] == [log]


def test_the_documents_explain_every_parameter_and_every_alarm(stack):
    settings, runbook = (
        " ".join((ROOT / name).read_text("utf-8").replace("`", "").split())
        for name in ("docs/settings.md", "docs/operations.md")
    )
    assert [
        name for name in source()["Parameters"] if not re.search(rf"\b{name}\b", settings)
    ] == []
    for name, alarm in alarms(stack).items():
        meaning, action = re.fullmatch(
            r"Meaning: (.+) First action: (.+)", alarm["AlarmDescription"]
        ).groups()
        meaning = meaning.replace("24 hours", "MaxWaitingHours hours")
        for sentence in (name, meaning, action):
            assert sentence.rstrip(".").lower() in runbook.lower(), sentence
