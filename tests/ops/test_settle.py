"""What a stack is deployed with: where it comes from, how it is kept, and how the SAM CLI gets it."""

import builtins
import json
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import boto3
import pytest
import yaml
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError
from hypothesis import example, given
from hypothesis import strategies as st

from ops import settle as script
from ops.settle import for_sam, sam_unquotes
from ops.stack_file import Answers, read, written
from tests.template.cloudformation import ROOT

PROJECT = "5c2f1f0e-6f0a-4d27-9f3c-3a1f7c2b8d90"
GIVEN = {"ProjectId": PROJECT, "Tag": "needs review", "BraintrustApiKeySecretId": "braintrust/key"}
FILE = f"""region: eu-central-1
parameters:
  ProjectId: {PROJECT}
  Tag: needs review
  BraintrustApiKeySecretId: braintrust/key
  DryRun: true
  Days: 3
"""
FIRST = script.DEFAULT_STACK
CONFIG = """version = 0.1

[default.deploy.parameters]
capabilities = "CAPABILITY_IAM"
"""
"""samconfig.toml before an earlier version put answers in it; the file itself is people's."""


@pytest.fixture
def checkout(tmp_path, monkeypatch, aws_url):
    """A checkout, and an AWS without stacks."""
    shutil.copy(ROOT / "template.yaml", tmp_path)
    (tmp_path / "samconfig.toml").write_text(CONFIG, "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws_url)
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    (tmp_path / "ops/stacks").mkdir(parents=True)
    return tmp_path


@pytest.fixture
def settle(monkeypatch):
    """`make deploy`'s first step: what it hands to SAM. `typed`: what somebody at the terminal answers."""

    def settled(stack=FIRST, typed=()):
        lines = iter(typed)
        monkeypatch.setattr(builtins, "input", lambda _: next(lines))
        unattended = ["--unattended"] if not typed else []
        monkeypatch.setattr(
            sys, "argv", ["answers", stack, "--for-sam", "out/for-sam.yaml", *unattended]
        )
        assert script.main() == 0
        return as_sam_reads(Path("out/for-sam.yaml").read_text("ascii"))

    return settled


def as_sam_reads(text):
    """Parameters from a YAML file, as the SAM CLI reads them: it takes quotes off twice."""
    return {name: sam_unquotes(sam_unquotes(value)) for name, value in yaml.safe_load(text).items()}


def refused(settle, *more, **how):
    with pytest.raises(SystemExit) as ended:
        settle(*more, **how)
    return str(ended.value)


def test_what_is_in_the_file_is_deployed_and_defaults_for_the_rest(checkout, settle):
    (checkout / "ops/stacks" / f"{FIRST}.yaml").write_text(FILE)
    deployed = settle()
    assert {name: deployed[name] for name in GIVEN} == GIVEN
    assert (deployed["DryRun"], deployed["Days"]) == ("true", "3")
    assert (deployed["Limit"], deployed["AlarmEmail"], deployed["AuditPrefix"]) == (
        "1000",
        "",
        "audit/",
    )
    assert deployed.keys() == script.declared().keys()


def test_a_line_that_is_taken_out_goes_back_to_the_default(checkout, settle):
    """SAM by itself leaves a deployed stack's parameter as it is when nobody names it."""
    path = checkout / "ops/stacks" / f"{FIRST}.yaml"
    path.write_text(FILE)
    assert settle()["Days"] == "3"
    path.write_text(FILE.replace("  Days: 3\n", ""))
    assert settle()["Days"] == "7"


TEXT = st.text(
    st.sampled_from(
        "\\\"' ,=#:&*!|>%@`{}[]~-\n\tabZ09äß\N{HIRAGANA LETTER A}\N{GRINNING FACE}\u2028\x85\ufeff"
    ),
    max_size=12,
)


@given(TEXT)
@example("ends in a backslash\\")
@example("metadata.note = 'it\\'s'")
@example("'all in quotes'")
@example('"')
@example("a\\ b")
@example("file://elsewhere.yaml")
def test_a_value_gets_through_sam_as_it_is(value):
    text = for_sam(Answers("r", {"Filter": value}), {"Filter": {}})
    assert text.isascii()
    assert as_sam_reads(text) == {"Filter": value}


@given(TEXT)
def test_a_value_gets_into_the_file_and_out_again_as_it_is(value):
    declared = {"Filter": {"Default": ""}, "Tag": {}}
    parameters = {"Filter": value, "Tag": "true"}
    with TemporaryDirectory() as kept:
        path = Path(kept) / "s.yaml"
        path.write_text(written("s", Answers("eu-west-1", parameters), declared), "utf-8")
        assert read(path) == Answers("eu-west-1", parameters)


def test_values_are_text_as_it_stands_there(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_bytes(
        b"\xef\xbb\xbfregion: eu-west-1\r\nparameters:\r\n  DryRun: false\r\n  Days: 010\r\n  Tag: 2026-11-23\r\n"
    )
    assert read(path).parameters == {"DryRun": "false", "Days": "010", "Tag": "2026-11-23"}


def test_a_new_stack_is_asked_for_what_it_needs_and_begins_dry(checkout, settle, capsys):
    typed = [PROJECT, "needs review", "braintrust/key", "", "oncall@example.com", "", "", ""]
    deployed = settle(typed=typed)
    assert {name: deployed[name] for name in GIVEN} == GIVEN
    assert (deployed["DryRun"], deployed["AlarmEmail"]) == ("true", "oncall@example.com")
    path = checkout / "ops/stacks" / f"{FIRST}.yaml"
    kept = path.read_text()
    assert "region: eu-central-1\n" in kept
    assert "\n  Tag: needs review\n" in kept
    assert "\n  DryRun: true\n" in kept
    assert "\n  # Days: 7\n" in kept
    assert "Commit it." in capsys.readouterr().out
    assert settle() == deployed, "the second time, nobody is asked"


def test_enter_alone_is_the_way_of_the_readme_dry_and_with_the_secret_of_its_first_step(
    checkout, settle, capsys
):
    readme = (ROOT / "README.md").read_text("utf-8")
    deployed = settle(typed=[PROJECT, "needs review", *[""] * 6])
    secret = deployed["BraintrustApiKeySecretId"]
    assert f"create-secret --name {secret} " in readme
    assert (deployed["DryRun"], deployed["BraintrustApiKeyParameter"]) == ("true", "")
    assert deployed["ReviewersParameter"] == script.declared()["ReviewersParameter"]["Default"]
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 100
    assert checkout


def refuse_credentials(monkeypatch, error):
    real = boto3.client

    def client(name, **how):
        made = real(name, **how)
        if name == "cloudformation":
            monkeypatch.setattr(made, "describe_stacks", lambda **_: raising(error))
        return made

    monkeypatch.setattr(boto3, "client", client)


def raising(error):
    raise error


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (NoCredentialsError(), "error: AWS: No AWS credentials: set AWS_PROFILE, or run"),
        (
            ClientError({"Error": {"Code": "ExpiredToken", "Message": "x"}}, "DescribeStacks"),
            "error: AWS: the credentials are wrong or have expired (ExpiredToken): run `aws sso",
        ),
        (
            EndpointConnectionError(endpoint_url="https://cloudformation.us-est-1.amazonaws.com/"),
            'error: AWS: Could not connect to the endpoint URL: "https://cloudformation.us-est-1',
        ),
    ],
)
@pytest.mark.parametrize("kept", [True, False])
def test_credentials_and_region_are_tried_before_anything_is_asked_or_built(
    checkout, settle, monkeypatch, error, says, kept
):
    if kept:
        (checkout / "ops/stacks" / f"{FIRST}.yaml").write_text(FILE)
    refuse_credentials(monkeypatch, error)
    assert refused(settle, typed=["never asked"]).startswith(says)
    assert not (checkout / "out/for-sam.yaml").exists()


