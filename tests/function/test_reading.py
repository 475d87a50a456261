"""Contract section 8, sentence by sentence: full and short reads, the proof, and servers that will not."""

import json
from datetime import timedelta
from typing import Any

import pytest

from lib.errors import QueryError
from tests.history import APPROVED, HOUR, MINUTE, PENDING, History
from tests.refusing_aws import RefusingAws
from tests.world import ASSIGNMENTS, REVIEW_LISTS, TAG, World

DEFAULT_LIST = "__bt_default_review_list"
DAY = timedelta(days=1)
STATUS = {"op": "ident", "name": ["metadata", REVIEW_LISTS, DEFAULT_LIST, "status"]}
PEOPLE = {"op": "ident", "name": ["metadata", ASSIGNMENTS]}
UNFINISHED = {
    "op": "or",
    "left": {"op": "isnull", "expr": STATUS},
    "right": {
        "op": "in",
        "left": STATUS,
        "right": {"op": "literal", "value": ["BACKLOG", "PENDING"]},
    },
}
NOBODY = {
    "op": "or",
    "left": {"op": "isnull", "expr": PEOPLE},
    "right": {
        "op": "eq",
        "left": {"op": "function", "name": {"op": "ident", "name": ["len"]}, "args": [PEOPLE]},
        "right": {"op": "literal", "value": 0},
    },
}
CUT_SHORT = (
    "MAX_PAGES (1) was reached with rows left: newer rows were not seen; raise MAX_PAGES or LIMIT"
)
NO_PAGING = (
    "this server does not page through sorted rows, so everything was read, newest first: {}"
)


@pytest.fixture
def steady(world: World, aws: RefusingAws) -> History:
    """One person, whose first row proves that short reads work."""
    world.add_users(1)
    return History(world, aws)


@pytest.fixture
def proved(world: World, steady: History) -> History:
    steady.log("first")
    assert steady.run()["read"] == "full"
    assert proof(steady) == steady.now
    steady.wait(HOUR)
    asked(world)
    return steady


def asked(world: World) -> list[str]:
    """Which queries there were since this was asked last."""
    found = [_kind(record.query) for record in world.braintrust.requests.of("query")]
    world.braintrust.requests.clear()
    return found


def _kind(query: dict[str, Any]) -> str:
    text = json.dumps(query["filter"])
    kind = "short" if DEFAULT_LIST in text else "again" if '{"op": "in"' in text else "full"
    return kind if "sort" in query or kind == "again" else f"{kind}, unsorted"


def proof(steady: History) -> str | None:
    """When the newest plan's only way of reading was proved."""
    (reading,) = steady.plan()["reading"]
    return reading["proved_at"]


def open_rows(world: World, steady: History, *names: str) -> None:
    """Rows that somebody has, by their own doing."""
    steady.log(*names, metadata={ASSIGNMENTS: [world.users[0]], REVIEW_LISTS: PENDING})


# What is asked for


def test_an_open_row_has_a_reviewer_and_no_finished_review(world: World, steady: History) -> None:
    (ana,) = world.users
    for status in ("PENDING", "BACKLOG", None, "APPROVED", "REJECTED", "COMPLETE", "COMPLETED"):
        review = {REVIEW_LISTS: {DEFAULT_LIST: {"status": status}}}
        steady.log(f"with {status}", metadata={ASSIGNMENTS: [ana]} | review)
        steady.log(f"nobody's {status}", metadata=review)
    steady.wait(90 * MINUTE)
    assert steady.run({"dry_run": True})["people"] == {
        ana: {"open": 3, "reviewed": 4, "oldest_open_hours": 1.5}
    }


def test_a_full_read_asks_for_every_row_of_the_window_with_the_tag_and_the_filter(
    world: World, steady: History
) -> None:
    sent = world.overhear("query")
    steady.run({"filter": "scores.x < 1"})
    (query,) = (body["query"] for body in sent)
    window = {"op": "and", "left": query["filter"]["left"], "right": {"btql": "scores.x < 1"}}
    assert query["filter"] == window
    assert DEFAULT_LIST not in json.dumps(query)


