"""Every fault, as a client meets it."""

import gzip
import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import pytest
import requests

from tests.local.client import ident

NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)
ALWAYS = None


def plant(braintrust, count):
    """Rows a minute apart; their ids, newest first."""
    return [
        braintrust.store.add_row(f"row-{n}", created=NOW - timedelta(minutes=n))
        for n in range(count)
    ]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 413, 429, 500, 502, 503, 504])
def test_a_status_comes_with_braintrusts_error_body(client, braintrust, status):
    braintrust.faults.add("query", status=status, message="No luck")
    answer = client.query(client.ast())
    body = answer.json()
    assert (answer.status_code, sorted(body)) == (
        status,
        ["Code", "InternalTraceId", "Message", "Path", "Service"],
    )
    assert (body["Message"], body["Path"], body["Service"]) == ("No luck", "/btql", "api")


def test_an_error_may_be_plain_text_or_the_gateways(client, braintrust):
    braintrust.faults.add("query", status=400, message="Bad query", style="text")
    braintrust.faults.add("query", status=413, message="Request Too Long", style="gateway")
    text = client.query(client.ast())
    assert (text.text, text.headers["content-type"]) == ("Bad query", "text/plain; charset=utf-8")
    assert client.query(client.ast()).json() == {"message": "Request Too Long"}


def test_a_fault_strikes_the_next_n_requests_of_its_kind(client, braintrust):
    fault = braintrust.faults.add("query", status=503, times=2)
    assert client.insert({"id": "a"}).status_code == 200
    assert [client.query(client.ast()).status_code for _ in range(4)] == [503, 503, 200, 200]
    assert braintrust.faults.fired(fault) == 2


def test_a_fault_can_let_requests_pass_first(client, braintrust):
    braintrust.faults.add("insert", status=500, after=1)
    assert [client.insert({"id": "a"}).status_code for _ in range(3)] == [200, 500, 200]


def test_a_fault_of_every_kind_lasts_until_cleared(client, braintrust):
    braintrust.faults.add(status=502, times=ALWAYS)
    assert (
        client.query(client.ast()).status_code,
        client.request("GET", "/v1/user").status_code,
    ) == (502, 502)
    braintrust.faults.clear()
    assert client.query(client.ast()).status_code == 200


def test_a_probable_fault_repeats_itself_with_its_seed(client, braintrust):
    runs = []
    for _ in range(2):
        braintrust.faults.clear()
        braintrust.faults.add("query", status=500, probability=0.5, seed=7, times=ALWAYS)
        runs.append([client.query(client.ast()).status_code for _ in range(20)])
    assert runs[0] == runs[1]
    assert set(runs[0]) == {200, 500}


def test_large_pages_can_fail_where_small_ones_do_not(client, braintrust):
    braintrust.faults.add("query", limit_over=500, status=504, times=ALWAYS)
    statuses = {
        limit: client.query(client.ast(limit=limit)).status_code for limit in (1000, 501, 500)
    }
    assert statuses == {1000: 504, 501: 504, 500: 200}
    assert client.query(client.ast()).status_code == 504


def test_an_insert_can_be_refused_for_its_size_its_events_or_one_row(client, braintrust):
    braintrust.faults.add("insert", events_over=2, status=413, style="gateway", times=ALWAYS)
    braintrust.faults.add("insert", bytes_over=1000, status=413, times=ALWAYS)
    braintrust.faults.add("insert", row_id="bad", status=400, times=ALWAYS)
    braintrust.faults.add(
        "insert", when=lambda call: "odd" in call.row_ids, status=401, times=ALWAYS
    )
    braintrust.faults.add("insert", contains="forbidden", status=403, times=ALWAYS)
    answers = [
        client.insert({}, {}, {}),
        client.insert({"input": "x" * 1000}),
        client.insert({"id": "good"}, {"id": "bad"}),
        client.insert({"id": "odd"}),
        client.insert({"input": "forbidden"}),
        client.insert({"id": "good"}, {"id": "also good"}),
    ]
    assert [answer.status_code for answer in answers] == [413, 413, 400, 401, 403, 200]
    assert sorted(braintrust.store.assignments()) == ["also good", "good"]


def test_retry_after_comes_in_seconds_as_a_date_or_not_at_all(client, braintrust):
    braintrust.store.clock.set(NOW)
    braintrust.faults.add("insert", status=429, retry_after=2)
    braintrust.faults.add("insert", status=429, retry_after=90, retry_after_date=True)
    braintrust.faults.add("insert", status=429)
    seconds, date, nothing = [client.insert({}).headers.get("retry-after") for _ in range(3)]
    assert (seconds, parsedate_to_datetime(date), nothing) == (
        "2",
        NOW + timedelta(seconds=90),
        None,
    )


