"""The documents against the product: what they name exists, what they show parses, what they tell to type works."""

import contextlib
import importlib
import json
import re
import subprocess
import textwrap
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import pytest

from lib.queue_list import load_asked
from lib.roster import parse_reviewers
from lib.settings import RULES
from lib.telemetry import METRICS
from scripts import documents
from tests.template.cloudformation import Stack
from tests.world import ASSIGNMENTS, BUCKET, REVIEW_LISTS, REVIEWERS, TAG, World

ROOT = Path(__file__).parents[2]
DOCUMENTS = {
    path.relative_to(ROOT).as_posix(): path.read_text("utf-8")
    for path in [
        ROOT / "README.md",
        ROOT / "CHANGELOG.md",
        *sorted((ROOT / "docs").glob("[!.]*.md")),
    ]
}
README, RUNBOOK = DOCUMENTS["README.md"], DOCUMENTS["docs/operations.md"]
SETTINGS, DEPLOY = DOCUMENTS["docs/settings.md"], DOCUMENTS["docs/deploy.md"]
BY_HAND, DECISIONS = DOCUMENTS["docs/by-hand.md"], DOCUMENTS["docs/decisions.md"]
PLANS = ["docs/audit.md", "docs/design.md"]
"""They show objects of the audit between backticks, which are neither events nor reviewers."""
MINE = [document for document in DOCUMENTS if document not in PLANS]
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


def top_level() -> set[str]:
    """The folders of the repository; in a copy without git, those that nothing hides."""
    listed = subprocess.run(
        ["sh", "-c", "git ls-files"], cwd=ROOT, capture_output=True, encoding="utf-8", check=False
    )
    if listed.returncode:
        return {path.name for path in ROOT.iterdir() if path.is_dir() and path.name[0] not in "._"}
    return {line.partition("/")[0] for line in listed.stdout.splitlines() if "/" in line}


def table(text: str, first: str) -> list[list[str]]:
    """The lines of the table whose first column is headed so, without its heading."""
    rest = text.split(f"\n| {first}".rstrip() + " |", 1)[1].splitlines()[2:]
    lines = takewhile(lambda line: line.startswith("|"), rest)
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_the_readme_is_a_door():
    shown = [block.text for block in BLOCKS if block.document == "README.md"]

    assert len(README.splitlines()) <= 220
    assert max(len(text.splitlines()) for text in shown) <= 25


def test_the_readme_says_what_each_folder_at_the_top_is_for():
    first_cells = " ".join(line[0] for line in table(README, "folder or file"))

    assert {"lib", "docs", "tests"} <= top_level()
    assert {name for name in top_level() if f"[{name}]({name})" not in first_cells} == set()


def test_every_document_can_be_reached_from_the_readme():
    assert {name for name in DOCUMENTS if name != "README.md" and f"({name}" not in README} == set()


@pytest.mark.parametrize("document", documents.TABLES)
def test_the_generated_tables_say_what_the_code_and_the_template_say(document):
    assert documents.generated(document) == DOCUMENTS[document]


def test_make_docs_writes_the_tables_and_its_check_only_says_what_is_stale(
    tmp_path, monkeypatch, capsys
):
    (tmp_path / "docs").mkdir()
    for name in documents.TABLES:
        changed = DOCUMENTS[name].replace(" Accepted: ", " ", 1)
        (tmp_path / name).write_text(changed, "utf-8")
    monkeypatch.setattr(documents, "ROOT", tmp_path)

    assert documents.main(["--check"]) == 1
    assert capsys.readouterr().out == "docs/settings.md is not up to date: make docs\n"
    assert documents.main([]) == 0
    assert {name: (tmp_path / name).read_text("utf-8") for name in documents.TABLES} == {
        name: DOCUMENTS[name] for name in documents.TABLES
    }
    assert documents.main(["--check"]) == 0


def test_every_setting_has_a_meaning_and_every_parameter_of_the_template_is_explained():
    parameters = documents.template()["Parameters"].keys()

    assert documents.MEANINGS.keys() == RULES.keys()
    assert {name for name in parameters if f"| {name} |" not in SETTINGS} == set()
    assert set(documents.alarms()) == {line[0] for line in table(RUNBOOK, "alarm")}


@pytest.mark.parametrize(
    ("function", "module"),
    [(line[0].strip("`"), line[1].strip("`")) for line in table(BY_HAND, "function")],
)
def test_every_function_of_the_published_script_is_in_the_module_that_the_table_names(
    function, module
):
    assert getattr(importlib.import_module(module), function).__module__ == module


