"""What the function may do is what it does: its calls are listened to and tried against the role's statements."""

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase

import boto3
import pytest

import lib.aws
from tests.template.cloudformation import ROOT, Stack
from tests.world import BUCKET, QUEUES, REVIEWERS, SECRET, TAG, WEBHOOK

ACCOUNT = "eu-central-1:123456789012"
KEY_PARAMETER = "/review-assigner/key"
LAMBDAS_OWN = {"WriteLog", "HandOverFailedRuns"}
"""Statements that Lambda itself uses, as this role."""
WILDCARDS = {
    "WriteLog": "the streams of one log group",
    "WriteAndReadAudit": "the audit's objects",
    "ReadQueues": "the lists below the queues",
    "ReadApiKeySecret": "six random characters end a secret's ARN",
    "RefusePlainHttp": "a Deny",
}


def statements(stack):
    policies = stack.of_type("AWS::IAM::Role")["FunctionRole"]["Policies"]
    return [statement for policy in policies for statement in policy["PolicyDocument"]["Statement"]]


def as_list(value):
    return value if isinstance(value, list) else [value]


def grants(statement, action, resource):
    """What IAM makes of a statement: `*` is any text, `?` any character."""
    return (
        statement["Effect"] == "Allow"
        and any(fnmatchcase(action, each) for each in as_list(statement["Action"]))
        and any(
            fnmatchcase(resource, each.replace("[", "[[]"))
            for each in as_list(statement["Resource"])
        )
    )


def allowed(stack, action, resource):
    return any(grants(statement, action, resource) for statement in statements(stack))


def needs(operation, parameters):
    """The permissions that a call takes: (action, resource). KeyError for one that nobody has thought about."""
    key = f"arn:aws:s3:::{parameters.get('Bucket')}/{parameters.get('Key')}"
    bucket = f"arn:aws:s3:::{parameters.get('Bucket')}"
    return {
        # Reading what may not be there also takes the right to know that.
        "GetObject": [("s3:GetObject", key), ("s3:ListBucket", bucket)],
        "HeadObject": [("s3:GetObject", key), ("s3:ListBucket", bucket)],
        "PutObject": [("s3:PutObject", key)],
        "ListObjectsV2": [("s3:ListBucket", bucket)],
        "GetParameter": [
            ("ssm:GetParameter", f"arn:aws:ssm:{ACCOUNT}:parameter{parameters.get('Name')}")
        ],
        "GetSecretValue": [
            (
                "secretsmanager:GetSecretValue",
                f"arn:aws:secretsmanager:{ACCOUNT}:secret:{parameters.get('SecretId')}-x7Yz12",
            )
        ],
    }[operation]


@contextmanager
def listening():
    """The AWS calls that the product makes: (operation, parameters)."""
    calls = []

    def listen(params, model, **_):
        calls.append((model.name, params))

    lib.aws._client.cache_clear()  # noqa: SLF001 - clients hear only what was registered before they were made
    before, boto3.DEFAULT_SESSION = boto3.DEFAULT_SESSION, boto3.Session()
    boto3.DEFAULT_SESSION.events.register("provide-client-params", listen)
    try:
        yield calls
    finally:
        boto3.DEFAULT_SESSION = before
        lib.aws._client.cache_clear()  # noqa: SLF001


def everything(world):
    """Every kind of run: rows, no rows, dry, undone, a run id that is taken, a take-back that looks plans up, a digest."""
    world.set_parameter(f"{QUEUES}/fr", world.add_users(3))
    world.add_rows(7, tags=[TAG, "de"])
    with listening() as calls:
        first = world.run({}, request_id="same")
        first = first.get("queues", {"de": first})["de"]
        world.run({}, request_id="same")
        world.run({"dry_run": True})
        world.run({"undo": first["run_id"], "dry_run": True})
        world.run({"undo": first["run_id"]})
        for hours, event in ((1, {}), (2, {}), (48, {"take_back": {"days": 1}})):
            world.add_rows(1)
            moment = datetime.now(UTC) + timedelta(hours=hours)
            world.run(event, now=moment.replace)
        if world.settings.get("WEBHOOK_PARAMETER"):
            world.run({"digest": True})
    assert {name for name, _ in calls} >= {
        "GetObject",
        "PutObject",
        "GetParameter",
        "ListObjectsV2",
    }
    return calls


@pytest.fixture(params=["secret", "parameter", "another stack's bucket", "queues", "webhook"])
def deployed(request, world):
    """A stack that points to the world's bucket, parameter and key."""
    parameters = {
        "AuditPrefix": world.prefix,
        "ReviewersParameter": REVIEWERS,
        "BraintrustApiKeySecretId": SECRET,
    }
    if request.param == "queues":
        world.set_queues({"name": "de"}, {"name": "fr", "reviewers_parameter": f"{QUEUES}/fr"})
        parameters |= {"QueuesParameter": QUEUES}
    if request.param == "parameter":
        world.client("ssm").put_parameter(
            Name=KEY_PARAMETER, Value=world.braintrust.api_key, Type="SecureString", Overwrite=True
        )
        world.settings |= {
            "BRAINTRUST_API_KEY_SECRET_ID": "",
            "BRAINTRUST_API_KEY_PARAMETER": KEY_PARAMETER,
        }
        parameters |= {"BraintrustApiKeySecretId": "", "BraintrustApiKeyParameter": KEY_PARAMETER}
    if request.param == "webhook":
        request.getfixturevalue("chat")
        parameters["WebhookParameter"] = WEBHOOK
    if request.param == "another stack's bucket":
        return Stack(parameters | {"ExistingAuditBucket": BUCKET})
    return Stack(parameters, names={"AuditBucket": BUCKET})


