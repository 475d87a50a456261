"""The house: which room may import which, no circles, names that mean one thing, modules that can be read at once."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.template.cloudformation import ROOT

ROOMS = ("handler", "lib", "local", "ops")
PROGRAMS = ("scripts", "benchmarks")
PURE = {
    "errors",
    "deadline",
    "jsontext",
    "message",
    "names",
    "rows",
    "sieve",
    "roster",
    "rules",
    "authors",
    "bars",
    "distribution",
    "lots",
    "turns",
    "past",
    "people",
    "passed",
    "plan",
    "result",
    "settings",
    "taking",
    "terms",
    "zones",
    "pauses",
    "quoting",
    "queue_list",
    "findings",
}
"""What decides in lib, without an HTTP library or an AWS SDK."""
HTTP_CLIENT = {"braintrust"}
LONGEST = 310  # lines
SAME_NAMES = {
    "aws": "what runs ask of AWS, and the AWS that answers here",
    "braintrust": "what runs ask of Braintrust, and the Braintrust that answers here, also with delays",
    "names": "what people are called: in the list of reviewers, and on an operator's screen",
    "fairness": "how evenly rows are dealt, measured",
}
"""Module names that two rooms share, each with the one thing that they mean."""


def modules(*rooms: str) -> dict[str, Path]:
    """Dotted names of the modules of some rooms, with their files."""
    files = [
        file
        for room in rooms
        for file in (
            [ROOT / "handler.py"] if room == "handler" else sorted((ROOT / room).rglob("[!.]*.py"))
        )
    ]
    return {
        ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file
        for file in files
    }


def imports(text: str, known: set[str]) -> set[str]:
    """The modules that a text imports, wherever it does, those for types only too: of packages, what is taken of them."""
    return {
        name if name in known else name.rpartition(".")[0] for name in imported_names(text)
    } & known


def imported_names(text: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def graph() -> dict[str, set[str]]:
    known = modules(*ROOMS)
    return {
        name: imports(file.read_text("utf-8"), set(known)) - {name} for name, file in known.items()
    }


def rooms_of(names: Iterator[str]) -> set[str]:
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("import ops.places", {"ops.places"}),
        ("from ops import places", {"ops.places"}),
        ("from ops.places import Place", {"ops.places"}),
        ("def late():\n    from ops.places import Place", {"ops.places"}),
        ("import os", set()),
    ],
)
def test_an_import_is_seen_however_it_is_written(text, names):
    assert imports(text, set(modules(*ROOMS))) == names


@pytest.mark.parametrize(
    ("room", "others"),
    [
        ("handler", {"lib"}),
        ("lib", {"lib"}),
        ("local", {"lib", "local", "ops"}),
        ("ops", {"lib", "ops"}),
        ("scripts", {"lib"}),
        ("benchmarks", {"handler", "lib", "local", "benchmarks"}),
    ],
)
def test_a_room_imports_these_rooms_at_most(room, others):
    ours = {*ROOMS, *PROGRAMS, "tests"}
    reached = {
        file.relative_to(ROOT).as_posix(): rooms_of(imported_names(file.read_text("utf-8"))) & ours
        for file in modules(room).values()
    }

    assert {file: wrong for file, rooms in reached.items() if (wrong := rooms - others)} == {}


def test_what_operators_run_takes_of_the_function_what_is_pure_and_its_http_client():
    allowed = {f"lib.{name}" for name in PURE | HTTP_CLIENT} | {"lib"}
    taken = {
        name: {each for each in imported if each.startswith("lib")} - allowed
        for name, imported in graph().items()
        if name.startswith("ops.")
    }

    assert {name: wrong for name, wrong in taken.items() if wrong} == {}


def test_nothing_imports_in_a_circle():
    try:
        TopologicalSorter(graph()).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(error.args[1]))


def test_a_circle_would_be_found():
    with pytest.raises(CycleError):
        TopologicalSorter({"a": {"b"}, "b": {"a"}}).prepare()


def test_no_two_modules_of_one_name_mean_different_things():
    homes = defaultdict(set)
    for name, file in modules(*ROOMS, *PROGRAMS).items():
        if file.name != "__main__.py":
            homes[name.rpartition(".")[2]].add(name)

    shared = {name: places for name, places in homes.items() if len(places) > 1}
    assert {name: places for name, places in shared.items() if name not in SAME_NAMES} == {}


def test_no_two_classes_and_no_two_fixtures_share_a_name():
    homes = defaultdict(set)
    for file in modules(*ROOMS, *PROGRAMS, "tests").values():
        for node in ast.parse(file.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef) or is_fixture(node):
                homes[node.name].add(file.relative_to(ROOT).as_posix())

    assert {name: places for name, places in homes.items() if len(places) > 1} == {}


def is_fixture(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef) and any(
        ast.unparse(decorator).startswith("pytest.fixture") for decorator in node.decorator_list
    )


def test_a_module_can_be_read_at_once():
    lengths = {
        file.relative_to(ROOT).as_posix(): len(file.read_text("utf-8").splitlines())
        for file in modules(*ROOMS).values()
    }

    assert {name for name, lines in lengths.items() if lines > LONGEST} == set()
