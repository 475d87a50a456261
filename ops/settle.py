"""What a stack is deployed with: asked for once, kept in ops/stacks/<stack>.yaml, given to SAM.

python -m ops.settle <stack> --for-sam FILE; `make deploy` calls it. Answers of a stack that has no
such file are taken from samconfig.toml, where earlier versions kept them, else from the deployed
stack, else from whoever sits there.
"""

import argparse
import os
import re
import sys
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import boto3
import yaml  # type: ignore[import-untyped] # its types are a package of their own
from botocore.exceptions import BotoCoreError, ClientError

from ops.stack import reason
from ops.stack_file import FOLDER, Answers, AnswersError, Parameters, read, written
from ops.table import wrapped

TEMPLATE, SAMCONFIG = Path("template.yaml"), Path("samconfig.toml")
DEFAULT_STACK = "braintrust-review-assigner"
ASKED = (
    "ProjectId",
    "Tag",
    "BraintrustApiKeySecretId",
    "BraintrustApiKeyParameter",
    "ReviewersParameter",
    "AlarmEmail",
    "DryRun",
    "MaxAssignments",
    "ExistingAuditBucket",
)
"""What a first deployment is asked for; everything else has a default that stands in the file."""
SUGGESTED = {
    "BraintrustApiKeySecretId": "braintrust-review-assigner/api-key",
    "BraintrustApiKeyParameter": "/braintrust-review-assigner/api-key",
    "DryRun": "true",
}
"""What Enter alone gives, where that is not the template's default: the way of the README, dry
first."""
NEEDED = ("ProjectId", "Tag", "ReviewersParameter")
"""Without queues; with them, each queue may have its own."""
NONE = "-"
HINTS = {
    "BraintrustApiKeySecretId": (
        f"{NONE} if it is in Parameter Store instead, which is asked for next"
    ),
    "AlarmEmail": "worth giving: else nobody is told",
    "DryRun": (
        "true first: look at what it would do, then change it to false in the file and deploy again"
    ),
    "ExistingAuditBucket": "Enter, unless another stack works on this project",
}
"""What the template's descriptions do not say to somebody who does it for the first time."""


class _Template(yaml.BaseLoader):  # type: ignore[misc] # as above
    """CloudFormation's YAML: of what has a short form such as !Ref, only that it is there."""


_Template.add_multi_constructor("!", lambda *_: "")


def declared() -> Parameters:
    """The template's parameters."""
    template: dict[str, Any] = yaml.load(TEMPLATE.read_text("utf-8"), _Template)  # noqa: S506 - makes text only
    parameters: Parameters = template["Parameters"]
    return parameters


def refusal(parameter: Mapping[str, Any], value: str) -> str:
    """Why CloudFormation would not take the value; empty if it would.

    It says so minutes later, SAM having kept it.
    """
    if allowed := parameter.get("AllowedValues"):
        return "" if value in allowed else f"must be one of {', '.join(allowed)}"
    fits = re.fullmatch(parameter.get("AllowedPattern", "(?s:.*)"), value)
    if parameter["Type"] == "Number":
        fits = re.fullmatch(r"[0-9]+(\.[0-9]+)?", value)
        if fits and not float(parameter["MinValue"]) <= float(value):
            fits = None
    if fits and len(value) >= int(parameter.get("MinLength", 0)):
        return ""
    return str(parameter["ConstraintDescription"])


def problems(answers: Answers, parameters: Parameters) -> list[str]:
    """Everything that is wrong with them, each with its name.

    No value is in it, which may be a key in the wrong place.
    """
    given = answers.parameters
    wrong = [f"{name} is no parameter of template.yaml" for name in given.keys() - parameters]
    wrong += [
        f"{name} {why}"
        for name, value in given.items()
        if name in parameters and (why := refusal(parameters[name], value))
    ]
    values = {name: each["Default"] for name, each in parameters.items() if "Default" in each}
    values |= given
    if not values.get("QueuesParameter"):
        wrong += [f"{name} is missing" for name in NEEDED if not values.get(name)]
        if not wrong and int(values["TakeBackDays"]) >= int(values["Days"]):
            wrong.append("TakeBackDays has to be below Days, which is as far back as rows are seen")
    keys = [
        each
        for each in ("BraintrustApiKeySecretId", "BraintrustApiKeyParameter")
        if given.get(each)
    ]
    if len(keys) != 1:
        wrong.append(
            "exactly one of BraintrustApiKeySecretId and BraintrustApiKeyParameter is needed"
        )
    return sorted(wrong)