def test_every_call_is_allowed_and_every_permission_is_used(world, deployed):
    needed = {need for name, parameters in everything(world) for need in needs(name, parameters)}
    assert [need for need in sorted(needed) if not allowed(deployed, *need)] == []
    unused = [
        (statement["Sid"], action)
        for statement in statements(deployed)
        if statement["Sid"] not in LAMBDAS_OWN
        for action in as_list(statement["Action"])
        if not any(grants(statement, *need) for need in needed if need[0] == action)
    ]
    assert unused == []


def test_what_lambda_does_as_the_role_is_allowed(stack):
    stream = f"arn:aws:logs:{ACCOUNT}:log-group:/aws/lambda/the-stack:log-stream:2026/11/23/[$LATEST]0123"
    assert allowed(stack, "logs:CreateLogStream", stream)
    assert allowed(stack, "logs:PutLogEvents", stream)
    assert allowed(stack, "sqs:SendMessage", f"arn:aws:sqs:{ACCOUNT}:the-stack-failedrunsqueue")


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("s3:DeleteObject", "arn:aws:s3:::the-stack-auditbucket/audit/ledger/x.json"),
        ("s3:DeleteObjectVersion", "arn:aws:s3:::the-stack-auditbucket/audit/ledger/x.json"),
        ("s3:GetObject", "arn:aws:s3:::the-stack-auditbucket/elsewhere/x.json"),
        ("s3:PutObject", "arn:aws:s3:::another-bucket/audit/x.json"),
        ("s3:ListBucket", "arn:aws:s3:::another-bucket"),
        ("s3:PutBucketPolicy", "arn:aws:s3:::the-stack-auditbucket"),
        ("s3:PutLifecycleConfiguration", "arn:aws:s3:::the-stack-auditbucket"),
        ("ssm:GetParameter", f"arn:aws:ssm:{ACCOUNT}:parameter/another"),
        (
            "ssm:PutParameter",
            f"arn:aws:ssm:{ACCOUNT}:parameter/braintrust-review-assigner/reviewers",
        ),
        (
            "secretsmanager:GetSecretValue",
            f"arn:aws:secretsmanager:{ACCOUNT}:secret:another-x7Yz12",
        ),
        (
            "secretsmanager:GetSecretValue",
            f"arn:aws:secretsmanager:{ACCOUNT}:secret:braintrust/key2-x7Yz12",
        ),
        (
            "secretsmanager:PutSecretValue",
            f"arn:aws:secretsmanager:{ACCOUNT}:secret:braintrust/key-x7Yz12",
        ),
        ("kms:Decrypt", f"arn:aws:kms:{ACCOUNT}:key/0f1e2d3c"),
        ("logs:CreateLogGroup", f"arn:aws:logs:{ACCOUNT}:log-group:/aws/lambda/the-stack:*"),
        ("lambda:InvokeFunction", f"arn:aws:lambda:{ACCOUNT}:function:the-stack"),
        ("sts:AssumeRole", "arn:aws:iam::123456789012:role/admin"),
    ],
)
def test_is_not_allowed(stack, action, resource):
    assert not allowed(stack, action, resource)


def test_a_secret_given_by_its_arn_may_be_read_whole_or_without_its_suffix():
    arn = "arn:aws:secretsmanager:eu-west-1:999999999999:secret:shared/key"
    for given in (arn, f"{arn}-x7Yz12"):
        stack = Stack({"BraintrustApiKeySecretId": given})
        assert allowed(stack, "secretsmanager:GetSecretValue", f"{arn}-x7Yz12")
        assert not allowed(stack, "secretsmanager:GetSecretValue", f"{arn}s-x7Yz12")


def test_a_key_of_your_own_may_decrypt():
    mine = f"arn:aws:kms:{ACCOUNT}:key/0f1e2d3c"
    stack = Stack({"ApiKeyKmsKeyArn": mine})
    assert allowed(stack, "kms:Decrypt", mine)
    assert not allowed(stack, "kms:Decrypt", f"arn:aws:kms:{ACCOUNT}:key/another")


def test_a_key_of_your_own_for_the_audit_may_be_asked_by_s3():
    """Of whoever writes an object under it (GenerateDataKey) and of whoever reads one (Decrypt)."""
    mine = f"arn:aws:kms:{ACCOUNT}:key/4d5e6f7a"
    for bucket in ({}, {"ExistingAuditBucket": "shared"}):
        stack = Stack(bucket | {"AuditKmsKeyArn": mine})
        for action in ("kms:GenerateDataKey", "kms:Decrypt"):
            assert allowed(stack, action, mine)
            assert not allowed(stack, action, f"arn:aws:kms:{ACCOUNT}:key/another")
            assert not allowed(Stack(bucket), action, mine)