def test_an_answer_that_cloudformation_would_refuse_is_asked_for_again_and_kept_nowhere(
    checkout, settle
):
    key = "sk-abcdefghijklmnopqrstuvwxyz"
    typed = [
        "mine",
        PROJECT,
        "",
        "t",
        key,
        "-",
        "-",
        key,
        "/braintrust/key",
        "",
        "",
        "maybe",
        "false",
        "1.5",
        "2",
        "",
    ]
    deployed = settle(typed=typed)
    assert deployed["BraintrustApiKeyParameter"] == "/braintrust/key"
    assert (deployed["BraintrustApiKeySecretId"], deployed["DryRun"]) == ("", "false")
    assert deployed["MaxAssignments"] == "2"
    assert not [path for path in checkout.rglob("*.yaml") if key in path.read_text()]


def test_answers_that_an_earlier_version_kept_in_samconfig_are_taken_over(checkout, settle):
    """As SAM wrote them there, Windows' line ends included."""
    line = (
        f'region = "eu-central-1"\nparameter_overrides = "ProjectId=\\"{PROJECT}\\" Tag=\\"it\'s \\\\\\"new\\\\\\"\\" '
        'BraintrustApiKeySecretId=\\"braintrust/key\\" AlarmEmail=\\"\\" Gone=\\"1\\" DryRun=\\"true\\""\n'
    )
    for stack, text in (
        (
            FIRST,
            CONFIG.replace("[default.deploy.parameters]\n", f"[default.deploy.parameters]\n{line}"),
        ),
        ("search", f"{CONFIG}\n[search.deploy.parameters]\n{line}"),
    ):
        (checkout / "samconfig.toml").write_bytes(text.replace("\n", "\r\n").encode())
        deployed = settle(stack)
        assert (deployed["Tag"], deployed["DryRun"]) == ('it\'s "new"', "true")
        assert 'Tag: it\'s "new"\n' in (checkout / "ops/stacks" / f"{stack}.yaml").read_text()


