# ruff: noqa: S608 - queries put together from text are what is tested here
"""Queries in their three forms, over the wire."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.local.client import ident, literal

NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)


def operator(op: str, left: Any, right: Any) -> dict[str, Any]:
    return {"op": op, "left": left, "right": right}


def includes(tag: str) -> dict[str, Any]:
    return {"op": "includes", "haystack": ident("tags"), "needle": literal(tag)}


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def test_the_answer_is_an_envelope(client, braintrust):
    row_id = braintrust.store.add_row(tags=["x"])
    answer = client.ask(
        client.ast("id", "tags", filter=operator("gt", ident("created"), literal("2020-01-01")))
    )
    xact = braintrust.store.row(row_id)["_xact_id"]
    assert answer.pop("cursor").startswith("+++/")
    assert answer == {
        "data": [{"id": row_id, "tags": ["x"]}],
        "schema": {
            "type": "array",
            "items": {"type": "object", "properties": {"id": {}, "tags": {}}},
        },
        "realtime_state": {
            "type": "on",
            "minimum_xact_id": None,
            "read_bytes": 0,
            "actual_xact_id": xact,
        },
        "freshness_state": {"last_processed_xact_id": xact, "last_considered_xact_id": xact},
    }


def test_the_three_forms_and_a_raw_snippet_mean_the_same(client, braintrust):
    row_id = braintrust.store.add_row(metadata={"a": {"b c": 1}}, tags=["x"])
    braintrust.store.add_row(metadata={"a": {"b c": 2}}, tags=["x"])
    condition = operator("eq", ident("metadata", "a", "b c"), literal(1))
    expected = [{"id": row_id, "b c": 1}]
    columns = [
        {"alias": "id", "expr": ident("id")},
        {"alias": "b c", "expr": ident("metadata", "a", "b c")},
    ]
    queries = [
        f'select: id, metadata.a."b c" | from: {client.source} | filter: metadata.a."b c" = 1',
        f'select: id, metadata.a."b c"\nfrom: {client.source} spans\nfilter: metadata.a."b c"\n  = 1\nlimit: 5',
        f'SELECT id, metadata.a."b c" FROM {client.source} WHERE metadata.a."b c" = 1 LIMIT 5',
        client.ast() | {"select": columns, "filter": condition},
        client.ast() | {"select": columns, "filter": {"btql": 'metadata.a."b c" = 1'}},
        client.ast()
        | {
            "select": columns,
            "filter": operator("and", includes("x"), {"btql": 'metadata.a."b c" < 2'}),
        },
    ]
    assert [client.ask(query)["data"] for query in queries] == [expected] * len(queries)


def test_a_path_comes_back_under_its_alias_or_else_its_last_component(client, braintrust):
    braintrust.store.add_row(metadata={"~__bt_assignments": ["ana"]})
    text = 'select: metadata."~__bt_assignments", metadata."~__bt_assignments" AS who | from: '
    assert client.ask(text + client.source)["data"] == [
        {"~__bt_assignments": ["ana"], "who": ["ana"]}
    ]


def test_a_star_selects_every_field(client, braintrust):
    row_id = braintrust.store.add_row(tags=["x"], metadata={"a": 1})
    row = braintrust.store.row(row_id)
    assert client.ask(f"select: * | from: {client.source}")["data"] == [row]
    assert client.ask(f"SELECT * FROM {client.source}")["data"] == [row]
    assert client.ask(client.ast() | {"select": [{"op": "star"}]})["data"] == [row]


def test_a_missing_path_is_null_and_an_empty_array_is_not(client, braintrust):
    rows = {
        "none": None,
        "empty": {},
        "null": {"who": None},
        "array": {"who": []},
        "bare": {"who": "ana"},
        "list": ["who"],
        "text": "who",
    }
    for row_id, metadata in rows.items():
        braintrust.store.add_row(row_id, metadata=metadata)
    assert sorted(client.filtered("metadata.who IS NULL")) == [
        "empty",
        "list",
        "none",
        "null",
        "text",
    ]
    assert sorted(client.filtered({"op": "isnotnull", "expr": ident("metadata", "who")})) == [
        "array",
        "bare",
    ]


def test_null_compares_to_nothing_and_not_of_null_is_null(client, braintrust):
    braintrust.store.add_row("tagged", tags=["x"])
    braintrust.store.add_row("other", tags=["y"])
    braintrust.store.add_row("untagged")
    assert client.filtered("NOT tags INCLUDES 'x'") == ["other"]
    assert client.filtered("tags NOT INCLUDES 'x'") == ["other"]
    assert client.filtered("metadata.a != 1") == []
    assert client.filtered("tags INCLUDES 'x' OR metadata.a = 1") == ["tagged"]
    assert client.filtered("NOT (tags INCLUDES 'x' OR tags IS NULL)") == ["other"]


@pytest.mark.parametrize(
    ("condition", "passes"),
    [
        ("metadata.n = 2", True),
        ("metadata.n <> 2", False),
        ("metadata.n >= 2 AND metadata.n < 3", True),
        ("metadata.n = '2'", False),
        ("metadata.n > '1'", False),
        ("metadata.flag = true", True),
        ("metadata.flag = 1", False),
        ("metadata.name = 'It''s'", True),
        ("metadata.name LIKE 'It_s'", True),
        ("metadata.name ILIKE 'it%'", True),
        ("metadata.name NOT LIKE '%x%'", True),
        ("metadata.n IN (1, 2)", True),
        ("metadata.n NOT IN [1, -2.5]", True),
        ("metadata.n BETWEEN 1 AND 3 AND metadata.flag", True),
        ("is_root", True),
        ("NOT is_root", False),
        ("tags CONTAINS 'x' -- a comment", True),
        ("metadata.n = 1 OR metadata.n = 2 AND metadata.flag = false", False),
        ("(metadata.n = 1 OR metadata.n = 2) AND /* a comment */ metadata.flag = true", True),
    ],
)
def test_expressions(client, braintrust, condition, passes):
    row_id = braintrust.store.add_row(tags=["x"], metadata={"n": 2, "flag": True, "name": "It's"})
    assert client.filtered(condition) == ([row_id] if passes else [])


def test_created_is_compared_as_a_time(client, braintrust):
    braintrust.store.clock.set(NOW)
    for days in (1, 6, 8):
        braintrust.store.add_row(f"{days} days", created=NOW - timedelta(days=days))
    assert client.filtered("created >= now() - interval 7 day") == ["1 days", "6 days"]
    assert client.filtered("created >= now() - interval '7 days'") == ["1 days", "6 days"]
    assert client.filtered("created < '2026-06-09T14:00:00.000001+02:00'") == ["6 days", "8 days"]
    window = operator(
        "and",
        operator("ge", ident("created"), literal("2026-06-07T12:00:00Z")),
        operator("lt", ident("created"), literal("2026-06-09T12:00:00Z")),
    )
    assert client.filtered(window) == ["8 days"]
    interval = {"op": "interval", "value": 7, "unit": "day"}
    since = operator("sub", {"op": "function", "name": ident("now"), "args": []}, interval)
    assert client.filtered(operator("lt", ident("created"), since)) == ["8 days"]


def test_a_query_without_a_bound_on_created_is_warned_about_and_refused_under_strict_lint(client):
    sentence = "The query has no bound on created: it scans the whole log"
    bounded = client.ast(filter={"btql": "created > now() - interval 1 hour and is_root"})
    assert client.ask(client.ast())["warnings"] == [sentence]
    assert "warnings" not in client.ask(bounded)
    assert client.refusal(client.ast(), lint_mode="strict") == (400, sentence)
    assert client.query(bounded, lint_mode="strict").status_code == 200
    either = client.ast(filter={"btql": "created > '2026-01-01' or is_root"})
    assert client.ask(either)["warnings"] == [sentence]


HOSTILE_TAGS = [
    "it's",
    "a | b",
    "a\nb",
    "x' OR '1' = '1",
    "x' | limit: 0 | filter: '",
    "back\\slash",
    "trailing\\",
    '"quoted"',
    "-- comment",
    "/* comment */",
    "ünïcödé 🦜",
    "",
    "''",
]


@pytest.mark.parametrize("tag", HOSTILE_TAGS)
def test_a_hostile_tag_finds_its_row_only_in_either_form(client, braintrust, tag):
    row_id = braintrust.store.add_row(tags=[tag])
    braintrust.store.add_row(tags=["other"])
    assert client.filtered(includes(tag)) == [row_id]
    assert client.filtered(f"tags INCLUDES {quoted(tag)}") == [row_id]
    assert client.filtered({"btql": f"tags INCLUDES {quoted(tag)}"}) == [row_id]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(tag=st.text(st.sampled_from("ab'\"|\\\n -:,()[]é")))
def test_text_and_ast_agree_on_any_tag(session_client, tag):
    session_client.braintrust.reset()
    rows = {
        text: session_client.braintrust.store.add_row(tags=[text])
        for text in {tag, "a", tag + "'", ""}
    }
    assert session_client.filtered(includes(tag)) == [rows[tag]]
    assert session_client.filtered(f"tags INCLUDES {quoted(tag)}") == [rows[tag]]


def test_an_unescaped_quote_lets_text_in_which_the_ast_does_not(client, braintrust):
    braintrust.store.add_row("secret", tags=["private"])
    tag = "x' or tags includes 'private"
    assert client.filtered(f"tags includes '{tag}'") == ["secret"]
    assert client.filtered(includes(tag)) == []


def test_whether_a_backslash_escapes_is_an_option(client, braintrust):
    braintrust.store.add_row("one", tags=["a\\b"])
    braintrust.store.add_row("two", tags=["a\\\\b"])
    assert client.filtered(r"tags includes 'a\\b'") == ["two"]
    braintrust.options.string_escapes = True
    assert client.filtered(r"tags includes 'a\\b'") == ["one"]
    assert client.filtered(r"tags includes 'a\'b'") == []


@pytest.mark.parametrize(
    ("snippet", "message"),
    [
        ("true) or (true", "Unexpected ')' at offset 4"),
        ("true | limit: 0", "Unexpected '|' at offset 5"),
        ("tags includes", "Unexpected end of query at offset 13"),
        ("tags includes 'open", """Unexpected character "'" at offset 14"""),
        ("reviewer = 1", "Unknown field: reviewer"),
        ("drop(tags)", "Unknown function: drop"),
        ("created > 'yesterday'", "Not a timestamp: 'yesterday'"),
        ("", "Unexpected end of query at offset 0"),
    ],
)
def test_a_wrong_snippet_is_refused(client, snippet, message):
    assert client.refusal(client.ast(filter={"btql": snippet})) == (400, message)


def test_wrong_queries_are_refused_with_a_plain_message(client):
    source = client.source
    refusals = {
        f"select: id | from: {source} | limit: 1 | limit: 2": "Clause 'limit' is given twice",
        f"select: id | from: {source} | measures: count(1)": "Clause 'measures' is not supported by the local server",
        f"select: id | from: {source} traces": "Shape 'traces' is not supported by the local server",
        f"select: id | from: {source} filter: is_root": "Unexpected 'filter' at offset "
        f"{len(f'select: id | from: {source} ')}",
        f"SELECT id FROM {source} WHERE tags INCLUDES 'x'": "INCLUDES is not supported in SQL queries",
        "WITH t AS (SELECT 1) SELECT * FROM t": "WITH is not supported by the local server",
        "select: id": "query: from is required",
        "select: id | from: dataset('x')": "from: expected project_logs('<project id>')",
        "hello": "Expected a clause such as 'select:' at offset 0",
    }
    assert {query: client.refusal(query) for query in refusals} == {
        query: (400, message) for query, message in refusals.items()
    }


def test_wrong_asts_are_refused_with_a_plain_message(client):
    refused = [
        (
            {"filter": {"op": "equals", "left": ident("id"), "right": literal(1)}},
            "Unknown operator: 'equals'",
        ),
        ({"filter": {"op": "eq", "left": ident("id")}}, "Operator 'eq' takes left, right"),
        ({"filter": {"op": "ident", "name": "id"}}, "ident: name is a non-empty array of strings"),
        ({"filter": "is_root"}, "Expected an expression, got str"),
        ({"limit": "10"}, "limit: expected a non-negative integer"),
        ({"limit": -1}, "limit: expected a non-negative integer"),
        ({"cursor": 5}, "cursor: expected a string"),
        ({"where": literal("x")}, "Unknown key in query: where"),
        ({"select": []}, "select: expected a non-empty array"),
        ({"select": [ident("id")]}, "select: an item is {alias, expr} or a star"),
        ({"cursor": "bm8="}, "Invalid cursor"),
        ({"cursor": "?"}, "Invalid cursor"),
    ]
    for change, message in refused:
        assert client.refusal(client.ast() | change) == (400, message)
    assert client.refusal(5) == (400, "query: expected a string or an object")


def test_a_body_with_an_unknown_key_or_format_is_refused(client):
    assert client.refusal(client.ast(), brainstore=True) == (400, "Unrecognized key: brainstore")
    assert client.refusal(client.ast(), fmt="parquet")[0] == 400
    assert client.request("POST", "/btql", data="[1]").status_code == 400
    assert client.request("POST", "/btql", data="{").status_code == 400
    assert client.request("POST", "/v1/btql", json={"query": client.ast()}).status_code == 404


def test_pages_go_newest_first_and_end_with_an_empty_page_without_cursor(client, braintrust):
    ids = [
        braintrust.store.add_row(created=NOW - timedelta(minutes=minutes)) for minutes in range(5)
    ]
    assert client.pages(limit=2) == [ids[:2], ids[2:4], ids[4:], []]
    braintrust.options.end_of_results = "no_cursor"
    assert client.pages(limit=2) == [ids[:2], ids[2:4], ids[4:]]
    assert client.pages(limit=5) == [ids]


def test_rows_written_meanwhile_do_not_shift_the_pages(client, braintrust):
    _, second, third = [
        braintrust.store.add_row(created=NOW - timedelta(minutes=m)) for m in range(3)
    ]
    cursor = client.ask(client.ast(limit=1))["cursor"]
    client.merge(third, output=1)
    braintrust.store.add_row()
    assert client.ids(client.ast(limit=5, cursor=cursor)) == [second, third]


def test_the_cursor_travels_in_every_form_and_in_the_header(client, braintrust):
    _, second = [braintrust.store.add_row(created=NOW - timedelta(minutes=m)) for m in range(2)]
    answer = client.query(client.ast(limit=1))
    cursor = answer.json()["cursor"]
    assert answer.headers["x-bt-cursor"] == cursor
    for query in (
        client.ast(cursor=cursor),
        f"select: id | from: {client.source} | limit: 1 | cursor: '{cursor}'",
        f"SELECT id FROM {client.source} LIMIT 1 OFFSET '{cursor}'",
    ):
        assert client.ids(query) == [second]


def test_jsonl_has_a_row_a_line_and_the_cursor_in_the_header_only(client, braintrust):
    newer, older = [braintrust.store.add_row(created=NOW - timedelta(minutes=m)) for m in range(2)]
    answer = client.query(client.ast(), fmt="jsonl")
    assert answer.text == f'{{"id": "{newer}"}}\n{{"id": "{older}"}}\n'
    assert answer.headers["x-bt-cursor"] == client.ask(client.ast())["cursor"]


def test_sorting_by_created_loses_the_cursor_silently(client, braintrust):
    ids = [
        braintrust.store.add_row(created=NOW - timedelta(minutes=minutes)) for minutes in range(3)
    ]
    for query in (
        f"select: id | from: {client.source} | sort: created asc | limit: 2",
        f"SELECT id FROM {client.source} ORDER BY created LIMIT 2",
        client.ast(sort=[{"expr": ident("created"), "dir": "asc"}], limit=2),
    ):
        answer = client.query(query)
        assert [row["id"] for row in answer.json()["data"]] == [ids[2], ids[1]]
        assert ("cursor" in answer.json(), "x-bt-cursor" in answer.headers) == (False, False)


def test_sorting_by_the_natural_order_keeps_the_cursor(client, braintrust):
    braintrust.store.add_row()
    assert "cursor" in client.ask(
        f"select: id | from: {client.source} | sort: _pagination_key desc"
    )


def test_a_limit_above_a_thousand_is_capped_or_refused(client, braintrust):
    braintrust.store.add_rows(1001)
    assert len(client.ids(client.ast(limit=5000))) == 1000
    assert len(client.ids(client.ast())) == 1000
    braintrust.options.over_limit = "refuse"
    assert client.refusal(client.ast(limit=1001)) == (400, "limit: at most 1000")


def test_reads_lag_behind_writes_when_told_to(client, braintrust):
    braintrust.store.clock.set(NOW)
    row_id = braintrust.store.add_row(created=NOW - timedelta(hours=1), tags=["x"])
    client.merge(row_id, output="written")
    braintrust.store.add_row("new")
    braintrust.options.read_lag = 60
    columns = client.ast("id", "output")
    assert client.ask(columns)["data"] == [{"id": row_id, "output": None}]
    braintrust.store.clock.advance(60)
    assert client.ask(columns)["data"] == [
        {"id": "new", "output": None},
        {"id": row_id, "output": "written"},
    ]


def test_a_deleted_row_is_still_read_while_reads_lag(client, braintrust):
    braintrust.store.clock.set(NOW)
    row_id = braintrust.store.add_row(created=NOW - timedelta(hours=1))
    client.insert({"id": row_id, "_object_delete": True})
    braintrust.options.read_lag = 60
    assert client.ids(client.ast()) == [row_id]


def test_other_projects_are_forbidden_with_a_message_that_names_somebody(client):
    other = client.ast() | {
        "from": {"op": "function", "name": ident("project_logs"), "args": [literal("other")]}
    }
    answer = client.query(other).json()
    assert answer.pop("InternalTraceId")
    assert answer == {
        "Code": "ForbiddenError",
        "Message": "User service@example.com does not have permission to read project_logs other",
        "Path": "/btql",
        "Service": "api",
    }
    assert (
        client.request("POST", "/v1/project_logs/other/insert", json={"events": []}).status_code
        == 403
    )


def test_a_page_of_a_hundred_thousand_rows_is_quick(client, braintrust):
    braintrust.store.add_rows(100_000)
    started = time.process_time()  # the server is a thread of this process; others may be busy
    cursor = client.ask(client.ast(limit=1000, filter=includes("review")))["cursor"]
    client.ask(client.ast(limit=1000, filter=includes("review"), cursor=cursor))
    assert time.process_time() - started < 1
