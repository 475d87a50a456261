"""What is kept, for how long, and who can read it; and that the template can be trusted to be whole."""

import json
import re

import pytest

from tests.template.cloudformation import Stack, source


def test_the_audit_bucket_is_private_encrypted_versioned_and_outlives_the_stack(stack):
    (bucket,) = [each for each in stack.resources.values() if each["Type"] == "AWS::S3::Bucket"]
    assert bucket["DeletionPolicy"] == bucket["UpdateReplacePolicy"] == "Retain"
    properties = bucket["Properties"]
    assert {*properties["PublicAccessBlockConfiguration"].values()} == {True}
    assert len(properties["PublicAccessBlockConfiguration"]) == 4
    (encryption,) = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert encryption == {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    assert properties["OwnershipControls"] == {
        "Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]
    }
    assert properties["VersioningConfiguration"] == {"Status": "Enabled"}


def test_a_stack_with_another_stacks_bucket_makes_none_and_leaves_that_ones_policy_alone():
    first = Stack()
    second = Stack({"ExistingAuditBucket": first.outputs["AuditBucketName"]})
    assert [
        each for each in second.resources.values() if each["Type"].startswith("AWS::S3::")
    ] == []
    shared = {name: first.outputs[name] for name in ("AuditBucketName", "AuditPrefix")}
    assert {name: second.outputs[name] for name in shared} == shared
    for stack in (first, second):
        (function,) = stack.of_type("AWS::Lambda::Function").values()
        variables = function["Environment"]["Variables"]
        assert [variables["AUDIT_BUCKET"], variables["AUDIT_PREFIX"]] == [*shared.values()]


def test_only_old_versions_of_the_audit_are_ever_forgotten(stack):
    (bucket,) = stack.of_type("AWS::S3::Bucket").values()
    rules = bucket["LifecycleConfiguration"]["Rules"]
    assert {key for rule in rules for key in rule} == {
        *("Id", "Status"),
        *("NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload"),
    }


def test_the_bucket_refuses_plain_http_from_everybody(stack):
    (resource,) = [
        each for each in stack.resources.values() if each["Type"] == "AWS::S3::BucketPolicy"
    ]
    assert resource["DeletionPolicy"] == resource["UpdateReplacePolicy"] == "Retain"
    policy = resource["Properties"]
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert statement == {
        "Sid": "RefusePlainHttp",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": ["arn:aws:s3:::the-stack-auditbucket", "arn:aws:s3:::the-stack-auditbucket/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def test_the_queues_and_the_topic_refuse_plain_http_too():
    stack = Stack({"AlarmEmail": "oncall@example.com"})
    arn = "arn:aws:{}:eu-central-1:123456789012:{}".format
    refused = {
        name: [
            (statement["Action"], statement["Resource"])
            for statement in properties["PolicyDocument"]["Statement"]
            if (statement["Sid"], statement["Effect"], statement["Principal"])
            == ("RefusePlainHttp", "Deny", "*")
            and statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        ]
        for kind in ("SQS::QueuePolicy", "SNS::TopicPolicy")
        for name, properties in stack.of_type(f"AWS::{kind}").items()
    }
    assert refused == {
        "UndeliveredQueuePolicy": [("sqs:*", arn("sqs", "the-stack-undeliveredqueue"))],
        "FailedRunsQueuePolicy": [("sqs:*", arn("sqs", "the-stack-failedrunsqueue"))],
        "AlarmTopicPolicy": [("sns:Publish", arn("sns", "AlarmTopic"))],
    }


def test_the_accounts_alarms_may_tell_the_stacks_own_topic():
    """With a policy of its own, a topic takes nothing from CloudWatch unless the policy says so."""
    (policy,) = (
        Stack({"AlarmEmail": "oncall@example.com"}).of_type("AWS::SNS::TopicPolicy").values()
    )
    (statement,) = [
        each for each in policy["PolicyDocument"]["Statement"] if each["Effect"] == "Allow"
    ]
    assert statement == {
        "Sid": "LetAlarmsTell",
        "Effect": "Allow",
        "Principal": {"Service": "cloudwatch.amazonaws.com"},
        "Action": "sns:Publish",
        "Resource": "arn:aws:sns:eu-central-1:123456789012:AlarmTopic",
        "Condition": {"StringEquals": {"aws:SourceAccount": "123456789012"}},
    }


def test_the_bucket_is_encrypted_with_a_key_of_your_own_where_one_is_given():
    mine = "arn:aws:kms:eu-central-1:123456789012:key/4d5e6f7a"
    (bucket,) = Stack({"AuditKmsKeyArn": mine}).of_type("AWS::S3::Bucket").values()
    assert bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"] == [
        {
            "ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": mine},
            "BucketKeyEnabled": True,
        }
    ]


