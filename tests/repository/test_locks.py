"""The lock files, and what is told about them."""

import re

import pytest

from tests.template.cloudformation import ROOT

LOCKS = sorted(ROOT.glob("requirements*.txt"))


def pinned(path):
    return dict(
        re.findall(r"^([a-z0-9._-]+)(?:\[.*?\])?==([^\s;]+)", path.read_text("utf-8"), re.MULTILINE)
    )


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.stem)
def test_a_lock_file_pins_everything_with_hashes_and_names_no_place(path):
    for line in path.read_text("utf-8").splitlines():
        assert re.match(
            r"[a-z0-9._-]+==\S+ .*\\$| {4}--hash=sha256:[0-9a-f]{64}( \\)?$| {4}#", line
        ), line
        assert not re.search(r"https?:|file:|/(opt|root|home|work|tmp|Users)\b", line), line


def test_every_list_of_requirements_is_locked():
    assert [path.with_suffix("").name for path in LOCKS] == [
        path.with_suffix("").name for path in sorted(ROOT.glob("requirements*.in"))
    ]
    for path in LOCKS:
        wanted = re.findall(
            r"^([a-z0-9][a-z0-9-]*)", path.with_suffix(".in").read_text("utf-8"), re.MULTILINE
        )
        assert {*wanted} <= pinned(path).keys()


def test_the_tests_run_the_versions_that_run_in_lambda():
    assert (
        pinned(ROOT / "requirements.txt").items() <= pinned(ROOT / "requirements-dev.txt").items()
    )


def test_every_action_of_the_workflows_is_pinned_to_a_commit():
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        used = re.findall(r"uses: (\S+)", path.read_text("utf-8"))
        assert used
        assert [
            action for action in used if not re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}", action)
        ] == []