def test_a_clone_without_the_answers_takes_those_of_the_deployed_stack(checkout, settle):
    """And not the template's defaults, which would empty AlarmEmail and make a dry stack real."""
    given = GIVEN | {"DryRun": "true", "AlarmEmail": "oncall@example.com", "Filter": "a = 'it\\'s'"}
    small = {
        "Parameters": {name: {"Type": "String"} for name in given},
        "Resources": {"Q": {"Type": "AWS::SQS::Queue"}},
    }
    cloudformation = boto3.client("cloudformation")
    cloudformation.create_stack(
        StackName="there",
        TemplateBody=json.dumps(small),
        Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in given.items()],
    )
    try:
        deployed = settle("there")
    finally:
        cloudformation.delete_stack(StackName="there")
    assert {name: deployed[name] for name in given} == given
    assert read(checkout / "ops/stacks" / "there.yaml").parameters == given


def test_without_a_terminal_nothing_is_asked(checkout, settle):
    assert refused(settle) == (
        f"error: there is no ops/stacks/{FIRST}.yaml: at a terminal, `make deploy` asks for what it holds"
    )
    assert [*(checkout / "ops/stacks").iterdir()] == []


@pytest.mark.usefixtures("checkout")
def test_no_stack_is_called_default(settle):
    assert "no stack can be called default here" in refused(settle, "default")


@pytest.mark.parametrize("name", ["1st", "my_stack", "a" * 65, "../x", ""])
@pytest.mark.usefixtures("checkout")
def test_a_name_that_cloudformation_or_lambda_would_refuse_is_refused_at_once(settle, name):
    assert "is no name of a stack" in refused(settle, name)


def test_the_same_answers_are_never_deployed_to_a_second_region(checkout, settle, monkeypatch):
    (checkout / "ops/stacks" / f"{FIRST}.yaml").write_text(FILE)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    assert "the region is eu-central-1, and this terminal says us-east-1" in refused(settle)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("  Days: 1.5", "Days must be a whole number, 1 or more"),
        ("  Dayz: 3", "Dayz is no parameter of template.yaml"),
        ("  DryRun: True", "DryRun must be one of true, false"),
        ("  MaxWaitingHours: 1", "MaxWaitingHours must be at least 2"),
        ("  AlarmEmail: [a, b]", "AlarmEmail is not text: put it into single quotes"),
        ("  BraintrustApiKeyParameter: /k", "exactly one of BraintrustApiKeySecretId and"),
        ("  TakeBackDays: 7", "TakeBackDays has to be below Days"),
        ("other: 1", "it has region and parameters, and nothing else"),
        ("  Filter: 'a", "is not YAML"),
    ],
)
def test_what_is_wrong_in_the_file_is_said_before_anything_is_built(checkout, settle, line, says):
    text = FILE.replace("  DryRun: true\n  Days: 3\n", "")
    (checkout / "ops/stacks" / f"{FIRST}.yaml").write_text(f"{text}{line}\n")
    assert says in refused(settle)


def test_a_key_in_the_wrong_place_is_refused_and_not_repeated(checkout, settle):
    (checkout / "ops/stacks" / f"{FIRST}.yaml").write_text(
        FILE.replace("braintrust/key", "sk-secret")
    )
    said = refused(settle)
    assert (
        "BraintrustApiKeySecretId must be the name or the ARN of a secret, not the key itself"
        in said
    )
    assert "sk-secret" not in said


def test_everything_that_has_no_default_is_asked_for():
    declared = script.declared()
    assert {name for name, each in declared.items() if "Default" not in each} <= {*script.ASKED}
    assert {*script.ASKED} <= {*declared}