def test_a_boundary_bounds_every_role(stack):
    bound = "arn:aws:iam::123456789012:policy/team/boundary"
    bounded = Stack({"PermissionsBoundary": bound, "WebhookParameter": WEBHOOK})
    roles = bounded.of_type("AWS::IAM::Role")
    assert {name: role["PermissionsBoundary"] for name, role in roles.items()} == {
        "FunctionRole": bound,
        "DailyRole": bound,
        "ReviewAssignerFunctionHourlyRole": bound,
    }
    assert not [
        name
        for name, role in stack.of_type("AWS::IAM::Role").items()
        if "PermissionsBoundary" in role
    ]


def test_a_stack_with_another_stacks_bucket_may_use_its_audit_and_nothing_else_of_it():
    stack = Stack({"ExistingAuditBucket": "shared", "AuditPrefix": "reviews/"})
    for action in ("s3:GetObject", "s3:PutObject"):
        assert allowed(stack, action, "arn:aws:s3:::shared/reviews/ledger/x.json")
        assert not allowed(stack, action, "arn:aws:s3:::shared/elsewhere/x.json")
        assert not allowed(
            stack, action, "arn:aws:s3:::the-stack-auditbucket/reviews/ledger/x.json"
        )
    assert allowed(stack, "s3:ListBucket", "arn:aws:s3:::shared")
    assert not allowed(stack, "s3:DeleteObject", "arn:aws:s3:::shared/reviews/ledger/x.json")


def test_the_webhooks_address_may_be_read_only_where_there_is_a_digest(stack):
    parameter = f"arn:aws:ssm:{ACCOUNT}:parameter{WEBHOOK}"
    with_digest = Stack({"WebhookParameter": WEBHOOK})
    assert allowed(with_digest, "ssm:GetParameter", parameter)
    assert not allowed(with_digest, "ssm:GetParameter", parameter + "s")
    assert not allowed(with_digest, "ssm:PutParameter", parameter)
    assert not allowed(stack, "ssm:GetParameter", parameter)


def test_no_wildcard_without_a_reason():
    stack = Stack({"WebhookParameter": WEBHOOK})
    policies = [
        policy["PolicyDocument"]
        for role in stack.of_type("AWS::IAM::Role").values()
        for policy in role["Policies"]
    ]
    policies += [
        properties["PolicyDocument"]
        for kind in ("S3::BucketPolicy", "SQS::QueuePolicy", "SNS::TopicPolicy")
        for properties in stack.of_type(f"AWS::{kind}").values()
    ]
    for statement in (statement for policy in policies for statement in policy["Statement"]):
        if statement["Effect"] == "Allow":
            assert not [action for action in as_list(statement["Action"]) if "*" in action]
            assert "*" not in as_list(statement["Resource"])
        wild = any(sign in resource for resource in as_list(statement["Resource"]) for sign in "*?")
        assert not wild or statement["Sid"] in WILDCARDS


def test_no_managed_policy_widens_the_roles():
    stack = Stack({"WebhookParameter": WEBHOOK})
    assert not [
        name
        for name, role in stack.of_type("AWS::IAM::Role").items()
        if "ManagedPolicyArns" in role
    ]


def test_each_permission_has_its_reason_beside_it():
    """A comment stands above every statement, or above the !If that it is an answer to."""
    lines = [line.strip() for line in (ROOT / "template.yaml").read_text("utf-8").splitlines()]
    for number, line in enumerate(lines):
        if line.startswith("- Sid: "):
            above = number - 1
            while lines[above].startswith(("- !If", "- KeyIs", "- KeyHas", "- AuditHas", "- Has")):
                above -= 1
            assert lines[above].startswith("#") or "!Ref AWS::NoValue" in lines[above], line


def test_the_role_is_lambdas_and_the_scheduler_may_do_two_things():
    roles = Stack({"WebhookParameter": WEBHOOK}).of_type("AWS::IAM::Role")
    trusted = {
        name: [
            statement["Principal"]["Service"]
            for statement in role["AssumeRolePolicyDocument"]["Statement"]
        ]
        for name, role in roles.items()
    }
    schedulers = ["ReviewAssignerFunctionHourlyRole", "DailyRole"]
    assert trusted == {
        "FunctionRole": ["lambda.amazonaws.com"],
        schedulers[0]: [["scheduler.amazonaws.com"]],
        schedulers[1]: ["scheduler.amazonaws.com"],
    }
    for name in schedulers:
        assert [
            (statement["Action"], statement["Resource"])
            for policy in roles[name]["Policies"]
            for statement in policy["PolicyDocument"]["Statement"]
        ] == [
            ("lambda:InvokeFunction", f"arn:aws:lambda:{ACCOUNT}:function:the-stack"),
            ("sqs:SendMessage", f"arn:aws:sqs:{ACCOUNT}:the-stack-undeliveredqueue"),
        ]
