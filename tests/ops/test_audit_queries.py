"""The SQL of docs/audit.md, tried on an audit that runs wrote. Athena's is translated to DuckDB's to be tried."""

import json
import re
import shlex
from collections import Counter, defaultdict
from itertools import combinations
from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp

from ops import ask
from tests.history import HOUR
from tests.weeks import HOSTILE

ROOT = Path(__file__).parents[2]
SQL = ROOT / "docs/sql"
QUESTIONS = sorted(
    path.stem for path in (SQL / "duckdb").glob("[!.]*.sql") if path.stem != "create_views"
)
DIALECTS = ("duckdb", "athena")


@pytest.fixture
def database(weeks_folder):
    with ask.connect(str(weeks_folder)) as connection:
        yield connection


@pytest.fixture(params=DIALECTS)
def answer(request, database, weeks):
    """Asks a question in one of the two dialects; a dictionary a line."""

    def answer(question, now="2026-11-23 08:30:00", **values):
        project = weeks.world.braintrust.project_id
        return ask_in(request.param, database, project, question, now, values)

    return answer


def ask_in(dialect, database, project, question, now, values):
    """The answer in a dialect; `values` are those that it asks for beside the project, at most one."""
    text = (SQL / dialect / f"{question}.sql").read_text("utf-8")
    parameters = []
    if dialect == "duckdb":
        for name, value in values.items():
            database.execute(f"SET VARIABLE {name} = ?", [value])
        text = text.replace("current_date", f"DATE '{now[:10]}'") if now else text
    else:
        text = as_duckdb(database, text, now)
        parameters = [project] * (text.count("?") - len(values)) + [*values.values()]
    found = database.execute(text, parameters)
    names = [column[0] for column in found.description]
    return [dict(zip(names, line, strict=True)) for line in found.fetchall()]


def as_duckdb(database, text, now):
    """Athena's query in DuckDB's words, on tables such as Athena's: the day is text there."""
    for table in ("assignments", "runs"):
        columns = database.execute(f"DESCRIBE {table}").fetchall()
        shown = "strftime(day, '%Y-%m-%d') AS day"
        names = ", ".join(shown if name == "day" else f'"{name}"' for name, *_ in columns)
        database.execute(
            f"CREATE OR REPLACE TEMP VIEW athena_{table} AS SELECT {names} FROM {table}"  # noqa: S608 - names of ours
        )
    database.execute(
        "CREATE OR REPLACE MACRO format_datetime(t, f) AS strftime(t::TIMESTAMP, '%Y-%m-%d')"
    )
    database.execute("CREATE OR REPLACE MACRO from_base(digits, base) AS ('0x' || digits)::UBIGINT")
    (query,) = sqlglot.parse(text, dialect="athena")
    defined = {cte.alias for cte in query.find_all(exp.CTE)}
    for table in query.find_all(exp.Table):
        if table.name not in defined:
            table.replace(exp.to_table(f"athena_{table.name}", alias=table.name))
    for moment in query.find_all(exp.CurrentTimestamp) if now else ():
        moment.replace(exp.cast(exp.Literal.string(now), "timestamp"))
    return query.sql(dialect="duckdb", comments=False)


def test_both_dialects_have_the_same_questions():
    tables = {"create_assignments", "create_runs"}
    assert {path.stem for path in (SQL / "athena").glob("[!.]*.sql")} - tables == set(QUESTIONS)


def test_who_got_what_last_month_with_what_was_taken_back_since(answer, weeks):
    ana, bo, cy = sorted(weeks.users)  # of equals, the lower id gets the extra row
    assert [tuple(line.values()) for line in answer("who_got_what_last_month")] == [
        # one of the four rows was reviewed before the undo, which left it alone
        *((ana, 2, 1, 1),),
        *((who, 1, 1, 0) for who in (bo, cy)),
    ]


