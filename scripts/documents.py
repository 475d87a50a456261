"""Write the tables in docs/ that come from lib/settings.py and template.yaml (`make docs`).

.venv/bin/python scripts/documents.py [--check]
"""

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped] # its types are a package of their own

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from lib.settings import REQUIRED, RULES  # noqa: E402 - found through the line above

TEMPLATE = ROOT / "template.yaml"

MEANINGS = {
    "PROJECT_ID": "The project whose log rows are handed out. "
    "Its settings page in Braintrust shows the id.",
    "TAG": "Rows that carry this tag are handed out. "
    "Quotes, backslashes and blanks are taken as they are.",
    "DAYS": "How many days back rows are looked for, by their creation.",
    "LIMIT": "Rows per query page. Smaller pages cost more of the query allowance.",
    "BATCH_SIZE": "Assignments per insert request.",
    "MAX_PAGES": "Query pages in one run, at most. A run that stops here says `incomplete`.",
    "FILTER": "One more BTQL expression that rows must meet. "
    "Read [what it hides](#filter-and-what-it-hides) first.",
    "MAX_ASSIGNMENTS": "Rows handed out in one run, at most; the oldest of those seen go first.",
    "REVIEWERS_PER_ROW": "How many different people a row gets, all at once. Read "
    "[several reviewers a row](#several-reviewers-a-row) first.",
    "OVERLAP": "With `REVIEWERS_PER_ROW` above 1, the share of the rows that get so many people; "
    "the others get one. The same rows in every run; raising it only adds rows.",
    "AUTHOR": "Where a row's metadata says who made it: [nobody reviews what they made](#author).",
    "FULL_READ_HOURS": "A run reads the whole window at least this often, and at least twice in "
    "the length of a window; the runs between read only rows that may need something. "
    "0: every run reads everything.",
    "OPEN_STATUSES": "Words that a review's status may have while it is not finished, compared "
    "letter by letter. `PENDING` always is one.",
    "DRY_RUN": "`true`: plan and report, write nothing to Braintrust.",
    "REQUEST_TIMEOUT": "Seconds for one HTTP request, never more than the run has left.",
    "INSERT_CONCURRENCY": "Insert requests in flight at once. Queries always go one at a time.",
    "BRAINTRUST_API_URL": "Base URL of the API. A trailing `/` or `/v1` does no harm.",
    "BRAINTRUST_API_KEY_SECRET_ID": "Where the API key is: the key alone, or JSON with the field "
    "`BRAINTRUST_API_KEY`. Set this one or the next.",
    "BRAINTRUST_API_KEY_PARAMETER": "Where the API key is, if it is in Parameter Store.",
    "REVIEWERS_PARAMETER": "Where [the reviewers](#reviewers) are.",
    "QUEUES_PARAMETER": "Where [several queues](settings.md#queues) are; with it, the project, "
    "the tag and the reviewers above are only what queues do not say themselves.",
    "WEBHOOK_PARAMETER": "Where the address is that [the digest](deploy.md#the-digest) "
    "is posted to.",
    "IMPERSONATE_USER": "Act as [this user](deploy.md#impersonation).",
    "AUDIT_BUCKET": "Where plans and records go. The stack makes a bucket if its parameter is "
    "empty; stacks on one project [have to share one](deploy.md#several-stacks).",
    "AUDIT_PREFIX": "What the audit's keys start with.",
}
NEXT_TO_SETTINGS = {
    "ApiKeyKmsKeyArn",
    "AlarmEmail",
    "AlarmTopicArn",
    "MaxWaitingHours",
    "TakeBackDays",
    "DigestSchedule",
    "DigestTimezone",
    "ScheduleState",
    "LogRetentionDays",
    "LogLevel",
    "MemorySize",
    "Architecture",
    "ReservedConcurrency",
    "AuditKmsKeyArn",
    "PermissionsBoundary",
}
"""Parameters of the template that are no settings of the function: a table of their own."""


class Cloudformation(yaml.SafeLoader):  # type: ignore[misc] # as above
    """YAML with CloudFormation's short forms: `!Ref x` reads as {"!Ref": "x"}."""


