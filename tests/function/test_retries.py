"""The one retry policy, over the wire, with sleep injected; and answers that nobody should trust."""

import errno
import re
import socket
import threading
from contextlib import closing, nullcontext
from dataclasses import replace
from datetime import timedelta

import pytest

from lib.braintrust import NotStarted, RequestFailed
from lib.deadline import Deadline
from lib.errors import AssignmentError, QueryError
from lib.pauses import asked_pause
from lib.rows import Window, build_query
from lib.run import utc_now
from lib.wire import THREAD
from tests.listeners import Listener, self_signed
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
    with pytest.raises(
        RequestFailed, match=r"^ConnectionRefusedError: .+ \(at 127.0.0.1:9\)$"
    ) as failed:
        insert(world, naps, seconds=20)
    assert (failed.value.status, failed.value.out_of_time, failed.value.may_have_landed) == (
        None,
        True,
        False,
    )
    assert len(naps.taken) > 3


# Pauses


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


def test_retry_after_in_the_past_or_at_once_is_no_less_than_our_own_doubling_pause(world):
    world.braintrust.faults.add("insert", status=503, retry_after=-40, retry_after_date=True)
    world.braintrust.faults.add("insert", status=503, retry_after=0, after=1, times=5)
    naps = Naps()
    insert(world, naps)
    assert statuses(world, "insert") == [503] * 6 + [200]
    assert_backs_off(naps.taken, 1)


def test_retry_after_at_once_for_ever_costs_an_allowance_a_few_requests_not_thousands(world):
    world.braintrust.faults.add("query", status=429, retry_after=0, times=None)
    naps = Naps()
    with pytest.raises(RequestFailed):
        query(world, naps, seconds=900)
    assert_backs_off(naps.taken, 4)
    assert world.braintrust.requests.count("query") < 30


ENDLESS = [
    "99999999999999999999",
    "9" * 400,
    "Mon, 23 Nov 9999 07:00:00 GMT",
    "Fri, 31 Dec 9999 23:59:59 -2359",
]
MEANINGLESS = [
    "-5",
    "-99999999999999999999",
    "1e9",
    "nan",
    "inf",
    "soon",
    "17, 18",
    "0x11",
    "\xb2",
    "Mon, 23 Nov 99999 07:00:00 GMT",
    "Mon, 23 Nov 2026 07:00:00 +9999",
    "Mon, 23 Nov 2026 07:00:00 +99999999999999999999",
    "Mon, 23 Nov 2026 07:00:00 -" + "9" * 5000,
    "Mon, 00 Foo 2026 99:99:99 GMT",
    "Mon, 01 Jan 0001 00:00:00 +2359",
    ",",
    "Mon,",
]


@pytest.mark.parametrize("asked", ENDLESS)
def test_a_retry_after_longer_than_any_run_ends_the_request_at_once(world, asked):
    world.braintrust.faults.add("insert", status=503, headers={"retry-after": asked}, times=None)
    naps = Naps()
    with pytest.raises(RequestFailed) as failed:
        insert(world, naps, seconds=890)
    assert (failed.value.status, failed.value.out_of_time, naps.taken) == (503, True, [])
    assert asked_pause(asked) == 900


@pytest.mark.parametrize("asked", MEANINGLESS)
def test_a_retry_after_that_makes_no_sense_counts_as_none(world, asked):
    world.braintrust.faults.add("insert", status=503, headers={"retry-after": asked}, times=3)
    naps = Naps()
    insert(world, naps)
    assert_backs_off(naps.taken, 1)
    assert len(naps.taken) == 3


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


# What may have landed, and what it is too late for


PAYLOAD = b'{"events": [{"id": "r"}]}'
PROVES_NOTHING = [408, 502, 504, 520, 524, 599]


def failed_insert(world, naps, seconds=10_000, **how):
    with pytest.raises(RequestFailed) as failed:
        world.connect(deadline=naps.deadline(seconds), sleep=naps).insert(PAYLOAD, **how)
    return failed.value


@pytest.mark.parametrize("status", [*RETRIED, *PROVES_NOTHING, *REFUSALS])
def test_a_write_may_have_landed_where_its_status_proves_nothing(world, status):
    world.braintrust.faults.add("insert", status=status, times=None)
    failure = failed_insert(world, Naps(), seconds=5)
    assert failure.may_have_landed == (status in PROVES_NOTHING)