def test_what_was_taken_back_by_a_wrong_runs_undo_is_told_apart(answer, weeks):
    lines = answer("who_got_what_last_month", now="2026-12-05 00:00:00")
    given = Counter({line["reviewer_id"]: line["given"] for line in lines})
    taken = Counter({line["reviewer_id"]: line["taken_back"] for line in lines})

    assert given == sum(
        (
            Counter(weeks.runs[name]["per_reviewer"])
            for name in ("refused", "mended", "mistake", "capped")
        ),
        Counter(),
    )
    assert taken == Counter(weeks.runs["mistake"]["per_reviewer"])
    assert all(line["kept"] == line["given"] - line["taken_back"] for line in lines)


def test_which_run_assigned_this_row(answer, weeks):
    lines = answer("which_run_assigned_this_row", row_id="wrong0")

    assert [(line["run_id"], line["status"], line["tag"], line["undoes"]) for line in lines] == [
        (weeks.id("mistake"), "assigned", HOSTILE, None),
        (weeks.id("undo-mistake"), "undone", HOSTILE, weeks.id("mistake")),
    ]
    assert lines[0]["reviewer_id"] == lines[1]["reviewer_id"]
    assert lines[0]["assigned_at"] == "2026-11-21T10:00:00.000Z"


def test_no_run_assigned_a_row_that_waits(answer):
    assert answer("which_run_assigned_this_row", row_id="n2") == []


def test_what_failed_and_whether_it_was_assigned_after_all(answer, weeks):
    (line,) = answer("what_failed")

    assert re.match(r"insert failed \(400\)", line.pop("error"))
    assert line == {
        "run_id": weeks.id("refused"),
        "status": "failed",
        "affected": 1,
        "assigned_later": 1,
        "for_instance": "a1",
    }


def test_runs_with_trouble(answer, weeks):
    lines = answer("runs_with_trouble")

    names = ("idle", "capped", "refused", "queued")
    assert [line["run_id"] for line in lines] == [weeks.id(name) for name in names]
    assert [line["queue"] for line in lines] == [None, None, None, "de"]
    assert [line["status"] for line in lines[:3]] == ["nothing_to_assign", "incomplete", "failed"]
    assert [line["warnings"] for line in lines] == [weeks.runs[name]["warnings"] for name in names]


def test_how_each_queue_is_doing(answer, weeks):
    project = weeks.world.braintrust.project_id
    assert [tuple(line.values()) for line in answer("queues")] == [
        (project, "de", weeks.id("queued"), "nothing_to_assign", 0, 1, 0),
        (project, None, weeks.id("idle"), "nothing_to_assign", 0, 5, 11),
    ]


def test_rows_per_day(answer):
    by_day = Counter()
    for line in answer("rows_per_day"):
        by_day[str(line["day"])] += line["given"]

    assert by_day == {"2026-11-20": 6, "2026-11-21": 3, "2026-11-23": 2}


