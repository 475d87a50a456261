"""What a stack is deployed with, as it is kept in ops/stacks/<stack>.yaml: read, and written."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped] # its types are a package of their own

Parameters = Mapping[str, Mapping[str, Any]]
"""What the template says of each of its parameters, by name."""
FOLDER = Path("ops/stacks")
HEAD = """\
# What the stack {stack} is deployed with: change a line, `make deploy`, commit this file. No secret is in it.
# Values are text as it stands here. One that YAML would take for something else (it begins with a quote, a bracket or
# one of # & * ! | > % @ `, or has ": " or " #" in it) stands in single quotes, each single quote within it doubled.
"""  # noqa: E501 - lines of the written file


class AnswersError(Exception):
    """Raised when a stack cannot be deployed like this; says what to change."""


class _Text(yaml.BaseLoader):  # type: ignore[misc] # as above
    """YAML in which every value is text: `true` is "true", and 7 is "7"."""


class _Plain(yaml.SafeDumper):  # type: ignore[misc] # as above
    """Text without quotes where they are not needed for reading it as above."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own


@dataclass
class Answers:
    """The region, and the template's parameters by name."""

    region: str = ""
    parameters: dict[str, str] = field(default_factory=dict)


def read(path: Path) -> Answers:
    """The answers in a file. Raises AnswersError."""
    try:
        content = yaml.load(path.read_text("utf-8-sig"), _Text) or {}  # noqa: S506 - makes text only
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise AnswersError(f"{path} is not YAML: {error}") from error
    if not isinstance(content, dict) or (unknown := content.keys() - {"region", "parameters"}):
        what = ", ".join(sorted(unknown)) if isinstance(content, dict) else "no names"
        raise AnswersError(
            f"{path} holds {what}: it has region and parameters, and nothing else; "
            "what belongs below `parameters:` stands two blanks in"
        )
    region, parameters = content.get("region", ""), content.get("parameters") or {}
    if not isinstance(region, str) or not isinstance(parameters, dict):
        raise AnswersError(f"{path}: region is text, parameters are lines of `Name: value`")
    if lists := [name for name, value in parameters.items() if not isinstance(value, str)]:
        raise AnswersError(f"{path}: {', '.join(lists)} is not text: put it into single quotes")
    return Answers(region, parameters)


def in_file(stack: str, name: str) -> str:
    """The answer of this name in the stack's file; empty if there is no file, or no such answer."""
    path = FOLDER / f"{stack}.yaml"
    try:
        return read(path).parameters.get(name, "") if path.exists() else ""
    except (AnswersError, OSError):
        return ""


def written(stack: str, answers: Answers, parameters: Parameters) -> str:
    """The file's text: the answers, and parameters without one as comments with their defaults."""

    def line(name: str, value: str) -> str:
        visible = value.isprintable()  # what cannot be seen is escaped
        dumped = yaml.dump({name: value}, Dumper=_Plain, allow_unicode=visible, width=2**31)
        return str(dumped).rstrip("\n")

    lines = [HEAD.format(stack=stack) + line("region", answers.region), "parameters:"]
    for name, parameter in parameters.items():
        if name in answers.parameters:
            lines += [f"  {each}" for each in line(name, answers.parameters[name]).split("\n")]
        else:
            lines.append(f"  # {line(name, parameter['Default'])}")
    return "\n".join(lines) + "\n"