@pytest.mark.parametrize("max_open", [None, 5])
def test_a_short_read_adds_the_condition_that_the_row_may_need_something(
    world: World, steady: History, max_open: int | None
) -> None:
    """Where anybody has max_open, open rows are asked for as well, so that they can be counted."""
    if max_open:
        world.set_reviewers([{"id": world.users[0], "max_open": max_open}])
    sent = world.overhear("query")
    steady.log("row")
    steady.run()
    full, _, short = (body["query"] for body in sent)
    needs = UNFINISHED if max_open else {"op": "and", "left": NOBODY, "right": UNFINISHED}
    assert short == full | {"filter": {"op": "and", "left": full["filter"], "right": needs}}


def test_both_are_sorted_from_the_oldest_on_and_select_the_whole_metadata(
    world: World, proved: History
) -> None:
    sent = world.overhear("query")
    proved.run()
    proved.run({"dry_run": True})
    short, full, _ = (body["query"] for body in sent)
    for query in (short, full):
        assert query["sort"] == [
            {"expr": {"op": "ident", "name": ["_pagination_key"]}, "dir": "asc"}
        ]
        assert query["select"][-1] == {
            "alias": "metadata",
            "expr": {"op": "ident", "name": ["metadata"]},
        }


def test_the_client_judges_each_row_of_a_short_read_as_it_always_does(
    world: World, proved: History
) -> None:
    (ana,) = world.users
    rows = {
        "needs one": None,
        "has one": {ASSIGNMENTS: ["bo"]},
        "finished": {REVIEW_LISTS: APPROVED},
        "odd": {ASSIGNMENTS: "bo"},
    }
    body = [
        {"id": name, "created": proved.now, "_xact_id": "1", "metadata": metadata}
        for name, metadata in rows.items()
    ]
    world.braintrust.faults.add("query", body=json.dumps({"data": body}))
    result = proved.run()
    assert result["read"] == "short"
    assert [result[name] for name in ("fetched", "already_assigned", "already_reviewed")] == [
        4,
        2,
        1,
    ]
    assert proved.given() == [("needs one", ana)]


# When everything is read


def test_an_idle_hour_is_one_query_and_new_rows_are_two(world: World, proved: History) -> None:
    result = proved.run()
    assert (result["read"], result["fetched"], asked(world)) == ("short", 0, ["short"])
    assert "people" not in result
    proved.log(*"abcde")
    result = proved.run()
    assert (result["read"], result["assigned"], asked(world)) == ("short", 5, ["short"] * 2)


def test_a_run_that_is_no_ordinary_one_makes_a_full_read(world: World, proved: History) -> None:
    given = proved.plan()["run_id"]
    assert proved.run({"dry_run": True})["read"] == "full"
    assert proved.run({"undo": given, "dry_run": True})["read"] == "full"
    assert proved.run({"undo": given})["read"] == "full"
    assert asked(world) == ["full"] * 6


def test_a_dry_run_proves_nothing(world: World, steady: History) -> None:
    steady.log("row")
    steady.run({"dry_run": True})
    assert world.objects("plans/") == {}
    assert asked(world) == ["full"] * 2


def test_with_full_read_hours_0_every_run_makes_a_full_read(world: World, proved: History) -> None:
    world.settings = {"FULL_READ_HOURS": "0"}
    assert [proved.run()["read"] for _ in range(3)] == ["full"] * 3


def test_without_a_proof_every_run_makes_a_full_read(world: World, steady: History) -> None:
    open_rows(world, steady, "open")
    for _ in range(3):
        assert steady.run()["read"] == "full"
        steady.wait(HOUR)
    assert proof(steady) is None
    assert "short" not in asked(world)


@pytest.mark.parametrize(
    "other",
    [
        {"event": {"tag": "other"}},
        {"event": {"filter": "is_root"}},
        {"settings": {"OPEN_STATUSES": "TODO"}},
        {"settings": {"BRAINTRUST_API_URL": "http://localhost:{port}"}},
        {"reviewers": {"max_open": 9}},
    ],
    ids=["tag", "filter", "open statuses", "address", "max_open"],
)
def test_a_proof_is_good_for_its_own_query_only(
    world: World, proved: History, other: dict[str, Any]
) -> None:
    port = world.braintrust.url.rpartition(":")[2]
    settings = other.get("settings", {})
    world.settings = {name: value.format(port=port) for name, value in settings.items()}
    if more := other.get("reviewers"):
        world.set_reviewers([{"id": world.users[0]} | more])
    assert proved.run(other.get("event"))["read"] == "full"
    world.settings = {}
    world.set_reviewers(world.users)
    assert proved.run()["read"] == "short"
    assert len(proved.plan()["reading"]) == 2


