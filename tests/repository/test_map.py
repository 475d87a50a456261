"""The map on top of tests/conftest.py leads to every test."""

import ast
import re

from tests.template.cloudformation import ROOT


def test_the_map_names_every_file_of_tests_in_its_folder_and_no_other():
    text = ast.get_docstring(ast.parse((ROOT / "tests/conftest.py").read_text("utf-8")))
    named, folder = set(), ""
    for line in text.splitlines():
        folder = found[1] if (found := re.match(r"(\w+)/ ", line)) else folder
        named |= {f"{folder}/{name}.py" for name in re.findall(r"\btest_\w+", line)}
    tests = (ROOT / "tests").rglob("test_*.py")
    assert named == {path.relative_to(ROOT / "tests").as_posix() for path in tests}