@pytest.mark.parametrize(("applied", "rows"), [(False, []), (True, ["a"])])
def test_a_connection_drops_before_or_after_the_write(client, braintrust, applied, rows):
    braintrust.faults.add("insert", drop=True, applied=applied)
    with pytest.raises(requests.ConnectionError, match="reset by peer"):
        client.insert({"id": "a"})
    assert list(braintrust.store.assignments()) == rows
    assert [record.status for record in braintrust.requests] == [0]


@pytest.mark.parametrize(("applied", "rows"), [(False, []), (True, ["a"])])
def test_no_answer_comes_until_the_client_gives_up(client, braintrust, applied, rows):
    braintrust.faults.add("insert", hang=True, applied=applied)
    with pytest.raises(requests.ReadTimeout):
        client.insert({"id": "a"}, timeout=(10, 0.1))
    assert list(braintrust.store.assignments()) == rows


def test_an_error_can_come_although_the_write_was_applied(client, braintrust):
    braintrust.faults.add("insert", status=504, applied=True)
    assert client.insert({"id": "a"}).status_code == 504
    assert list(braintrust.store.assignments()) == ["a"]


def test_latency_delays_and_goes_together_with_another_fault(client, braintrust):
    braintrust.faults.add("query", latency=0.1)
    braintrust.faults.add("query", status=500)
    started = time.monotonic()
    assert client.query(client.ast()).status_code == 500
    assert 0.09 < time.monotonic() - started < 5


def test_a_write_that_outlives_its_client_is_applied_but_not_after_a_reset(client, braintrust):
    braintrust.faults.add("insert", latency=0.1, times=2)
    for row_id, reset in (("a", False), ("b", True)):
        with pytest.raises(requests.ReadTimeout):
            client.insert({"id": row_id}, timeout=(10, 0.05))
        if reset:
            braintrust.reset()
            time.sleep(0.3)
        patience = time.monotonic() + 10
        while not (reset or braintrust.store.assignments() or time.monotonic() > patience):
            time.sleep(0.01)
        assert list(braintrust.store.assignments()) == ([] if reset else ["a"])


def test_a_body_is_cut_in_the_middle(client, braintrust):
    braintrust.faults.add("query", truncate=True)
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
        client.query(client.ast())


def test_an_answer_dribbles_in_byte_by_byte(client, braintrust):
    braintrust.faults.add("insert", dribble=0.005)
    pieces, started = [], time.monotonic()
    with client.insert({"id": "a"}, stream=True) as answer:
        pieces.extend(answer.raw.stream(1))
    text = b"".join(pieces)
    assert json.loads(text) == {"row_ids": ["a"]}
    pauses = len(text) - 1
    assert time.monotonic() - started > 0.8 * 0.005 * pauses  # clocks and timers are coarse


def test_a_stale_read_tells_or_does_not(client, braintrust):
    row_id = braintrust.store.add_row(created=NOW)
    client.merge(row_id, output="written")
    braintrust.faults.add("query", stale=60)
    braintrust.faults.add("query", stale=60, exhausted_timeout=True)
    answers = [client.ask(client.ast("output")) for _ in range(3)]
    assert [
        (answer["data"][0]["output"], answer["realtime_state"]["type"]) for answer in answers
    ] == [(None, "on"), (None, "exhausted_timeout"), ("written", "on")]


def test_the_allowance_of_queries_is_a_minutes(client, braintrust):
    braintrust.store.clock.set(NOW)
    braintrust.options.queries_per_minute = 2
    statuses = []
    for seconds in (0, 10, 10, 39, 1, 0):
        braintrust.store.clock.advance(seconds)
        answer = client.query(client.ast())
        statuses.append((answer.status_code, answer.headers.get("retry-after")))
    assert statuses == [(200, None), (200, None), (429, "40"), (429, "1"), (200, None), (429, "10")]
    assert client.insert({"id": "a"}).status_code == 200
    braintrust.options.rate_limit_retry_after = "none"
    assert "retry-after" not in client.query(client.ast()).headers


@pytest.mark.parametrize("header", ["x-amz-meta-bt_cursor", "x-amz-meta-bt-cursor"])
def test_a_large_answer_overflows_into_a_signed_object(client, braintrust, header):
    newest, older = plant(braintrust, 2)
    braintrust.faults.add("query", overflow=True, overflow_header=header)
    redirect = client.query(client.ast(limit=1))
    assert (redirect.status_code, redirect.content) == (303, b"")
    location = redirect.headers["location"]
    assert location.startswith(f"{braintrust.objects_url}/objects/")
    stored = requests.get(location, timeout=5)
    assert (stored.json()["data"], "cursor" in stored.json()) == ([{"id": newest}], False)
    assert client.ids(client.ast(cursor=stored.headers[header])) == [older]