def test_a_proof_is_good_for_its_own_project_only(world: World, proved: History) -> None:
    other = world.braintrust.store.add_project("Other")
    assert proved.run({"project_id": other})["read"] == "full"
    assert proved.run()["read"] == "short"


@pytest.mark.parametrize(
    ("hours", "days", "due"),
    [
        ("24", "7", timedelta(hours=23, minutes=30)),
        ("6", "7", timedelta(hours=5, minutes=30)),
        ("168", "30", timedelta(hours=167, minutes=30)),
        ("168", "7", timedelta(hours=84)),
        ("168", "1", timedelta(hours=12)),
        ("24", "1", timedelta(hours=12)),
    ],
)
def test_the_next_full_read_is_due_after_full_read_hours_or_half_a_window(
    world: World, steady: History, hours: str, days: str, due: timedelta
) -> None:
    """A window must not end before any full read."""
    world.settings = {"FULL_READ_HOURS": hours, "DAYS": days}
    steady.log("row")
    steady.run()
    steady.wait(due - MINUTE)
    assert steady.run()["read"] == "short"
    steady.wait(MINUTE)
    result = steady.run()
    assert (result["read"], "people" in result) == ("full", True)
    steady.wait(due - MINUTE)
    assert steady.run()["read"] == "short"


def test_a_clock_that_was_once_ahead_does_not_put_full_reads_off(steady: History) -> None:
    steady.wait(365 * DAY)
    steady.log("row")
    steady.run()
    steady.wait(-365 * DAY)
    assert steady.run()["read"] == "full"


def test_one_full_read_of_a_day_does_not_count_for_a_week(steady: History) -> None:
    steady.log("row")
    steady.run({"days": 1})
    assert steady.run({"days": 1})["read"] == "short"
    assert steady.run()["read"] == "full"
    assert steady.run()["read"] == "short"


def test_one_full_read_of_a_week_counts_for_a_day_and_is_not_forgotten_for_one(
    proved: History,
) -> None:
    assert proved.run({"days": 1})["read"] == "short"
    proved.wait(12 * HOUR)  # half a day's window, and little of a week's
    assert proved.run({"days": 1})["read"] == "full"
    assert proved.run()["read"] == "short"
    assert [each["days"] for each in proved.plan()["reading"]] == [7]


def test_after_an_undo_the_next_run_makes_a_full_read_and_the_proof_is_kept(
    proved: History,
) -> None:
    when = proof(proved)
    proved.run({"undo": proved.plan()["run_id"]})
    proved.wait(HOUR)
    result = proved.run()
    assert (result["read"], result["assigned"]) == ("full", 1)
    assert proof(proved) == when
    proved.wait(HOUR)
    assert proved.run()["read"] == "short"


def test_what_an_undo_freed_is_found_where_no_length_is_that_of_an_empty_list(
    world: World, proved: History
) -> None:
    world.braintrust.options.len_finds_empty = False
    proved.run({"undo": proved.plan()["run_id"]})
    proved.wait(HOUR)
    assert proved.run()["assigned"] == 1


@pytest.mark.usefixtures("near_s3")
def test_an_undo_keeps_the_proofs_of_other_queries_whose_runs_come_later(proved: History) -> None:
    proved.log("other", tags=["other"])
    proved.run({"tag": "other"})
    for _ in range(20):  # so that the proofs are old, though not the reads
        proved.wait(DAY)
        proved.run()
        proved.run({"tag": "other"})
    proved.log("new")
    proved.run({"undo": proved.run()["run_id"]})
    proved.wait(HOUR)
    assert [proved.run({"tag": "other"})["read"] for _ in range(2)] == ["full", "short"]


# Full reads that are cut short


