"""The one retry policy, over the wire, with sleep injected; and answers that nobody should trust."""

from datetime import timedelta

import pytest

from lib.braintrust import NotStarted, RequestFailed
from lib.deadline import Deadline
from lib.errors import AssignmentError, QueryError
from lib.rows import Window, build_query
from lib.run import utc_now
from tests.world import Naps

RETRIED = [408, 429, 500, 502, 503, 504]
REFUSALS = [400, 401, 402, 403, 404, 405, 409, 410, 418, 422, 501, 505]


def statuses(world, kind: str) -> list[int]:
    return [record.status for record in world.braintrust.requests.of(kind)]


def query(world, naps, seconds=10_000):
    deadline = naps.deadline(seconds)
    client = world.connect(deadline=deadline, sleep=naps)
    settings = world.load()
    body = {"query": build_query(settings, Window.before(utc_now(), settings.days))}
    return client.query(lambda: body, lambda: False, deadline).body


def insert(world, naps, seconds=10_000):
    return world.connect(deadline=naps.deadline(seconds), sleep=naps).insert(
        b'{"events": [{"id": "r"}]}'
    )


@pytest.mark.parametrize("status", RETRIED)
@pytest.mark.parametrize(("kind", "call"), [("insert", insert), ("query", query)])
def test_a_passing_fault_is_tried_again_until_it_has_passed(world, kind, call, status):
    world.braintrust.faults.add(kind, status=status, times=3)
    naps = Naps()
    call(world, naps)
    assert statuses(world, kind) == [status] * 3 + [200]
    assert len(naps.taken) == 3


@pytest.mark.parametrize("status", REFUSALS)
@pytest.mark.parametrize(("kind", "call"), [("insert", insert), ("query", query)])
def test_a_refusal_is_not_tried_again(world, kind, call, status):
    world.braintrust.faults.add(kind, status=status, times=None, message="Because")
    naps = Naps()
    with pytest.raises(RequestFailed) as refused:
        call(world, naps)
    assert (str(refused.value), refused.value.status, refused.value.out_of_time) == (
        "Because",
        status,
        False,
    )
    assert (statuses(world, kind), naps.taken) == ([status], [])


@pytest.mark.parametrize("body", [" ", "<html>", "{", "[" * 50_000])
def test_a_good_status_with_an_answer_that_is_no_json_is_not_tried_again(world, body):
    world.braintrust.faults.add("insert", body=body, times=None)
    naps = Naps()
    with pytest.raises(RequestFailed, match="the answer is not the JSON it should be"):
        insert(world, naps)
    assert (statuses(world, "insert"), naps.taken) == ([200], [])


@pytest.mark.parametrize(
    "fault", [{"drop": True}, {"drop": True, "applied": True}, {"truncate": True}]
)
def test_a_broken_connection_is_tried_again(world, fault):
    world.braintrust.faults.add("insert", times=2, **fault)
    naps = Naps()
    assert insert(world, naps) == {"row_ids": ["r"]}
    assert world.braintrust.requests.count("insert") == 3
    assert len(naps.taken) == 2


def test_an_answer_that_does_not_come_is_given_up_after_the_request_timeout_and_tried_again(world):
    world.settings["REQUEST_TIMEOUT"] = "1"
    world.braintrust.faults.add("insert", hang=True)
    naps = Naps()
    assert insert(world, naps) == {"row_ids": ["r"]}
    assert len(naps.taken) == 1


def test_a_server_that_cannot_be_reached_is_tried_until_the_time_is_up(world):
    world.settings["BRAINTRUST_API_URL"] = "http://127.0.0.1:9"
    naps = Naps()
    with pytest.raises(RequestFailed, match="ConnectionError") as failed:
        insert(world, naps, seconds=20)
    assert (failed.value.status, failed.value.out_of_time, failed.value.may_have_landed) == (
        None,
        True,
        False,
    )
    assert len(naps.taken) > 3


