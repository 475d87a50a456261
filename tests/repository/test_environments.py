"""What make and git do on other people's machines: virtual environments, pip, line ends, files that stay out."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.template.cloudformation import ROOT

INDEX = "https://packages.example.com/simple"
ELSEWHERE = {
    "PIP_USER": "1",
    "PIP_PREFIX": "/elsewhere",
    "PIP_TARGET": "/elsewhere",
    "PIP_CONSTRAINT": "/elsewhere.txt",
    "PIP_DRY_RUN": "1",
}


@pytest.fixture
def pip(tmp_path):
    """What scripts/plain_pip.py tells pip for a caller with these settings, beside what it does anyway."""
    settings = tmp_path / "pip.conf"

    def start(command="install", conf="", **environ):
        settings.write_text(conf, "utf-8")
        asked = f"import plain_pip, json; print(json.dumps(plain_pip.environment({command!r})))"
        return subprocess.run(
            [sys.executable, "-c", asked], cwd=ROOT / "scripts", capture_output=True, text=True,
            env=os.environ | {"PIP_CONFIG_FILE": str(settings)} | environ, check=False,
        )  # fmt: skip

    machines = json.loads(start().stdout).items()  # its own pip.conf, which is read in any case

    def told(*how, **environ):
        done = start(*how, **environ)
        if done.returncode:
            return done.stderr
        given = json.loads(done.stdout)
        assert given["PIP_CONFIG_FILE"] == os.devnull
        return {name: value for name, value in given.items() - machines if name[:4] == "PIP_"}

    return told


def test_pip_puts_packages_where_it_is_told_whatever_the_caller_prefers(pip):
    assert pip(**ELSEWHERE) == {}
    assert (
        pip("install", "[global]\nuser = true\n[install]\nprefix = /elsewhere\nno-deps = false\n")
        == {}
    )


def test_where_packages_come_from_is_the_callers_to_say(pip):
    conf = f"[global]\nindex-url = {INDEX}\nfind-links = /a\n    /b c\n[download]\nretries = 9\n"
    written = {"PIP_INDEX_URL": INDEX, "PIP_FIND_LINKS": "/a\n/b c"}
    assert pip("install", conf) == written
    assert pip("download", conf) == written | {"PIP_RETRIES": "9"}
    said = {"PIP_INDEX_URL": "https://other.example.com", "PIP_CERT": "/it's mine.pem"}
    assert pip("install", conf, **said, **ELSEWHERE) == written | said


def test_a_pip_conf_that_cannot_be_read_is_said(pip):
    assert "pip.conf" in pip("install", "no section = 1\n")


@pytest.fixture
def clone(tmp_path):
    """A folder in which make thinks that everything is installed; every command is only said."""
    folder = tmp_path / "a clone"
    folder.mkdir()
    shutil.copy(ROOT / "Makefile", folder)
    shutil.copytree(ROOT / "scripts", folder / "scripts")
    for lock in ROOT.glob("requirements*.txt"):
        shutil.copy(lock, folder)
    for name in (".venv", ".venv-tools", ".venv-checkov"):
        (folder / name / "bin").mkdir(parents=True)
        (folder / name / "bin" / "python").symlink_to(sys.executable)
        (folder / name / ".stamp").touch()
    (folder / ".venv" / "bin" / "aws-lambda-rie").touch()
    return folder


def says(clone, target):
    made = subprocess.run(
        ["make", "--dry-run", target], cwd=clone, capture_output=True, text=True, check=True
    )
    return made.stdout


@pytest.mark.parametrize(
    ("name", "target"), [(".venv", "run"), (".venv-tools", "build"), (".venv-checkov", "template")]
)
def test_an_environment_whose_python_is_gone_is_made_anew(clone, name, target):
    assert "make_venv.sh" not in says(clone, target)
    python = clone / name / "bin" / "python"
    python.unlink()
    python.symlink_to("/usr/local/opt/a-python-that-an-upgrade-took-away/bin/python3")
    assert f"sh scripts/make_venv.sh {name} " in says(clone, target)


def test_lambdas_emulator_goes_with_its_environment_and_comes_back_with_it(clone):
    assert "get_emulator.sh" not in says(clone, "test")
    (clone / ".venv" / "bin" / "python").unlink()
    assert "sh scripts/get_emulator.sh .venv/bin/aws-lambda-rie" in says(clone, "test")


@pytest.mark.parametrize(
    "there", ["nothing", "a Python that is gone", "one that is too old", "one"]
)
def test_an_environment_is_made_where_none_works_and_kept_where_one_does(clone, there):
    """The installation itself is `true`'s: what would be installed is for whoever calls make."""
    venv = clone / ".venv"
    python = venv / "bin" / "python"
    if there == "one":
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
        (pip,) = venv.glob("lib/python*/site-packages")
        (pip / "pip.py").touch()
    else:
        python.unlink()
    if there == "a Python that is gone":
        python.symlink_to("/nowhere/python3")
    if there == "one that is too old":
        python.write_text("#!/bin/sh\nexit 1\n", "ascii")
        python.chmod(0o755)
    (venv / "of the old one").touch()
    (clone / "scripts" / "plain_pip.py").write_text("print('installed')", "ascii")

    made = subprocess.run(
        ["sh", "scripts/make_venv.sh", ".venv", "requirements-dev.txt"], cwd=clone,
        env=os.environ | ELSEWHERE | {"PYTHON": sys.executable},
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (made.returncode, made.stderr, made.stdout.splitlines()[-1]) == (0, "", "installed")
    assert subprocess.run([python, "-c", "import pip"], check=False).returncode == 0
    assert (venv / "of the old one").exists() == (there == "one")


@pytest.mark.parametrize(
    "said", ["PYTHONSAFEPATH=1", "PYTHONPATH=/others", "PYTHONHOME=/others", "PYTHONWARNINGS=error"]
)
def test_what_a_shell_says_about_other_pythons_does_not_reach_this_one(clone, said):
    report = clone / "report.mk"
    report.write_text("include Makefile\nreport:\n\t@env\n", "ascii")
    name, _, value = said.partition("=")
    ran = subprocess.run(
        ["make", "--silent", "-f", "report.mk", "report"], cwd=clone, env=os.environ | {name: value},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    lines = ran.stdout.splitlines()
    assert [line for line in lines if line.startswith(f"{name}=")] == []
    assert "PYTHONIOENCODING=:backslashreplace" in lines


def git(*arguments, cwd):
    """Git as on a machine of its own: with Windows's line ends, and nobody's other settings."""
    if shutil.which("git") is None:
        reason = "git is not installed: apt-get install git"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(
            f"WHAT GIT MAKES OF THE FILES WAS NOT TRIED. {reason}"
        )
    mine = ("-c", "core.autocrlf=true", "-c", "user.name=a", "-c", "user.email=a@example.com")
    return subprocess.run(
        ["git", *mine, *arguments], cwd=cwd, capture_output=True, check=True
    ).stdout.decode()


def test_a_clone_made_on_windows_has_the_lines_that_a_shell_understands(tmp_path):
    origin, windows = tmp_path / "origin", tmp_path / "windows"
    (origin / "docs").mkdir(parents=True)
    files = (".gitattributes", ".gitignore", "Makefile", "docs/report.png", "template.yaml")
    for name in files:
        shutil.copy(ROOT / name, origin / name)
    (origin / "scripts").mkdir()
    text = (ROOT / "scripts/make_venv.sh").read_bytes()
    (origin / "scripts/make_venv.sh").write_bytes(text.replace(b"\n", b"\r\n"))  # Windows's editor
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        git(*command, cwd=origin)
    git("clone", "-q", str(origin), str(windows), cwd=tmp_path)

    assert (windows / "scripts/make_venv.sh").read_bytes() == text
    for name in files:
        assert (windows / name).read_bytes() == (ROOT / name).read_bytes(), name


def test_files_that_hold_the_key_or_addresses_are_ignored_by_git(tmp_path):
    documents = [ROOT / "README.md", *(ROOT / "docs").glob("[!.]*.md")]
    made = {
        name
        for path in documents
        for name in re.findall(r"(?:file://|FILE=)([\w-]+\.\w+)", path.read_text("utf-8"))
    }
    assert {"key.txt", "reviewers.txt", "reviewers.json"} <= made
    shutil.copy(ROOT / ".gitignore", tmp_path)
    git("init", "-q", cwd=tmp_path)
    assert git("check-ignore", *sorted(made), cwd=tmp_path).split() == sorted(made)