@pytest.mark.parametrize("fault", [{"status": 504}, {"drop": True, "applied": True}])
def test_a_write_that_may_have_landed_is_sent_again_within_a_minute_of_its_first_attempt_only(
    world, fault
):
    world.braintrust.faults.add("insert", times=None, **fault)
    naps = Naps()
    failure = failed_insert(world, naps)
    assert (failure.may_have_landed, failure.out_of_time) == (True, True)
    assert 20 < sum(naps.taken) < 60
    assert world.braintrust.requests.count("insert") == len(naps.taken) + 1


def test_the_minute_begins_with_the_first_attempt_even_if_that_one_was_refused(world):
    world.braintrust.faults.add("insert", status=429, retry_after=59)
    world.braintrust.faults.add("insert", status=504, after=1, times=None)
    naps = Naps()
    failure = failed_insert(world, naps)
    assert (failure.may_have_landed, failure.out_of_time) == (True, True)
    assert statuses(world, "insert")[:2] == [429, 504]
    assert sum(naps.taken) < 60


def test_a_write_that_was_only_refused_is_sent_again_for_as_long_as_there_is_time(world):
    world.braintrust.faults.add("insert", status=503, times=None)
    naps = Naps()
    assert not failed_insert(world, naps, seconds=600).may_have_landed
    assert sum(naps.taken) > 500


def test_a_question_is_asked_again_for_as_long_as_there_is_time(world):
    world.braintrust.faults.add("query", status=504, times=None)
    naps = Naps()
    with pytest.raises(RequestFailed):
        query(world, naps, seconds=600)
    assert sum(naps.taken) > 500


def test_rows_in_doubt_keep_their_minute_when_they_are_sent_in_another_request(world):
    world.braintrust.faults.add("insert", status=504)
    world.braintrust.faults.add("insert", status=413, after=1)
    naps = Naps()
    client = world.connect(deadline=naps.deadline(10_000), sleep=naps)
    with pytest.raises(RequestFailed) as failed:
        client.insert(PAYLOAD)
    assert (failed.value.status, failed.value.may_have_landed) == (413, True)
    assert 57 <= failed.value.in_doubt_until.left() <= 60
    half = client.insert(PAYLOAD, in_doubt_until=failed.value.in_doubt_until)
    assert half == {"row_ids": ["r"]}
    naps(60)
    with pytest.raises(NotStarted) as late:
        client.insert(PAYLOAD, in_doubt_until=failed.value.in_doubt_until)
    assert late.value.may_have_landed
    assert statuses(world, "insert") == [504, 413, 200]


def test_an_insert_ends_by_the_wall_clock_too(world):
    began = utc_now()
    naps = Naps()
    deadline = naps.deadline(10_000).until(
        began + timedelta(minutes=15), lambda: began + timedelta(seconds=sum(naps.taken))
    )
    world.braintrust.faults.add("insert", status=503, times=None)
    assert failed_insert(world, naps, deadline=deadline).out_of_time
    assert 800 < sum(naps.taken) < 900


@pytest.mark.parametrize(("left", "sent"), [(0.9, 1), (1.1, 2)])
def test_an_insert_is_not_tried_again_with_less_time_left_than_it_needs(world, left, sent):
    world.braintrust.faults.add("insert", status=503, retry_after=8)
    naps = Naps()
    client = world.connect(deadline=naps.deadline(8 + left), sleep=naps)
    with pytest.raises(RequestFailed) if sent == 1 else nullcontext():
        client.insert(PAYLOAD)
    assert world.braintrust.requests.count("insert") == sent


def test_a_pause_that_took_longer_than_it_should_have_is_noticed(world):
    """A busy machine, a frozen container: after a wait everything is looked at again."""
    world.braintrust.faults.add("insert", status=503, retry_after=8)
    naps = Naps()
    client = world.connect(deadline=naps.deadline(10), sleep=lambda pause: naps(pause + 1.5))
    with pytest.raises(RequestFailed) as failed:
        client.insert(PAYLOAD)
    assert (failed.value.status, failed.value.out_of_time) == (503, True)
    assert world.braintrust.requests.count("insert") == 1


def test_the_time_an_insert_needs_is_its_callers_to_say(world):
    naps = Naps()
    with pytest.raises(NotStarted):
        world.connect(deadline=naps.deadline(29)).insert(PAYLOAD, least=30)
    assert world.connect(deadline=naps.deadline(31)).insert(PAYLOAD, least=30) == {"row_ids": ["r"]}