@pytest.mark.parametrize("status", RETRIED)
def test_retry_after_in_seconds_is_honoured_for_every_status(world, status):
    world.braintrust.faults.add("insert", status=status, retry_after=17, times=2)
    naps = Naps()
    insert(world, naps)
    assert naps.taken == [pytest.approx(17, abs=0.5)] * 2


def test_retry_after_as_a_date_is_honoured(world):
    world.braintrust.faults.add("insert", status=503, retry_after=40, retry_after_date=True)
    naps = Naps()
    insert(world, naps)
    assert naps.taken == [pytest.approx(38, abs=2.5)]


def test_retry_after_in_the_past_or_at_once_means_no_pause(world):
    world.braintrust.faults.add("insert", status=503, retry_after=-40, retry_after_date=True)
    world.braintrust.faults.add("insert", status=503, retry_after=0, after=1)
    naps = Naps()
    insert(world, naps)
    assert (naps.taken, statuses(world, "insert")) == ([], [503, 503, 200])


def test_a_retry_after_beyond_the_time_left_ends_the_request_at_once(world):
    world.braintrust.faults.add("query", status=429, retry_after=3600, times=None)
    naps = Naps()
    with pytest.raises(RequestFailed) as failed:
        query(world, naps, seconds=900)
    assert (failed.value.status, failed.value.out_of_time) == (429, True)
    assert (naps.taken, statuses(world, "query")) == ([], [429])


def assert_backs_off(naps: list[float], first: float):
    """Each pause lies between half and all of first * 2^n, 60 seconds at most."""
    bounds = [min(60.0, first * 2**number) for number in range(len(naps))]
    assert [
        bound / 2 - 0.1 <= pause <= bound for pause, bound in zip(naps, bounds, strict=True)
    ] == [True] * len(naps), naps


@pytest.mark.parametrize(
    ("kind", "call", "status", "first"),
    [
        ("insert", insert, 503, 1),
        ("insert", insert, 429, 1),
        ("query", query, 500, 1),
        ("query", query, 429, 4),
    ],
)
def test_without_retry_after_pauses_double_with_jitter_longer_for_throttled_queries(
    world, kind, call, status, first
):
    world.braintrust.faults.add(kind, status=status, times=10)
    naps = Naps()
    call(world, naps)
    assert_backs_off(naps.taken, first)
    assert naps.taken[-1] <= 60
    assert len(set(naps.taken)) == 10


def test_two_clients_do_not_pause_in_step(world):
    pauses = []
    for _ in range(8):
        world.braintrust.faults.add("insert", status=503)
        naps = Naps()
        insert(world, naps)
        pauses += naps.taken
    assert len(set(pauses)) == 8


def test_the_budget_is_the_time_left_not_a_number_of_tries(world):
    world.braintrust.faults.add("insert", status=503, times=None)
    for seconds in (10, 800):
        naps = Naps()
        with pytest.raises(RequestFailed) as failed:
            insert(world, naps, seconds=seconds)
        assert failed.value.out_of_time
        assert seconds - 61 < sum(naps.taken) < seconds


def test_without_time_left_nothing_is_sent(world):
    with pytest.raises(NotStarted):
        world.connect(deadline=Deadline(lambda: 0)).insert(b'{"events": []}')
    assert world.braintrust.requests.count("insert") == 0


def test_a_throttled_insert_holds_back_the_other_inserts_too(world):
    world.settings |= {"INSERT_CONCURRENCY": "4", "BATCH_SIZE": "1"}
    world.braintrust.faults.add("insert", status=429, retry_after=1)
    world.braintrust.faults.add("insert", latency=0.4, after=1, times=4)
    world.add_users(1)
    world.add_rows(12)
    world.run()
    answered = world.braintrust.requests.of("insert")
    resumed = answered[0].at + timedelta(seconds=1)
    assert [record.status for record in answered].count(429) == 1
    assert sum(record.at < resumed for record in answered) <= 4
    assert len(answered) == 13


