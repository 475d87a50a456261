"""Others' words in our messages: enough to act on, nothing of a row, no key, no address, one short line."""

import json
import time

import pytest

from lib.braintrust import RequestFailed
from lib.errors import AssignmentError, ConfigurationError, QueryError
from lib.quoting import Words
from lib.rows import Window, build_query
from lib.run import utc_now
from tests.listeners import Listener
from tests.world import Naps

CUSTOMER = "what the customer said"
KEY = "sk-local-0123456789abcdef"


def refused_insert(world) -> str:
    with pytest.raises(RequestFailed) as refused:
        world.connect(sleep=Naps()).insert(b'{"events": [{"id": "r"}]}')
    return str(refused.value)


def refused_query(world, query="") -> str:
    client, settings = world.connect(sleep=Naps()), world.load()
    asked = query or build_query(settings, Window.before(utc_now(), settings.days))
    with pytest.raises(RequestFailed) as refused:
        client.query(lambda: {"query": asked}, lambda: False, client.deadline)
    return str(refused.value)


# An answer that is no JSON


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (
            f'{{"data": [{{"input": "{CUSTOMER}"',
            "stopped at character 44 (Expecting ',' delimiter)",
        ),
        (
            f'{{"data": [{{"input": "{CUSTOMER}\n"}}]}}',
            "stopped at character 43 (Invalid control character at)",
        ),
        ("", "stopped at character 0 (Expecting value)"),
        (CUSTOMER, "stopped at character 0 (Expecting value)"),
        (f"<data>{CUSTOMER}</data>", "stopped at character 0 (Expecting value)"),
        (f'["{CUSTOMER}"{"[" * 100_000}', "stopped at character 25 (Expecting ',' delimiter)"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
@pytest.mark.parametrize("refused", [refused_query, refused_insert])
def test_an_answer_that_does_not_parse_is_told_by_length_kind_and_place_only(
    world, refused, body, told
):
    world.braintrust.faults.add("*", body=body)
    said = refused(world)
    assert said.startswith(
        f"the answer is not the JSON it should be: {len(body)} bytes, application/json, "
    )
    assert told in said
    assert CUSTOMER not in said


def test_bytes_that_are_no_text_are_told_by_their_place_only(world):
    world.braintrust.faults.add("query", hostile="not_utf8")
    assert refused_query(world) == (
        "the answer is not the JSON it should be: 24 bytes, application/json, "
        "parsing stopped at byte 18 (not utf-8)"
    )


def test_of_a_web_page_the_words_are_told_because_it_cannot_be_rows(world):
    page = (
        b"\xef\xbb\xbf <!DOCTYPE html><html><head><style>p {color: red}</style><script>alert('x')</script>"
        b"<title>Hotel &amp; Bar</title></head><body><p>Please log in<br>" + b"x " * 1000
    )
    with Listener().serving() as portal:
        portal.reply = lambda _: (200, {"Content-Type": "text/html"}, page)
        world.settings["BRAINTRUST_API_URL"] = portal.url
        said = refused_query(world)
    assert f"{len(page)} bytes, text/html, parsing stopped at character 1" in said
    assert "; it is a web page: Hotel & Bar Please log in x x" in said
    assert len(said) < 300


def test_a_rows_words_reach_neither_error_nor_log_nor_audit(world, capsys):
    """Whatever the answer to a query or an insert that quotes a row."""
    world.add_users(1)
    world.add_rows(2)
    quoting = json.dumps({"id": "r", "input": CUSTOMER, "metadata": {"said": CUSTOMER}})
    world.braintrust.faults.add("insert", status=400, message=f"Cannot merge {quoting}", times=None)
    with pytest.raises(
        AssignmentError, match=r"insert failed \(400\): Cannot merge \.\.\."
    ) as failed:
        world.run()
    world.braintrust.faults.add("query", body=f'{{"data": [{quoting}')
    with pytest.raises(QueryError) as unread:
        world.run()
    told = [str(failed.value), str(unread.value), *capsys.readouterr(), *world.objects().values()]
    assert not [text for text in told if CUSTOMER in text]


# Refusals


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("Request is wrong", "Request is wrong"),
        ('Bad event: {"id": "r", "input": "it was"} at 3', "Bad event: ... at 3"),
        ('Bad event: {"id": "r", "input": "it w', "Bad event: ..."),
        ('Bad event: [{"id": "r", "tags": ["it"]}, {"a": "it was"}]', "Bad event: ..."),
        ("Bad event: {'id': 'r', 'input': 'it was'}", "Bad event: ..."),
        (
            "Expected string, got 'it was' and \"it was\" and `it was`",
            "Expected string, got ... and ... and ...",
        ),
        ("Expected string, got 'it was and goes on", "Expected string, got ..."),
        ("You can't do this, they don't allow it", "You can't do this, they don't allow it"),
        ("events[0].id: too long", "events[0].id: too long"),
    ],
)
def test_of_a_refused_insert_what_it_quotes_is_left_out(world, message, told):
    world.braintrust.faults.add("insert", status=400, message=message)
    assert refused_insert(world) == told


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("Expected ')' at 'lower(metadata.said ='", "Expected ... at 'lower(metadata.said ='"),
        (
            "Unknown function 'lenn' in \"project_logs\"",
            "Unknown function 'lenn' in \"project_logs\"",
        ),
        ("Could not convert string 'it was so' to INT32", "Could not convert string ... to INT32"),
        ("Could not convert string 'it was so", "Could not convert string ..."),
        (
            '[{"code": "invalid_type", "path": ["query"]}]',
            '[{"code": "invalid_type", "path": ["query"]}]',
        ),
    ],
)
def test_of_a_refused_query_what_it_quotes_is_kept_if_we_said_it_or_it_is_a_plain_word(
    world, message, told
):
    world.braintrust.faults.add("query", status=400, message=message)
    assert refused_query(world, "filter: lower(metadata.said = 1") == told


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        (
            {"x-bt-internal-trace-id": "0af7651916cd43dd"},
            " (x-bt-internal-trace-id 0af7651916cd43dd)",
        ),
        ({"x-bt-internal-trace-id": CUSTOMER}, ""),
        ({"x-bt-internal-trace-id": "a" * 65}, ""),
        ({}, ""),
    ],
)
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (
            {"status": 401},
            (
                "BTQL query failed (401): check that the API key is correct and has not expired; keys of "
                "organisations in the EU need BRAINTRUST_API_URL https://api-eu.braintrust.dev"
            ),
        ),
        ({"status": 400, "message": "no", "times": None}, "BTQL query failed (400): no"),
        (
            {"body": "no"},
            (
                "BTQL query failed (200): the answer is not the JSON it should be: 2 bytes, "
                "application/json, parsing stopped at character 0 (Expecting value)"
            ),
        ),
    ],
)
def test_braintrusts_own_id_of_a_failure_is_told(world, fault, said, headers, told):
    world.braintrust.faults.add("query", headers=headers, **fault)
    world.add_users(1)
    with pytest.raises(QueryError) as refused:
        world.run()
    assert str(refused.value) == said + told