@pytest.mark.parametrize("good_looks", range(1, 8))
def test_time_that_runs_out_between_a_look_and_the_sending_is_a_lack_of_time(world, good_looks):
    looks = iter([20_000.0] * good_looks)  # milliseconds; then the time is over
    deadline = Deadline(lambda: next(looks, -100.0), clock=lambda: 0.0, ends_at=10_000)
    with pytest.raises(RequestFailed) as failed:
        world.connect(deadline=deadline).query(dict, lambda: False, deadline)
    answered = good_looks > 4  # one to start, one for its pause, one for its timeout, two to send
    assert (failed.value.status, failed.value.out_of_time) == (
        (400, False) if answered else (None, True)
    )


# Faults that no later try can cure


@pytest.fixture
def proxied(world, monkeypatch):
    """How a run through a proxy that the environment names fails."""

    def failure(proxy, seconds=600):
        for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy)
        monkeypatch.setenv("NO_PROXY", "")
        world.settings["BRAINTRUST_API_URL"] = "https://braintrust.example"
        naps = Naps()
        return failed_insert(world, naps, seconds), naps.taken

    return failure


def assert_said_at_once(failure, naps, words):
    assert re.search(words, str(failure))
    assert str(failure).endswith(
        "check BRAINTRUST_API_URL, and the variables for proxies and certificates"
    )
    assert (failure.status, failure.out_of_time, failure.may_have_landed, naps) == (
        None,
        False,
        False,
        [],
    )


@pytest.mark.parametrize("content", [None, "", "no certificate", "-----BEGIN CERTIFICATE-----\nx"])
def test_a_bundle_of_certificates_that_is_missing_or_broken_is_said_at_once(
    world, tmp_path, monkeypatch, content
):
    bundle = tmp_path / "bundle.pem"
    if content is not None:
        bundle.write_text(content)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    with Listener(self_signed(tmp_path)[0]).serving() as listener:
        world.settings["BRAINTRUST_API_URL"] = listener.url
        naps = Naps()
        assert_said_at_once(failed_insert(world, naps), naps.taken, r"^(OSError|SSL\w*): ")
    assert listener.heard == []


def test_tls_spoken_to_a_plain_port_is_said_at_once(world):
    with Listener().serving() as listener:
        world.settings["BRAINTRUST_API_URL"] = f"https://127.0.0.1:{listener.port}"
        naps = Naps()
        assert_said_at_once(failed_insert(world, naps), naps.taken, "SSL")
    assert listener.heard == []


def test_a_server_that_does_not_speak_http_is_said_at_once_without_its_words(world):
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        world.settings["BRAINTRUST_API_URL"] = f"http://127.0.0.1:{listener.getsockname()[1]}"

        def answer():
            connection, _ = listener.accept()
            connection.recv(65536)
            connection.sendall(b'{"input": "what the customer said"}\r\n\r\n')
            connection.close()

        threading.Thread(target=answer, daemon=True).start()
        naps = Naps()
        failure = failed_insert(world, naps)
    assert str(failure).startswith("BadStatusLine (at 127.0.0.1:")
    assert (failure.may_have_landed, naps.taken) == (True, [])


@pytest.mark.parametrize(
    "url", ["https://a..b", "https://.", "https://exa mple.com", "https://" + "a" * 64, "https://%"]
)
def test_an_address_that_is_no_host_name_is_said_at_once(world, url):
    """Settings refuse most of these; an object store's address comes from outside."""
    naps, settings = Naps(), replace(world.load(), braintrust_api_url=url)
    client = world.connect(settings, naps.deadline(600), naps)
    with pytest.raises(RequestFailed) as failed:
        client.insert(PAYLOAD)
    assert_said_at_once(failed.value, naps.taken, "^(InvalidURL|Location|Unicode)")


@pytest.mark.parametrize(
    "proxy",
    ["nonsense://x:1", "http://", "http://[", "http://a:b:c", "http://x:99999", "socks5://x:1"],
)
def test_a_proxy_that_is_nonsense_is_said_at_once(proxied, proxy):
    failure, naps = proxied(proxy)
    assert_said_at_once(failure, naps, r"^\w+")


@pytest.mark.parametrize(
    ("status", "again"), [(400, 0), (403, 0), (407, 0), (502, 1), (503, 1), (504, 1)]
)
def test_a_proxy_that_refuses_is_said_at_once_one_that_reaches_nobody_is_tried_again(
    proxied, status, again
):
    with Listener().serving() as proxy:
        proxy.reply = lambda _: (status, {}, b"")
        failure, naps = proxied(proxy.url.replace("//", "//somebody:password@"), seconds=20)
    assert f"Tunnel connection failed: {status}" in str(failure)
    assert "password" not in str(failure)
    assert bool(naps) == failure.out_of_time == bool(again)
    assert {heard.method for heard in proxy.heard} == {"CONNECT"}
    assert "authorization" not in {name for heard in proxy.heard for name in heard.headers}