@pytest.mark.parametrize("kind", ["user", "insert"])
def test_a_throttled_query_does_not_hold_back_other_requests(world, kind):
    world.braintrust.faults.add("query", status=429, retry_after=900)
    world.add_rows(1)
    client = world.connect()
    with pytest.raises(RequestFailed):
        client.query(dict, lambda: False, client.deadline)
    assert {"user": client.users, "insert": lambda: client.insert(b'{"events": []}')}[kind]() in (
        [],
        {"row_ids": []},
    )


def test_requests_retries_and_throttles_are_counted(world):
    world.braintrust.faults.add("insert", status=503, times=2)
    world.braintrust.faults.add("insert", status=429, after=2)
    naps = Naps()
    client = world.connect(deadline=naps.deadline(1000), sleep=naps)
    client.insert(b'{"events": []}')
    client.users()
    assert dict(client.counts) == {"insert": 4, "retries": 3, "throttles": 1, "user": 1}


def test_a_rate_limit_a_minute_is_waited_out(world):
    world.braintrust.options.queries_per_minute = 2
    world.braintrust.options.minute = 1.0
    rows = world.add_rows(20)
    assert len(world.fetch({"limit": 5}).rows) == len(rows)
    assert statuses(world, "query").count(429) >= 1


# What goes along with a request


def test_every_request_carries_the_key_and_whom_to_act_as(world):
    lead = world.braintrust.store.add_user("lead@example.com")
    world.settings["IMPERSONATE_USER"] = "lead@example.com"
    world.set_reviewers([lead])
    world.add_rows(1)
    world.run()
    assert [
        (record.kind, record.authorization, record.impersonated)
        for record in world.braintrust.requests
    ] == [(kind, True, "lead@example.com") for kind in ("query", "query", "user", "user", "insert")]


def test_nobody_is_impersonated_unless_asked(world):
    world.add_users(1)
    world.run()
    assert {record.impersonated for record in world.braintrust.requests} == {None}


@pytest.mark.parametrize("target", ["http://localhost:9/", "https://example.com/", "/v1/elsewhere"])
def test_an_insert_that_is_redirected_is_refused_not_followed(world, target):
    world.braintrust.faults.add("insert", redirect=target)
    with pytest.raises(RequestFailed, match="an unexpected redirect: check BRAINTRUST_API_URL"):
        insert(world, Naps())
    assert len(world.braintrust.requests) == 1


def test_the_answers_words_reach_an_error_without_the_key_an_address_or_a_second_line(world):
    world.braintrust.faults.add(
        "insert", status=400, message="User lead@example.com with {api_key} may\n\r\x1b[31mnot"
    )
    with pytest.raises(RequestFailed) as refused:
        insert(world, Naps())
    assert str(refused.value) == "User <e-mail> with *** may [31mnot"


@pytest.mark.parametrize("style", ["json", "text", "gateway"])
def test_each_form_of_refusal_is_understood(world, style):
    world.braintrust.faults.add("insert", status=400, message="Request is wrong", style=style)
    with pytest.raises(RequestFailed) as refused:
        insert(world, Naps())
    assert str(refused.value) == "Request is wrong"


def test_a_long_refusal_is_cut(world):
    world.braintrust.faults.add("insert", status=400, message="no " * 100_000, style="text")
    with pytest.raises(RequestFailed) as refused:
        insert(world, Naps())
    assert len(str(refused.value)) <= 300


# Hostile answers

QUERY_ANSWERS = [
    "array",
    "string",
    "null",
    "html",
    "empty",
    "not_utf8",
    "not_json",
    "deep",
    "nan",
    "no_data",
    "null_data",
    "data_object",
    "rows_not_objects",
    "cursor_number",
    "cursor_object",
    "newline_ids",
    "number_ids",
    "empty_ids",
    "no_ids",
    "wrong_types",
    "null_columns",
]