@pytest.mark.parametrize("entry", DECISIONS.split("\n## ")[1:], ids=lambda entry: entry[:40])
def test_every_decision_is_dated_and_says_what_was_chosen_why_and_how_to_go_back(entry):
    parts = re.findall(r"^\* \*\*(\w+):\*\*", entry, re.MULTILINE)

    assert re.match(r"20\d\d-\d\d-\d\d: \S", entry)
    assert parts[:3] == ["Options", "Choice", "Why"]
    assert parts[-1] == "Revert" or "\nSuperseded on 20" in entry
    assert set(parts[3:]) <= {"Price", "Consequence", "Revert"}


def test_decisions_stand_newest_first():
    days = re.findall(r"^## (20\d\d-\d\d-\d\d): ", DECISIONS, re.MULTILINE)

    assert days == sorted(days, reverse=True)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_name_that_is_said_to_be_in_a_file_is_there(document):
    named = re.findall(r"`(\w+)`\s+in\s+`([\w./]+\.(?:py|sh|yaml))`", DOCUMENTS[document])

    assert [
        (name, path) for name, path in named if name not in (ROOT / path).read_text("utf-8")
    ] == []


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
            yours = path.startswith("ops/stacks/")  # what whoever deploys has answered
            broken += [path] if not (yours or (ROOT / path).exists()) else []
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


def queues_shown() -> str:
    """The array of queues that is shown."""
    (block,) = blocks("json", "queues")
    return block.text


@pytest.mark.parametrize("block", blocks("json", "queue"), ids=lambda block: block.document)
def test_every_event_for_a_queue_that_is_shown_is_accepted(block, world):
    environ = world.environ | {"QUEUES_PARAMETER": "/braintrust-review-assigner/queues"}
    (run,) = load_asked(environ, json.loads(block.text), lambda _: queues_shown()).runs
    assert run.queue == "de"


def test_the_queues_that_are_shown_run_in_their_order(world):
    environ = world.environ | {"QUEUES_PARAMETER": "/braintrust-review-assigner/queues"}
    asked = load_asked(environ, None, lambda _: queues_shown())
    assert [run.queue for run in asked.runs] == ["billing", "de", "others", "search"]


@pytest.mark.parametrize(
    "shown",
    sorted(
        {span for name in MINE for span in spans(DOCUMENTS[name]) if re.match(r'\{"\w+": ', span)}
    ),
)
def test_every_json_within_a_line_is_json_and_every_event_among_it_is_accepted(shown, world):
    value = json.loads(shown.replace("[...]", "[]").replace("<run_id>", "20261123T080000Z-1"))

    if "queue" in value:
        assert value.keys() == {"queue"}  # which is tried with the queues that are shown
    elif not value.keys() & {"email", "id", "row_ids", "btql", "text", "status"}:
        world.settings["WEBHOOK_PARAMETER"] = "/webhook"
        assert world.load(value)


def policy(which: str) -> dict[str, set[str]]:
    """A policy that is shown: its actions by the service that they are of."""
    (block,) = blocks("json", which)
    actions = [
        action
        for statement in json.loads(block.text)["Statement"]
        for action in statement["Action"]
    ]
    assert not [action for action in actions if "*" in action]
    return {
        service: {action for action in actions if action.startswith(f"{service}:")}
        for service in {action.partition(":")[0] for action in actions}
    }


def test_whoever_deploys_may_make_everything_that_the_template_has():
    bound = "arn:aws:iam::123456789012:policy/boundary"
    stack = Stack({"AlarmEmail": "oncall@example.com", "PermissionsBoundary": bound})
    services = {"SQS": "sqs", "SNS": "sns", "IAM": "iam", "S3": "s3", "Logs": "logs"}
    services |= {"Lambda": "lambda", "Scheduler": "scheduler", "CloudWatch": "cloudwatch"}
    made = {services[each["Type"].split("::")[1]] for each in stack.resources.values()}

    assert policy("deployer").keys() == made | {"cloudformation"}