def test_waiting(answer, weeks):
    left = {
        "queued": (0, 0),
        "refused": (1, 1),
        "mended": (0, 0),
        "mistake": (0, 0),
        "capped": (1, 22),
        "idle": (0, 0),
    }
    assert answer("waiting") == [
        {
            "run_id": weeks.id(name),
            "queue": weeks.runs[name].get("queue"),
            "tag": weeks.runs[name]["tag"],
            "waiting": waiting,
            "oldest_hours": hours,
            "spread": weeks.runs[name]["spread"],
        }
        for name, (waiting, hours) in left.items()
    ]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_rows_of_an_overlap_and_who_shares_them_are_those_that_the_function_gave_to_several(
    dialect, world, history, tmp_path
):
    users = world.add_users(4)
    rows = [f"row-{number}" for number in range(60)]
    history.log(*rows)
    history.run({"reviewers_per_row": 3, "overlap": 0.3})
    people = defaultdict(list)
    for row_id, who in history.given():
        people[row_id].append(who)
    shared = Counter(pair for these in people.values() for pair in combinations(sorted(these), 2))
    for key, text in world.objects().items():
        (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / key).write_text(text, "utf-8")

    def asked(question, **values):
        with ask.connect(str(tmp_path)) as database:
            project = world.braintrust.project_id
            return ask_in(dialect, database, project, question, "2026-11-23 08:30:00", values)

    assert [(*line.values(),) for line in asked("rows_in_overlap", overlap=0.3)] == [
        (row_id, 3, " ".join(sorted(these)))
        for row_id, these in sorted(people.items())
        if len(these) == 3
    ]
    assert len(asked("rows_in_overlap", overlap=1)) == 60
    assert asked("rows_in_overlap", overlap=0) == []
    assert {
        (line["one"], line["other"]): line["shared"] for line in asked("who_shares_with_whom")
    } == shared
    assert len(shared) == len([*combinations(users, 2)])


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_was_taken_back_from_whom_and_who_has_it_now(dialect, world, history, tmp_path):
    """Removals are no assignments."""
    ana, bo = world.add_users(2)
    history.log("handed over", "waits", "kept")
    history.run({"reviewers": [bo]})
    history.finish("kept")
    history.wait(3 * HOUR)
    taken = history.run({"take_back": {"reviewer": bo}})
    at = history.now
    history.wait(HOUR)
    given = history.run({"max_assignments": 1})
    for key, text in world.objects().items():
        (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / key).write_text(text, "utf-8")

    def asked(question):
        with ask.connect(str(tmp_path)) as database:
            project = world.braintrust.project_id
            return ask_in(dialect, database, project, question, "2026-11-23 12:30:00", {})

    assert [(*line.values(),) for line in asked("what_was_taken_back")] == [
        ("handed over", bo, at, taken["run_id"], ana),
        ("waits", bo, at, taken["run_id"], None),
    ]
    assert {(line["reviewer_id"], line["given"]) for line in asked("rows_per_day")} == {
        (ana, 1),
        (bo, 3),
    }
    assert [line["run_id"] for line in asked("waiting")][-1] == given["run_id"]
    assert len(asked("waiting")) == 2


@pytest.mark.parametrize("question", QUESTIONS)
def test_every_question_can_be_asked_as_it_stands_in_its_file(answer, question):
    asked_for = {"which_run_assigned_this_row": {"row_id": "a0"}, "rows_in_overlap": {"overlap": 1}}
    answer(question, now="", **asked_for.get(question, {}))


def test_the_views_show_every_field_that_runs_wrote_as_it_was_written(database, weeks):
    names = [name for name, *_ in database.execute("DESCRIBE runs").fetchall()]
    found = {
        line[0]: dict(zip(names, line, strict=True))
        for line in database.execute("FROM runs").fetchall()
    }

    for name in weeks.runs.keys() - {"dry"}:
        record = weeks.runs[name]
        seen = found[record["run_id"]]
        assert {field: seen[field] for field in record} == record
        assert (
            str(seen["day"])
            == f"{record['run_id'][:4]}-{record['run_id'][4:6]}-{record['run_id'][6:8]}"
        )
    assert len(found) == len(weeks.runs) - 1


# The Athena tables. What cannot be tried here is Athena itself: the statements are parsed and held against the objects.

KINDS = {"string": str, "boolean": bool, "bigint": int, "double": (int, float)}


def created(table):
    (statement,) = sqlglot.parse(
        (SQL / f"athena/create_{table}.sql").read_text("utf-8"), dialect="athena"
    )
    return statement


def columns(statement):
    return {column.name: column.kind for column in statement.this.expressions}


def fits(value, kind):
    """Whether Athena's type can hold a JSON value."""
    name = kind.sql(dialect="hive").lower()
    if value is None:
        return True
    if kind.this is exp.DType.MAP:
        return all(fits(item, kind.expressions[1]) for item in value.values())
    if kind.this is exp.DType.ARRAY:
        return all(fits(item, kind.expressions[0]) for item in value)
    if kind.this is exp.DType.STRUCT:
        inner = {field.name: field.kind for field in kind.expressions}
        return inner.keys() == value.keys() and all(
            fits(item, inner[key]) for key, item in value.items()
        )
    return isinstance(value, KINDS[name]) and isinstance(value, bool) == (name == "boolean")


