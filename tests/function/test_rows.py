"""Fetching: which rows are selected, in which pages, and what is made of them."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lib.errors import QueryError
from lib.rows import Window, build_query, get_assignments, is_assigned
from local.braintrust.cursors import encode_cursor
from tests.world import ASSIGNMENTS, REVIEW_LISTS, TAG, Naps

DEFAULT_LIST = "__bt_default_review_list"
WINDOW = Window(datetime(2026, 11, 16, 7, tzinfo=UTC), datetime(2026, 11, 23, 7, tzinfo=UTC))


def ids(fetched) -> list[str]:
    return [row.id for row in sorted(fetched.rows)]


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
    assert [(row.id, row.reviewers) for row in sorted(fetched.rows)] == [
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
    assert (row.id, row.reviewers) == ("r", ("ana",))


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
        ({"metadata": {ASSIGNMENTS: ["bo", "ana", "bo"]}}, ["bo", "ana"]),
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


# Odd rows

ODD_IDS = [
    "no-break\u00a0space",
    "ideographic\u3000space",
    "\U0001f469\u200d\U0001f52c",
    "tab\tid",
    "new\nline",
    "\r\n",
    " ",
    "line\u2028separator",
    "zero\u200bwidth",
    "right\u202eto left",
    "nul\0",
    "\"quoted' \\",
    "{}",
    "x" * 2000,
]


def test_any_text_is_an_id_and_its_row_is_assigned_like_others(world):
    (ana,) = world.add_users(1)
    for row in ODD_IDS:
        world.add_rows(1, row_id=row)
    world.settings["BATCH_SIZE"] = "3"
    result = world.run()
    assert (result["assigned"], result["warnings"]) == (len(ODD_IDS), [])
    assert world.assignments() == dict.fromkeys(ODD_IDS, (ana,))
    assert sorted(line["row_id"] for line in world.lines(result)) == sorted(ODD_IDS)
    assert sorted(world.records("to_assign_ids")[0]) == sorted(ODD_IDS)
    assert world.run()["status"] == "nothing_to_assign"
    assert world.run({"undo": result["run_id"]})["undone"] == len(ODD_IDS)


GOOD = {"id": "good", "created": "2026-11-20T07:00:00Z", "_xact_id": "1", "metadata": None}
ODD = [
    '"created": "yesterday"',
    '"created": 1700000000',
    '"created": null',
    '"created": {}',
    '"_xact_id": "one"',
    '"_xact_id": [1]',
    '"_xact_id": Infinity',
    '"_xact_id": 1e999',
    '"_xact_id": NaN',
    f'"_xact_id": "{"9" * 5000}"',
    f'"_xact_id": {"9" * 5000}',
]


def answer(world, *rows):
    """Let Braintrust answer each query with these rows, given as JSON."""
    world.braintrust.faults.add("query", body=f'{{"data": [{", ".join(rows)}]}}', times=None)


@pytest.mark.parametrize("odd", ODD)
def test_a_row_with_an_odd_created_or_xact_id_is_left_alone_and_named_and_the_rest_goes_out(
    world, odd
):
    (ana,) = world.add_users(1)
    row = json.dumps(GOOD | {"id": "odd"})[:-1] + f", {odd}}}"
    answer(world, row, json.dumps(GOOD))
    result = world.run()
    assert world.assignments() == {"good": (ana,)}
    counts = ("fetched", "already_assigned", "unassigned", "assigned")
    assert [result[name] for name in counts] == [2, 1, 1, 1]
    assert result["warnings"] == [
        (
            "1 rows have an id, review fields, a created or an _xact_id of an unexpected kind and are left alone, such "
            "as 'odd'"
        )
    ]


@pytest.mark.parametrize(
    ("row_id", "first"),
    [("12345", "12345"), ("null", "null"), ('""', "''"), ("true", "true"), ('["r"]', '["r"]')],
)
def test_a_row_without_an_id_that_is_text_is_left_alone_and_counted(world, row_id, first):
    (ana,) = world.add_users(1)
    odd = [json.dumps(GOOD)[:-1] + f', "id": {row_id}}}', '"no row"', "7", "null"]
    answer(world, *odd, json.dumps(GOOD))
    result = world.run()
    assert (world.assignments(), result["fetched"]) == ({"good": (ana,)}, 1)
    assert result["warnings"] == [
        f"4 rows have no id that is text and are left alone; the first has {first}"
    ]


def test_an_id_that_cannot_be_written_down_is_left_alone_and_shown(world):
    (ana,) = world.add_users(1)
    answer(world, json.dumps(GOOD | {"id": "half \ud800"}), json.dumps(GOOD))
    result = world.run()
    assert world.assignments() == {"good": (ana,)}
    assert result["warnings"] == [
        (
            "1 rows have an id, review fields, a created or an _xact_id of an unexpected kind and are left alone, such "
            "as 'half <U+D800>'"
        )
    ]


def test_what_is_odd_is_counted_once_however_often_it_is_read(world):
    """Here twice: once sorted, of which the cursor is lost, and once as the server likes."""
    world.braintrust.options.sorts_with_cursor = False
    world.add_rows(2, metadata=reviewed("Done"))
    (odd,) = world.add_rows(1, hours_ago=0.5, metadata="text")
    world.add_rows(1)
    assert world.fetch({"limit": 3}).warnings == [
        (
            "this server does not page through sorted rows, so everything was read, newest first: "
            "a full page named no next one"
        ),
        (
            "1 rows have an id, review fields, a created or an _xact_id of an unexpected kind and are left alone, such "
            f"as '{odd}'"
        ),
        (
            "2 rows have the review status 'Done', which nobody has documented: it is taken for a finished review; if it "
            "is not, add it to OPEN_STATUSES"
        ),
    ]


def test_a_page_of_one_row_that_makes_no_sense_is_no_reason_to_stop(world):
    """Pages may have shrunk to one row, and then one odd row would end every run."""
    (ana,) = world.add_users(1)
    good, odd = json.dumps(GOOD), '{"id": "odd", "created": "yesterday"}'
    for place, row in enumerate((odd, good)):
        cursor = json.dumps(encode_cursor(f"p{place}", rising=True))
        body = f'{{"data": [{row}], "cursor": {cursor}}}'
        world.braintrust.faults.add("query", body=body, after=place)
    assert world.run({"limit": 1})["assigned"] == 1
    assert world.assignments() == {"good": (ana,)}


def test_an_integer_of_five_thousand_digits_in_a_rows_metadata_is_no_matter(world):
    (ana,) = world.add_users(1)
    answer(world, json.dumps(GOOD)[:-1] + f', "metadata": {{"n": {"9" * 5000}}}}}')
    assert (world.run()["warnings"], world.assignments()) == ([], {"good": (ana,)})


def test_a_row_of_six_megabytes_is_left_alone_by_name_and_the_rest_goes_out(world):
    (ana,) = world.add_users(1)
    world.braintrust.options.query_max_bytes = 6_000_000
    before = world.add_rows(2)
    (large,) = world.add_rows(1, row_id="large", metadata={"text": "x" * 6_000_000})
    after = world.add_rows(2)
    result = world.run({"limit": 4})
    assert world.assignments() == dict.fromkeys(before + after, (ana,))
    assert (result["status"], result["fetched"], result["already_assigned"]) == ("assigned", 5, 1)
    assert result["warnings"] == [
        (
            "Braintrust could not answer pages of 4 rows, it had to be asked for 1 at a time: lower LIMIT, and it is "
            "asked less often"
        ),
        f"1 rows are too large to be read and are left alone, such as '{large}'",
    ]


def test_rows_of_six_megabytes_that_can_be_read_are_assigned_in_smaller_pages(world):
    """What is too much is a page of them: more than this client takes at once."""
    (ana,) = world.add_users(1)
    rows = world.add_rows(6, metadata={"text": "x" * 6_000_000})
    result = world.run({"limit": 6})
    assert world.assignments() == dict.fromkeys(rows, (ana,))
    assert limits(world)[:3] == [6, 3, 3]
    assert result["warnings"][0].endswith("3 at a time: lower LIMIT, and it is asked less often")


@pytest.mark.parametrize("status", [408, 413, 500, 504])
def test_a_row_that_no_page_can_hold_is_asked_for_without_its_metadata(world, status):
    """Whatever a server says of it: later rows would wait for ever."""
    *_, third, large, last = rows = world.add_rows(5)
    cursor = encode_cursor(world.braintrust.store.row(third)["_pagination_key"], rising=True)

    def wants_all_of_it(call):
        query = call.parsed["query"]
        return query.get("cursor") == cursor and len(query["select"]) == 4

    world.braintrust.faults.add("query", status=status, when=wants_all_of_it, times=None)
    fetched = world.fetch({"limit": 1}, sleep=Naps())
    assert [(row.id, row.readable) for row in fetched.rows] == [(row, row != large) for row in rows]
    assert fetched.rows[-1].id == last
    assert fetched.warnings == [
        f"1 rows are too large to be read and are left alone, such as '{large}'"
    ]


# Status words


@pytest.mark.parametrize("word", ["TODO", "In Review", "PENDING"])
def test_open_statuses_are_words_of_reviews_that_are_not_finished(world, word):
    world.settings["OPEN_STATUSES"] = "TODO, In Review"
    (row,) = world.add_rows(1, metadata=reviewed(word))
    (fetched,) = world.fetch().rows
    assert (fetched.id, fetched.needs_reviewer) == (row, True)


def test_backlog_is_open_unless_other_words_are_set(world):
    world.add_rows(1, metadata=reviewed("BACKLOG"))
    assert [row.needs_reviewer for row in world.fetch().rows] == [True]
    world.settings["OPEN_STATUSES"] = "TODO"
    assert [row.needs_reviewer for row in world.fetch().rows] == [False]


def test_a_word_that_nobody_has_documented_is_a_finished_review_and_named_with_its_rows(world):
    for word, count in {"pending": 2, "Done": 1, "APPROVED": 1, "COMPLETED": 1}.items():
        world.add_rows(count, metadata=reviewed(word))
    fetched = world.fetch()
    assert not any(row.needs_reviewer for row in fetched.rows)
    assert fetched.warnings == [
        f"{count} rows have the review status {word!r}, which nobody has documented: it is taken for a finished "
        "review; if it is not, add it to OPEN_STATUSES"
        for word, count in {"pending": 2, "Done": 1}.items()
    ]


def test_of_many_unknown_words_the_most_frequent_five_are_named(world):
    for number in range(8):
        world.add_rows(number + 1, metadata=reviewed(f"word {number}"))
    warnings = world.fetch().warnings
    assert len(warnings) == 6
    assert "8 rows have the review status 'word 7'" in warnings[0]
    assert warnings[5] == "3 more such status words are taken alike"


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
    wanted, naps = world.add_rows(30), Naps()
    assert ids(world.fetch(sleep=naps, deadline=naps.deadline(60))) == wanted
    assert set(limits(world)) == {1000}