def test_the_log_is_kept_as_long_as_asked(function):
    stack = Stack({"LogRetentionDays": 30})
    (group,) = stack.of_type("AWS::Logs::LogGroup").values()
    assert group == {"LogGroupName": "/aws/lambda/the-stack", "RetentionInDays": "30"}
    assert function["LoggingConfig"]["LogGroup"] == "/aws/lambda/the-stack"


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"DryRun": "true", "ReservedConcurrency": 1, "AlarmEmail": "oncall@example.com"},
        {"ScheduleState": "DISABLED", "Architecture": "x86_64", "AuditPrefix": ""},
        {"BraintrustApiKeySecretId": "", "BraintrustApiKeyParameter": "/k", "ApiKeyKmsKeyArn": "arn:aws:kms:eu-central-1:123456789012:key/1"},
        {"BraintrustApiKeySecretId": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:k-AbCdEf"},
        {"AlarmTopicArn": "arn:aws:sns:eu-central-1:123456789012:oncall"},
        {"ExistingAuditBucket": "another-stack-auditbucket", "AuditKmsKeyArn": "arn:aws:kms:eu-central-1:123456789012:key/1"},
        {"PermissionsBoundary": "arn:aws:iam::123456789012:policy/boundary"},
        {"TakeBackDays": "5"},
        {"WebhookParameter": "/webhook", "PermissionsBoundary": "arn:aws:iam::123456789012:policy/boundary"},
    ],
)  # fmt: skip
def test_every_reference_leads_somewhere_under_all_conditions(parameters):
    stack = Stack(
        parameters
    )  # raises for a name that does not exist, or not under these parameters
    left = [
        word
        for word in ("Fn::", '"Ref"', "${")
        if word in json.dumps(stack.resources) + json.dumps(stack.outputs)
    ]
    assert left == []


def test_no_secret_stands_in_the_template():
    text = json.dumps(source())
    assert not [
        word for word in ("sk-", "bt-st-", "resolve:secretsmanager", "resolve:ssm") if word in text
    ]


def test_every_finding_that_is_skipped_is_argued():
    for resource in source()["Resources"].values():
        for skip in resource.get("Metadata", {}).get("checkov", {}).get("skip", []):
            assert len(skip["comment"]) > 40, skip


def commands(parameters, output):
    """What the command is for a key in a secret, in a secret given by its ARN, and in a parameter."""
    by_arn = {
        "BraintrustApiKeySecretId": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:k"
    }
    by_parameter = {"BraintrustApiKeySecretId": "", "BraintrustApiKeyParameter": "/braintrust/key"}
    return [Stack(parameters | given).outputs[output] for given in ({}, by_arn, by_parameter)]


def test_outputs_name_what_the_stack_has(stack):
    assert stack.outputs["FunctionName"] == "the-stack"
    assert stack.outputs["AuditBucketName"] == "the-stack-auditbucket"


def test_the_key_is_stored_by_one_command_and_replaced_by_another():
    secret, parameter = (
        "aws secretsmanager {} --region eu-central-1 ",
        "aws ssm put-parameter --region eu-central-1 ",
    )
    replace = [
        secret.format("put-secret-value")
        + "--secret-id braintrust/key --secret-string file://key.txt",
        secret.format("put-secret-value")
        + "--secret-id arn:aws:secretsmanager:eu-central-1:123456789012:secret:k --secret-string file://key.txt",
        parameter + "--name /braintrust/key --type SecureString --overwrite --value file://key.txt",
    ]
    assert commands({}, "RotateApiKeyCommand") == replace
    assert commands({}, "StoreApiKeyCommand") == [
        secret.format("create-secret") + "--name braintrust/key --secret-string file://key.txt",
        replace[1],  # whoever knows its ARN has made it already
        replace[2].replace(" --overwrite", ""),
    ]


def test_a_key_of_your_own_stays_the_one_that_encrypts():
    """A parameter that is written without it is encrypted with AWS's own key from then on; a secret keeps its key."""
    mine = "arn:aws:kms:eu-central-1:123456789012:key/0f1e2d3c"
    create, _, put = commands({"ApiKeyKmsKeyArn": mine}, "StoreApiKeyCommand")
    *_, replace = commands({"ApiKeyKmsKeyArn": mine}, "RotateApiKeyCommand")
    webhook = Stack({"ApiKeyKmsKeyArn": mine, "WebhookParameter": "/w"}).outputs[
        "StoreWebhookCommand"
    ]
    assert f" --kms-key-id {mine} " in create
    assert f" --key-id {mine} " in put
    assert f" --key-id {mine} " in replace
    assert f" --key-id {mine} " in webhook


def test_the_webhooks_address_is_stored_encrypted_by_one_command_where_there_is_a_digest(stack):
    assert "StoreWebhookCommand" not in stack.outputs
    assert Stack({"WebhookParameter": "/braintrust/webhook"}).outputs["StoreWebhookCommand"] == (
        "aws ssm put-parameter --region eu-central-1 --name /braintrust/webhook --type SecureString "
        "--overwrite --value file://webhook.txt"
    )


@pytest.mark.parametrize(
    "name", [name for name in source()["Outputs"] if name.startswith(("Store", "Rotate"))]
)
def test_a_command_that_is_pasted_stores_nothing_that_is_made_up(name):
    """It reads a file of whoever pastes it, and fails without."""
    stack = Stack({"QueuesParameter": "/queues", "WebhookParameter": "/braintrust/webhook"})
    given = re.search(r" --(?:value|secret-string) (\S+)$", stack.outputs[name])
    assert re.fullmatch(r"file://\w+\.(txt|json)", given[1])


@pytest.mark.parametrize(
    ("partition", "region", "host"),
    [
        ("aws", "eu-central-1", "eu-central-1.console.aws.amazon.com"),
        ("aws-cn", "cn-north-1", "cn-north-1.console.amazonaws.cn"),
        ("aws-us-gov", "us-gov-west-1", "us-gov-west-1.console.amazonaws-us-gov.com"),
    ],
)
def test_the_dashboards_address_is_that_of_the_partitions_console(partition, region, host):
    stack = Stack(pseudo={"AWS::Partition": partition, "AWS::Region": region})
    assert stack.outputs["DashboardUrl"] == (
        f"https://{host}/cloudwatch/home?region={region}#dashboards/dashboard/the-stack-{region}"
    )
