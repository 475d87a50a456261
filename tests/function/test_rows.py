"""Fetching: which rows are selected, in which pages, and what is made of them."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lib.errors import QueryError
from lib.rows import Window, build_query, get_assignments, is_assigned, oldest_first
from local.braintrust.cursors import encode_cursor
from tests.world import ASSIGNMENTS, REVIEW_LISTS, TAG, Naps

DEFAULT_LIST = "__bt_default_review_list"
WINDOW = Window(datetime(2026, 11, 16, 7, tzinfo=UTC), datetime(2026, 11, 23, 7, tzinfo=UTC))


def ids(fetched) -> list[str]:
    return [row.id for row in oldest_first(fetched.rows)]


def limits(world) -> list[int]:
    return [record.limit for record in world.braintrust.requests.of("query")]


def reviewed(status) -> dict:
    return {REVIEW_LISTS: {DEFAULT_LIST: {"status": status}}}


# The query


def test_the_query_is_the_json_form_with_absolute_bounds_from_the_oldest_on(world):
    column = {
        name: {"op": "ident", "name": [name]}
        for name in ("id", "created", "_xact_id", "metadata", "tags", "_pagination_key")
    }
    assert build_query(world.load({"tag": "it's"}), WINDOW) == {
        "select": [
            {"alias": name, "expr": column[name]}
            for name in ("id", "created", "_xact_id", "metadata")
        ],
        "from": {
            "op": "function",
            "name": {"op": "ident", "name": ["project_logs"]},
            "args": [{"op": "literal", "value": world.braintrust.project_id}],
        },
        "filter": {
            "op": "and",
            "left": {
                "op": "and",
                "left": {
                    "op": "includes",
                    "haystack": column["tags"],
                    "needle": {"op": "literal", "value": "it's"},
                },
                "right": {
                    "op": "ge",
                    "left": column["created"],
                    "right": {"op": "literal", "value": "2026-11-16T07:00:00.000Z"},
                },
            },
            "right": {
                "op": "le",
                "left": column["created"],
                "right": {"op": "literal", "value": "2026-11-23T07:00:00.000Z"},
            },
        },
        "limit": 1000,
        "sort": [{"expr": column["_pagination_key"], "dir": "asc"}],
    }


def test_the_operators_filter_goes_in_as_written_and_nothing_else_changes(world):
    text = "NOT (tags INCLUDES 'a' OR scores.x > 0.5)"
    plain, filtered = (build_query(world.load({"filter": what}), WINDOW) for what in ("", text))
    assert filtered == plain | {
        "filter": {"op": "and", "left": plain["filter"], "right": {"btql": text}}
    }


def test_a_page_after_the_first_differs_by_the_cursor_alone(world):
    settings_ = world.load()
    assert build_query(settings_, WINDOW, "+++/cDA=") == build_query(settings_, WINDOW) | {
        "cursor": "+++/cDA="
    }


def test_what_is_sent_is_the_query_and_every_page_has_the_same_bounds(world):
    sent = world.overhear("query")
    world.add_rows(5)
    world.fetch({"limit": 2})
    first, *further = [body["query"] for body in sent]
    assert {"fmt": "json"} | {"query": first} == sent[0]
    assert [{**query, "cursor": None} for query in further] == [first | {"cursor": None}] * 3
    assert len({query["cursor"] for query in further}) == 3


TAGS = st.text(min_size=1, max_size=30) | st.lists(
    st.sampled_from(
        [
            "'",
            '"',
            "\\",
            "|",
            "\n",
            "\t",
            "needs",
            " ",
            "limit: 1",
            "filter:",
            "' OR true --",
            ";",
            ")",
            "{",
            "☃",
            "\0",
            "%",
        ]
    ),
    min_size=1,
).map("".join)


@settings(max_examples=60)
@given(tag=TAGS, string_escapes=st.booleans())
@example(tag="x' OR 1 = 1", string_escapes=False)
@example(tag="x\\' OR true | limit: 1000 | filter: id IS NOT NULL", string_escapes=True)
@example(tag='"]}}, {"op": "literal", "value": true}', string_escapes=False)
@example(tag="\\", string_escapes=True)
def test_any_tag_selects_exactly_the_rows_that_carry_it(world, tag, string_escapes):
    world.braintrust.reset()
    world.braintrust.options.string_escapes = string_escapes
    wanted = world.add_rows(2, tags=["other", tag]) + world.add_rows(1, hours_ago=0.5, tags=[tag])
    world.add_rows(1, tags=["other"])
    world.add_rows(1, tags=[tag + "x"])
    world.add_rows(1, tags=["x" + tag])
    world.add_rows(1, tags=[])
    world.add_rows(1, tags=None)
    if tag[:-1]:
        world.add_rows(1, tags=[tag[:-1]])
    fetched = world.fetch({"tag": tag})
    assert (ids(fetched), fetched.complete, fetched.warnings) == (wanted, True, [])


def test_the_window_includes_its_start_and_its_end(world):
    """A row that came in within the very millisecond in which the run starts is not left for the next hour."""
    store, blink = world.braintrust.store, timedelta(milliseconds=1)
    for moment in (WINDOW.start - blink, WINDOW.start, WINDOW.end, WINDOW.end + blink):
        store.add_row(f"row {moment.isoformat()}", created=moment, tags=[TAG])
    store.clock.set(WINDOW.end + timedelta(hours=1))
    begins = WINDOW.end - timedelta(microseconds=400)
    run = world.run({"dry_run": True, "reviewers": world.add_users(1)}, now=lambda: begins)
    (record,) = world.records("dry_runs")
    assert run["window"] == {"from": "2026-11-16T07:00:00.000Z", "to": "2026-11-23T07:00:00.000Z"}
    assert [item["row_id"] for item in record["assignments"]] == [
        "row 2026-11-16T07:00:00+00:00",
        "row 2026-11-23T07:00:00+00:00",
    ]


def test_the_operators_filter_narrows_the_selection(world):
    wanted = world.add_rows(2, scores={"quality": 0.1})
    world.add_rows(2, scores={"quality": 0.9})
    assert ids(world.fetch({"filter": "scores.quality < 0.5"})) == wanted


def test_an_or_in_the_operators_filter_cannot_widen_the_selection(world):
    wanted = world.add_rows(2)
    world.add_rows(2, tags=["other"])
    assert ids(world.fetch({"filter": "id IS NULL OR id IS NOT NULL"})) == wanted


# Pages


@pytest.mark.parametrize("end_of_results", ["empty_page", "no_cursor"])
@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 30, 35])
def test_every_row_is_seen_once_whatever_the_last_page_looks_like(world, count, end_of_results):
    world.braintrust.options.end_of_results = end_of_results
    wanted = world.add_rows(count)
    fetched = world.fetch({"limit": 10})
    assert (ids(fetched), fetched.complete, fetched.warnings) == (wanted, True, [])


def test_a_short_page_with_a_cursor_is_not_the_end(world):
    world.braintrust.faults.add("query", short_page=3, times=None)
    wanted = world.add_rows(20)
    assert ids(world.fetch({"limit": 10})) == wanted


def test_an_empty_page_is_the_end_even_with_a_cursor(world):
    wanted = world.add_rows(10)
    world.braintrust.faults.add("query", after=2, hostile="empty_page_with_cursor", times=None)
    assert ids(world.fetch({"limit": 5})) == wanted
    assert len(limits(world)) == 3


def test_the_cursor_is_found_in_the_header_alone(world):
    world.braintrust.faults.add("query", no_cursor_in_body=True, times=None)
    wanted = world.add_rows(25)
    assert ids(world.fetch({"limit": 10})) == wanted


@pytest.mark.parametrize("header", ["x-bt-cursor", "x-amz-meta-bt_cursor", "x-amz-meta-bt-cursor"])
@pytest.mark.parametrize("zipped", [False, True])
def test_a_large_result_is_fetched_from_its_object_store_without_the_key(world, header, zipped):
    world.settings["IMPERSONATE_USER"] = world.braintrust.store.add_user("lead@example.com")
    world.braintrust.faults.add(
        "query", overflow=True, overflow_gzip=zipped, overflow_header=header, times=None
    )
    wanted = world.add_rows(25)
    assert ids(world.fetch({"limit": 10})) == wanted
    fetches = world.braintrust.requests.of("overflow")
    assert [(fetch.authorization, fetch.impersonated) for fetch in fetches] == [(False, None)] * 4


@pytest.mark.parametrize(
    "target", ["http://objects.example.com/x", "ftp://127.0.0.1/x", "file:///etc/passwd"]
)
def test_a_large_result_is_not_fetched_over_plain_http_from_elsewhere(world, target):
    world.braintrust.faults.add("query", redirect=target)
    with pytest.raises(QueryError, match="redirected to a place that is neither https nor local"):
        world.fetch()


@pytest.mark.parametrize("repeat", [1, 2])
def test_a_cursor_that_does_not_advance_is_an_error_and_nothing_is_written(world, repeat):
    world.braintrust.faults.add("query", stuck_cursor=True, after=repeat, times=None)
    world.add_users(1)
    world.add_rows(60)
    with pytest.raises(QueryError) as refused:
        world.run({"limit": 10})
    assert str(refused.value) == (
        f"BTQL query failed: its cursor does not advance after page {repeat + 1}; nothing was written"
    )
    assert world.assignments() == {}
    assert world.objects() == {}


def test_the_page_cap_stops_the_fetching_and_says_so(world):
    rows = world.add_rows(30)
    fetched = world.fetch({"limit": 10, "max_pages": 2})
    assert (ids(fetched), fetched.complete, fetched.warnings) == (
        rows[:20],
        False,
        [
            "MAX_PAGES (2) was reached with rows left: newer rows were not seen; raise MAX_PAGES or LIMIT"
        ],
    )


def test_a_page_cap_that_is_just_enough_is_complete(world):
    world.braintrust.options.end_of_results = "no_cursor"
    rows = world.add_rows(20)
    fetched = world.fetch({"limit": 10, "max_pages": 2})
    assert (ids(fetched), fetched.complete, fetched.warnings) == (rows, True, [])


def test_of_a_row_that_comes_twice_the_newest_version_counts(world):
    rows = world.add_rows(30)
    world.braintrust.store.insert(
        [{"id": row, "_is_merge": True, "metadata": {ASSIGNMENTS: ["ana"]}} for row in rows]
    )
    world.braintrust.faults.add("query", duplicates=4, after=1, times=3)
    fetched = world.fetch({"limit": 10})
    assert [(row.id, row.reviewers) for row in oldest_first(fetched.rows)] == [
        (row, ("ana",)) for row in rows
    ]


def test_the_newest_version_counts_also_when_it_comes_second(world):
    row = {"id": "r", "created": "2026-11-20T07:00:00Z"}
    older = row | {"_xact_id": "9", "metadata": None}
    newer = row | {"_xact_id": "10", "metadata": {ASSIGNMENTS: ["ana"]}}
    answers = [{"data": [older], "cursor": encode_cursor("p0", rising=True)}, {"data": [newer]}]
    for place, answer in enumerate(answers):
        world.braintrust.faults.add("query", body=json.dumps(answer), after=place)
    (row,) = world.fetch().rows
    assert (row.id, row.reviewers, row.version) == ("r", ("ana",), 10)


# What a row says


@pytest.mark.parametrize(
    ("metadata", "needs_reviewer"),
    [
        (None, True),
        ([], True),
        ({}, True),
        ({"model": "x"}, True),
        ({ASSIGNMENTS: None}, True),
        ({ASSIGNMENTS: []}, True),
        ({REVIEW_LISTS: None}, True),
        ({REVIEW_LISTS: {}}, True),
        ({REVIEW_LISTS: {"another list": {"status": "APPROVED"}}}, True),
        ({REVIEW_LISTS: {DEFAULT_LIST: None}}, True),
        ({REVIEW_LISTS: {DEFAULT_LIST: {}}}, True),
        (reviewed(None), True),
        (reviewed("PENDING"), True),
        ({ASSIGNMENTS: ["ana"]}, False),
        ({ASSIGNMENTS: ["ana", "bo"]}, False),
        (reviewed("APPROVED"), False),
        (reviewed("REJECTED"), False),
        (reviewed("COMPLETE"), False),
        (reviewed("COMPLETED"), False),
    ],
)
def test_a_row_needs_a_reviewer_when_nobody_has_it_and_nobody_finished_it(
    world, metadata, needs_reviewer
):
    world.add_rows(1, metadata=metadata)
    fetched = world.fetch()
    assert [row.needs_reviewer for row in fetched.rows] == [needs_reviewer]
    assert fetched.warnings == []


UNREADABLE = [
    "text",
    7,
    True,
    ["a list"],
    {ASSIGNMENTS: "ana"},
    {ASSIGNMENTS: {"id": "ana"}},
    {ASSIGNMENTS: 7},
    {ASSIGNMENTS: False},
    {ASSIGNMENTS: ""},
    {ASSIGNMENTS: [None]},
    {ASSIGNMENTS: [""]},
    {ASSIGNMENTS: ["ana", {"id": "bo"}]},
    {REVIEW_LISTS: "PENDING"},
    {REVIEW_LISTS: []},
    {REVIEW_LISTS: {DEFAULT_LIST: []}},
    {REVIEW_LISTS: [DEFAULT_LIST]},
    {REVIEW_LISTS: {DEFAULT_LIST: "PENDING"}},
    {REVIEW_LISTS: {DEFAULT_LIST: ["PENDING"]}},
    {REVIEW_LISTS: {DEFAULT_LIST: {"status": 1}}},
    {REVIEW_LISTS: {DEFAULT_LIST: {"status": {"state": "PENDING"}}}},
]


@pytest.mark.parametrize("metadata", UNREADABLE)
def test_what_cannot_be_read_counts_as_assigned_is_left_alone_and_warned_about(world, metadata):
    (row,) = world.add_rows(1, metadata=metadata)
    (other,) = world.add_rows(1)
    (ana,) = world.add_users(1)
    before = world.braintrust.store.row(row)
    result = world.run()
    assert world.braintrust.store.row(row) == before
    assert world.braintrust.store.assignment_history(other) == [(), (ana,)]
    assert [
        result[field] for field in ("fetched", "already_assigned", "already_reviewed", "unassigned")
    ] == [2, 1, 0, 1]
    assert result["warnings"] == [
        (
            "1 rows have an id, review fields, a created or an _xact_id of an unexpected kind and are left alone, "
            f"such as '{row}'"
        )
    ]


@pytest.mark.parametrize(
    ("row", "reviewers"),
    [
        ({}, []),
        ({"metadata": None}, []),
        ({"metadata": {ASSIGNMENTS: None}}, []),
        ({"metadata": {ASSIGNMENTS: ["ana", "bo"]}}, ["ana", "bo"]),
    ],
)
def test_the_documented_helpers_say_who_has_a_row(row, reviewers):
    assert (get_assignments(row), is_assigned(row)) == (reviewers, bool(reviewers))


@pytest.mark.parametrize("metadata", UNREADABLE[:12])
def test_for_the_documented_helper_too_an_unreadable_row_is_assigned(metadata):
    assert is_assigned({"metadata": metadata})


def test_a_stale_answer_is_warned_about(world):
    world.braintrust.faults.add("query", exhausted_timeout=True)
    wanted = world.add_rows(15)
    fetched = world.fetch({"limit": 10})
    assert (ids(fetched), fetched.warnings) == (
        wanted,
        ["Braintrust said that its answer may be stale (realtime_state exhausted_timeout)"],
    )


# Heavy pages


@pytest.mark.parametrize("status", [408, 413, 500, 504])
def test_a_page_too_heavy_for_the_server_is_halved_until_it_is_not(world, status):
    world.braintrust.faults.add("query", limit_over=200, status=status, times=None)
    wanted = world.add_rows(900)
    assert ids(world.fetch(sleep=Naps())) == wanted
    assert limits(world)[:4] == [1000, 500, 250, 125]


def test_pages_shrink_down_to_one_row(world):
    world.braintrust.faults.add("query", limit_over=1, status=504, times=None)
    wanted = world.add_rows(3)
    fetched = world.fetch({"limit": 20}, sleep=Naps())
    assert (ids(fetched), limits(world)) == (wanted, [20, 10, 5, 2, 1, 1, 1, 1])
    assert fetched.warnings == [
        (
            "Braintrust could not answer pages of 20 rows, it had to be asked for 1 at a time: lower LIMIT, and it is "
            "asked less often"
        )
    ]


def test_pages_grow_again_once_the_server_copes_but_never_beyond_the_limit(world):
    world.braintrust.faults.add("query", limit_over=100, status=504, times=2)
    world.add_rows(3000)
    fetched = world.fetch({"limit": 200}, sleep=Naps())
    assert len(fetched.rows) == 3000
    asked = limits(world)
    assert (asked[:2], asked[-1], set(asked)) == ([200, 100], 200, {100, 200})


@pytest.mark.parametrize("status", [429, 502, 503])
def test_a_fault_that_smaller_pages_cannot_cure_does_not_shrink_them(world, status):
    world.braintrust.faults.add("query", status=status, times=3)
    wanted = world.add_rows(30)
    assert ids(world.fetch(sleep=Naps())) == wanted
    assert set(limits(world)) == {1000}