def test_a_full_read_that_was_cut_short_counts_as_made_and_is_followed_by_a_short_page(
    world: World, steady: History
) -> None:
    """Even where it found nothing to do: else the newest rows would starve behind old ones."""
    open_rows(world, steady, *(f"old{n}" for n in range(4)))
    steady.log("new0", "new1")
    result = steady.run({"limit": 2, "max_pages": 1})
    assert asked(world) == ["full", "short"]
    assert [result[name] for name in ("status", "read", "complete", "fetched", "assigned")] == [
        "incomplete",
        "full",
        False,
        4,
        2,
    ]
    assert (result["warnings"], "people" in result) == ([CUT_SHORT], False)
    assert [row for row, _ in steady.given()] == ["new0", "new1"]
    assert proof(steady) == steady.now
    steady.log("new2")
    steady.wait(HOUR)
    result = steady.run({"limit": 2, "max_pages": 1})
    assert (result["read"], steady.given()) == ("short", [("new2", world.users[0])])


def test_a_full_read_that_time_cut_short_is_followed_by_a_short_page_as_well(
    world: World, steady: History
) -> None:
    open_rows(world, steady, *(f"old{n}" for n in range(30)))
    steady.log("new")
    world.braintrust.faults.add(
        "query", latency=0.8, times=None, when=lambda call: DEFAULT_LIST.encode() not in call.body
    )
    result = world.run({"limit": 1}, seconds=10, now=lambda: steady.moment)
    kinds = asked(world)
    assert kinds == ["full"] * (len(kinds) - 1) + ["short"]
    assert [result[name] for name in ("status", "complete", "assigned")] == ["incomplete", False, 1]
    assert steady.given() == [("new", world.users[0])]


def test_a_short_page_after_time_has_half_of_what_is_kept_for_inserts(
    world: World, steady: History
) -> None:
    open_rows(world, steady, *(f"old{n}" for n in range(30)))
    steady.log("new")
    world.braintrust.faults.add(
        "query", latency=0.3, times=None, when=lambda call: DEFAULT_LIST.encode() not in call.body
    )
    world.braintrust.faults.add("query", hang=True, times=None, contains=DEFAULT_LIST)
    result = world.run({"limit": 1}, seconds=5, now=lambda: steady.moment)
    assert result["status"] == "incomplete"
    assert 2_600 < result["duration_ms"] < 4_000  # of 4, 2.75 are for reading


def test_short_reads_that_are_cut_short_go_on_from_the_oldest_row_that_waits(
    world: World, proved: History
) -> None:
    proved.log(*(f"row{n}" for n in range(5)))
    results = []
    for _ in range(3):
        results.append(proved.run({"limit": 2, "max_pages": 1}))
        proved.wait(HOUR)
    assert [(each["read"], each["complete"], each["assigned"]) for each in results] == [
        ("short", False, 2),
        ("short", False, 2),
        ("short", False, 1),
    ]
    assert {row: len(who) for row, who in world.assignments().items()} == {
        "first": 1,
        **dict.fromkeys((f"row{n}" for n in range(5)), 1),
    }


@pytest.mark.parametrize("end_of_results", ["empty_page", "no_cursor"])
def test_a_backlog_behind_a_limit_drains_from_the_oldest_and_no_row_is_passed_over(
    world: World, steady: History, end_of_results: str
) -> None:
    world.braintrust.options.end_of_results = end_of_results
    rows = [f"row{n:03d}" for n in range(130)]
    steady.log(*rows)
    drained, asked_for = [], []
    while len(drained) < len(rows):
        result = steady.run({"limit": 10, "max_pages": 3})
        drained += [row for row, _ in steady.given()]
        asked_for.append((result["read"], result["assigned"]))
        steady.wait(HOUR)
    assert drained == rows
    last = "short" if end_of_results == "empty_page" else "full"  # as that page is full
    assert asked_for == [("full", 30), *[("short", 30)] * 3, (last, 10)]
    assert proof(steady) is not None
    assert {len(who) for who in world.assignments().values()} == {1}


# max_open


@pytest.mark.parametrize("read", ["full", "short"])
def test_a_planned_row_that_a_complete_read_does_not_show_is_not_open(
    world: World, steady: History, read: str
) -> None:
    """A short read shows no finished ones."""
    world.set_reviewers([{"id": world.users[0], "max_open": 2}])
    steady.log("a", "b", "c", "d")
    steady.run()
    assert sorted(world.assignments()) == ["a", "b"]
    steady.finish("a")
    if read == "full":
        world.settings = {"FULL_READ_HOURS": "0"}
        world.braintrust.store.insert([{"id": "b", "_object_delete": True}])
    steady.wait(MINUTE)
    result = steady.run()
    assert (result["read"], [row for row, _ in steady.given()]) == (
        read,
        ["c", "d"] if read == "full" else ["c"],
    )


