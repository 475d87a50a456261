"""`make report` and `make status`: what they read, what they show, what nobody can slip into them."""

import json
import os
import re
import shutil
import subprocess
from collections import Counter, defaultdict
from datetime import timedelta
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import boto3
import pytest

from ops import names
from ops import status as status_program
from ops.places import AuditUnreadableError, Folder, open_audit
from ops.records import projects, read_records, shown
from ops.report import __main__ as program
from ops.report.charts import columns, nice, thin
from ops.report.markup import Html, join, tag
from ops.report.page import report
from ops.report.words import span
from ops.status import status
from tests.weeks import HOSTILE, NOW, UNKNOWN

OTHER = "99999999-9999-4999-8999-999999999999"  # a project

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
ELEMENTS = {
    *(
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "header",
        "main",
        "section",
        "div",
        "span",
        "p",
    ),
    *("h1", "h2", "h3", "ul", "li", "dl", "dt", "dd", "figure", "figcaption", "details", "summary"),
    *("table", "thead", "tbody", "tr", "th", "td", "svg", "rect", "path", "circle", "text"),
}


class Page(HTMLParser):
    """What a page consists of."""

    def __init__(self, text):
        super().__init__()
        self.elements = Counter()
        self.attributes = Counter()
        self.labels = []
        self.classes = Counter()
        self.text = ""
        self.rows = []
        self.in_cell = False
        self.policy = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, name, attributes):
        self.elements[name] += 1
        self.attributes.update(key for key, _ in attributes)
        given = dict(attributes)
        self.classes.update((given.get("class") or "").split())
        if given.get("role") == "img":
            self.labels.append(given.get("aria-label"))
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given["content"]
        if name == "tr":
            self.rows.append([])
        if name in {"td", "th"}:
            self.rows[-1].append("")
            self.in_cell = True

    def handle_data(self, data):
        self.text += data
        if self.in_cell:
            self.rows[-1][-1] += data

    def handle_endtag(self, name):
        self.in_cell = self.in_cell and name not in {"td", "th"}

    def row(self, first):
        """The cells of the first table row that begins so."""
        return next(row for row in self.rows if row[0].startswith(first))


@pytest.fixture
def folder(weeks_folder, tmp_path):
    """A copy of the audit that a test may change."""
    return Path(shutil.copytree(weeks_folder, tmp_path / "audit"))


