"""What the server can be told to be like, because nobody knows what the real one is like."""

import time

import pytest

from tests.local.client import ident, literal

PEOPLE = ("metadata", "~__bt_assignments")
IS_NULL = {"op": "isnull", "expr": ident(*PEOPLE)}
LEN = {"op": "function", "name": ident("len"), "args": [ident(*PEOPLE)]}
IS_EMPTY = {"op": "eq", "left": LEN, "right": literal(0)}
IN = {"op": "in", "left": ident("metadata", "status"), "right": literal(["PENDING"])}
OLDEST_FIRST = [{"expr": ident("_pagination_key"), "dir": "asc"}]


@pytest.fixture
def rows(braintrust):
    braintrust.store.add_row("null")
    braintrust.store.add_row("empty", metadata={PEOPLE[1]: []})
    braintrust.store.add_row("held", metadata={PEOPLE[1]: ["ana"], "status": "PENDING"})


@pytest.mark.usefixtures("rows")
def test_as_documented_a_missing_path_is_null_and_an_empty_list_has_no_length(client):
    assert [client.filtered(each) for each in (IS_NULL, IS_EMPTY, IN)] == [
        ["null"],
        ["empty"],
        ["held"],
    ]


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize(
    ("what", "clauses", "message"),
    [
        ("len", {"filter": IS_EMPTY}, "Operator 'len' is not supported here"),
        ("in", {"filter": IN}, "Operator 'in' is not supported here"),
        ("isnull", {"filter": IS_NULL}, "Operator 'isnull' is not supported here"),
        ("sort", {"sort": OLDEST_FIRST}, "sort is not supported here"),
    ],
)
def test_each_of_these_can_be_refused(client, braintrust, what, clauses, message):
    braintrust.options.refused = [what]
    assert client.refusal(client.ast(**clauses)) == (400, message)
    others = [
        {"filter": each} for each in (IS_EMPTY, IN, IS_NULL, {"op": "isnull", "expr": ident("id")})
    ]
    assert [
        client.query(client.ast(**each)).status_code
        for each in (*others, {"sort": OLDEST_FIRST})
        if each != clauses
    ] == [200] * 4


@pytest.mark.usefixtures("rows")
def test_a_path_can_be_never_null(client, braintrust):
    braintrust.options.paths_are_never_null = True
    assert client.filtered(IS_NULL) == []
    assert sorted(client.filtered({"op": "isnotnull", "expr": ident(*PEOPLE)})) == [
        "empty",
        "held",
        "null",
    ]
    assert len(client.filtered({"op": "isnull", "expr": ident("error")})) == 3


@pytest.mark.usefixtures("rows")
def test_the_length_of_an_empty_list_can_be_null(client, braintrust):
    braintrust.options.len_finds_empty = False
    assert client.filtered(IS_EMPTY) == []
    assert client.filtered(IS_EMPTY | {"right": literal(1)}) == ["held"]


@pytest.mark.usefixtures("rows")
def test_a_sort_can_lose_its_cursor(client, braintrust):
    braintrust.options.sorts_with_cursor = False
    assert client.pages(limit=2, sort=OLDEST_FIRST) == [["null", "empty"]]
    assert client.pages(limit=2) == [["held", "empty"], ["null"], []]


def test_an_answer_can_be_too_large(client, braintrust):
    braintrust.store.add_row("large", metadata={"text": "x" * 1000})
    braintrust.store.add_row("small")
    braintrust.options.query_max_bytes = 1000
    columns = ("id", "metadata")
    assert client.query(client.ast(*columns, limit=1)).status_code == 200
    refused = client.query(client.ast(*columns, limit=2))
    assert (refused.status_code, refused.json()) == (413, {"message": "Request Too Long"})
    assert client.ids(client.ast(limit=2)) == ["small", "large"]


@pytest.mark.usefixtures("rows")
def test_what_a_query_says_can_make_it_slow_or_hang(client, braintrust):
    braintrust.faults.add("query", latency=0.2, contains='"_pagination_key"', times=None)
    braintrust.faults.add("query", hang=True, contains='"len"', times=None)
    began = time.monotonic()
    assert client.ids(client.ast(sort=OLDEST_FIRST)) == ["null", "empty", "held"]
    assert time.monotonic() - began >= 0.2
    with pytest.raises(OSError, match="Read timed out"):
        client.request("POST", "/btql", json={"query": client.ast(filter=IS_EMPTY)}, timeout=0.2)
