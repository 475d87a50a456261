"""The function and what it is given: variables, parameters, schedule, failure paths."""

import json
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

from lib import settings
from lib.errors import LOOKS_LIKE_KEY, ConfigurationError
from lib.queue_list import load_asked
from tests.template.cloudformation import GIVEN, ROOT, Stack, source

OURS = {"POWERTOOLS_SERVICE_NAME", "POWERTOOLS_LOG_LEVEL", "AWS_ENDPOINT_URL"}
IN_CODE = {
    "PROJECT_ID",
    "TAG",
    "AUDIT_BUCKET",
    "BRAINTRUST_API_KEY_SECRET_ID",
    "REVIEWERS_PARAMETER",
}
"""No default in the code, or another one than in the template."""


def variables(stack):
    ((_, properties),) = stack.of_type("AWS::Lambda::Function").items()
    return properties["Environment"]["Variables"]


def test_declares_every_variable_that_the_settings_read_and_no_other(stack):
    assert set(variables(stack)) == {*settings.VARIABLES} | OURS


def test_declares_every_variable_that_the_code_reads_itself():
    """`sam local --env-vars` drops what is not declared, without a word."""
    code = "".join(
        path.read_text("utf-8") for path in [ROOT / "handler.py", *(ROOT / "lib").glob("[!.]*.py")]
    )
    names = set(re.findall(r"[\"']((?:AWS|POWERTOOLS)_[A-Z_]+)[\"']", code))
    assert names <= variables(Stack()).keys()


def test_the_defaults_are_those_of_the_code(stack):
    said = {bool: lambda truth: str(truth).lower(), float: "{:g}".format}
    as_text = {
        name: said.get(rule.kind, str)(rule.default)
        for name, rule in settings.RULES.items()
        if name not in IN_CODE
    }
    assert {name: variables(stack)[name] for name in as_text} == as_text


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"BraintrustApiKeySecretId": "", "BraintrustApiKeyParameter": "/braintrust/key"},
        {
            "Tag": 'it\'s "quoted" | and \\ more',
            "Filter": "scores.Factuality < 0.5",
            "DryRun": "true",
            "AuditPrefix": "",
        },
        {
            "Days": 30,
            "Limit": 1,
            "BatchSize": 1,
            "MaxPages": 1,
            "RequestTimeout": 1,
            "InsertConcurrency": 16,
        },
        {
            "BraintrustApiUrl": "https://api-eu.braintrust.dev",
            "ImpersonateUser": "lead@example.com",
        },
        {"ExistingAuditBucket": "another-stack-auditbucket"},
        {"WebhookParameter": "/braintrust-review-assigner/webhook"},
    ],
)
def test_the_code_accepts_what_the_parameters_give(parameters):
    stack = Stack(parameters)
    settings.load_settings(variables(stack))
    assert stack.refused == []


@pytest.mark.parametrize(
    "parameters",
    [{"BraintrustApiKeySecretId": ""}, {"BraintrustApiKeyParameter": "/braintrust/key"}],
)
def test_exactly_one_source_of_the_key(parameters):
    stack = Stack(parameters)
    assert stack.refused == [
        "Give exactly one of BraintrustApiKeySecretId and BraintrustApiKeyParameter."
    ]
    with pytest.raises(ConfigurationError, match="set exactly one of them"):
        settings.load_settings(variables(stack))


ANA = "aaaaaaaa-0000-4000-8000-000000000000"
ALONE = {
    "ProjectId": "Give ProjectId, or QueuesParameter with a project_id in each queue.",
    "Tag": "Give Tag, or QueuesParameter with a tag in each queue.",
    "ReviewersParameter": "Give ReviewersParameter, or QueuesParameter with reviewers or a reviewers_parameter "
    "in each queue.",
}


@pytest.mark.parametrize("parameter", ALONE)
def test_what_queues_may_say_themselves_a_stack_without_them_has_to(parameter):
    stack = Stack({parameter: ""})
    assert stack.refused == [ALONE[parameter]]
    with pytest.raises(ConfigurationError, match="is not set"):
        settings.load_settings(variables(stack))


