"""`make names`, `make dry-run` and `make reviewers`: who is who, who would get what, and the list before it is stored."""

import builtins
import io
import json
import stat
import sys
from pathlib import Path

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from lib.errors import AssignerError
from lib.roster import parse_reviewers
from ops import dry_run, names, reviewers, stack
from ops.ask import told
from ops.table import Column, table, wrapped
from tests.world import BUCKET, REVIEWERS, TAG

ANA, BO = "Ana Souza", "Bo Larsen"
STACK = "people"


@pytest.fixture
def operator(world, tmp_path, monkeypatch):
    """A deployed stack of this world, whose function is the handler, and somebody with a key of their own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_ENDPOINT_URL", world.aws_url)
    monkeypatch.setenv("BRAINTRUST_API_KEY", world.braintrust.api_key)
    monkeypatch.setenv("BRAINTRUST_API_URL", world.braintrust.url)
    world.users = [
        world.braintrust.store.add_user(
            f"{given.lower()}@example.com", given_name=given, family_name=family
        )
        for given, family in (ANA.split(), BO.split())
    ]
    world.set_reviewers("ana@example.com, bo@example.com")
    template = {
        "Parameters": {"ReviewersParameter": {"Type": "String"}},
        "Resources": {"Q": {"Type": "AWS::SQS::Queue"}},
        "Outputs": {
            name: {"Value": value}
            for name, value in (("FunctionName", "f"), ("AuditBucketName", BUCKET))
        },
    }
    cloudformation = boto3.client("cloudformation")
    cloudformation.create_stack(
        StackName=STACK,
        TemplateBody=json.dumps(template),
        Parameters=[{"ParameterKey": "ReviewersParameter", "ParameterValue": REVIEWERS}],
    )
    real = boto3.client

    class HandlersLambda:
        def invoke(self, *, Payload, **_):  # noqa: N803 - boto3's name
            try:
                return {"Payload": io.BytesIO(json.dumps(world.run(json.loads(Payload))).encode())}
            except AssignerError as error:
                told = {"errorType": type(error).__name__, "errorMessage": str(error)}
                return {"FunctionError": "x", "Payload": io.BytesIO(json.dumps(told).encode())}

    monkeypatch.setattr(
        boto3,
        "client",
        lambda name, **how: HandlersLambda() if name == "lambda" else real(name, **how),
    )
    monkeypatch.setattr(stack, "probing", lambda client: client)
    yield world
    cloudformation.delete_stack(StackName=STACK)


def stored(world):
    return world.client("ssm").get_parameter(Name=REVIEWERS)["Parameter"]["Value"]


@pytest.fixture
def typed(monkeypatch):
    """Somebody at the terminal, who answers this."""

    def answer(text):
        monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
        monkeypatch.setattr(builtins, "input", lambda _: text)

    return answer


# Names


def test_names_are_fetched_with_the_operators_key_and_only_the_owner_may_read_them(
    operator, capsys
):
    assert names.main([]) == 0
    assert json.loads(names.FILE.read_text()) == dict(zip(operator.users, (ANA, BO), strict=True))
    assert stat.S_IMODE(names.FILE.stat().st_mode) == 0o600
    assert capsys.readouterr().out.startswith(".local/names.json: 2 people.")
    assert operator.braintrust.requests.count("query") == 0


def test_names_are_added_to_those_that_are_kept(operator):
    names.keep({"gone": "Somebody who left", operator.users[0]: "An old name"})
    assert names.main([]) == 0
    assert names.read(names.FILE) == {
        "gone": "Somebody who left", operator.users[0]: ANA, operator.users[1]: BO,
    }  # fmt: skip


def test_who_has_no_name_is_called_by_the_address_and_who_has_neither_by_the_id(operator):
    store = operator.braintrust.store
    others = [store.add_user("cy@example.com"), store.add_user(None)]
    assert names.main([]) == 0
    kept = names.read(names.FILE)
    assert [kept[who] for who in others] == ["cy@example.com", others[1]]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"BRAINTRUST_API_KEY": ""},
            "set BRAINTRUST_API_KEY to a key of yours that may list users",
        ),
        ({"BRAINTRUST_API_KEY": "sk-wrong"}, "user look-up failed (401): check that the API key"),
        ({"BRAINTRUST_API_URL": "http://x"}, "BRAINTRUST_API_URL is 'http://x': must be an http"),
    ],
)
@pytest.mark.usefixtures("operator")
def test_why_there_are_no_names_is_said(monkeypatch, capsys, change, says):
    for name, value in change.items():
        monkeypatch.setenv(name, value)
    assert names.main([]) == 1
    assert capsys.readouterr().err.startswith(f"error: {says}")
    assert not names.FILE.exists()


def test_a_stacks_file_says_which_braintrust_is_asked(operator, monkeypatch):
    monkeypatch.delenv("BRAINTRUST_API_URL")
    file = Path("ops/stacks/eu.yaml")
    file.parent.mkdir(parents=True)
    file.write_text(f"parameters:\n  BraintrustApiUrl: {operator.braintrust.url}\n")
    assert names.main(["--stack", "eu"]) == 0


def test_names_that_cannot_be_read_are_a_warning_and_everything_goes_on(operator, capsys):
    assert operator
    names.FILE.parent.mkdir()
    names.FILE.write_text("{")
    assert names.kept_here() == {}
    assert "make names writes it anew" in capsys.readouterr().err
    assert names.main([]) == 0


# What a dry run means to people


def test_a_dry_run_prints_json_and_says_beside_it_who_would_get_how_many(operator, capsys):
    operator.add_rows(3)
    names.main([])
    capsys.readouterr()
    assert dry_run.main([STACK]) == 0
    said = capsys.readouterr()
    result = json.loads(
        said.out[said.out.index("{\n") :]
    )  # log lines of the function come first here
    assert (result["status"], sum(result["per_reviewer"].values())) == ("dry_run", 3)
    lines = [line.split() for line in said.err.splitlines() if line]
    assert lines[0] == ["Reviewer", "Would", "get", "Open", "now"]
    given = [str(result["per_reviewer"][who]) for who in operator.users]
    assert sorted(lines[1:]) == [[*ANA.split(), given[0], "0"], [*BO.split(), given[1], "0"]]
    assert operator.assignments() == {}


def test_where_no_row_has_the_tag_those_that_rows_do_carry_are_shown(operator, capsys):
    operator.add_rows(3)
    operator.add_rows(1, tags=["other"])
    operator.settings["TAG"] = "needs reviw"
    assert dry_run.main([STACK]) == 0
    said = capsys.readouterr().err
    assert "warning: no row of the last 7 days carries the tag 'needs reviw'" in said
    assert [line.split("  ")[0] for line in said.splitlines()[-5:]] == [
        *("Tags of the newest rows", f"'{TAG}'", "'other'", f"Did you mean '{TAG}'?", "")
    ]


def test_without_a_key_of_ones_own_the_tags_are_not_asked_for(operator, monkeypatch, capsys):
    monkeypatch.delenv("BRAINTRUST_API_KEY")
    before = operator.braintrust.requests.count("query")
    assert dry_run.main([STACK]) == 0
    assert operator.braintrust.requests.count("query") == before + 1  # the run's own
    assert "BRAINTRUST_API_KEY set to a key of your own" in capsys.readouterr().err


def test_a_project_without_tags_is_said(operator, capsys):
    operator.add_rows(2, tags=None)
    assert dry_run.main([STACK]) == 0
    assert "No row of this project carries any tag" in capsys.readouterr().err


def test_a_dry_run_that_is_refused_fails_with_the_message(operator, capsys):
    operator.set_reviewers("nobody@example.com")
    assert dry_run.main([STACK]) == 1
    assert capsys.readouterr().err.startswith("ConfigurationError: no reviewers: add at least one")


# The list of reviewers


def test_the_stored_list_is_shown_with_names(operator, capsys):
    operator.set_reviewers([operator.users[0], {"email": "bo@example.com", "weight": 0.5}])
    names.main([])
    capsys.readouterr()
    assert reviewers.main([STACK]) == 0
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        *([f"{REVIEWERS}:"], ["Reviewer", "terms"], ANA.split()),
        ["bo@example.com", "weight", "0.5"],
    ]


def test_every_term_of_an_entry_is_shown_as_it_is_written():
    away = [
        {"from": "2026-12-24", "until": "2027-01-02"},
        {"from": "2027-05-01", "until": "2027-05-02"},
    ]
    (entry,) = parse_reviewers(
        [
            {
                "email": "a@example.com", "weight": 2, "max_open": 3, "tz": "Europe/Berlin",
                "days": "fri,mon-tue", "away": away,
            }
        ],
        "a test",
    )  # fmt: skip
    assert reviewers.terms(entry) == (
        "weight 2, max_open 3, tz Europe/Berlin, days mon,tue,fri, "
        "away 2026-12-24 to 2027-01-02 and 2027-05-01 to 2027-05-02"
    )


def test_a_list_is_compared_tried_and_stored_when_somebody_says_yes(operator, typed, capsys):
    operator.add_rows(4)
    text = '[{"email": "bo@example.com", "max_open": 30}, {"group": "Second"}]'
    Path("new list.json").write_text(text)
    operator.braintrust.store.add_group("Second", [operator.users[0]])
    typed("y")
    assert reviewers.main([STACK, "new list.json"]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[:4] == [
        "Reviewer change terms",
        "bo@example.com changed max_open 30 (were: none)",
        "group Second new",
        "ana@example.com comes off the list",
    ]
    assert f"{operator.users[0]} 2 0" in lines
    assert lines[-1].startswith("Stored. It counts from the next run on")
    assert stored(operator) == text
    assert operator.assignments() == {}


@pytest.mark.parametrize("answer", ["", "n", "what"])
def test_without_a_yes_nothing_is_stored(operator, typed, capsys, answer):
    Path("r.txt").write_text("ana@example.com")
    typed(answer)
    assert reviewers.main([STACK, "r.txt"]) == 1
    assert capsys.readouterr().out.endswith("Nothing was stored.\n")
    assert stored(operator) == "ana@example.com, bo@example.com"


def test_without_a_terminal_only_yes_on_the_command_line_stores(operator, capsys):
    Path("r.txt").write_text("ana@example.com")
    assert reviewers.main([STACK, "r.txt"]) == 1
    assert "ARGS=--yes" in capsys.readouterr().err
    assert reviewers.main([STACK, "r.txt", "--yes"]) == 0
    assert stored(operator) == "ana@example.com"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"ana@example.com, bob", "error: r.txt: 'bob' must be a user id (UUID) or an e-mail"),
        (b'[{"email": "a@b.c", "wieght": 2}]', "error: r.txt: unknown field 'wieght' in"),
        (b'[{"email": "a@b.c",}]', "error: r.txt is not valid JSON ("),
        (b"  \n", "error: r.txt names nobody"),
        (b"\xff\xfea\x00", "error: r.txt is not text in UTF-8: save it as that"),
        (b"ana@example.com " * 300, "error: r.txt has 4,800 bytes, and a parameter holds 4,096"),
        (None, "error: r.txt cannot be read: No such file or directory"),
        (b"nobody@example.com", "error: ConfigurationError: no reviewers: add at least one"),
    ],
)
def test_a_list_that_cannot_be_used_is_refused_with_the_reason(operator, capsys, text, says):
    if text is not None:
        Path("r.txt").write_bytes(text)
    assert reviewers.main([STACK, "r.txt", "--yes"]) == 1
    said = capsys.readouterr().err
    assert said.startswith(says)
    assert said.endswith("\nNothing was stored.\n")
    assert stored(operator) == "ana@example.com, bo@example.com"


def test_whom_the_organisation_does_not_know_is_named_before_it_is_stored(operator, typed, capsys):
    Path("r.txt").write_text("ana@example.com, bob@example.com")
    typed("n")
    reviewers.main([STACK, "r.txt"])
    assert "warning: unknown reviewer left out: email bob@example.com" in capsys.readouterr().out
    assert operator


def test_before_the_first_deployment_it_is_stored_where_the_stack_will_look(operator, capsys):
    Path("ops/stacks").mkdir(parents=True)
    Path("ops/stacks/coming.yaml").write_text("parameters:\n  ReviewersParameter: /coming/people\n")
    Path("r.txt").write_text("ana@example.com")
    assert reviewers.main(["coming"]) == 1
    assert "Nothing is stored in /coming/people" in capsys.readouterr().out
    assert reviewers.main(["coming", "r.txt", "--yes"]) == 0
    assert "The stack is not deployed yet" in capsys.readouterr().out
    ssm = operator.client("ssm")
    assert ssm.get_parameter(Name="/coming/people")["Parameter"]["Value"] == "ana@example.com"
    ssm.delete_parameter(Name="/coming/people")


def test_a_list_of_strings_stays_one(operator):
    ssm = operator.client("ssm")
    ssm.delete_parameter(Name=REVIEWERS)
    ssm.put_parameter(Name=REVIEWERS, Value="ana@example.com", Type="StringList")
    Path("r.txt").write_text("bo@example.com")
    assert reviewers.main([STACK, "r.txt", "--yes"]) == 0
    assert ssm.get_parameter(Name=REVIEWERS)["Parameter"]["Type"] == "StringList"
    ssm.delete_parameter(Name=REVIEWERS)


# Tables

WORDS = st.lists(st.text("abé漢", min_size=1, max_size=12), max_size=6).map(" ".join)


@given(
    rows=st.lists(st.tuples(WORDS, st.integers(0, 10**6), WORDS), max_size=5),
    most=st.integers(60, 120),
)
def test_a_table_is_never_too_wide_and_breaks_no_word(rows, most):
    columns = [Column("one", wraps=True), Column("two", number=True), Column("three", drop=1)]
    lines = table(columns, rows, most)
    words = {word for row in rows for cell in row for word in str(cell).split()}
    assert max(map(cell_len, lines)) <= most
    assert {word.replace(",", "") for line in lines for word in line.split()} <= {
        *words, "one", "two", "three",
    }  # fmt: skip


def test_a_narrow_table_drops_columns_before_it_wraps_words():
    columns = [
        Column("name"), Column("first", drop=1), Column("second", drop=2), Column("why", wraps=True),
    ]  # fmt: skip
    row = ["Ana", "1111", "2222", "away until Monday"]
    assert table(columns, [row], 45)[1] == "Ana   1111   2222    away until Monday"
    assert table(columns, [row], 34)[1] == "Ana   2222    away until Monday"
    assert table(columns, [row], 20)[1:] == ["Ana   away until", "      Monday"]


def test_prose_is_wrapped_between_words_and_what_is_long_stays_whole():
    assert wrapped("warning: a b c https://x.example/long", 2, 12) == [
        *("warning: a b", "  c", "  https://x.example/long")
    ]


def test_an_answer_that_is_wider_than_the_terminal_is_a_list_a_row():
    heads, rows = (
        ["run_id", "reviewer_id", "warnings"],
        [["r1", "id1", ["one", "two"]], ["r2", None, []]],
    )
    assert told(heads, rows, {"id1": ANA}, 100) == [
        "run_id  reviewer_id  warnings",
        "r1      Ana Souza    one; two",
        "r2",
        "",
        "2 rows",
    ]
    assert told(heads, rows[:1], {}, 20)[:3] == [
        *("run_id       r1", "reviewer_id  id1", "warnings     one;")
    ]