def test_a_planned_row_that_an_incomplete_read_does_not_show_is_open(
    world: World, steady: History
) -> None:
    world.set_reviewers([{"id": world.users[0], "max_open": 2}])
    steady.log("a")
    steady.run()
    open_rows(world, steady, "b")
    steady.wait(MINUTE)
    steady.log("c", "d")
    steady.finish("a")
    steady.wait(MINUTE)
    event = {"limit": 1, "max_pages": 1}
    assert steady.run(event)["per_reviewer"] == {world.users[0]: 0}


@pytest.mark.parametrize("max_open", [None, 9])
def test_what_everybody_had_before_is_in_the_plan_where_the_read_could_see_it(
    world: World, proved: History, max_open: int | None
) -> None:
    if max_open:
        world.set_reviewers([{"id": world.users[0], "max_open": max_open}])
        proved.log("proves it again")
        proved.run()
    proved.log("new")
    assert proved.run()["read"] == "short"
    (turn,) = proved.plan()["reviewers"]
    assert turn["open_before"] == (2 if max_open else None)


# The proof


def test_a_full_read_that_found_nothing_to_do_asks_for_no_proof(
    world: World, proved: History
) -> None:
    when = proof(proved)
    proved.wait(DAY)
    assert proved.run()["read"] == "full"
    assert asked(world) == ["full"] * 2
    assert proof(proved) == when


def test_a_full_read_that_found_rows_to_hand_out_asks_for_the_short_reads_first_page(
    world: World, steady: History
) -> None:
    steady.log(*"abcdef")
    steady.run({"limit": 2})
    assert asked(world) == ["full"] * 4 + ["short"]
    assert proof(steady) == steady.now


def test_an_empty_page_proves_nothing(world: World, steady: History) -> None:
    """A server on which the condition never holds."""
    world.braintrust.options.paths_are_never_null = True
    steady.log("row")
    result = steady.run()
    assert (result["assigned"], proof(steady)) == (1, None)
    assert result["warnings"] == [
        "short reads miss rows on this server, such as 'row': the next run reads everything again"
    ]
    steady.log("new")
    assert (steady.run()["read"], len(world.assignments())) == ("full", 2)


def test_rows_that_somebody_has_prove_nothing(world: World, steady: History) -> None:
    """With max_open the page holds open rows: that it does says nothing of rows that need a reviewer."""
    world.set_reviewers([{"id": world.users[0], "max_open": 1}])
    open_rows(world, steady, "open0", "open1")
    steady.log("new")
    steady.run({"limit": 2})
    assert (asked(world)[-1], proof(steady)) == ("short", None)
    steady.run({"limit": 3})
    assert proof(steady) == steady.now


def test_a_proof_misses_no_open_row_either_where_open_rows_are_counted(
    world: World, steady: History
) -> None:
    world.set_reviewers([{"id": world.users[0], "max_open": 9}])
    open_rows(world, steady, "open")
    steady.log("new")
    answer = {"data": [{"id": "new", "created": steady.now, "_xact_id": "1", "metadata": None}]}
    world.braintrust.faults.add("query", contains=DEFAULT_LIST, body=json.dumps(answer))
    assert steady.run()["warnings"] == [
        "short reads miss rows on this server, such as 'open': the next run reads everything again"
    ]
    assert proof(steady) is None


def test_only_rows_up_to_the_last_one_that_both_reads_have_can_be_missed(steady: History) -> None:
    steady.log(*(f"row{n}" for n in range(9)))
    assert steady.run({"limit": 3})["warnings"] == []
    assert proof(steady) == steady.now


@pytest.mark.parametrize("cursor", [True, False])
def test_all_rows_can_be_missed_where_the_page_carries_no_cursor(
    world: World, steady: History, *, cursor: bool
) -> None:
    steady.log(*(f"row{n}" for n in range(9)))
    row = {"created": steady.now, "_xact_id": "1", "metadata": None}
    page: dict[str, Any] = {"data": [{"id": f"row{n}"} | row for n in range(3)]}
    if cursor:
        page["cursor"] = "more"
    headers = {} if cursor else {"x-bt-cursor": ""}
    world.braintrust.faults.add(
        "query", contains=DEFAULT_LIST, body=json.dumps(page), headers=headers
    )
    steady.run({"limit": 3})
    assert (proof(steady) is not None) is cursor


