"""Count the code: sizes, complexity, density, what `import lib.plan` loads.

`make figures`; nothing depends on it.

make figures ARGS="--rev HEAD~20" puts an earlier revision beside what is checked out; --rev can be
repeated.
"""

import argparse
import ast
import io
import statistics
import subprocess
import sys
import tarfile
import tempfile
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FUNCTION = ("lib", "handler.py")
SHORT, COMPLEX = 30, 10  # lines of a short function, decisions of a complex one
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
LOADED = "import sys; before = len(sys.modules); import lib.plan; print(len(sys.modules) - before)"
Def = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class Count:
    """What some files add up to."""

    lines: int
    lengths: list[int]
    """Lines of every function, the first of them its `def`; nested ones count in their own right
    too."""
    complexities: list[int]
    comprehensions: int
    ternaries: int
    comments: int

    @classmethod
    def of(cls, files: list[Path]) -> "Count":
        texts = [file.read_text("utf-8") for file in files]
        nodes = [node for text in texts for node in ast.walk(ast.parse(text))]
        functions = [node for node in nodes if isinstance(node, Def)]
        return cls(
            lines=sum(len(text.splitlines()) for text in texts),
            lengths=[(node.end_lineno or node.lineno) - node.lineno + 1 for node in functions],
            complexities=[complexity(node) for node in functions],
            comprehensions=sum(isinstance(node, COMPREHENSIONS) for node in nodes),
            ternaries=sum(isinstance(node, ast.IfExp) for node in nodes),
            comments=sum(map(comments, texts)),
        )

    def figures(self) -> dict[str, str]:
        return {
            "lines": f"{self.lines:,}",
            "functions": f"{len(self.lengths):,}",
            "lines of a function, median": f"{statistics.median(self.lengths):g}",
            "lines of a function, p90": (
                f"{statistics.quantiles(self.lengths, n=10, method='inclusive')[-1]:.0f}"
            ),
            f"functions up to {SHORT} lines": share(length <= SHORT for length in self.lengths),
            "complexity, highest": f"{max(self.complexities)}",
            f"functions of complexity {COMPLEX} or more": share(
                each >= COMPLEX for each in self.complexities
            ),
            "comprehensions per 100 lines": self.per_100(self.comprehensions),
            "ternaries per 100 lines": self.per_100(self.ternaries),
            "comments per 100 lines": self.per_100(self.comments),
        }

    def per_100(self, count: int) -> str:
        return f"{100 * count / self.lines:.1f}"


def share(answers: Iterator[bool]) -> str:
    yes = list(answers)
    return f"{100 * sum(yes) / len(yes):.1f} %"


def complexity(function: Def) -> int:
    """Cyclomatic complexity as radon counts it: 1 and its decisions, inner functions' left out."""
    return 1 + sum(decisions(node) for child in function.body for node in inside(child))


def inside(node: ast.AST) -> Iterator[ast.AST]:
    """The node and everything in it, but not what functions and classes in it hold."""
    if isinstance(node, Def | ast.ClassDef):
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from inside(child)


def decisions(node: ast.AST) -> int:
    """How many ways more there are through this node alone."""
    ways = 0
    match node:
        case ast.If() | ast.IfExp() | ast.Assert():
            ways = 1
        case ast.For() | ast.AsyncFor() | ast.While():
            ways = 1 + bool(node.orelse)
        case ast.Try() | ast.TryStar():
            ways = len(node.handlers) + bool(node.orelse)
        case ast.BoolOp():
            ways = len(node.values) - 1
        case ast.comprehension():
            ways = 1 + len(node.ifs)
        case ast.Match():
            ways = sum(not is_wildcard(case) for case in node.cases)
    return ways


def is_wildcard(case: ast.match_case) -> bool:
    return isinstance(case.pattern, ast.MatchAs) and case.pattern.pattern is None


def comments(text: str) -> int:
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return sum(token.type == tokenize.COMMENT for token in tokens)


def loaded(tree: Path) -> str:
    """How many modules a fresh process loads for `lib.plan`; a dash if it cannot."""
    run = subprocess.run(  # noqa: S603 - our own text
        [sys.executable, "-c", LOADED], cwd=tree, capture_output=True, text=True, check=False
    )
    return run.stdout.strip() or "-"


def python_files(tree: Path, rooms: tuple[str, ...]) -> list[Path]:
    """Every module of some rooms; rooms that a revision does not have are left out."""
    return [
        file
        for room in rooms
        for file in (
            [tree / room] if room.endswith(".py") else sorted((tree / room).rglob("[!.]*.py"))
        )
        if file.exists()
    ]


def figures(tree: Path, rooms: tuple[str, ...]) -> dict[str, str]:
    return Count.of(python_files(tree, rooms)).figures() | {
        "modules that `import lib.plan` loads": loaded(tree)
    }


def unpack(revision: str, folder: Path) -> Path:
    """The files of a revision, in a folder of their own."""
    archive = subprocess.run(  # noqa: S603 - a revision's name goes to git only
        ["git", "archive", "--format=tar", revision],  # noqa: S607 - the one on the path
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")
    return folder


def main(arguments: list[str] | None = None) -> int:
    """Print the figures, a column a revision; 1 if git does not know one of them."""
    parser = argparse.ArgumentParser(prog="scripts/code_figures.py", description=__doc__)
    parser.add_argument("--rev", action="append", default=[], help="a revision to put beside")
    revisions = parser.parse_args(arguments).rev
    everything = (*FUNCTION, "local", "ops", "scripts", "benchmarks")
    with tempfile.TemporaryDirectory() as scratch:
        try:
            trees = [unpack(rev, Path(scratch, str(n))) for n, rev in enumerate(revisions)]
        except subprocess.CalledProcessError as error:
            print(error.stderr.decode().strip(), file=sys.stderr)
            return 1
        columns = [*revisions, "now"]
        for title, rooms in (
            ("lib/ and handler.py", FUNCTION),
            ("everything but tests/", everything),
        ):
            values = [figures(tree, rooms) for tree in (*trees, ROOT)]
            print(f"{title:<42}" + "".join(f"{column[:12]:>14}" for column in columns))
            for name in values[0]:
                print(f"  {name:<40}" + "".join(f"{value[name]:>14}" for value in values))
            print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