@pytest.mark.parametrize("page", [1, 2])
@pytest.mark.parametrize("answer", QUERY_ANSWERS)
def test_a_hostile_answer_to_a_query_is_a_query_error_and_nothing_is_written(world, answer, page):
    world.add_users(1)
    world.add_rows(20)
    world.braintrust.faults.add("query", hostile=answer, after=page - 1, times=None)
    with pytest.raises(QueryError, match=r"^BTQL query failed"):
        world.run({"limit": 10})
    assert world.braintrust.requests.count("insert") == 0
    assert world.objects() == {}


@pytest.mark.parametrize(
    "row",
    [
        '{"id": "r", "created": "yesterday", "_xact_id": "1"}',
        '{"id": "r", "created": 1700000000, "_xact_id": "1"}',
        '{"id": "r", "_xact_id": "1"}',
        '{"id": "r", "created": "2026-11-20T07:00:00Z", "_xact_id": "one"}',
        '{"id": "r", "created": "2026-11-20T07:00:00Z", "_xact_id": [1]}',
        '{"id": "r", "created": "2026-11-20T07:00:00Z", "_xact_id": Infinity}',
        '{"id": "r", "created": "2026-11-20T07:00:00Z", "_xact_id": 1e999}',
        '{"id": "r", "created": "2026-11-20T07:00:00Z", "_xact_id": NaN}',
        '{"id": "r", "created": "2026-11-20T07:00:00Z", "_xact_id": "%s"}' % ("9" * 5000),
        '{"id": "\\ud800", "created": "2026-11-20T07:00:00Z", "_xact_id": "1"}',
        '{"id": ["r"], "created": "2026-11-20T07:00:00Z", "_xact_id": "1"}',
    ],
)
def test_a_row_that_makes_no_sense_is_a_query_error_that_says_so(world, row):
    world.add_users(1)
    world.braintrust.faults.add("query", body=f'{{"data": [{row}]}}')
    with pytest.raises(
        QueryError, match=r"^BTQL query failed: a row without a usable id, created or _xact_id"
    ):
        world.run()
    assert world.braintrust.requests.count("insert") == 0


def test_an_answer_too_large_to_hold_is_asked_for_in_smaller_pages_and_refused_in_the_end(world):
    world.braintrust.faults.add("query", hostile="huge", size=34_000_000, times=None)
    with pytest.raises(QueryError, match=r"^BTQL query failed \(413\): the answer is larger than"):
        world.fetch({"limit": 50}, sleep=Naps())
    assert [record.limit for record in world.braintrust.requests.of("query")] == [50, 25]


@pytest.mark.parametrize(
    "answer",
    ["array", "string", "null", "html", "empty", "not_utf8", "not_json", "deep", "no_objects"],
)
def test_a_hostile_answer_to_a_look_up_is_a_query_error_and_nothing_is_written(world, answer):
    world.add_users(1)
    world.add_rows(1)
    world.braintrust.faults.add("user", hostile=answer, times=None)
    with pytest.raises(QueryError, match=r"^user look-up failed"):
        world.run()
    assert world.braintrust.requests.count("insert") == 0
    assert world.objects() == {}


@pytest.mark.parametrize(
    "answer",
    [
        *("array", "string", "null", "html", "empty", "not_utf8", "not_json", "deep"),
        *("wrong_row_ids", "short_row_ids", "shuffled_row_ids", "no_row_ids", "row_ids_string"),
    ],
)
def test_a_hostile_answer_to_an_insert_leaves_its_rows_unknown_never_assigned(world, answer):
    world.add_users(2)
    rows = world.add_rows(4)
    world.braintrust.faults.add("insert", hostile=answer, times=None)
    with pytest.raises(AssignmentError, match=r"^4 of 4 planned rows could not be written"):
        world.run()
    (record,) = world.records("runs")
    assert [
        (line["row_id"], line["status"], line["assigned_at"]) for line in world.lines(record)
    ] == [(row, "unknown", None) for row in rows]
    assert world.records("to_assign_ids") == [[]]