def test_rows_planned_in_the_last_two_hours_do_not_count(world: World, proved: History) -> None:
    """The page misses such a row because the other read was stale: it has its reviewer."""
    world.settings = {"FULL_READ_HOURS": "0"}
    when = proof(proved)
    before = proved.moment - HOUR
    asked(world)
    proved.run(as_of=before)
    assert (asked(world), proof(proved)) == (["full"] * 2, when)
    proved.log("new")
    rows = [
        {"id": name, "created": proved.now, "_xact_id": "1", "metadata": None}
        for name in ("first", "new")
    ]
    world.braintrust.faults.add("query", body=json.dumps({"data": rows}))
    assert (proved.run()["warnings"], proof(proved)) == ([], proved.now)
    assert asked(world) == ["full", "short"]


def test_a_row_that_is_taken_or_finished_between_the_two_reads_is_not_missed(
    world: World, steady: History
) -> None:
    """People work while rows are read: what the page lacks is looked at again, and left to them."""
    world.set_reviewers([{"id": world.users[0], "max_open": 9}])
    open_rows(world, steady, "open")
    steady.log("taken", "new")
    people: list[str] = []

    def work(call: Any) -> bool:
        if DEFAULT_LIST.encode() in call.body and not people:
            people.append("bo")
            steady.finish("open")
            steady.assign("taken", "bo")
            steady.finish("taken")
        return False

    world.braintrust.faults.add("query", when=work, times=None)
    result = steady.run()
    assert (result["warnings"], asked(world)[-2:]) == ([], ["short", "again"])
    assert proof(steady) == steady.now
    assert steady.given() == [("new", world.users[0])]
    assert world.assignments()["taken"] == ("bo",)


def test_a_list_that_is_empty_and_alone_is_missing_is_named_as_that(
    world: World, proved: History
) -> None:
    world.braintrust.options.len_finds_empty = False
    proved.log("emptied", metadata={ASSIGNMENTS: []})
    proved.log("new")
    assert proved.run()["assigned"] == 1
    proved.wait(DAY)
    proved.log("newer")
    result = proved.run()
    assert (result["read"], result["assigned"], proof(proved)) == ("full", 2, None)
    assert result["warnings"] == [
        (
            "short reads miss rows on this server, such as 'emptied', all with a reviewer list that is empty, not null: "
            "the next run reads everything again"
        )
    ]


def test_what_a_proof_could_not_see_waits_for_the_next_full_read_which_withdraws_the_proof(
    world: World, proved: History
) -> None:
    """Here rows with a status word, of which the proof saw none."""
    proved.log("with a word", metadata={REVIEW_LISTS: PENDING})
    answer = json.dumps({"data": []})
    world.braintrust.faults.add("query", contains=DEFAULT_LIST, body=answer, times=None)
    assert [proved.run()["read"] for _ in range(2)] == ["short"] * 2
    proved.wait(DAY)
    result = proved.run()
    assert (result["read"], result["assigned"], proof(proved)) == ("full", 1, None)


def test_plans_carry_along_how_rows_are_read_and_forget_what_nobody_asks_for_two_weeks(
    world: World, proved: History
) -> None:
    (first,) = proved.plan()["reading"]
    proved.run({"tag": "other"})
    assert proved.plan()["reading"][0] == first
    assert proved.plan()["reading"][1] == {
        "query": json.dumps(
            [
                world.braintrust.url,
                world.braintrust.project_id,
                "other",
                "",
                ["BACKLOG", "PENDING"],
                False,
            ]
        ),
        "full_at": proved.now,
        "days": 7,
        "proved_at": None,
    }
    for days, entries in ((13, 2), (2, 1)):
        proved.wait(days * DAY)
        proved.run()
        assert len(proved.plan()["reading"]) == entries


def test_a_full_read_that_changes_nothing_is_planned_and_one_that_loses_the_race_is_not_told(
    steady: History, aws: RefusingAws
) -> None:
    assert steady.run()["read"] == "full"
    assert steady.plan()["assignments"] == []
    rivals: list[dict[str, Any]] = []

    def rival(method: str, path: str) -> None:
        if method == "PUT" and "/plans/" in path and not rivals:
            rivals.append({})
            rivals[0] = steady.run(request_id="rival")

    steady.wait(HOUR)
    aws.watch = rival
    result = steady.run()
    assert (result["status"], "plan" in result["audit"]) == ("nothing_to_assign", False)
    assert steady.plan()["run_id"] == rivals[0]["run_id"]