def test_a_user_to_impersonate_who_cannot_be_sent_is_refused_as_a_setting_not_met_on_the_way(world):
    world.settings["IMPERSONATE_USER"] = "łukasz@example.com"
    with pytest.raises(ConfigurationError, match=r"IMPERSONATE_USER is 'łukasz@example.com'"):
        world.run()
    assert len(world.braintrust.requests) == 0


# Cleaning


@pytest.mark.parametrize(
    "text",
    ["x" * 10**6, "@" * 10**6, "?" * 10**6, "a@" * 10**6, "?=" * 10**6, "/" * 10**6, "sk-" * 10**6,
     "'" * 10**6, "{" * 10**6, '{"' * 10**6, "<" * 10**6, "<style>" * 10**5, "\x00" * 10**6, "<html>" * 10**5],
    ids=lambda text: text[:7],
)  # fmt: skip
def test_cleaning_costs_next_to_nothing_however_long_the_text_and_whatever_is_in_it(text):
    words, content = Words(KEY), text.encode()
    began = time.process_time()
    for _ in range(10):
        words.clean(text)
        words.of_a_query(text, "a query")
        words.of_an_insert(text)
        words.of_a_page(content)
    assert time.process_time() - began < 2.0  # 50 ms each, where it was seconds


@pytest.mark.parametrize("offset", range(-len(KEY) - 1, 2))
@pytest.mark.parametrize("limit", [300, 2000])
def test_no_part_of_the_key_is_left_at_a_cut(limit, offset):
    words = Words(KEY)
    text = " " * (2000 - limit) + "y" * (limit + offset) + KEY + " " + KEY * 200
    for said in (words.clean(text), words.of_a_query(text, ""), words.of_an_insert(text)):
        assert "sk-" not in said
        assert "0123" not in said


def test_what_is_told_is_one_short_line_without_addresses_keys_and_signatures():
    text = (
        f"a\r\nb\tc\u2028d {KEY} lead@example.com sk-another https://user:secret@host/x?X-Sig=1&b=2 "
        + "e" * 1000
    )
    said = Words(KEY).clean(text)
    assert said.startswith("a b c d *** <e-mail> *** https:***host/x?... eee")
    assert len(said) == 300