def test_an_overflown_answer_may_be_gzip_without_saying_so(client, braintrust):
    ids = plant(braintrust, 1)
    braintrust.faults.add("query", overflow=True, overflow_gzip=True)
    stored = requests.get(client.query(client.ast()).headers["location"], timeout=5)
    assert "content-encoding" not in stored.headers
    assert json.loads(gzip.decompress(stored.content))["data"] == [{"id": ids[0]}]


def test_the_object_store_refuses_an_authorization_and_a_missing_signature(client, braintrust):
    braintrust.faults.add("query", overflow=True)
    location = client.query(client.ast()).headers["location"]
    assert client.session.get(location, timeout=5).status_code == 400
    assert requests.get(location.partition("?")[0], timeout=5).status_code == 403
    assert [(record.kind, record.authorization) for record in braintrust.requests] == [
        ("query", True),
        ("overflow", True),
        ("overflow", False),
    ]


def test_the_object_store_can_fail_and_serves_no_api(client, braintrust):
    braintrust.faults.add("query", overflow=True)
    braintrust.faults.add("overflow", status=503)
    location = client.query(client.ast()).headers["location"]
    statuses = [requests.get(location, timeout=5).status_code for _ in range(2)]
    assert statuses == [503, 200]
    assert requests.get(f"{braintrust.objects_url}/v1/user", timeout=5).status_code == 404


def test_headers_go_along_with_any_answer(client, braintrust):
    braintrust.faults.add(status=503, retry_after=2, headers={"retry-after": "soon"})
    braintrust.faults.add(headers={"x-bt-internal-trace-id": "abc"}, after=1)
    refused, answered = client.insert({}), client.insert({})
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "soon")
    assert (answered.status_code, answered.headers["x-bt-internal-trace-id"]) == (200, "abc")


def test_a_redirect_can_lead_anywhere(client, braintrust):
    braintrust.faults.add("insert", redirect="http://elsewhere.example/")
    answer = client.insert({"id": "a"})
    assert (answer.status_code, answer.headers["location"]) == (303, "http://elsewhere.example/")


def test_the_cursor_can_come_in_the_header_only(client, braintrust):
    plant(braintrust, 1)
    braintrust.faults.add("query", no_cursor_in_body=True)
    answer = client.query(client.ast())
    assert "cursor" not in answer.json()
    assert answer.headers["x-bt-cursor"] == client.ask(client.ast())["cursor"]


def test_a_cursor_can_stand_still(client, braintrust):
    plant(braintrust, 3)
    first = client.ask(client.ast(limit=1))
    braintrust.faults.add("query", stuck_cursor=True, times=ALWAYS)
    second, third = [client.ask(client.ast(limit=1, cursor=first["cursor"])) for _ in range(2)]
    assert (second["data"], second["cursor"]) == (third["data"], first["cursor"])


def test_pages_can_be_shorter_than_asked_and_go_on(client, braintrust):
    ids = plant(braintrust, 3)
    braintrust.faults.add("query", short_page=2)
    assert client.pages(limit=3) == [ids[:2], ids[2:], []]


def test_rows_can_appear_again_in_an_older_version(client, braintrust):
    ids = plant(braintrust, 4)
    client.merge(ids[1], output="written")
    braintrust.faults.add("query", duplicates=2, times=ALWAYS)
    first = client.ask(client.ast("id", "output", "_xact_id", limit=2))
    second = client.ask(client.ast("id", "output", "_xact_id", limit=3, cursor=first["cursor"]))
    assert [row["id"] for row in first["data"]] == ids[:2]
    assert [row["id"] for row in second["data"]] == [ids[1], ids[0], ids[2]]
    for row in second["data"][:2]:
        newer = first["data"][ids.index(row["id"])]
        assert int(row["_xact_id"]) < int(newer["_xact_id"])
    assert (first["data"][1]["output"], second["data"][0]["output"]) == ("written", None)
    assert sorted({row_id for page in client.pages(limit=3) for row_id in page}) == ids


def test_an_error_can_echo_the_api_key(client, braintrust):
    braintrust.faults.add(
        "query", status=401, message="The key {api_key} has expired", style="text"
    )
    assert client.query(client.ast()).text == f"The key {braintrust.api_key} has expired"


def test_an_answers_body_can_be_any_text(client, braintrust):
    braintrust.faults.add("query", body='{"data": "surprise"}')
    assert client.ask(client.ast()) == {"data": "surprise"}


