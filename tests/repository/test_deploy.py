"""`make deploy` and its neighbours: what they ask of the SAM CLI and of the SDK, and where. Nothing is deployed."""

import os
import re
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
"""What a clone has. The file itself is people's, too: they may have put settings of their own in it."""
ANSWERS = 'parameter_overrides = "ProjectId=\\"1\\" Tag=\\"needs review\\""\n'
SEARCH = f'\n[review-assigner-search.deploy.parameters]\nregion = "eu-central-1"\n{ANSWERS}'
"""As `sam deploy --guided` writes them, with which earlier versions asked."""
FIRST = ["--config-env", "default", "--stack-name", "braintrust-review-assigner"]
SECOND = ["--config-env", "review-assigner-search", "--stack-name", "review-assigner-search"]
FILE = ["--parameter-overrides", "file://.aws-sam/answers.yaml"]
NOTHING_ASKED = ["--no-confirm-changeset", "--no-fail-on-empty-changeset"]
AWS = [
    "outputs",
    "status",
    "stack-is-there",
    "logs",
    "invoke",
    "dry-run",
    "undo",
    "take-back",
    "digest",
    "report",
    "reviewers",
    "queues",
    "deploy",
]
"""The targets that speak to AWS."""


@pytest.fixture
def make(tmp_path, monkeypatch):
    """What `make <target>` would run in a folder with this samconfig.toml: (environment, words) of each command."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "samconfig.toml").write_text(CONFIG, "utf-8")
    (tmp_path / "ops/stacks").mkdir(parents=True)
    for variable in ("AWS_REGION", "AWS_DEFAULT_REGION", "CI"):
        monkeypatch.delenv(variable, raising=False)

    def commands(*target, terminal=False):
        tomllib.loads((tmp_path / "samconfig.toml").read_text("utf-8"))
        only_say = ["make", "--no-print-directory", "--dry-run"]
        only_say += ["--old-file=.venv/.stamp", "--old-file=.venv-tools/.stamp"]
        theirs, ours = os.openpty()
        ran = subprocess.run(
            [*only_say, *target],
            cwd=tmp_path,
            stdin=ours if terminal else subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
        )
        os.close(theirs)
        os.close(ours)
        assert ran.stderr == ""
        said = []
        for line in ran.stdout.replace("\\\n", " ").splitlines():
            words = shlex.split(line)
            environ = [word for word in words if word.startswith("AWS_")]
            said.append((dict(each.split("=") for each in environ), words[len(environ) :]))
        return said

    commands.folder = tmp_path
    return commands


def sam(commands):
    """The arguments of the SAM CLI's command, build aside."""
    ((_, words),) = [
        (environ, words)
        for environ, words in commands
        if words[0].endswith("/sam") and words[1] != "build"
    ]
    return words[2:]


def answered(folder, stack, region="eu-west-1"):
    """The file that the stack's answers are in."""
    (folder / "ops/stacks" / f"{stack}.yaml").write_text(
        f"region: {region}\nparameters:\n  Tag: t\n"
    )


def test_the_answers_are_settled_first_then_the_artifact_is_made_then_sam_deploys(make):
    answers, build, deploy = (words for _, words in make("deploy", "STACK=s", terminal=True))
    assert answers == [
        ".venv/bin/python",
        *["-m", "ops.settle", "s", "--for-sam", ".aws-sam/answers.yaml"],
    ]
    assert build[:2] == [".venv-tools/bin/sam", "build"]
    assert deploy[:2] == [".venv-tools/bin/sam", "deploy"]
    assert deploy[2:] == ["--config-env", "default", "--stack-name", "s", *FILE]


@pytest.mark.parametrize(
    ("variable", "terminal", "asks"),
    [
        ("", True, True),
        ("", False, False),
        ("CI=true", True, False),
        ("CI=1", False, False),
        ("CI=false", True, True),
    ],
)
def test_without_a_terminal_or_in_ci_nothing_is_asked(make, variable, terminal, asks):
    said = make("deploy", *filter(None, [variable]), terminal=terminal)
    assert sam(said) == [*FIRST, *FILE, *([] if asks else NOTHING_ASKED)]
    assert ("--unattended" in said[0][1]) is not asks


def test_what_is_given_in_args_has_the_last_word(make):
    assert sam(make("deploy", "ARGS=--tags team=support"))[-2:] == ["--tags", "team=support"]


def test_another_stack_is_never_deployed_with_the_first_ones_answers(make):
    (make.folder / "samconfig.toml").write_text(CONFIG.replace(DEFAULT, DEFAULT + ANSWERS))
    first, second = (make("deploy", f"STACK={stack}") for stack in ("one", "two"))
    assert [words[3] for _, words in (first[0], second[0])] == ["one", "two"]
    assert sam(first)[4:6] == sam(second)[4:6] == FILE