def test_whoever_operates_may_call_what_the_commands_call(world, monkeypatch, tmp_path):
    """The calls are listened to; `sam logs` is not: what it asks for is in SAM's own documents."""
    calls = []
    people = tmp_path / "reviewers.txt"
    people.write_text("ana@example.com")
    world.add_users(2)
    world.add_rows(3)
    world.run()
    monkeypatch.setenv("AWS_ENDPOINT_URL", world.aws_url)
    outputs = {"FunctionName": "f", "AuditBucketName": BUCKET, "AuditPrefix": world.prefix}
    name = "ReviewersParameter"
    template = {
        "Parameters": {name: {"Type": "String"}},
        "Resources": {"Q": {"Type": "AWS::SQS::Queue"}},
        "Outputs": {name: {"Value": value} for name, value in outputs.items()},
    }
    cloudformation = boto3.client("cloudformation")
    given = [{"ParameterKey": name, "ParameterValue": REVIEWERS}]
    cloudformation.create_stack(StackName="s", TemplateBody=json.dumps(template), Parameters=given)
    monkeypatch.setattr("ops.reviewers.invoke", lambda *_: {})
    before, boto3.DEFAULT_SESSION = boto3.DEFAULT_SESSION, boto3.Session()
    boto3.DEFAULT_SESSION.events.register(
        "provide-client-params",
        lambda model, **_: calls.append((model.service_model.service_name, model.name)),
    )
    try:
        for module, *arguments in (
            ("ops.stack", "outputs", "s"),
            ("ops.stack", "invoke", "s", str(ROOT / "events" / "empty.json")),
            ("ops.status", "--stack", "s"),
            ("ops.reviewers", "s"),
            ("ops.reviewers", "s", str(people), "--yes"),
        ):
            monkeypatch.setattr("sys.argv", [module, *arguments])
            with contextlib.suppress(SystemExit):  # there is no such function
                importlib.import_module(module).main()
    finally:
        boto3.DEFAULT_SESSION = before
        cloudformation.delete_stack(StackName="s")
    needs = {
        ("cloudformation", "DescribeStacks"): "cloudformation:DescribeStacks",
        ("lambda", "Invoke"): "lambda:InvokeFunction",
        ("s3", "ListObjectsV2"): "s3:ListBucket",
        ("s3", "GetObject"): "s3:GetObject",
        ("ssm", "GetParameter"): "ssm:GetParameter",
        ("ssm", "PutParameter"): "ssm:PutParameter",
    }
    called = {needs[call] for call in calls}
    allowed = set().union(*policy("operator").values())

    assert called == {*needs.values()}
    assert allowed - called == {
        *("cloudformation:ListStackResources", "logs:FilterLogEvents")  # sam logs
    }


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
        span for text in (SETTINGS, RUNBOOK) for span in spans(text) if looks_like_one.match(span)
    ]
    events = [json.loads(block.text) for block in blocks("json", "event")]
    shown += [event["filter"] for event in events if "filter" in event]
    world.add_rows(1)

    assert {'metadata."~__bt_assignments" IS NULL', "scores.Factuality < 0.5"} <= set(shown)
    for expression in shown:
        assert world.fetch({"filter": expression}).complete


def shell(script: str, environ: dict[str, str]) -> Any:
    """Run a block of a document as it stands there, and read what it prints."""
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
    source = words_of_the_product()
    assert {name for name in statuses if f'"{name}"' not in source} == set()


def test_outputs_of_the_stack_that_are_named_exist():
    outputs = documents.template()["Outputs"].keys()
    named = {
        name for text in DOCUMENTS.values() for name in re.findall(r"output,?\s+`(\w+)`", text)
    }

    assert {"DashboardUrl", "AuditBucketName", "FailedRunsQueueUrl", "DryRunCommand"} <= named
    assert named - outputs == set()


def dollars(cell: str) -> float:
    return float(cell.strip("*$"))


def test_the_costs_add_up_and_are_those_of_this_template():
    lines = table(section(DEPLOY, "What it costs"), "")
    costs = [line for line in lines if line[1].startswith("$")]
    total = next(line for line in lines if line[0] == "**a month**")
    stack = documents.template()
    with_queues = [
        name for name, each in stack["Resources"].items() if each.get("Condition") == "HasQueues"
    ]
    assert with_queues == ["QueuesFailedAlarm"]
    alarms, metrics = len(documents.alarms()) - 1, len(METRICS) - 1  # QueuesFailed

    for column in (1, 2, 3):
        assert round(sum(dollars(line[column]) for line in costs), 2) == dollars(total[column])
    labels = " ".join(line[0] for line in lines)
    assert f"metrics: {metrics} x $0.30" in labels
    assert f"alarms: {alarms} x $0.10" in labels
    assert f"{stack['Parameters']['MemorySize']['Default']} MB" in labels
    assert (
        f"({metrics} metrics, a dashboard, {alarms} alarms; with [queues](#queues) one more of each)"
        in DEPLOY
    )
    monthly = round(dollars(total[1]))
    assert f"[${monthly} a month]" in README
    assert f"About ${monthly} a month" in DEPLOY