def sam_unquotes(value: str) -> str:
    """What the SAM CLI makes of a value, wherever it stands, each time that it looks at it."""
    pair = value[:1] == value[-1:] and value[:1] in ("'", '"')
    return re.sub(r"""\\([ "'])""", r"\1", value[1:-1] if pair else value)


def sam_quotes(value: str) -> str:
    """What the SAM CLI makes the value of."""
    return '"' + re.sub(r"""\\(?=[ "'])""", r"\\\\", value) + '"'


def for_sam(answers: Answers, parameters: Parameters) -> str:
    """A file that the SAM CLI reads as exactly these values.

    What the answers leave out has the template's default. SAM looks at values in files twice.
    Without a line for every parameter, it would leave those of a deployed stack as they are,
    whatever the answers say.
    """
    lines = {}
    for name, parameter in parameters.items():
        value = str(answers.parameters.get(name, parameter.get("Default", "")))
        lines[name] = value if sam_unquotes(value) == value else sam_quotes(sam_quotes(value))
    # In ASCII, because SAM reads it in the terminal's encoding.
    return str(yaml.safe_dump(lines, width=2**31))


def in_samconfig(stack: str) -> Answers | None:
    """What `sam deploy --guided` kept for the stack, as SAM reads it; None if it kept nothing."""
    try:
        sections = tomllib.loads(SAMCONFIG.read_text("utf-8-sig")) if SAMCONFIG.exists() else {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise AnswersError(f"{SAMCONFIG}: {error}") from error
    section = sections.get("default" if stack == DEFAULT_STACK else stack, {}).get("deploy", {})
    kept = section.get("parameters", {})
    line = kept.get("parameter_overrides")
    if not line:
        return None
    if not isinstance(line, str) or line.startswith("file://"):
        raise AnswersError(f"{SAMCONFIG}: move parameter_overrides to {FOLDER / stack}.yaml")
    one = r""" ([A-Za-z0-9]+)=("(?:\\.|[^"\\]+)*"|'(?:\\.|[^'\\]+)*'|(?:\\.|[^ "\\]+)+)"""
    pairs = re.findall(one, f" {line.strip()}")
    return Answers(kept.get("region", ""), {name: sam_unquotes(value) for name, value in pairs})


def deployed(stack: str, region: str) -> Answers:
    """The answers that the stack in AWS has; none of them if there is no such stack.

    Raises AnswersError.
    """
    try:
        client: Any = boto3.client("cloudformation", region_name=region or None)
        parameters = client.describe_stacks(StackName=stack)["Stacks"][0].get("Parameters", [])
    except ClientError as error:
        if "does not exist" not in str(error):
            raise AnswersError(f"AWS: {reason(error)}") from error
        parameters = []
    except BotoCoreError as error:
        raise AnswersError(f"AWS: {reason(error)}") from error
    values = {each["ParameterKey"]: each["ParameterValue"] for each in parameters}
    return Answers(client.meta.region_name, values)


def ask(parameters: Parameters, answer: Callable[[str], str]) -> dict[str, str]:
    """The answers of whoever sits there, each asked for until CloudFormation would take it."""
    print(f"Enter alone takes what stands in brackets, {NONE} leaves it empty.")
    print("Everything can be changed later, in the file.")
    answers: dict[str, str] = {}
    for name in ASKED:
        if name == "BraintrustApiKeyParameter" and answers["BraintrustApiKeySecretId"]:
            continue
        parameter = parameters[name]
        proposed = str(SUGGESTED.get(name) or parameter.get("Default", ""))
        print("", *wrapped(f"{parameter['Description']}."), sep="\n")
        if name in HINTS:
            print(*wrapped(f"({HINTS[name]})"), sep="\n")
        while True:
            value = answer(f"{name} [{proposed}]: ").strip() or proposed
            value = "" if value == NONE else value
            why = refusal(parameter, value)
            if name == "BraintrustApiKeyParameter" and not value:
                why = "is needed, because there is no BraintrustApiKeySecretId"
            if name in NEEDED and not value:
                why = "is needed"
            if not why:
                break
            print(f"{name} {why}.")
        answers[name] = value
    return answers


def found(
    stack: str, path: Path, here: str, parameters: Parameters, *, unattended: bool
) -> tuple[Path | str, Answers]:
    """The stack's answers, and where they were. Raises AnswersError."""
    if path.exists():
        return path, read(path)
    if kept := in_samconfig(stack):
        return SAMCONFIG, kept
    answers = deployed(stack, here)
    if answers.parameters:
        return "the deployed stack", answers
    if unattended:
        raise AnswersError(
            f"there is no {path}: at a terminal, `make deploy` asks for what it holds"
        )
    print(f"A new stack, {stack} in the region {answers.region}.")
    return "you", Answers(answers.region, ask(parameters, input))


def settle(stack: str, *, unattended: bool) -> tuple[Answers, Parameters]:
    """The stack's answers, written into its file if they were elsewhere. Raises AnswersError."""
    if stack == "default":
        raise AnswersError(
            "no stack can be called default here: to the SAM CLI it is the first stack. "
            "Choose another name: STACK=..."
        )
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]{0,63}", stack):
        raise AnswersError(f"{stack!r} is no name of a stack: up to 64 letters, digits and hyphens")
    parameters, path = declared(), FOLDER / f"{stack}.yaml"
    here = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or ""
    source, answers = found(stack, path, here, parameters, unattended=unattended)
    if here and answers.region and here != answers.region:
        raise AnswersError(
            f"{source}: the region is {answers.region}, and this terminal says {here}. A second "
            "stack of one name would know nothing of the first one's plans: unset AWS_REGION and "
            "AWS_DEFAULT_REGION, or choose another name: STACK=..."
        )
    if source != path:  # an older template may have had others
        answers.parameters = {k: v for k, v in answers.parameters.items() if k in parameters}
    if wrong := problems(answers, parameters):
        raise AnswersError(f"{source}:\n- " + "\n- ".join(wrong))
    if isinstance(source, Path):  # has nobody asked AWS anything yet, do it before the long work
        deployed(stack, answers.region or here)
    if source != path:
        FOLDER.mkdir(exist_ok=True)
        answers.region = answers.region or here
        path.write_text(written(stack, answers, parameters), "utf-8")
        whose = "your answers" if source == "you" else f"the answers of {source}"
        print(f"{path} is new, with {whose}. Commit it.")
    return answers, parameters


def main() -> int:
    """Settle the answers and write them down for the SAM CLI; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m ops.settle", description=__doc__)
    parser.add_argument("stack")
    parser.add_argument(
        "--for-sam", type=Path, required=True, help="the file for sam deploy to read"
    )
    parser.add_argument("--unattended", action="store_true", help="ask nothing")
    chosen = parser.parse_args()
    try:
        answers, parameters = settle(chosen.stack, unattended=chosen.unattended)
    except AnswersError as error:
        sys.exit(f"error: {error}")
    except (EOFError, KeyboardInterrupt):
        sys.exit("\nNothing was deployed, and nothing written down.")
    chosen.for_sam.parent.mkdir(parents=True, exist_ok=True)
    chosen.for_sam.write_text(for_sam(answers, parameters), "ascii")
    return 0


if __name__ == "__main__":
    sys.exit(main())
