"""What is kept, for how long, and who can read it; and that the template can be trusted to be whole."""

import json

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
    assert properties["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    assert properties["VersioningConfiguration"] == {"Status": "Enabled"}


def test_only_old_versions_of_the_audit_are_ever_forgotten(stack):
    (bucket,) = stack.of_type("AWS::S3::Bucket").values()
    rules = bucket["LifecycleConfiguration"]["Rules"]
    assert {key for rule in rules for key in rule} == {
        *("Id", "Status"),
        *("NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload"),
    }


def test_the_bucket_refuses_plain_http_from_everybody(stack):
    (policy,) = stack.of_type("AWS::S3::BucketPolicy").values()
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert statement == {
        "Sid": "RefusePlainHttp",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": ["arn:aws:s3:::the-stack-auditbucket", "arn:aws:s3:::the-stack-auditbucket/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


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
    ],
)  # fmt: skip
def test_every_reference_leads_somewhere_under_all_conditions(parameters):
    stack = Stack(parameters)  # raises for a name that does not exist, or not under these parameters
    left = [word for word in ("Fn::", '"Ref"', "${") if word in json.dumps(stack.resources) + json.dumps(stack.outputs)]
    assert left == []


def test_no_secret_stands_in_the_template():
    text = json.dumps(source())
    assert not [word for word in ("sk-", "bt-st-", "resolve:secretsmanager", "resolve:ssm") if word in text]


def test_every_finding_that_is_skipped_is_argued():
    for resource in source()["Resources"].values():
        for skip in resource.get("Metadata", {}).get("checkov", {}).get("skip", []):
            assert len(skip["comment"]) > 40, skip


def test_outputs_are_commands_that_can_be_pasted(stack):
    assert stack.outputs["FunctionName"] == "the-stack"
    assert stack.outputs["AuditBucketName"] == "the-stack-auditbucket"
    by_arn = Stack({"BraintrustApiKeySecretId": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:k"})
    by_parameter = Stack({"BraintrustApiKeySecretId": "", "BraintrustApiKeyParameter": "/braintrust/key"})
    assert [each.outputs["StoreApiKeyCommand"].split(" --region")[0] for each in (stack, by_arn, by_parameter)] == [
        "aws secretsmanager create-secret",
        "aws secretsmanager put-secret-value",
        "aws ssm put-parameter",
    ]