def objects(weeks, table):
    """Every JSON line of a kind, each with its key."""
    for key, text in weeks.world.objects(f"{table}/").items():
        for line in text.splitlines():
            yield key, json.loads(line)


@pytest.mark.parametrize("table", ["assignments", "runs"])
def test_a_table_has_a_column_of_a_fitting_type_for_every_field_and_no_other(weeks, table):
    declared = columns(created(table))
    written = set()
    for _, line in objects(weeks, table):
        written |= line.keys()
        wrong = {
            name: value
            for name, value in line.items()
            if name in declared and not fits(value, declared[name])
        }
        assert not wrong
    assert written - {"project_id"} == declared.keys()  # that one is a partition


@pytest.mark.parametrize("table", ["assignments", "runs"])
def test_a_tables_partitions_are_where_the_runs_wrote(weeks, table):
    statement = created(table)
    said = {
        item.this.name: item.args["value"].name
        for item in statement.find_all(exp.Property)
        if type(item) is exp.Property
    }
    template = said["storage.location.template"]
    partitions = [
        column.name for column in statement.find(exp.PartitionedByProperty).this.expressions
    ]

    assert statement.find(exp.LocationProperty).this.name == f"s3://BUCKET/audit/{table}/"
    assert partitions == ["project_id", "day"]
    assert (said["projection.project_id.type"], said["projection.day.type"]) == ("injected", "date")
    for key, line in objects(weeks, table):
        day = f"{line['run_id'][:4]}-{line['run_id'][4:6]}-{line['run_id'][6:8]}"
        place = template.replace("${project_id}", weeks.world.braintrust.project_id).replace(
            "${day}", day
        )
        assert f"s3://BUCKET/audit/{key}".rpartition("/")[0] + "/" == place


@pytest.mark.parametrize("question", QUESTIONS)
def test_every_query_of_athena_names_the_project_of_every_table(question):
    """A projected partition of the type `injected` is an error in Athena where a query does not give its value."""
    text = (SQL / f"athena/{question}.sql").read_text("utf-8")
    (query,) = sqlglot.parse(text, dialect="athena")
    defined = {cte.alias for cte in query.find_all(exp.CTE)}
    tables = [table for table in query.find_all(exp.Table) if table.name not in defined]
    given = [
        equal
        for equal in query.find_all(exp.EQ)
        if equal.left.name == "project_id" and isinstance(equal.right, exp.Placeholder)
    ]
    assert len(given) == len(tables) > 0


# The documents and the program.


def test_the_commands_of_the_document_can_be_run(weeks_folder, tmp_path, monkeypatch, capsys):
    text = (ROOT / "docs/audit.md").read_text("utf-8")
    commands = [
        line
        for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
        for line in block.splitlines()
        if "ops.ask" in line
    ]
    assert len(commands) >= 2
    (tmp_path / ".local").mkdir()
    (tmp_path / ".local/audit").symlink_to(weeks_folder)
    for command in commands:
        words = shlex.split(command.replace("ROW_ID", "a0"), comments=True)
        assert words[:3] == [".venv/bin/python", "-m", "ops.ask"]
        monkeypatch.chdir(tmp_path)
        assert ask.main(words[3:]) == 0
        assert re.search(r"^\d+ rows\n\Z", capsys.readouterr().out, re.MULTILINE)


def test_the_document_names_every_file_of_sql():
    text = (ROOT / "docs/audit.md").read_text("utf-8")
    for path in SQL.rglob("[!.]*.sql"):
        assert path.stem in text


def test_a_folder_without_an_audit_is_named(tmp_path, capsys):
    assert ask.main(["waiting", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith(f"error: no run has been recorded yet in {tmp_path}")


def test_an_audit_in_which_nothing_was_assigned_says_what_is_missing(world, tmp_path, capsys):
    world.add_users(1)
    world.run({"dry_run": True})
    for key, text in world.objects().items():
        (tmp_path / key).parent.mkdir(parents=True)
        (tmp_path / key).write_text(text, "utf-8")

    assert ask.main(["waiting", str(tmp_path)]) == 1
    assert "No files found" in capsys.readouterr().err
