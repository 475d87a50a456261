"""`make deploy`: what it asks of the SAM CLI, by the stacks that samconfig.toml knows. Nothing is deployed."""

import shlex
import shutil
import subprocess
import tomllib

import pytest

from tests.template.cloudformation import ROOT

DEFAULT = "[default.deploy.parameters]\n"
CONFIG = f"""# Defaults of the sam command.
version = 0.1

[default.global.parameters]
stack_name = "braintrust-review-assigner"

{DEFAULT}capabilities = "CAPABILITY_IAM"
confirm_changeset = true
"""
"""What a clone has before anybody answers. The file itself is people's: they commit their answers in it."""
ANSWERS = 'parameter_overrides = "ProjectId=\\"1\\" Tag=\\"needs review\\""\n'
SEARCH = f'\n[review-assigner-search.deploy.parameters]\nregion = "eu-central-1"\n{ANSWERS}'
"""As SAM writes them when its questions are answered."""
FIRST = ["--config-env", "default", "--stack-name", "braintrust-review-assigner"]
SECOND = ["--config-env", "review-assigner-search", "--stack-name", "review-assigner-search"]
ASK = ["--guided", "--confirm-changeset"]


@pytest.fixture(params=["\n", "\r\n"], ids=["lines of Unix", "lines of Windows"])
def written(request, tmp_path):
    """Make's file, beside a samconfig.toml of the test's own as one editor or another leaves it."""
    shutil.copy(ROOT / "Makefile", tmp_path)

    def write(config):
        tomllib.loads(config)
        (tmp_path / "samconfig.toml").write_bytes(config.replace("\n", request.param).encode())

    return write


@pytest.fixture
def sam(written, tmp_path):
    """What `make <target>` gives to the SAM CLI in a folder with this samconfig.toml."""

    def arguments(config, *command):
        written(config)
        only_say = [
            "make",
            "--no-print-directory",
            "--dry-run",
            "--old-file=.venv/.stamp",
            "--old-file=.venv-tools/.stamp",
            *command,
        ]
        ran = subprocess.run(only_say, cwd=tmp_path, capture_output=True, text=True, check=True)
        assert ran.stderr == ""
        lines = ran.stdout.replace("\\\n", " ").splitlines()
        (line,) = [line for line in lines if f"/sam {command[0]} " in line]
        return shlex.split(line)[2:]

    return arguments


def answered(config):
    """The file after the first stack's questions."""
    return config.replace(DEFAULT, DEFAULT + ANSWERS)


def test_the_first_deployment_asks(sam):
    assert sam(CONFIG, "deploy") == [*FIRST, *ASK]


def test_later_ones_use_the_answers(sam):
    assert sam(answered(CONFIG), "deploy") == FIRST
    assert sam(answered(CONFIG), "deploy", "ARGS=--guided") == [*FIRST, "--guided"]


def test_another_stack_is_never_deployed_with_the_first_ones_answers(sam):
    assert sam(answered(CONFIG), "deploy", "STACK=review-assigner-search") == [*SECOND, *ASK]
    assert sam(answered(CONFIG) + SEARCH, "deploy", "STACK=review-assigner-search") == SECOND
    assert sam(answered(CONFIG) + SEARCH, "deploy", "STACK=review-assigner") == [
        *("--config-env", "review-assigner", "--stack-name", "review-assigner"),
        *ASK,
    ]


def test_nor_the_first_one_with_anothers(sam):
    assert sam(CONFIG + SEARCH, "deploy") == [*FIRST, *ASK]
    assert sam(answered(CONFIG) + SEARCH, "deploy") == FIRST


def test_answers_that_are_commented_out_are_none(sam):
    assert sam(CONFIG.replace(DEFAULT, f"{DEFAULT}# {ANSWERS}"), "deploy") == [*FIRST, *ASK]


def test_the_log_is_looked_for_in_the_stacks_own_region(sam):
    """SAM keeps the region of a guided deployment beside its answers."""
    rest = ["--name", "ReviewAssignerFunction", "--tail"]
    assert sam(CONFIG, "logs") == [*FIRST, *rest]
    assert sam(CONFIG, "logs", "STACK=review-assigner-search") == [*SECOND, *rest]


@pytest.mark.parametrize("said", ["true", "True", "1", "yes", "False"])
def test_only_false_makes_an_undo_real_where_dry_run_is_given(said):
    def command(*given):
        only_say = [
            "make",
            "--no-print-directory",
            "--dry-run",
            "--old-file=.venv/.stamp",
            "undo",
            "STACK=s",
            "RUN_ID=r",
            *given,
        ]
        return subprocess.run(
            only_say, cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.split()

    assert command(f"DRY_RUN={said}")[-5:] == ["ops.stack", "undo", "s", "r", "--dry-run"]
    assert command()[-1] == command("DRY_RUN=false")[-1] == command("DRY_RUN=")[-1] == "r"


def test_an_events_file_may_have_any_name():
    only_say = ["make", "--dry-run", "--old-file=.venv/.stamp", "invoke", "STACK=s"]
    ran = subprocess.run(
        [*only_say, "EVENT=my events/tomorrow's.json"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert shlex.split(ran.stdout)[-1] == "my events/tomorrow's.json"


def test_a_log_is_looked_for_only_where_there_is_such_a_stack(written, tmp_path):
    written(answered(CONFIG) + SEARCH)
    only_say = [
        "make",
        "--no-print-directory",
        "--dry-run",
        "--old-file=.venv/.stamp",
        "--old-file=.venv-tools/.stamp",
        "logs",
    ]
    ran = subprocess.run(
        [*only_say, "STACK=review-assigner-search"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    first, second = ran.stdout.splitlines()
    check = "-m ops.stack outputs --quiet review-assigner-search"
    assert first == f"AWS_DEFAULT_REGION=eu-central-1 .venv/bin/python {check}"
    assert "/sam logs " in second