@pytest.mark.parametrize(
    "error",
    [
        socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"),
        socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
        OSError(errno.ENETUNREACH, "Network is unreachable"),
        OSError(errno.EHOSTUNREACH, "No route to host"),
        TimeoutError(errno.ETIMEDOUT, "Connection timed out"),
    ],
)
def test_what_a_network_does_now_and_then_is_tried_again(world, monkeypatch, error):
    look_up, tries = socket.getaddrinfo, []

    def failing(*args, **how):
        if threading.current_thread().name == THREAD and len(tries) < 3:
            tries.append(args)
            raise error
        return look_up(*args, **how)

    monkeypatch.setattr(socket, "getaddrinfo", failing)
    naps = Naps()
    assert insert(world, naps) == {"row_ids": ["r"]}
    assert len(naps.taken) == 3


def test_what_nobody_expects_is_said_by_its_kind_alone(world, monkeypatch):
    def surprise(*_, **__):
        raise LookupError("what the customer said")

    monkeypatch.setattr(socket, "getaddrinfo", surprise)
    naps = Naps()
    failure = failed_insert(world, naps)
    assert str(failure).startswith("LookupError (at 127.0.0.1:")
    assert (failure.may_have_landed, naps.taken) == (False, [])


# The one 400 that passes

OUT_OF_BOUNDS = "RuntimeError: memory access out of bounds"


@pytest.mark.parametrize(("times", "sent"), [(1, 2), (3, 4), (None, 4)])
def test_a_query_that_ran_out_of_memory_bounds_is_tried_three_times_more(world, times, sent):
    world.braintrust.faults.add("query", status=400, message=OUT_OF_BOUNDS, times=times)
    naps = Naps()
    with pytest.raises(RequestFailed, match=OUT_OF_BOUNDS) if times is None else nullcontext():
        query(world, naps)
    assert world.braintrust.requests.count("query") == sent
    assert len(naps.taken) == sent - 1
    assert_backs_off(naps.taken, 1)


def test_the_three_tries_are_not_renewed_by_other_faults_in_between(world):
    for _ in range(3):
        world.braintrust.faults.add("query", status=400, message=OUT_OF_BOUNDS, times=2)
        world.braintrust.faults.add("query", status=503, after=2)
    with pytest.raises(RequestFailed, match=OUT_OF_BOUNDS):
        query(world, Naps())
    assert statuses(world, "query").count(400) == 4


@pytest.mark.parametrize(
    ("kind", "call", "status", "message"),
    [
        ("query", query, 400, "RuntimeError: unreachable"),
        ("query", query, 422, OUT_OF_BOUNDS),
        ("insert", insert, 400, OUT_OF_BOUNDS),
    ],
)
def test_no_other_400_is_tried_again(world, kind, call, status, message):
    world.braintrust.faults.add(kind, status=status, message=message, times=None)
    with pytest.raises(RequestFailed, match=message):
        call(world, Naps())
    assert world.braintrust.requests.count(kind) == 1


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
    ] == [
        (kind, True, "lead@example.com")
        for kind in ("query", "query", "query", "user", "user", "insert")
    ]


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
def test_a_page_in_which_nothing_makes_sense_is_a_query_error_that_says_so(world, row):
    world.add_users(1)
    world.braintrust.faults.add("query", body=f'{{"data": [{row}, {row}]}}')
    with pytest.raises(QueryError) as refused:
        world.run()
    assert str(refused.value) == (
        "BTQL query failed: no row of a page has a usable id, created and _xact_id; nothing was written"
    )
    assert world.braintrust.requests.count("insert") == 0


def test_an_answer_too_large_to_hold_is_asked_for_in_smaller_pages_and_refused_in_the_end(world):
    world.braintrust.faults.add("query", hostile="huge", size=34_000_000, times=None)
    with pytest.raises(QueryError, match=r"^BTQL query failed \(413\): the answer is larger than"):
        world.fetch({"limit": 50}, sleep=Naps())
    assert [record.limit for record in world.braintrust.requests.of("query")] == [
        *(50, 25, 12, 6, 3, 1),
        1,  # without metadata
    ]


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