def _short_form(loader: yaml.SafeLoader, tag: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        return {f"!{tag}": loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {f"!{tag}": loader.construct_sequence(node, deep=True)}
    return {f"!{tag}": loader.construct_mapping(node, deep=True)}


Cloudformation.add_multi_constructor("!", _short_form)


def template() -> dict[str, Any]:
    """The template as data."""
    text = TEMPLATE.read_text("utf-8")
    loaded: dict[str, Any] = yaml.load(text, Cloudformation)  # noqa: S506 - a SafeLoader
    return loaded


def table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def parameter_of(value: dict[str, Any], parameters: dict[str, Any]) -> str:
    """The parameter that a variable's value comes from: `!Ref x` or `!If [c, !Ref own, !Ref x]`."""
    (source,) = {
        each["!Ref"] for each in value.get("!If", [value])[-2:] if each["!Ref"] in parameters
    }
    return str(source)


def settings_table() -> str:
    """One line a variable: from RULES, the template and MEANINGS."""
    stack = template()
    variables = stack["Resources"]["ReviewAssignerFunction"]["Properties"]["Environment"][
        "Variables"
    ]
    rows = []
    for name, rule in RULES.items():
        source = parameter_of(variables[name], stack["Parameters"])
        parameter = stack["Parameters"][source]
        default = "required" if rule.default is REQUIRED else code(rule.default)
        if rule.default is REQUIRED and parameter.get("Default"):
            default += f"; the template has {code(parameter['Default'])}"
        event = code(name.lower()) if rule.in_event else ""
        meaning = f"{MEANINGS[name]} Accepted: {rule.accepted}."
        rows.append((code(name), source, event, default, meaning))
    return table(("variable", "template parameter", "event field", "default", "meaning"), rows)


def parameters_table() -> str:
    """One line a parameter that is no setting of the function."""
    parameters = template()["Parameters"]
    rows = [
        (name, code(parameters[name]["Default"]), f"{parameters[name]['Description']}.")
        for name in parameters
        if name in NEXT_TO_SETTINGS
    ]
    return table(("template parameter", "default", "meaning"), rows)


def alarms() -> dict[str, tuple[str, str]]:
    """Meaning and first action of each alarm, by its logical name."""
    rows = {}
    for name, resource in template()["Resources"].items():
        if resource["Type"] == "AWS::CloudWatch::Alarm":
            text = resource["Properties"]["AlarmDescription"]
            text = text["!Sub"] if isinstance(text, dict) else text
            match = re.fullmatch(
                r"Meaning: (.+) First action: (.+)", re.sub(r"\$\{(\w+)\}", r"\1", text).strip()
            )
            if match is None:
                sys.exit(
                    f"{name}: its description is not of the form 'Meaning: ... First action: ...'"
                )
            rows[name] = (match[1], match[2])
    return rows


def alarms_table() -> str:
    """One line an alarm, in the words of its description."""
    rows = [(name, *texts) for name, texts in alarms().items()]
    return table(("alarm", "meaning", "first action"), rows)


def code(value: object) -> str:
    """A value as it is written in a variable."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"`{text.removesuffix('.0')}`" if text else "empty"


TABLES: dict[str, dict[str, Callable[[], str]]] = {
    "docs/settings.md": {"settings": settings_table, "parameters": parameters_table},
    "docs/operations.md": {"alarms": alarms_table},
}
"""By document, its generated tables. Each has one home."""


def generated(document: str) -> str:
    """The document's text with each of its generated tables made anew."""
    text = (ROOT / document).read_text("utf-8")
    for name, make in TABLES[document].items():
        start, end = f"<!-- generated: {name} -->", f"<!-- end: {name} -->"
        if text.count(start) != 1 or text.count(end) != 1:
            sys.exit(f"{document} needs {start} and {end}, once each")
        before, rest = text.split(start)
        text = f"{before}{start}\n{make()}\n{end}{rest.split(end)[1]}"
    return text


def main(arguments: list[str] | None = None) -> int:
    """Write the tables, or check them; 1 if one is not up to date."""
    parser = argparse.ArgumentParser(prog="scripts/documents.py", description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; 1 if a table is not up to date"
    )
    check = parser.parse_args(arguments).check
    stale = [name for name in TABLES if (ROOT / name).read_text("utf-8") != generated(name)]
    for name in stale:
        if check:
            print(f"{name} is not up to date: make docs")
        else:
            (ROOT / name).write_text(generated(name), "utf-8")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