def test_a_stack_with_settings_of_its_own_from_an_earlier_version_keeps_them(make):
    (make.folder / "samconfig.toml").write_text(CONFIG + SEARCH)
    said = sam(make("deploy", "STACK=review-assigner-search", terminal=True))
    assert said == [*SECOND, "--region", "eu-central-1", *FILE]
    assert sam(make("deploy", terminal=True)) == [*FIRST, *FILE]


def regions(said):
    """Every region that the commands of a target are told, the SDK's and the SAM CLI's."""
    found = set()
    for environ, words in said:
        if words[:2] == [".venv-tools/bin/sam", "build"]:
            continue
        if words[0] == ".venv-tools/bin/sam":
            found.add(words[words.index("--region") + 1] if "--region" in words else "")
        else:
            assert environ.get("AWS_REGION") == environ.get("AWS_DEFAULT_REGION")
            found.add(environ.get("AWS_REGION", ""))
    return found


@pytest.mark.parametrize("target", AWS)
@pytest.mark.parametrize(
    ("terminal", "kept", "region"),
    [
        ({}, "", ""),  # the profile's, which all of them read
        ({"AWS_DEFAULT_REGION": "us-east-1"}, "", "us-east-1"),
        ({"AWS_REGION": "us-west-2", "AWS_DEFAULT_REGION": "us-east-1"}, "", "us-west-2"),
        ({}, "file", "eu-west-1"),
        ({"AWS_REGION": "us-west-2"}, "file", "us-west-2"),
        ({}, "samconfig", "eu-central-1"),
        ({"AWS_DEFAULT_REGION": "us-east-1"}, "samconfig", "us-east-1"),
        ({}, "both", "eu-west-1"),
    ],
)
def test_every_target_works_in_the_same_region(make, monkeypatch, target, terminal, kept, region):
    """Else `make undo` would work on another stack than `make deploy` where two regions have one of the same name."""
    for variable, value in terminal.items():
        monkeypatch.setenv(variable, value)
    if kept in {"file", "both"}:
        answered(make.folder, "s")
    if kept in {"samconfig", "both"}:
        section = SEARCH.replace("review-assigner-search", "s")
        (make.folder / "samconfig.toml").write_bytes(
            (CONFIG + section).replace("\n", "\r\n").encode()
        )
    assert regions(make(target, "STACK=s", "RUN_ID=r")) == {region}


def test_the_list_of_targets_is_whole():
    recipes = (ROOT / "Makefile").read_text("utf-8").split("##@ Deploy and operate it")[1]
    targets = {*AWS, "answers", "build", "names"}
    assert targets == {*recipes.split(".PHONY: ")[1].splitlines()[0].split()} | {"answers"}


@pytest.mark.parametrize("said", ["true", "1", "False"])
def test_only_false_makes_a_digest_real_where_dry_run_is_given(make, said):
    def words(*given):
        ((_, said),) = make("digest", "STACK=s", *given)
        return said[1:]

    assert words(f"DRY_RUN={said}") == ["-m", "ops.tell", "s", "--dry-run"]
    assert words() == words("DRY_RUN=false") == ["-m", "ops.tell", "s"]


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


@pytest.mark.parametrize("said", ["true", "True", "1", "yes", "False"])
def test_only_false_makes_a_take_back_real_and_days_count_only_on_makes_own_command_line(
    make, monkeypatch, said
):
    """They are a setting of the function, which a terminal may hold for other ends."""
    monkeypatch.setenv("DAYS", "5")

    def words(*given):
        ((_, command),) = make("take-back", "STACK=s", *given)
        return command[3:]

    bo = ["take-back", "s", "--reviewer", "bo@example.com"]
    assert words("REVIEWER=bo@example.com", f"DRY_RUN={said}") == [*bo, "--dry-run"]
    assert words("REVIEWER=bo@example.com", "DRY_RUN=false") == bo
    assert words("DAYS=3") == ["take-back", "s", "--days", "3"]


def test_an_events_file_may_have_any_name(make):
    ((_, words),) = make("invoke", "STACK=s", "EVENT=my events/tomorrow's.json")
    assert words[-1] == "my events/tomorrow's.json"


def test_a_log_is_looked_for_only_where_there_is_such_a_stack(make):
    answered(make.folder, "s")
    (_, check), (_, logs) = make("logs", "STACK=s")
    assert check == [".venv/bin/python", *["-m", "ops.stack", "outputs", "--quiet", "s"]]
    assert logs[2:] == [
        *("--config-env", "default", "--stack-name", "s", "--region", "eu-west-1"),
        *("--name", "ReviewAssignerFunction", "--tail"),
    ]


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_make_alone_lists_what_can_be_done_as_wide_as_the_terminal(columns):
    listed = subprocess.run(
        ["make", "--no-print-directory", f"COLUMNS={columns}"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    explained = re.findall(
        r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE
    )

    assert max(map(len, listed.splitlines())) <= columns
    assert re.findall(r"^  make ([a-z-]+) ", listed, re.MULTILINE) == explained
