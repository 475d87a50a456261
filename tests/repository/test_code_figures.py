"""`make figures`: what it counts is what stands there."""

import runpy
from pathlib import Path

import pytest

from tests.template.cloudformation import ROOT

SCRIPT = runpy.run_path(str(ROOT / "scripts" / "code_figures.py"))
TEXT = '''"""Not a comment."""

# one
def plain(x):
    return x


def branching(rows):  # two
    if rows and rows[0] or not rows:
        for row in rows:
            print(row)
        else:
            pass
    try:
        return [row for row in rows if row] if rows else None
    except ValueError:
        raise

    def inner():
        assert rows
'''


@pytest.fixture
def counted(tmp_path: Path) -> dict[str, str]:
    file = tmp_path / "module.py"
    file.write_text(TEXT, "utf-8")
    return SCRIPT["Count"].of([file]).figures()


def test_a_modules_figures(counted):
    # branching: 1, if 1, or 1, and 1, for 1, its else 1, except 1, ternary 1, comprehension 1, its if 1
    assert counted == {
        "lines": "20",
        "functions": "3",
        "lines of a function, median": "2",
        "lines of a function, p90": "11",
        "functions up to 30 lines": "100.0 %",
        "complexity, highest": "10",
        "functions of complexity 10 or more": "33.3 %",
        "comprehensions per 100 lines": "5.0",
        "ternaries per 100 lines": "5.0",
        "comments per 100 lines": "10.0",
    }


def test_an_unknown_revision_is_said(capfd):
    assert SCRIPT["main"](["--rev", "no-such-revision"]) == 1
    assert capfd.readouterr().err != ""


def test_it_prints_a_column_for_what_is_checked_out(capsys):
    assert SCRIPT["main"]([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["lib/", "and", "handler.py", "now"]
    loads = next(line for line in lines if "lib.plan" in line)
    assert 0 < int(loads.split()[-1]) < 200