# Servers that will not


@pytest.mark.parametrize("what", ["len", "in", "isnull"])
def test_a_short_read_that_is_refused_is_followed_by_a_full_read_and_its_proof_is_dropped(
    world: World, proved: History, what: str
) -> None:
    world.braintrust.options.refused = [what]
    proved.log("new")
    result = proved.run()
    assert (asked(world), result["read"], result["assigned"]) == (
        ["short", "full", "full"],
        "full",
        1,
    )
    assert result["warnings"] == [
        (
            "a short read did not work, so everything was read: BTQL query failed (400): "
            f"Operator '{what}' is not supported here"
        )
    ]
    assert proof(proved) is None
    proved.log("newer")
    assert proved.run()["read"] == "full"
    assert asked(world) == ["full", "full", "short"]
    world.braintrust.options.refused = []
    proved.log("newest")
    assert (proved.run()["warnings"], proof(proved)) == ([], proved.now)


def test_a_short_read_whose_later_page_is_refused_is_followed_by_a_full_read(
    world: World, proved: History
) -> None:
    proved.log(*"abc")
    world.braintrust.faults.add("query", status=400, after=1)
    result = proved.run({"limit": 2})
    assert (result["read"], result["assigned"], proof(proved)) == ("full", 3, None)


@pytest.mark.parametrize("how", [{"hang": True}, {"status": 504}, {"status": 503}], ids=str)
def test_a_short_read_without_a_page_in_a_third_of_the_time_is_followed_by_a_full_read(
    world: World, proved: History, how: dict[str, Any]
) -> None:
    proved.log("new")
    world.braintrust.faults.add("query", contains=DEFAULT_LIST, times=None, **how)
    result = world.run(seconds=6, now=lambda: proved.moment)
    assert (result["read"], result["assigned"], proof(proved)) == ("full", 1, None)
    assert asked(world)[-2:] == ["full"] * 2
    # Of 4.8 seconds 3.3 are for reading; a pause before the next try that does not fit in is not begun.
    assert (500 if "hang" in how else 0) < result["duration_ms"] < 2_500
    assert "a short read did not work, so everything was read" in result["warnings"][0]


def test_waits_for_a_throttled_server_do_not_count_against_a_short_read(
    world: World, proved: History
) -> None:
    proved.log("new")
    world.braintrust.faults.add("query", status=429, retry_after=2)
    result = world.run(seconds=12, now=lambda: proved.moment)
    assert (result["read"], result["assigned"], result["warnings"]) == ("short", 1, [])


def test_a_throttled_server_that_lets_nothing_through_is_a_query_error(
    world: World, proved: History
) -> None:
    world.braintrust.faults.add("query", status=429, retry_after=3600, times=None)
    with pytest.raises(QueryError, match=r"^BTQL query failed \(429\): Made to fail$"):
        proved.run()
    assert asked(world) == ["short"]
    assert proof(proved) is not None


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_short_read_that_nobody_may_make_is_a_query_error_at_once(
    world: World, proved: History, status: int
) -> None:
    world.braintrust.faults.add("query", status=status, times=None)
    with pytest.raises(QueryError, match=rf"^BTQL query failed \({status}\)"):
        proved.run()
    assert asked(world) == ["short"]


def test_a_sort_that_is_refused_is_left_out_and_said_and_proves_nothing(
    world: World, steady: History
) -> None:
    """Such a server is read in full every hour, newest first."""
    world.braintrust.options.refused = ["sort"]
    steady.log(*"abc")
    for _ in range(2):
        result = steady.run({"limit": 2})
        assert asked(world) == ["full", *["full, unsorted"] * 3]
        assert result["warnings"] == [
            NO_PAGING.format("BTQL query failed (400): sort is not supported here")
        ]
        assert (result["read"], result["complete"], proof(steady)) == ("full", True, None)
        steady.wait(HOUR)
    assert sorted(world.assignments()) == ["a", "b", "c"]
    steady.log(*"defgh")
    result = steady.run({"limit": 2, "max_pages": 1})
    assert [row for row, _ in steady.given()] == ["g", "h"]
    assert result["warnings"][0].endswith("older rows were not seen; raise MAX_PAGES or LIMIT")