def test_with_queues_the_code_needs_no_more_than_the_template_asks_for():
    stack = Stack(dict.fromkeys(ALONE, "") | {"QueuesParameter": "/queues"})
    assert stack.refused == []
    queue = {"name": "de", "project_id": GIVEN["ProjectId"], "tag": "de", "reviewers": [ANA]}
    asked = load_asked(variables(stack), {}, {"/queues": json.dumps([queue])}.__getitem__)
    assert [run.queue for run in asked.runs] == ["de"]
    assert "StoreReviewersCommand" not in stack.outputs
    assert stack.outputs["StoreQueuesCommand"].endswith(
        " --name /queues --type String --tier Intelligent-Tiering --overwrite --value file://queues.json"
    )


@pytest.mark.parametrize(
    ("parameter", "accepted", "refused"),
    [
        ("ProjectId", ["", "5C2f1f0e-6f0a-4d27-9f3c-3a1f7c2b8d90"], ["5c2f1f0e", "my project"]),
        ("BraintrustApiKeySecretId", ["", "braintrust/key", "arn:aws:secretsmanager:eu-central-1:123456789012:secret:a/b-AbCdEf"], ["a b", "arn:aws:s3:::x"]),
        ("BraintrustApiKeyParameter", ["", "/braintrust/key"], ["braintrust/key", "/a b"]),
        ("ReviewersParameter", ["", "/reviewers"], ["reviewers", "/a*"]),
        ("QueuesParameter", ["", "/queues", "/a/b.c"], ["queues", "/a*", "/queues/", "/"]),
        ("BraintrustApiUrl", ["https://api.braintrust.dev", "https://bt.example.com:8443/api/"], ["http://api.braintrust.dev", "https://user@host"]),
        ("ExistingAuditBucket", ["", "the-stack-auditbucket-1a2b3c"], ["arn:aws:s3:::b", "s3://b", "b/audit", "B_1"]),
        ("AuditPrefix", ["", "audit/", "a/b/"], ["audit", "/audit/", "a*/"]),
        ("AlarmTopicArn", ["", "arn:aws:sns:eu-central-1:123456789012:oncall"], ["oncall"]),
        ("AlarmEmail", ["", "oncall@example.com"], ["oncall", "a b@example.com"]),
        ("ApiKeyKmsKeyArn", ["", "arn:aws:kms:eu-central-1:123456789012:key/0f1e2d3c"], ["alias/mine", "*"]),
        ("AuditKmsKeyArn", ["", "arn:aws:kms:eu-central-1:123456789012:key/0f1e2d3c"], ["alias/mine", "*"]),
        ("PermissionsBoundary", ["", "arn:aws:iam::123456789012:policy/team/boundary", "arn:aws-cn:iam::aws:policy/ReadOnlyAccess"], ["boundary", "arn:aws:iam::123456789012:role/admin"]),
        ("ImpersonateUser", ["", "lead@example.com"], ["a b"]),
        ("MemorySize", ["256", "260", "999", "1000", "9999", "10000", "10199", "10239", "10240"], ["", "128", "255", "10241", "10300", "11000", "99999", "512.5"]),
        ("ReservedConcurrency", ["0", "1", "10"], ["", "-1", "11", "0.5"]),
        ("FullReadHours", ["0", "9", "24", "99", "100", "159", "168"], ["", "-1", "169", "170", "200", "1000", "024", "1.5"]),
        ("WebhookParameter", ["", "/braintrust-review-assigner/webhook"], ["webhook", "https://hooks.example.com/T0/B0/secret", "/a b"]),
        ("DigestSchedule", ["cron(20 9 ? * MON-FRI *)", "cron(0/30 8,17 L-2 1-12 ? 2026)", "cron(0 9 ? * 6#3 *)"], ["", "0 9 * * *", "cron(0 9 * * *)", "rate(1 day)"]),
        ("TakeBackDays", ["0", "5", "14", "365"], ["", "-1", "05", "1.5", "5 days"]),
        ("DigestTimezone", ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+3"], ["", "Europe/", "mitten in Europa"]),
        ("OpenStatuses", ["", "PENDING", "TODO, In Review,COMPLETE_LATER"], ["APPROVED", "PENDING, COMPLETED ,x"]),
    ],
)  # fmt: skip
def test_patterns(parameter, accepted, refused):
    pattern = re.compile(source()["Parameters"][parameter]["AllowedPattern"])
    assert [value for value in accepted if not pattern.fullmatch(value)] == []
    assert [value for value in refused if pattern.fullmatch(value)] == []


def test_every_parameter_is_described_bounded_used_and_in_a_group():
    template = source()
    parameters = template["Parameters"]
    unbounded = {"Filter", "Tag"}  # any text, or none
    for name, parameter in parameters.items():
        assert parameter["Description"], name
        assert name in unbounded or parameter.keys() & {
            "AllowedPattern",
            "AllowedValues",
            "MinValue",
            "MinLength",
        }, name
        bounded = parameter.keys() & {"AllowedPattern", "MinValue", "MinLength"}
        assert not bounded or "ConstraintDescription" in parameter, name
    groups = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    assert sorted(name for group in groups for name in group["Parameters"]) == sorted(parameters)
    rest = json.dumps(
        {name: part for name, part in template.items() if name not in {"Parameters", "Metadata"}}
    )
    assert [
        name for name in parameters if f'"Ref": "{name}"' not in rest and f"${{{name}}}" not in rest
    ] == []
    assert {name for name, parameter in parameters.items() if "Default" not in parameter} == set()


def parameter_of(variable):
    """The parameter that a variable takes its value from, or may take it from."""
    value = source()["Resources"]["ReviewAssignerFunction"]["Properties"]["Environment"][
        "Variables"
    ][variable]
    ((name, argument),) = value.items()
    return argument if name == "Ref" else argument[-1]["Ref"]


@cache
def parameters():
    return source()["Parameters"]


def cloudformation_takes(name, value):
    """Whether a parameter may have this value."""
    parameter = parameters()[name]
    if parameter["Type"] == "Number":
        try:
            number = float(value)
        except ValueError:
            return False
        return parameter["MinValue"] <= number <= parameter.get("MaxValue", float("inf"))
    if "AllowedValues" in parameter:
        return value in parameter["AllowedValues"]
    pattern = parameter.get("AllowedPattern", ".*")
    return len(value) >= parameter.get("MinLength", 0) and bool(re.fullmatch(pattern, value))


@cache
def usual_variables():
    return variables(Stack())


def the_code_takes(variable, value):
    try:
        settings.load_settings(usual_variables() | {variable: value})
    except ConfigurationError:
        return False
    return True


NUMBERS = [variable for variable, rule in settings.RULES.items() if rule.kind in {int, float}]


@pytest.mark.parametrize("variable", NUMBERS)
def test_no_number_passes_cloudformation_and_fails_every_run(variable):
    """1.5 rows are what the type Number lets through; whoever deploys is to be told, not whoever reads the log."""
    name = parameter_of(variable)
    whole = [*range(-1, 3), *range(15, 18), *range(899, 902), *range(999, 1002), 10_000, 10**8]
    texts = [*map(str, whole), "1.5", "1.0", "899.5", "900.5", "7.", "1e3", "1E1", "+7", " 7", "7 "]
    texts += ["", "NaN", "inf", "9" * 310, "1_000", "0x10", "one", "\N{ARABIC-INDIC DIGIT SEVEN}"]
    taken = {text for text in texts if text and cloudformation_takes(name, text)}
    assert [text for text in taken if not the_code_takes(variable, text)] == []
    # And nothing that makes sense is refused: what the code's own rule takes among the whole numbers.
    rule = settings.RULES[variable]
    assert {*map(str, filter(rule.check, whole))} <= taken


def test_every_variable_is_a_parameters_or_a_resources():
    stack = Stack()
    for variable in settings.RULES:
        assert parameter_of(variable) in stack.parameters, variable


@pytest.mark.parametrize(
    ("value", "is_a_key"),
    [
        ("sk-abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJ", True),
        ("bt-st-AbCdEf0123456789", True),
        ("braintrust/key", False),
        ("team/sk-braintrust", False),
        ("task-key", False),
        ("BRAINTRUST_API_KEY=sk-abc", True),
        ("team/sk-" + "abcDEF0123" * 4, True),
        ("arn:aws:secretsmanager:eu-central-1:123456789012:secret:sk-braintrust", False),
        ("arn:aws:secretsmanager:eu-central-1:123456789012:secret:sk-" + "abcDEF0123" * 4, True),
        ("arn:aws:secretsmanager:eu-central-1:123456789012:secret:braintrust/key-AbCdEf", False),
    ],
)
def test_the_key_itself_is_let_through_nowhere(value, is_a_key):
    """Neither by the template, where it would stand in a file, in CloudFormation and in the environment, nor by the code."""
    variable = "BRAINTRUST_API_KEY_SECRET_ID"
    assert cloudformation_takes(parameter_of(variable), value) is not is_a_key
    assert the_code_takes(variable, value) is not is_a_key
    for other in ("BRAINTRUST_API_KEY_PARAMETER", "REVIEWERS_PARAMETER", "IMPERSONATE_USER"):
        for written in (value, f"/{value}"):
            taken = cloudformation_takes(parameter_of(other), written)
            assert not taken or not LOOKS_LIKE_KEY.search(written), (other, written)


def test_a_late_retry_never_meets_the_next_hour(stack, function):
    (schedule,) = stack.of_type("AWS::Scheduler::Schedule").values()
    (asynchronous,) = stack.of_type("AWS::Lambda::EventInvokeConfig").values()
    assert schedule["ScheduleExpression"] == "cron(0 * * * ? *)"
    assert schedule["FlexibleTimeWindow"] == {"Mode": "OFF"}
    delivery = schedule["Target"]["RetryPolicy"]["MaximumEventAgeInSeconds"]
    waiting = asynchronous["MaximumEventAgeInSeconds"]
    assert delivery + waiting + function["Timeout"] <= 3600
    # A first attempt that takes all its time still leaves room for the second within the event's age.
    assert function["Timeout"] + 60 < waiting
    assert asynchronous["MaximumRetryAttempts"] == 1


def test_nothing_that_failed_is_dropped(stack):
    (schedule,) = stack.of_type("AWS::Scheduler::Schedule").values()
    (asynchronous,) = stack.of_type("AWS::Lambda::EventInvokeConfig").values()
    assert schedule["Target"]["DeadLetterConfig"]["Arn"].endswith(":the-stack-undeliveredqueue")
    assert asynchronous["DestinationConfig"]["OnFailure"]["Destination"].endswith(
        ":the-stack-failedrunsqueue"
    )
    for queue in stack.of_type("AWS::SQS::Queue").values():
        assert queue == {"MessageRetentionPeriod": 1209600, "SqsManagedSseEnabled": True}


def test_two_stacks_in_one_account_share_no_name():
    stack = Stack({"WebhookParameter": "/webhook"})
    assert [
        each for each in stack.of_type("AWS::Scheduler::Schedule").values() if "Name" in each
    ] == []
    named = re.findall(r'"(?:\w+Name|Name)": "([^"]+)"', json.dumps(stack.resources))
    ours = [name for name in named if not name.startswith(("the-stack", "/aws/lambda/the-stack"))]
    assert {*ours} <= {
        *(
            "run",
            "invoke",
            "ReviewAssignerFunctionHourlyLambdaPolicy",
            "ReviewAssignerFunctionHourlySQSPolicy",
        ),  # inline policies
        *("service", "FunctionName", "QueueName"),  # names of dimensions
        *(name for name in ours if name in _metrics(stack)),
    }


def _metrics(stack):
    return set(re.findall(r'"MetricName": "([^"]+)"', json.dumps(stack.resources)))


def test_switches(stack, function):
    assert function["Architectures"] == ["arm64"]
    assert "ReservedConcurrentExecutions" not in function
    changed = Stack(
        {
            "Architecture": "x86_64",
            "ReservedConcurrency": 1,
            "ScheduleState": "DISABLED",
            "MemorySize": 1024,
        }
    )
    ((_, other),) = changed.of_type("AWS::Lambda::Function").items()
    assert other["Architectures"] == ["x86_64"]
    assert other["ReservedConcurrentExecutions"] == "1"
    assert other["MemorySize"] == "1024"
    (schedule,) = changed.of_type("AWS::Scheduler::Schedule").values()
    assert schedule["State"] == "DISABLED"
    assert (
        stack.of_type("AWS::Scheduler::Schedule")["ReviewAssignerFunctionHourly"]["State"]
        == "ENABLED"
    )


def test_the_digest_is_posted_by_a_schedule_with_a_time_zone_where_there_is_a_webhook(stack):
    assert [*stack.of_type("AWS::Scheduler::Schedule")] == ["ReviewAssignerFunctionHourly"]
    digest = Stack(
        {
            "WebhookParameter": "/webhook",
            "DigestTimezone": "Europe/Berlin",
            "ScheduleState": "DISABLED",
        }
    ).of_type("AWS::Scheduler::Schedule")["DailyDigest"]
    assert digest == {
        "Description": "Tell the team who has how many open rows",
        "ScheduleExpression": "cron(20 9 ? * MON-FRI *)",
        "ScheduleExpressionTimezone": "Europe/Berlin",
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "State": "DISABLED",
        "Target": {
            "Arn": "arn:aws:lambda:eu-central-1:123456789012:function:the-stack",
            "RoleArn": "arn:aws:iam::123456789012:role/the-stack-dailyrole",
            "Input": '{"digest": true}',
            "RetryPolicy": {"MaximumEventAgeInSeconds": 600, "MaximumRetryAttempts": 1},
            "DeadLetterConfig": {
                "Arn": "arn:aws:sqs:eu-central-1:123456789012:the-stack-undeliveredqueue"
            },
        },
    }
    settings.load_settings(
        variables(Stack({"WebhookParameter": "/webhook"})), json.loads(digest["Target"]["Input"])
    )


def test_what_lies_is_taken_back_before_the_working_day_where_days_are_given(stack):
    assert "DailyTakeBack" not in stack.of_type("AWS::Scheduler::Schedule")
    daily = Stack({"TakeBackDays": "5", "DigestTimezone": "Europe/Berlin"})
    schedules = daily.of_type("AWS::Scheduler::Schedule")
    assert {*schedules} == {"ReviewAssignerFunctionHourly", "DailyTakeBack"}
    assert schedules["DailyTakeBack"] == {
        "Description": "Take back what has lain too long",
        "ScheduleExpression": "cron(40 5 * * ? *)",
        "ScheduleExpressionTimezone": "Europe/Berlin",
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "State": "ENABLED",
        "Target": {
            "Arn": "arn:aws:lambda:eu-central-1:123456789012:function:the-stack",
            "RoleArn": "arn:aws:iam::123456789012:role/the-stack-dailyrole",
            "Input": '{"take_back": {"days": 5}}',
            "RetryPolicy": {"MaximumEventAgeInSeconds": 600, "MaximumRetryAttempts": 5},
            "DeadLetterConfig": {
                "Arn": "arn:aws:sqs:eu-central-1:123456789012:the-stack-undeliveredqueue"
            },
        },
    }
    event = json.loads(schedules["DailyTakeBack"]["Target"]["Input"])
    assert settings.load_settings(variables(daily), event).take_back == (None, 5)


def test_the_role_of_daily_schedules_is_there_where_there_is_one():
    given = ({}, {"TakeBackDays": "5"}, {"WebhookParameter": "/webhook"})
    roles = [Stack(parameters).of_type("AWS::IAM::Role").keys() for parameters in given]
    assert ["DailyRole" in names for names in roles] == [False, True, True]


def test_the_handler_exists(function):
    module, name = function["Handler"].split(".")
    assert (ROOT / f"{module}.py").exists()
    assert callable(getattr(__import__(module), name))
    assert function["Runtime"] == "python3.13"
    assert function["Timeout"] == 900


def test_metric_lines_are_not_filtered_out():
    """They carry no level and count as INFO."""
    for level in source()["Parameters"]["LogLevel"]["AllowedValues"]:
        ((_, function),) = Stack({"LogLevel": level}).of_type("AWS::Lambda::Function").items()
        assert function["LoggingConfig"]["LogFormat"] == "JSON"
        assert function["LoggingConfig"]["ApplicationLogLevel"] == level
        assert function["Environment"]["Variables"]["POWERTOOLS_LOG_LEVEL"] == level
        assert level in {"DEBUG", "INFO"}


def test_every_function_built_by_make_has_its_target():
    for name, resource in source()["Resources"].items():
        if resource.get("Metadata", {}).get("BuildMethod") == "makefile":
            subprocess.run(
                ["make", "-n", f"build-{name}", "ARTIFACTS_DIR=x"],
                cwd=ROOT,
                check=True,
                capture_output=True,
            )


@pytest.mark.parametrize(
    "path", sorted((ROOT / "events").glob("[!.]*.json")), ids=lambda path: path.stem
)
def test_every_event_is_one_that_the_function_takes(path: Path, stack):
    chosen = settings.load_settings(variables(stack), json.loads(path.read_text("utf-8")))
    assert chosen.dry_run == (path.stem not in {"empty", "rule", "schedule"})
