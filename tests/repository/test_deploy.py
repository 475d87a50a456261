"""`make deploy`: what it asks of the SAM CLI, by the stacks that samconfig.toml knows. Nothing is deployed."""

import shlex
import shutil
import subprocess
import tomllib

import pytest

from tests.template.cloudformation import ROOT

DEFAULT = "[default.deploy.parameters]\n"
ANSWERS = 'parameter_overrides = "ProjectId=\\"1\\" Tag=\\"needs review\\""\n'
SEARCH = f'\n[review-assigner-search.deploy.parameters]\nregion = "eu-central-1"\n{ANSWERS}'
"""As SAM writes them when its questions are answered."""
FIRST = ["--config-env", "default", "--stack-name", "braintrust-review-assigner"]
SECOND = ["--config-env", "review-assigner-search", "--stack-name", "review-assigner-search"]
ASK = ["--guided", "--confirm-changeset"]


@pytest.fixture(autouse=True)
def no_outer_make(monkeypatch):
    """`make test` hands its own variables and flags down; here, a person calls make."""
    for variable in ("MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "MAKELEVEL", "ARGS"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def sam(tmp_path):
    """What `make <target>` gives to the SAM CLI in a folder with this samconfig.toml."""
    shutil.copy(ROOT / "Makefile", tmp_path)

    def arguments(config, *command):
        tomllib.loads(config)
        (tmp_path / "samconfig.toml").write_text(config, "utf-8")
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


@pytest.fixture
def config():
    return (ROOT / "samconfig.toml").read_text("utf-8")


def answered(config):
    """The file after the first stack's questions."""
    return config.replace(DEFAULT, DEFAULT + ANSWERS)


def test_the_first_deployment_asks(sam, config):
    assert sam(config, "deploy") == [*FIRST, *ASK]


def test_later_ones_use_the_answers(sam, config):
    assert sam(answered(config), "deploy") == FIRST
    assert sam(answered(config), "deploy", "ARGS=--guided") == [*FIRST, "--guided"]


def test_another_stack_is_never_deployed_with_the_first_ones_answers(sam, config):
    assert sam(answered(config), "deploy", "STACK=review-assigner-search") == [*SECOND, *ASK]
    assert sam(answered(config) + SEARCH, "deploy", "STACK=review-assigner-search") == SECOND
    assert sam(answered(config) + SEARCH, "deploy", "STACK=review-assigner") == [
        *("--config-env", "review-assigner", "--stack-name", "review-assigner"),
        *ASK,
    ]


def test_nor_the_first_one_with_anothers(sam, config):
    assert sam(config + SEARCH, "deploy") == [*FIRST, *ASK]
    assert sam(answered(config) + SEARCH, "deploy") == FIRST


def test_answers_that_are_commented_out_are_none(sam, config):
    assert sam(config.replace(DEFAULT, f"{DEFAULT}# {ANSWERS}"), "deploy") == [*FIRST, *ASK]


def test_the_log_is_looked_for_in_the_stacks_own_region(sam, config):
    """SAM keeps the region of a guided deployment beside its answers."""
    rest = ["--name", "ReviewAssignerFunction", "--tail"]
    assert sam(config, "logs") == [*FIRST, *rest]
    assert sam(config, "logs", "STACK=review-assigner-search") == [*SECOND, *rest]


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


def test_a_log_is_looked_for_only_where_there_is_such_a_stack(config, tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "samconfig.toml").write_text(answered(config) + SEARCH, "utf-8")
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
