"""What the SAM CLI itself makes of a stack's answers and of the line for `sam local`; `make template` runs it.

.venv-tools/bin/python -m tests.template.through_sam: SAM's libraries are in no other environment.
"""

import random
import sys
import tempfile
from pathlib import Path

from samcli.cli.types import CfnParameterOverridesType
from samcli.lib.providers.sam_function_provider import SamFunctionProvider
from samcli.lib.providers.sam_stack_provider import SamLocalStackProvider

from ops.settle import for_sam
from ops.stack_file import Answers

TEMPLATE = Path(__file__).parents[2] / "template.yaml"
SIGNS = (
    "\\\\\\\"\"''  ,=#:&*!|>%@`{}[]~-\n\tabZ09äß\N{HIRAGANA LETTER A}\N{GRINNING FACE}\u2028\x85"
)


def answers_that_change() -> list[str]:
    """Values that do not come out as they went in, of many that are hard to quote."""
    draw = random.Random(1)  # noqa: S311 - the same ones every time
    values = {
        f"P{number}": "".join(draw.choice(SIGNS) for _ in range(draw.randrange(12)))
        for number in range(3000)
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "answers.yaml"
        path.write_text(for_sam(Answers("", values), {name: {} for name in values}), "ascii")
        read = CfnParameterOverridesType().convert((f"file://{path}",), None, None)
    return [value for name, value in values.items() if read.get(name) != value]


def containers_processor(architecture: str) -> str:
    """The processor that `sam local invoke --parameter-overrides Architecture=...` starts a container of."""
    stacks, _ = SamLocalStackProvider.get_stacks(
        str(TEMPLATE), parameter_overrides={"Architecture": architecture}
    )
    function = SamFunctionProvider(stacks).get("ReviewAssignerFunction")
    return function.architecture if function else "none"


def main() -> int:
    """1 if SAM reads anything otherwise than we write it."""
    wrong = [f"SAM changes the answer {value!r}" for value in answers_that_change()]
    wrong += [
        f"sam local would start {found} for {asked}"
        for asked in ("arm64", "x86_64")
        if (found := containers_processor(asked)) != asked
    ]
    print("\n".join(wrong) or "SAM reads the answers as they are")  # noqa: T201 - for whoever runs make
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
