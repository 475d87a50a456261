"""The documents against the product: what they name exists, what they show parses, what they tell to type works."""

import json
import re
import subprocess
import textwrap
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from lib.roster import parse_reviewers
from lib.settings import RULES
from lib.telemetry import METRICS
from scripts import readme_tables
from tests.world import ASSIGNMENTS, REVIEW_LISTS, TAG, World

ROOT = Path(__file__).parents[2]
DOCUMENTS = {
    path.relative_to(ROOT).as_posix(): path.read_text("utf-8")
    for path in [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
}
README, RUNBOOK = DOCUMENTS["README.md"], DOCUMENTS["docs/operations.md"]
MINE = ["README.md", "CHANGELOG.md", "docs/operations.md", "docs/decisions.md"]
FENCE = re.compile(
    r"(?:^ *<!-- tested: (\w+) -->\n)?^( *)```(\w+)\n(.*?)^\2```$", re.MULTILINE | re.DOTALL
)
FOLDERS = "lib|local|ops|scripts|docs|events|tests|benchmarks"


class Block(NamedTuple):
    """A fenced block of a document."""

    document: str
    tested: str
    language: str
    text: str


BLOCKS = [
    Block(document, tested, language, textwrap.dedent(body))
    for document, text in DOCUMENTS.items()
    for tested, _, language, body in FENCE.findall(text)
]


def blocks(language: str = "", tested: str = "") -> list[Block]:
    return [
        block
        for block in BLOCKS
        if language in ("", block.language) and tested in ("", block.tested)
    ]


def prose(text: str) -> str:
    """A document without its fenced blocks."""
    return FENCE.sub("", text)


def spans(text: str) -> list[str]:
    """What stands between backticks, outside of blocks."""
    return re.findall(r"`([^`\n]+)`", prose(text))


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives to the headings."""
    headings = re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def section(text: str, heading: str) -> str:
    """What stands under a heading of the second level."""
    return text.split(f"\n## {heading}\n")[1].split("\n## ", maxsplit=1)[0]


def table(text: str, first: str) -> list[list[str]]:
    """The lines of the table whose first column is headed so, without its heading."""
    lines = (
        text.split(f"\n| {first}".rstrip() + " |", 1)[1]
        .split("\n\n", maxsplit=1)[0]
        .splitlines()[2:]
    )
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_the_generated_tables_say_what_the_code_and_the_template_say():
    assert readme_tables.generated(README) == README


def test_every_setting_has_a_meaning_and_every_parameter_of_the_template_is_explained():
    parameters = readme_tables.template()["Parameters"].keys()

    assert readme_tables.MEANINGS.keys() == RULES.keys()
    assert {name for name in parameters if f"| {name} |" not in README} == set()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_make_target_that_is_mentioned_exists(document):
    targets = set(
        re.findall(r"^([a-z-]+):(?!=)", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    )
    code = [
        *spans(DOCUMENTS[document]),
        *(block.text for block in blocks("bash") if block.document == document),
    ]
    mentioned = {name for text in code for name in re.findall(r"\bmake ([a-z][a-z-]*)", text)}

    assert mentioned - targets == set()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_and_every_file_that_is_mentioned_leads_somewhere(document):
    text, folder = DOCUMENTS[document], (ROOT / document).parent
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(text)):
        path, _, anchor = target.partition("#")
        if target.startswith("https://"):
            continue
        found = (folder / path) if path else ROOT / document
        if not found.exists() or (anchor and anchor not in anchors(found.read_text("utf-8"))):
            broken.append(target)
    code = [*spans(text), *(block.text for block in blocks("bash") if block.document == document)]
    for item in code:
        for path in re.findall(rf"(?<![\w/.])((?:{FOLDERS})/[\w./-]*\w)", item):
            broken += [path] if not (ROOT / path).exists() else []
        for module in re.findall(r"python -m ((?:local|ops)[\w.]*|benchmarks)", item):
            path = ROOT / module.replace(".", "/")
            broken += [module] if not (path.with_suffix(".py").exists() or path.is_dir()) else []

    assert broken == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_no_path_of_somebodys_machine_is_in_a_document(document):
    assert re.findall(r"(?<![\w.:])/(?:work|home|root|Users|tmp)/\S*", DOCUMENTS[document]) == []


@pytest.mark.parametrize("block", blocks("json"), ids=lambda block: block.document)
def test_every_json_example_is_json(block):
    json.loads(block.text)


@pytest.mark.parametrize("block", blocks("json", "event"), ids=lambda block: block.document)
def test_every_event_that_is_shown_is_accepted(block, world):
    assert world.load(json.loads(block.text))


@pytest.mark.parametrize(
    "shown",
    sorted(
        {span for name in MINE for span in spans(DOCUMENTS[name]) if re.match(r'\{"\w+": ', span)}
    ),
)
def test_every_json_within_a_line_is_json_and_every_event_among_it_is_accepted(shown, world):
    value = json.loads(shown.replace("[...]", "[]").replace("<run_id>", "20261123T080000Z-1"))

    if not value.keys() & {"email", "id", "row_ids", "btql"}:
        assert world.load(value)


def test_every_form_of_the_reviewers_list_that_is_shown_is_accepted():
    shown = [block.text for block in blocks("json", "reviewers")]
    shown += [
        f"[{span.replace('...', 'ana@example.com')}]"
        for name in MINE
        for span in spans(DOCUMENTS[name])
        if span.startswith('{"email"')
    ]

    assert len(shown) >= 5
    assert all(parse_reviewers(text, "a document") for text in shown)


@pytest.mark.parametrize("block", blocks("bash"), ids=lambda block: block.document)
def test_every_command_is_something_that_a_shell_understands(block):
    checked = subprocess.run(
        ["bash", "-n"], input=block.text, capture_output=True, text=True, check=False
    )

    assert (checked.returncode, checked.stderr) == (0, "")


def test_every_filter_that_is_shown_is_one_that_can_be_asked(world):
    looks_like_one = re.compile(r"[\w.\"~]+ (< [\d']|IS NULL)")
    shown = [
        span for text in (README, RUNBOOK) for span in spans(text) if looks_like_one.match(span)
    ]
    events = [json.loads(block.text) for block in blocks("json", "event")]
    shown += [event["filter"] for event in events if "filter" in event]
    world.add_rows(1)

    assert {'metadata."~__bt_assignments" IS NULL', "scores.Factuality < 0.5"} <= set(shown)
    for expression in shown:
        assert world.fetch({"filter": expression}).complete


def shell(script: str, environ: dict[str, str]) -> Any:
    """Run a block of the README as it stands there, and read what it prints."""
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env=environ | {"PATH": "/usr/local/bin:/usr/bin:/bin", "no_proxy": "127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stdout
    return json.loads(ran.stdout)


@pytest.mark.usefixtures("curl")
def test_the_curl_commands_find_rows_assign_one_and_take_it_back(world: World):
    find, who, assign, take_back = (block.text for block in blocks("bash", "curl"))
    ana = world.braintrust.store.add_user("ana@example.com")
    world.set_reviewers([ana])
    row, other = world.add_rows(2, metadata={"model": "m", "nested": {"list": [1]}})
    world.add_rows(1, tags=["another"])
    before = world.braintrust.store.row(row)
    environ = {
        "BRAINTRUST_API_URL": world.braintrust.url,
        "BRAINTRUST_API_KEY": world.braintrust.api_key,
        "PROJECT_ID": world.braintrust.project_id,
        "TAG": TAG,
        "EMAIL": "ana@example.com",
        "ROW_ID": row,
        "USER_ID": ana,
    }

    assert {found["id"] for found in shell(find, environ)["data"]} == {row, other}
    assert [user["id"] for user in shell(who, environ)["objects"]] == [ana]

    assert shell(assign, environ) == {"row_ids": [row]}
    assigned = world.braintrust.store.row(row)
    pending = {"__bt_default_review_list": {"status": "PENDING"}}
    assert assigned["metadata"] == before["metadata"] | {ASSIGNMENTS: [ana], REVIEW_LISTS: pending}
    changed = {"metadata", "_xact_id"}
    assert {name for name in assigned if assigned[name] != before.get(name)} <= changed
    assert world.run({"dry_run": True})["already_assigned"] == 1

    assert shell(take_back, environ) == {"row_ids": [row]}
    assert world.assignments() == {}
    assert world.run({"dry_run": True})["unassigned"] == 2


def test_the_function_sends_what_the_curl_commands_send(world: World):
    find, _, assign, _ = (block.text for block in blocks("bash", "curl"))
    (user,) = world.add_users(1)
    (row,) = world.add_rows(1)
    queries, inserts = world.overhear("query"), world.overhear("insert")
    world.run()
    body = re.search(r"<<JSON\n(.*)JSON\n", assign, re.DOTALL)
    query = re.search(r"<<JSON\n(.*)JSON\n", find, re.DOTALL)

    assert body
    assert query
    shown = json.loads(body[1].replace("$ROW_ID", row).replace("$USER_ID", user))
    assert inserts == [shown]
    assert json.loads(query[1])["query"].keys() == queries[0]["query"].keys()


def words_of_the_product() -> str:
    """All source text, in which messages are looked up; strings that go over two lines are joined."""
    source = "\n".join(path.read_text("utf-8") for path in sorted((ROOT / "lib").glob("*.py")))
    return re.sub(r'"\s*\n\s*f?"', "", source)


@pytest.mark.parametrize(
    "message",
    [
        *(line[0] for line in table(RUNBOOK, "warning")),
        *(line[0] for line in table(RUNBOOK, "you see") if line[0].startswith("`")),
    ],
)
def test_every_message_that_is_quoted_is_one_that_the_product_says(message):
    source = words_of_the_product()
    for quoted in re.findall(r"`([^`]+)`", message):
        pieces = [piece.strip(" ():") for piece in re.split(r"\.\.\.|: |\(\d+\)|failed", quoted)]
        assert [piece for piece in pieces if piece not in source] == []


def test_every_status_and_field_of_a_result_is_explained(world):
    world.add_users(1)
    world.add_rows(1)
    done = world.run()
    again = world.run()
    undone = world.run({"undo": done["run_id"]})
    explained = section(RUNBOOK, "What comes back")
    documented = {
        name
        for line in table(explained, "field")
        for name in re.findall(r"`(\w+)`", " ".join(line))
    }

    known = {"dry_run", "project_id", "tag", "window", "duration_ms", "unknown_reviewers"}
    assert done.keys() - documented - known == set()
    statuses = {
        name for line in table(explained, "status") for name in re.findall(r"`(\w+)`", line[0])
    }
    assert {done["status"], again["status"], undone["status"]} <= statuses
    rooms = ("result", "handout", "undo")
    source = "".join((ROOT / f"lib/{room}.py").read_text("utf-8") for room in rooms)
    assert {name for name in statuses if f'"{name}"' not in source} == set()


def test_outputs_of_the_stack_that_are_named_exist():
    outputs = readme_tables.template()["Outputs"].keys()
    named = {name for text in DOCUMENTS.values() for name in re.findall(r"output,? `(\w+)`", text)}

    assert {"DashboardUrl", "AuditBucketName", "FailedRunsQueueUrl", "DryRunCommand"} <= named
    assert named - outputs == set()


def dollars(cell: str) -> float:
    return float(cell.strip("*$"))


def test_the_costs_add_up_and_are_those_of_this_template():
    lines = table(section(RUNBOOK, "What it costs"), "")
    costs = [line for line in lines if line[1].startswith("$")]
    total = next(line for line in lines if line[0] == "**a month**")
    stack = readme_tables.template()
    alarms = len(readme_tables.alarms())

    for column in (1, 2, 3):
        assert round(sum(dollars(line[column]) for line in costs), 2) == dollars(total[column])
    labels = " ".join(line[0] for line in lines)
    assert f"metrics: {len(METRICS)} x $0.30" in labels
    assert f"alarms: {alarms} x $0.10" in labels
    assert f"{stack['Parameters']['MemorySize']['Default']} MB" in labels
    assert f"({len(METRICS)} metrics, a dashboard, {alarms} alarms)" in README