def test_a_sort_whose_later_pages_are_refused_is_left_out(world: World, steady: History) -> None:
    steady.log(*"abc")
    world.braintrust.faults.add(
        "query",
        status=400,
        message="cursor and sort",
        times=None,
        when=lambda call: {"cursor", "sort"} <= call.parsed["query"].keys(),
    )
    result = steady.run({"limit": 2})
    assert asked(world) == ["full", "full", *["full, unsorted"] * 3]
    assert result["warnings"] == [NO_PAGING.format("BTQL query failed (400): cursor and sort")]
    assert len(world.assignments()) == 3


def test_a_sort_that_loses_the_cursor_is_left_out_and_nothing_is_lost(
    world: World, steady: History
) -> None:
    world.braintrust.options.sorts_with_cursor = False
    steady.log(*"abc")
    result = steady.run({"limit": 2})
    assert asked(world) == ["full", *["full, unsorted"] * 3]
    assert result["warnings"] == [NO_PAGING.format("a full page named no next one")]
    assert (len(world.assignments()), proof(steady)) == (3, None)


def test_a_sort_that_loses_the_cursor_shows_the_oldest_rows_and_the_rest_the_newest(
    world: World, steady: History
) -> None:
    world.braintrust.options.sorts_with_cursor = False
    steady.log(*"abcdef")
    result = steady.run({"limit": 2, "max_pages": 1})
    assert ([row for row, _ in steady.given()], result["complete"]) == (["a", "b", "e", "f"], False)


def test_a_full_last_page_without_a_cursor_is_the_end_where_there_are_no_more_rows(
    world: World, steady: History
) -> None:
    world.braintrust.options.end_of_results = "no_cursor"
    steady.log(*"ab")
    result = steady.run({"limit": 2})
    assert (result["warnings"], result["complete"]) == ([], True)
    assert asked(world) == ["full", "full, unsorted", "short"]
    assert proof(steady) == steady.now


def test_a_short_read_that_loses_the_cursor_is_followed_by_a_full_read(
    world: World, proved: History
) -> None:
    world.braintrust.options.sorts_with_cursor = False
    proved.log(*"abc")
    result = proved.run({"limit": 2})
    assert (result["read"], result["assigned"], proof(proved)) == ("full", 3, None)
    assert result["warnings"] == [NO_PAGING.format("a full page named no next one")]


@pytest.mark.parametrize("how", [{"latency": 9}, {"status": 504}], ids=str)
def test_a_sort_that_is_slow_is_left_out(
    world: World, steady: History, how: dict[str, Any]
) -> None:
    steady.log("row")
    world.braintrust.faults.add("query", contains='"_pagination_key"', times=None, **how)
    result = world.run(seconds=6, now=lambda: steady.moment)
    assert (result["assigned"], asked(world)[-2:]) == (1, ["full, unsorted"] * 2)
    assert result["warnings"][0].startswith(NO_PAGING.format("BTQL query failed"))


def test_only_what_the_unsorted_full_read_is_refused_with_becomes_a_query_error(
    world: World, proved: History
) -> None:
    world.braintrust.faults.add("query", status=400, message="no", times=None)
    with pytest.raises(QueryError, match=r"^BTQL query failed \(400\): no$"):
        proved.run()
    assert asked(world) == ["short", "full", "full, unsorted"]


def test_a_proof_that_is_refused_or_nonsense_costs_the_run_nothing(
    world: World, steady: History
) -> None:
    for number, how in enumerate([{"status": 400}, {"body": "[]"}, {"hostile": "no_data"}]):
        world.braintrust.faults.clear()
        world.braintrust.faults.add("query", contains=DEFAULT_LIST, **how)
        steady.log(f"row{number}")
        assert (steady.run()["assigned"], proof(steady)) == (1, None)


def test_undo_works_where_rows_do_not_come_sorted(world: World, steady: History) -> None:
    world.braintrust.options.refused = ["sort"]
    steady.log("row")
    first = steady.run()["run_id"]
    assert steady.run({"undo": first})["undone"] == 1
    assert TAG in json.dumps(steady.plan())