def test_hostile_rows(client, braintrust):
    plant(braintrust, 1)
    changed = {
        "newline_ids": {"id": "row-0\nsecond line\r\n", "tags": None},
        "number_ids": {"id": 12345, "tags": None},
        "empty_ids": {"id": "", "tags": None},
        "no_ids": {"tags": None},
        "wrong_types": {"id": "row-0", "tags": 3.5},
    }
    for hostile, row in changed.items():
        braintrust.faults.add("query", hostile=hostile)
        assert client.ask(client.ast("id", "tags"))["data"] == [row]


def test_hostile_envelopes(client, braintrust):
    plant(braintrust, 1)
    good = client.ask(client.ast())
    changed = {
        "array": [good],
        "string": "all is well",
        "null": None,
        "no_data": {key: value for key, value in good.items() if key != "data"},
        "null_data": good | {"data": None},
        "data_object": good | {"data": {"0": {"id": "row-0"}}},
        "rows_not_objects": good | {"data": ["a string", None, 7, ["a", "list"], {"id": "row-0"}]},
        "cursor_number": good | {"cursor": 42},
        "empty_page_with_cursor": good | {"data": []},
    }
    for hostile, body in changed.items():
        braintrust.faults.add("query", hostile=hostile)
        assert client.ask(client.ast()) == body


@pytest.mark.parametrize("hostile", ["html", "empty", "not_utf8", "not_json"])
def test_hostile_bodies_that_are_no_json(client, braintrust, hostile):
    braintrust.faults.add("query", hostile=hostile)
    answer = client.query(client.ast())
    assert answer.status_code == 200
    with pytest.raises(ValueError, match=r"."):
        json.loads(answer.content)


def test_hostile_bodies_that_are_too_much(client, braintrust):
    braintrust.faults.add("query", hostile="huge", size=1_000_000)
    assert len(client.query(client.ast()).content) > 1_000_000
    braintrust.faults.add("query", hostile="deep")
    with pytest.raises(RecursionError):
        client.query(client.ast()).json()


def test_hostile_answers_to_an_insert(client, braintrust):
    changed = {
        "wrong_row_ids": {"row_ids": ["other-a", "other-b"]},
        "short_row_ids": {"row_ids": ["a"]},
        "shuffled_row_ids": {"row_ids": ["b", "a"]},
        "no_row_ids": {},
        "row_ids_string": {"row_ids": "all of them"},
    }
    for hostile, body in changed.items():
        braintrust.faults.add("insert", hostile=hostile)
        assert client.insert({"id": "a"}, {"id": "b"}).json() == body


def test_hostile_answers_to_a_look_up(client, braintrust):
    user = {"id": braintrust.store.add_user()}
    braintrust.faults.add("user", hostile="objects_not_objects")
    objects = client.request("GET", "/v1/user").json()["objects"]
    assert objects[:2] == ["a string", None]
    braintrust.faults.add("user", hostile="repeating_objects")
    answer = client.request("GET", "/v1/user", params={"starting_after": user["id"]})
    assert [found["id"] for found in answer.json()["objects"]] == [user["id"]]


def test_the_most_requests_in_flight_are_counted_by_kind(client, braintrust):
    braintrust.faults.add("insert", latency=0.15, times=ALWAYS)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda number: client.insert({"id": str(number)}), range(4)))
    client.query(client.ast())
    assert [answer.status_code for answer in answers] == [200] * 4
    assert dict(braintrust.requests.max_in_flight) == {"insert": 4, "query": 1}
    assert sorted(record.in_flight for record in braintrust.requests.of("insert")) == [1, 2, 3, 4]


def test_the_request_log_keeps_everything_but_the_key(client, braintrust):
    plant(braintrust, 3)
    client.query(client.ast(limit=2), fmt="json")
    client.insert({"id": "a"}, {"id": "b"})
    query, insert = braintrust.requests
    assert (query.kind, query.method, query.path, query.status, query.limit, query.rows) == (
        "query",
        "POST",
        "/btql",
        200,
        2,
        2,
    )
    assert query.query["select"] == [{"alias": "id", "expr": ident("id")}]
    assert (insert.kind, insert.status, insert.events, insert.rows) == ("insert", 200, 2, None)
    assert query.authorization
    assert braintrust.api_key not in repr(list(braintrust.requests))


def test_a_fault_that_cannot_be_is_refused_when_it_is_added(braintrust):
    with pytest.raises(ValueError, match="kind: expected"):
        braintrust.faults.add("queries", status=500)
    with pytest.raises(ValueError, match="hostile: expected"):
        braintrust.faults.add("query", hostile="unfriendly")
    with pytest.raises(TypeError):
        braintrust.faults.add("query", code=500)