@pytest.fixture
def here(monkeypatch, aws_url):
    """The SDK finds the local AWS."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws_url)


@pytest.fixture
def render(folder):
    """The page of the last days, as text."""

    def render(days=30, **how):
        return report(Folder(folder), how.pop("now", NOW), days, **how)

    return render


def id_of(reviewer):
    return f"{reviewer[:8]}…"


def test_rows_per_reviewer_count_what_was_given_and_not_what_was_taken_back(render, weeks):
    page = Page(render())
    given = sum(
        (Counter(weeks.runs[n]["per_reviewer"]) for n in ("refused", "mended", "capped")), Counter()
    )

    assert [page.row(id_of(user))[2] for user in weeks.users] == [
        str(given[user]) for user in weeks.users
    ]
    assert given.total() == 8
    assert "Handed out8rows since 2 Nov; 6 more were taken back" in page.text


def test_rows_of_several_people_are_counted_once_and_it_says_who_shares_them(
    world, history, tmp_path
):
    users = world.add_users(3)
    history.log(*(f"row-{number}" for number in range(30)))
    done = history.run({"reviewers_per_row": 2})
    shared = Counter()
    people = defaultdict(set)
    for row_id, who in history.given():
        people[row_id].add(who)
    for these in people.values():
        shared.update([frozenset(these)])
    history.wait(timedelta(hours=3))
    history.log("mistake", "another")
    undone = history.run({"reviewers_per_row": 3})
    history.wait(timedelta(minutes=20))
    history.run({"undo": undone["run_id"]})
    history.log("refused")  # what was undone rests
    history.refused("refused", event={"reviewers_per_row": 2})
    for key, text in world.objects().items():
        (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / key).write_text(text, "utf-8")
    page = Page(report(Folder(tmp_path), history.moment, 30))
    assert done["assigned"] == 30
    assert "Handed out30rows since 17 Nov; 2 more were taken back" in page.text
    assert "Not written1rows refused" in page.text
    assert [page.row(id_of(user))[2:] for user in users] == [["20", "33 %"]] * 3
    (table,) = (
        number for number, row in enumerate(page.rows) if row == ["Reviewer", "Together with"]
    )
    together = dict(page.rows[table + 1 : table + 4])
    assert together.keys() == {id_of(user) for user in users}
    for user in users:
        for other in {*users} - {user}:
            assert f"{id_of(other)} {shared[frozenset((user, other))]}" in together[id_of(user)]


def test_what_was_handed_over_is_told_apart_from_what_was_undone(world, history, tmp_path):
    ana, bo = world.add_users(2)
    history.log("a", "b", "c")
    history.run({"reviewers": [bo]})
    history.wait(timedelta(days=2))
    dry = history.run({"take_back": {"days": 1}, "dry_run": True})
    taken = history.run({"take_back": {"days": 1}})
    history.wait(timedelta(hours=1))
    history.run()
    for key, text in world.objects().items():
        (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / key).write_text(text, "utf-8")
    page = Page(report(Folder(tmp_path), history.moment, 30))
    assert "Handed out6rows since 19 Nov; 3 were handed over" in page.text
    assert "runs: 2, dry runs: 1, undos: 0, take-backs: 1" in page.text
    assert [page.row(id_of(user))[2:] for user in (ana, bo)] == [
        ["3", "50 %", "0"],
        ["3", "50 %", "3"],
    ]
    notes = {row[-1] for row in page.rows}
    assert {
        "Dry run: would hand over 3 rows that lay 1 days",
        "Handed over 3 rows that lay 1 days",
    } <= notes
    lines = status(Folder(tmp_path), 4, history.moment).splitlines()
    for run, words in (
        (dry, "  would hand over 3 rows that lay 1 days"),
        (taken, "  hands over 3 rows that lay 1 days"),
    ):
        assert next(line for line in lines if run["run_id"] in line).endswith(words)


def test_the_days_that_are_asked_for_are_shown(render):
    assert "Handed out9rows since 15 Oct" in Page(render(days=60)).text
    assert "Handed out2rows since 22 Nov" in Page(render(days=2)).text


def test_what_waits_is_what_the_newest_run_left(render):
    page = Page(render(now=NOW - timedelta(hours=1, minutes=10)))

    assert "Waiting now" in page.text
    assert any("at most 1 rows (20 Nov 10:00)" in label for label in page.labels)
    assert any(
        "In hours: at most 22 hours (23 Nov 07:00), now 0." in label for label in page.labels
    )


def test_a_failure_is_shown_with_its_reason(render, weeks):
    page = Page(render())
    row = page.row("20 Nov 10:00")

    assert row[1:3] == ["refused", "1"]
    assert row[3].startswith("insert failed (400)")
    assert row[4] == weeks.id("refused")
    assert page.row("20 Nov 11:00")[1] == "assigned"


def test_dry_runs_and_undos_are_marked(render, weeks):
    page = Page(render())

    assert page.classes["dry"] == 1
    assert page.row("22 Nov 10:00")[-1] == "Dry run: would give 3 rows"
    assert page.row("21 Nov 10:30")[-1] == f"Undo: took back 3 rows of {weeks.id('mistake')}"
    assert page.row("21 Nov 10:00")[-1] == "Undone later: 3 rows taken back"
    assert page.row("02 Nov 10:00")[-1] == f"Undo: took back 3 rows of {weeks.id('october')}"


def test_warnings_stand_beside_their_run(render):
    assert f"unknown reviewer left out: group {UNKNOWN}" in Page(render()).row("23 Nov 07:00")[-1]


def test_names_take_the_place_of_ids(render, weeks):
    page = Page(render(names={weeks.users[0]: "Ana <b>"}))

    assert page.row("Ana <b>")[2] == Page(render()).row(id_of(weeks.users[0]))[2]
    assert id_of(weeks.users[0]) not in page.text


def test_every_chart_says_in_words_what_it_shows(render):
    page = Page(render())

    assert page.elements["svg"] == len(page.labels) == 4 + 3
    assert all(page.labels)
    assert any(re.fullmatch(r"Rows by day: 20 Nov: \d, 23 Nov: 1", label) for label in page.labels)
    assert ["23 Nov", "2", "1"] in [row[:3] for row in page.rows]  # the numbers as a table


def test_nothing_that_the_audit_holds_becomes_markup(render):
    page = Page(render())

    assert page.elements.keys() <= ELEMENTS
    assert not [
        name
        for name in page.attributes
        if name.startswith("on") or name in {"src", "href", "srcset"}
    ]
    assert page.elements["title"] == 1 + len(
        re.findall("<rect[^>]*><title>|<circle[^>]*><title>", render())
    )
    assert page.elements["style"] == 1
    assert "\x1b" not in page.text
    assert "\u202e" not in page.text


def test_the_page_needs_nothing_from_anywhere(render):
    text = render()

    assert Page(text).policy == "default-src 'none'; style-src 'unsafe-inline'"
    assert not re.search(r"https?://|url\(|@import", text)


def hostile_record(**fields):
    record = {
        "run_id": HOSTILE,
        "status": HOSTILE,
        "dry_run": False,
        "tag": HOSTILE,
        "per_reviewer": {HOSTILE: 3, "\ud800": 1},
        "warnings": [HOSTILE, "\ud800 half a character", *["x" * 10_000] * 50],
        "undoes": "",
        "duration_ms": 1,
    }
    return json.dumps(record | fields)


@pytest.mark.parametrize(
    "fields", [{}, {"undoes": HOSTILE, "undone": 1}, {"dry_run": True}, {"failed": 3}]
)
def test_a_record_that_somebody_else_wrote_becomes_no_markup_either(render, folder, fields):
    (run,) = (folder / "runs").rglob("*-capped.json")
    run.write_text(hostile_record(**fields))
    lines = folder / run.relative_to(folder).as_posix().replace("runs/", "assignments/", 1)
    line = {"row_id": "r", "reviewer_id": HOSTILE, "status": "failed", "error": HOSTILE}
    lines.with_suffix(".jsonl").write_text(json.dumps(line) + "\n")
    text = render(names={HOSTILE: HOSTILE})

    page = Page(text)
    assert page.elements.keys() <= ELEMENTS
    assert not [name for name in page.attributes if name.startswith("on")]
    assert "</title></style><script>" in page.text
    assert len(text.encode()) < 200_000


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "null", "{}", "[" * 100_000, '{"a": 1', "\x00"),
        hostile_record(spread=float("nan")),
        hostile_record(assigned=10**400),
        hostile_record(failed=-1),
        hostile_record(failed="many"),
        hostile_record(per_reviewer=[1]),
        hostile_record(warnings=7),
        hostile_record(previous_plan=[]) and hostile_record(previous_plan=["x"]),
        hostile_record(padding="x" * 2**21),
    ],
    ids=range(15),
)
def test_a_record_that_cannot_be_read_is_named_and_the_rest_is_shown(render, folder, text):
    (run,) = (folder / "runs").rglob("*-capped.json")
    run.write_text(text)
    page = Page(render())

    assert f"This record cannot be read: {run.relative_to(folder).as_posix()}" in page.text
    assert page.row("20 Nov 11:00")[1] == "assigned"


def test_a_run_that_was_cut_off_is_told_from_its_plan(render, folder, weeks):
    (run,) = (folder / "runs").rglob("*-mended.json")
    run.unlink()

    assert f"Run {weeks.id('mended')} made a plan and left no record" in Page(render()).text


def test_a_plan_that_lost_the_race_is_no_run_and_nothing_speaks_of_it(render, folder, weeks):
    before, table = render(), status(Folder(folder), 100, NOW)
    (plan,) = (folder / "plans").rglob("*-mended.json")
    lost = plan.with_name(plan.name.replace("mended", "lost"))
    lost.write_text(plan.read_text().replace(weeks.id("mended"), lost.stem))

    assert (render(), status(Folder(folder), 100, NOW)) == (before, table)


@pytest.mark.parametrize("text", [None, "", "{", "[]", "{}", '{"plan": 7}', '{"plan": "x"}'])
def test_without_a_ledger_no_plan_is_known_to_have_happened(render, folder, text):
    (run,) = (folder / "runs").rglob("*-mended.json")
    run.unlink()
    (ledger,) = (folder / "ledger").iterdir()
    if text is None:
        ledger.unlink()
    else:
        ledger.write_text(text)

    assert "left no record" not in Page(render()).text


def test_where_the_chain_breaks_off_no_older_plan_without_a_record_happened(render, folder, weeks):
    """A plan of version 1 names none before it."""
    for name in ("refused", "capped"):
        next((folder / "runs").rglob(f"*-{name}.json")).unlink()
    (plan,) = (folder / "plans").rglob("*-undo-mistake.json")
    plan.write_text(plan.read_text().replace('"previous": ', '"before": ', 1))

    text = Page(render()).text
    assert f"Run {weeks.id('capped')} made a plan and left no record" in text
    assert weeks.id("refused") not in text.partition("Waiting now")[0]


def test_plans_that_name_each_other_come_to_an_end(folder, weeks):
    for run in (folder / "runs").rglob("*.json"):
        run.unlink()
    (first,) = (folder / "plans").rglob(f"{weeks.id('october')}.json")
    text, last = first.read_text(), next((folder / "plans").rglob("*-capped.json"))
    key = last.relative_to(folder).as_posix()
    first.write_text(text.replace('"previous": null', f'"previous": "{key}"'))
    (project,) = projects(Folder(folder))
    records = read_records(Folder(folder), project, NOW - timedelta(days=90))

    plans = (
        "october",
        "undo-october",
        "queued",
        "refused",
        "mended",
        "mistake",
        "undo-mistake",
        "capped",
        "idle",
    )
    assert records.unfinished == [weeks.id(name) for name in plans]


def test_what_the_next_run_saw_of_a_plan_without_a_record_is_told(render, folder, weeks):
    (run,) = (folder / "runs").rglob("*-capped.json")
    run.unlink()
    previous = weeks.runs["idle"]["previous_plan"]

    assert previous["run_id"] == weeks.id("capped")
    assert f"Of its plan, the next run saw {previous['landed']} rows landed." in Page(render()).text


def test_a_plan_whose_run_may_still_be_going_on_is_no_news(render, folder):
    for path in (folder / "runs").rglob("*-idle.json"):
        path.unlink()
    (run,) = (folder / "runs").rglob("*-capped.json")
    run.unlink()

    assert "left no record" not in Page(render(now=NOW - timedelta(hours=1, minutes=20))).text


def test_an_old_newest_run_and_old_rows_need_a_look(render):
    assert "Nothing needs a look" in Page(render()).text
    assert "The newest run is 12 h old" in Page(render(now=NOW + timedelta(hours=11))).text


def test_a_deployment_that_has_only_run_dry_is_told_what_would_happen(render, folder):
    shutil.rmtree(folder / "runs")

    assert "The newest would have given 3 rows to 3 people." in Page(render()).text


def test_a_dry_run_of_many_rows_is_read_without_its_rows(folder):
    (dry,) = (folder / "dry_runs").rglob("*.json")
    head = dry.read_text().partition('"assignments": [')[0]
    rows = ",\n".join(
        json.dumps({"row_id": str(n), "reviewer_id": "x" * 36}) for n in range(60_000)
    )
    dry.write_text(f'{head}"assignments": [\n{rows}\n]}}\n')
    (project,) = projects(Folder(folder))
    records = read_records(Folder(folder), project, NOW - timedelta(days=3))

    assert not records.unreadable
    assert [run.status for run in records.runs if run.kind == "dry run"] == ["dry_run"]


def test_of_too_many_records_the_newest_are_read_and_the_page_says_so(folder, weeks):
    (project,) = projects(Folder(folder))
    records = read_records(Folder(folder), project, NOW - timedelta(days=90), most=2)

    assert [run.run_id for run in records.runs] == [weeks.id("capped"), weeks.id("idle")]
    assert records.cut == len(weeks.runs) - 2


def test_hundreds_of_reviewers_are_summed_up(render, folder):
    (run,) = (folder / "runs").rglob("*-idle.json")
    record = json.loads(run.read_text())
    run.write_text(
        json.dumps(record | {"per_reviewer": {f"person{number:04}": 1 for number in range(300)}})
    )
    text = render()

    assert "and 263 more with 263 rows" in Page(text).text
    assert len(text) < 400_000


def test_several_projects_have_a_section_each(render, folder):
    (project,) = projects(Folder(folder))
    other = "22222222-2222-4222-8222-222222222222"
    shutil.copytree(folder / f"runs/project_id={project}", folder / f"runs/project_id={other}")

    assert Page(render()).elements["h2"] == 2
    assert Page(render(project=other)).elements["h2"] == 0


@pytest.mark.usefixtures("here")
def test_a_bucket_reads_the_same_as_a_folder(weeks, folder):
    bucket = open_audit(weeks.address)
    from_bucket = report(bucket, NOW, 30).replace(bucket.address, "")

    assert from_bucket == report(Folder(folder), NOW, 30).replace(str(folder), "")
    assert bucket.address == weeks.address


@pytest.mark.usefixtures("here")
def test_an_audit_is_found_below_the_address(weeks, folder):
    assert open_audit(str(folder.parent)).address == str(folder)
    assert open_audit(weeks.address.rstrip("/")).address == weeks.address


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    "address", ["s3://no-such-bucket/audit/", "/no/such/folder", "s3://audit-bucket/empty/"]
)
def test_an_address_without_an_audit_is_an_error_that_names_it(address):
    with pytest.raises(AuditUnreadableError, match=re.escape(address.split("/")[2])):
        open_audit(address)


@pytest.mark.usefixtures("here")
def test_a_stack_is_asked_where_its_audit_is(weeks, weeks_folder, aws_url):
    template = {
        "Resources": {
            "Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "stack-bucket"}}
        },
        "Outputs": {
            "AuditBucketName": {"Value": "audit-bucket"},
            "AuditPrefix": {"Value": weeks.world.prefix},
        },
    }
    cloudformation = boto3.client("cloudformation", endpoint_url=aws_url)
    cloudformation.create_stack(StackName="assigner", TemplateBody=json.dumps(template))

    assert open_audit(None, "assigner").address == weeks.address
    assert open_audit(str(weeks_folder), "assigner").address == str(weeks_folder)
    with pytest.raises(AuditUnreadableError, match="no-such-stack"):
        open_audit(None, "no-such-stack")


def test_the_program_writes_one_file_and_says_where(folder, tmp_path, capsys, weeks):
    names = tmp_path / "names.json"
    names.write_text(json.dumps({weeks.users[0]: "Ana"}))
    out = tmp_path / "new/report.html"

    assert (
        program.main([str(folder), "--out", str(out), "--days", "3650", "--names", str(names)]) == 0
    )
    assert capsys.readouterr().out.startswith(f"{out}: ")
    assert out.read_text("utf-8").startswith("<!DOCTYPE html>")


def test_a_project_that_is_not_there_is_said_with_those_that_are(folder, weeks, capsys):
    assert program.main([str(folder), "--project", "nope"]) == 1
    there = weeks.world.braintrust.project_id
    said = f"error: no run of a project nope is in {folder}; of these: {there}\n"
    assert capsys.readouterr().err == said


def test_a_page_that_cannot_be_written_is_said(folder, tmp_path, capsys):
    (tmp_path / "a file").touch()
    for out, why in (("", "Is a directory"), ("a file/page.html", "File exists")):
        assert program.main([str(folder), "--out", str(tmp_path / out)]) == 1
        assert f"cannot be written: {why}" in capsys.readouterr().err


@pytest.mark.parametrize("names", ["[]", "nothing", "no such file"])
def test_wrong_names_are_refused(folder, tmp_path, capsys, names):
    file = tmp_path / "names.json"
    if names != "no such file":
        file.write_text(names)

    assert program.main([str(folder), "--names", str(file)]) == 1
    assert capsys.readouterr().err.startswith(f"error: {file} is not a JSON object")


def test_status_shows_the_last_runs_a_line_each(folder, weeks):
    text = status(Folder(folder), 4, NOW).splitlines()
    lines = [line for line in text if not line.startswith("    warning: ")]

    assert text[4] == f"    warning: {weeks.runs['capped']['warnings'][0]}"

    assert [line.split()[2] for line in lines[1:5]] == [
        *("nothing_to_assign", "incomplete", "dry_run", "undone")
    ]
    assert lines[2].split()[3:9] == ["full", "9", "3", "2", "0", "1"]
    assert lines[1].endswith(f"{weeks.id('idle')}  tag 'nobody has this'")
    assert lines[4].endswith(f"takes back 3 rows of {weeks.id('mistake')}")
    assert [
        line.partition(weeks.id(name))[1]
        for line, name in zip(lines[1:], ("idle", "capped"), strict=False)
    ]
    assert lines[-1] == str(folder)


def holders(run):
    """The cells of the lines about what everybody had when a run read everything."""
    people = [
        [
            *(who, str(has["open"])),
            *([f"{has['oldest_open_hours']:,.1f}", "hours"] if has["open"] else "-"),
            str(has["reviewed"]),
        ]
        for who, has in sorted(run["people"].items(), key=lambda it: (-it[1]["open"], it[0]))
    ]
    said = f"Open rows with the tag {run['tag']!r}, as {run['run_id']} saw them:"
    return [said.split(), ["Person", "open", "oldest", "reviewed"], *people]


def holds(text, lines):
    """Whether the text has these lines of words, one after the other."""
    words = [line.split() for line in text.splitlines()]
    return any(words[at : at + len(lines)] == lines for at in range(len(words)))


def test_status_shows_open_rows_per_person_from_the_last_full_read_of_each_tag(folder, weeks):
    text = status(Folder(folder), 4, NOW)

    assert sum(has["open"] for has in weeks.runs["capped"]["people"].values()) == 6
    for name in ("capped", "idle"):
        assert holds(text, holders(weeks.runs[name]))
    assert text.count("Open rows with the tag") == 2


def test_open_rows_of_one_tag_in_two_projects_are_told_apart(folder, weeks):
    run = weeks.runs["idle"]
    (key,) = (folder / "runs").rglob("*-idle.json")
    other = Path(str(key).replace(run["project_id"], OTHER))
    other.parent.mkdir(parents=True)
    other.write_text(json.dumps(run | {"project_id": OTHER}))

    text = status(Folder(folder), 9, NOW)

    for project in (run["project_id"], OTHER):
        assert (
            f"Open rows with the tag {run['tag']!r} of project {project}, as {run['run_id']} saw them:"
            in text
        )


def test_status_finds_a_full_read_that_is_older_than_the_runs_it_shows(folder, weeks):
    record = weeks.runs["idle"] | {"read": "short"}
    del record["people"]
    (run,) = (folder / "runs").rglob("*-idle.json")
    run.write_text(json.dumps(record))
    text = status(Folder(folder), 1, NOW)

    assert text.splitlines()[1].split()[3] == "short"
    assert holds(text, holders(weeks.runs["capped"]))


@pytest.fixture
def queues(folder, weeks):
    """An audit of two queues: of `de` the newest record is half an hour old, of `fr` five hours, and its rows wait."""
    record = weeks.runs["capped"]
    ids = "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f9"

    def leave(hour, queue, **fields):
        name = f"20261123T{hour:02}0000Z-{ids}-{queue}"
        path = next((folder / "runs").rglob("*-capped.json")).parent / f"{name}.json"
        path.write_text(json.dumps(record | {"run_id": name, "queue": queue} | fields))

    for hour in range(3, 9):
        leave(hour, "de", status="assigned", deferred=0, oldest_waiting_seconds=0, warnings=[])
    leave(3, "fr", status="incomplete", oldest_waiting_seconds=60)
    next((folder / "runs").rglob("*-idle.json")).unlink()
    return folder


def test_status_tells_how_long_each_queue_has_left_no_record(queues, weeks):
    project = weeks.world.braintrust.project_id
    lines = status(Folder(queues), 10, NOW).splitlines()
    assert [line.split() for line in lines[-4:-1]] == [
        ["Queue", "newest", "record", "status", "waiting", "project"],
        ["fr", "5.5", "hours", "incomplete", "1", project],
        ["de", "0.5", "hours", "assigned", "0", project],
    ]
    assert any("queue de, tag " in line for line in lines)
    assert "Open rows of the queue fr, as " in "\n".join(lines)


def test_the_report_says_which_queue_has_left_no_record(queues):
    page = Page(report(Folder(queues), NOW, 30))
    assert "The newest run of the queue fr is 6 h old" in page.text
    assert "The newest run of the queue fr says incomplete: 1 rows wait" in page.text
    assert "The newest run of the queue de" not in page.text
    assert any("Queue de" in cell for row in page.rows for cell in row)


def test_status_sums_up_many_people(folder, weeks):
    (run,) = (folder / "runs").rglob("*-idle.json")
    has = {"open": 2, "reviewed": 0, "oldest_open_hours": 1.0}
    people = {f"person{number:02}": has for number in range(30)}
    run.write_text(json.dumps(weeks.runs["idle"] | {"people": people}))
    lines = status(Folder(folder), 1, NOW).splitlines()

    assert [line.split() for line in lines[-3:-1]] == [
        ["person19", "2", "1.0", "hours", "0"],
        ["10", "more", "people", "20", "-", "0"],
    ]


def test_status_names_people_where_names_are_kept(folder, weeks, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names.keep({weeks.users[0]: "Ana Souza"})
    assert status_program.main([str(folder)]) == 0
    out = capsys.readouterr().out
    assert ["Ana", "Souza"] in [line.split()[:2] for line in out.splitlines()]
    assert weeks.users[0] not in out
    assert weeks.users[1] in out


@pytest.mark.parametrize("most", [80, 100, 120])
def test_status_fits_the_terminal_and_breaks_no_word(folder, weeks, most):
    lines = status(Folder(folder), 100, NOW, {weeks.users[0]: "Ana Souza"}, most).splitlines()
    too_wide = [line for line in lines if len(line) > most]
    assert all(re.fullmatch(r"\s*\S+", line) for line in too_wide)  # one word, such as an id
    text = "\n".join(lines)
    assert all(weeks.id(name) in text for name in weeks.runs)
    assert ("fetched" in lines[0], "unassigned" in lines[0]) == (most > 80, True)


def test_the_page_shows_open_rows_per_person_from_the_last_full_read(render, folder, weeks):
    page = Page(render())
    capped = weeks.runs["capped"]["people"]

    assert (
        f"With the tag {weeks.runs['capped']['tag']}, in the whole window, as of 23 Nov 07:00."
        in page.text
    )
    for who, has in capped.items():
        age = f"{has['oldest_open_hours']:.0f} h" if has["oldest_open_hours"] < 48 else "3 days"
        assert [id_of(who), str(has["open"]), age, str(has["reviewed"])] in page.rows
    assert page.row("23 Nov 07:00")[2:4] == ["full", "9"]
    for file in (folder / "runs").rglob("*.json"):
        record = json.loads(file.read_text())
        record.pop("people", None)
        file.write_text(json.dumps(record))
    shutil.rmtree(folder / "dry_runs")
    assert "Open rows per person" not in Page(render()).text


@pytest.mark.parametrize(
    "people",
    [
        *([], 7, {"a": 7}, {"a": {}}, {"a": {"open": -1, "reviewed": 0, "oldest_open_hours": 0}}),
        {"a": {"open": 1, "reviewed": 0, "oldest_open_hours": "long"}},
    ],
    ids=range(6),
)
def test_people_that_make_no_sense_make_a_record_unreadable(render, folder, people):
    (run,) = (folder / "runs").rglob("*-capped.json")
    run.write_text(hostile_record(people=people))
    named = f"This record cannot be read: {run.relative_to(folder).as_posix()}"

    assert named in Page(render()).text


def test_runs_of_one_second_are_in_the_order_in_which_they_began(folder):
    (run,) = (folder / "runs").rglob("*-idle.json")
    record = json.loads(run.read_text())
    for name, to in (("b", "100"), ("a", "900")):
        window = record["window"] | {"to": f"2026-11-23T07:30:00.{to}Z"}
        run.with_name(run.name.replace("idle", name)).write_text(
            json.dumps(record | {"window": window})
        )
    run.unlink()

    lines = [
        line for line in status(Folder(folder), 2, NOW).splitlines() if "warning: " not in line
    ]
    assert ["-a" in lines[1], "-b" in lines[2]] == [True, True]
    assert "-a" in status(Folder(folder), 1, NOW).splitlines()[1]


def test_status_says_what_the_newest_run_warned_about_in_plain_characters(folder):
    (run,) = (folder / "runs").rglob("*-idle.json")
    run.write_text(json.dumps(json.loads(run.read_text()) | {"warnings": ["red \x1b[31m\n\ud800"]}))
    text = status(Folder(folder), 2, NOW)

    assert "    warning: red \ufffd[31m\ufffd\ufffd" in text
    assert text.isprintable() or text.replace("\n", "").isprintable()


def test_status_looks_back_as_far_as_it_has_to(folder, weeks):
    text = status(Folder(folder), 100, NOW)

    assert all(weeks.id(name) in text for name in weeks.runs)


def test_status_of_a_stack_that_never_ran_is_no_error(tmp_path, capsys):
    assert status_program.main([str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"no run has been recorded yet in {tmp_path}\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "error: say which audit"),
        (["no/such/folder"], "error: there is no folder no/such/folder"),
    ],
)
def test_an_audit_that_cannot_be_found_is_an_error(capsys, arguments, says):
    assert (status_program.main(arguments), program.main(arguments)) == (1, 1)
    assert capsys.readouterr().err.count(says) == 2


def test_status_can_be_asked_of_a_folder(folder, capsys):
    assert status_program.main([str(folder.parent), "--last", "3"]) == 0
    assert len(capsys.readouterr().out.splitlines()) >= 5


def test_text_is_escaped_and_markup_is_not():
    assert tag("p", "<&\"'>", Html("<b>"), 1.5, None, [2, "x"], title='"<') == (
        '<p title="&quot;&lt;">&lt;&amp;&quot;&#x27;&gt;<b>1.52x</p>'
    )
    assert join(["a", ["b"]]) == "ab"


def test_axes_end_at_round_numbers():
    assert [nice(value) for value in (0, 2, 3, 4, 5, 11, 39, 99, 101, 4001)] == [
        *(2, 2, 4, 4, 10, 20, 40, 100, 200, 10_000)
    ]


def test_many_points_become_few_that_keep_the_peaks_and_the_last():
    points = [(NOW + timedelta(minutes=number), float(number == 777)) for number in range(5000)]
    few = thin(points)

    assert len(few) < 200
    assert max(value for _, value in few) == 1
    assert few[-1] == points[-1]


def test_a_chart_of_nothing_is_drawn():
    assert "<svg" in columns("Nothing", [], [], [])


def test_lengths_of_time_are_said_in_one_unit():
    lengths = [
        timedelta(minutes=5),
        timedelta(minutes=61),
        timedelta(hours=47),
        timedelta(hours=72),
    ]
    assert [span(length) for length in lengths] == ["5 min", "1 h", "47 h", "3 days"]


def test_what_is_shown_has_no_control_characters():
    assert shown("a\n\x1b\u202e\ud800é☃") == "a\ufffd\ufffd\ufffd\ufffdé☃"


def browse(page: Path, folder: Path, *options):
    """What Chromium makes of a page: its document and its complaints."""
    if CHROMIUM is None:
        reason = "Chromium is not installed: apt-get install chromium"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(
            f"THE REPORT WAS NOT TRIED IN A BROWSER. {reason}"
        )
    return subprocess.run(
        [
            CHROMIUM,
            *QUIET,
            f"--user-data-dir={folder}",
            "--enable-logging=stderr",
            *options,
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )


def test_a_browser_shows_it_and_has_nothing_to_complain_about(render, tmp_path):
    page, picture = tmp_path / "report.html", tmp_path / "report.png"
    page.write_text(render(), "utf-8")
    seen = browse(
        page,
        tmp_path / "profile",
        "--dump-dom",
        f"--screenshot={picture}",
        "--window-size=1150,1800",
    )

    document = Page(seen.stdout)
    assert document.elements.keys() <= ELEMENTS
    assert document.row("22 Nov 10:00")[-1] == "Dry run: would give 3 rows"
    assert "</title></style><script>alert(1)</script>" not in seen.stdout
    assert "CONSOLE" not in seen.stderr
    assert picture.read_bytes().startswith(b"\x89PNG")


WHAT_IS_CUT = """<script>
const hidden = it => ["none", "inline"].includes(getComputedStyle(it).display) || it.closest("details");
parent.document.title = [...document.querySelectorAll("svg, .card, .card > *, .reviewers *, .lines *")]
  .filter(it => !hidden(it) && !(it.closest(".chart") && it.tagName != "svg"))
  .filter(it => it.getBoundingClientRect().right > innerWidth || it.scrollWidth > it.clientWidth + 1)
  .map(it => `${it.tagName}.${it.className} in ${it.closest(".card").className}`).join(", ") + " of " + innerWidth;
</script>"""


@pytest.mark.parametrize("scheme", ["0", "1"], ids=["dark", "light"])
@pytest.mark.parametrize("width", [400, 1280])
def test_at_every_width_numbers_bars_and_warnings_can_be_seen(render, tmp_path, width, scheme):
    policy = re.compile("<meta http-equiv[^>]*>")
    inner = policy.sub("", render()).replace("</body>", f"{WHAT_IS_CUT}</body>")
    frame = f'<iframe srcdoc="{escape(inner)}" style="width: {width}px; height: 3000px; border: 0">'
    page = tmp_path / "report.html"
    page.write_text(f"<title></title>{frame}</iframe>", "utf-8")
    look = f"--blink-settings=preferredColorScheme={scheme}"
    seen = browse(page, tmp_path / "profile", "--dump-dom", "--virtual-time-budget=5000", look)

    assert re.search("<title>(.*?)</title>", seen.stdout)[1] == f" of {width}"
