"""Results that lie in an object store: reached, read, and asked for again where the store refuses."""

import gzip
import json
import zlib

import pytest

from lib.errors import QueryError
from tests.listeners import Listener
from tests.world import Naps

NOTHING = b'{"data": []}'
EXPIRED = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code>'
    b"<Message>Request has expired</Message><X-Amz-Expires>900</X-Amz-Expires></Error>"
)


@pytest.fixture
def store(world):
    """Where the next queries' results lie; it answers as a test says."""
    with Listener().serving() as listener:
        world.braintrust.faults.add("query", redirect=f"{listener.url}/result?X-Sig=s", times=None)
        yield listener


def answers(store, *replies):
    """Reply so, in turn; the last one again and again."""
    left = list(replies)
    store.reply = lambda _: left.pop(0) if len(left) > 1 else left[0]


def sent(world):
    return world.braintrust.requests.count("query")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_store_that_sends_on_is_followed(world, store, status):
    with Listener().serving() as region:
        answers(store, (status, {"Location": f"{region.url}/there"}, b""))
        answers(region, (status, {"Location": "/and/on?x=1"}, b""), (200, {}, NOTHING))
        assert world.fetch().rows == []
    assert [heard.path for heard in store.heard] == ["/result?X-Sig=s"]
    assert [heard.path for heard in region.heard] == ["/there", "/and/on?x=1"]
    assert sent(world) == 1


@pytest.mark.parametrize(
    ("location", "why"),
    [
        ({"Location": "/result"}, "redirects without end"),
        ({}, "redirected to a place that is neither https nor local"),
        ({"Location": "http://objects.example.com/"}, "redirected to a place that is neither https nor local"),
        ({"Location": "file:///etc/passwd"}, "redirected to a place that is neither https nor local"),
        ({"Location": "https://"}, "redirected to a place that is neither https nor local"),
    ],
)  # fmt: skip
def test_a_store_that_sends_on_to_nowhere_is_an_error_that_names_it(world, store, location, why):
    answers(store, (307, location, b""))
    with pytest.raises(QueryError) as refused:
        world.fetch()
    assert str(refused.value) == (
        f"BTQL query failed (307 of the object store): 127.0.0.1:{store.port}: {why}"
    )
    assert len(store.heard) <= 5
    assert sent(world) == 1


@pytest.mark.parametrize("status", [400, 403, 404, 410])
def test_a_refusal_of_the_store_asks_the_query_for_a_new_address(world, store, status):
    answers(store, *[(status, {}, EXPIRED)] * 3, (200, {}, NOTHING))
    naps = Naps()
    assert world.fetch(sleep=naps, deadline=naps.deadline(600)).rows == []
    assert (sent(world), len(store.heard), len(naps.taken)) == (4, 4, 3)


@pytest.mark.parametrize("status", [403, 404])
def test_a_store_that_goes_on_refusing_is_named_not_the_project(world, store, status):
    answers(store, (status, {}, EXPIRED))
    naps = Naps()
    with pytest.raises(QueryError) as refused:
        world.fetch(sleep=naps, deadline=naps.deadline(600))
    assert str(refused.value) == (
        f"BTQL query failed ({status} of the object store): 127.0.0.1:{store.port}: "
        "AccessDenied Request has expired 900"
    )
    assert sent(world) == 4


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_store_that_is_busy_is_tried_until_the_time_is_up(world, store, status):
    answers(store, *[(status, {"Retry-After": "30"}, b"SlowDown")] * 8, (200, {}, NOTHING))
    naps = Naps()
    assert world.fetch(sleep=naps, deadline=naps.deadline(900)).rows == []
    assert min(naps.taken) == 30
    assert sent(world) == 9


def test_a_store_that_cannot_be_reached_is_named(world):
    world.braintrust.faults.add("query", redirect="http://127.0.0.1:9/result", times=None)
    naps = Naps()
    with pytest.raises(QueryError) as refused:
        world.fetch(sleep=naps, deadline=naps.deadline(20))
    assert str(refused.value) == (
        "BTQL query failed (no answer of the object store): "
        "ConnectionRefusedError: [Errno 111] Connection refused (at 127.0.0.1:9)"
    )
    assert naps.taken


def members(*parts):
    return b"".join(map(gzip.compress, parts))


@pytest.mark.parametrize(
    "content",
    [
        members(NOTHING),
        members(NOTHING[:5], NOTHING[5:]),
        members(*[bytes([byte]) for byte in NOTHING]),
        members(b"", NOTHING, b""),
        members(NOTHING) + b"\0" * 512,
    ],
    ids=["one", "two", "many", "empty", "padded"],
)
@pytest.mark.parametrize("declared", [{}, {"Content-Encoding": "gzip"}])
def test_every_member_of_a_packed_result_is_read(world, store, content, declared):
    answers(store, (200, declared, content))
    assert world.fetch().rows == []
    assert sent(world) == 1


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (members(NOTHING)[:-9], "EOFError"),
        (members(NOTHING) + b"more", "BadGzipFile"),
        (b"\x1f\x8b" + b"x" * 20, "BadGzipFile"),
        (members(NOTHING)[:10] + b"\xff" * 20, "error"),
    ],
    ids=["cut", "trailing", "header", "content"],
)
def test_a_packed_result_that_is_damaged_is_said_at_once(world, store, content, why):
    answers(store, (200, {}, content))
    with pytest.raises(QueryError) as refused:
        world.fetch()
    assert str(refused.value) == (
        "BTQL query failed (no answer of the object store): "
        f"the answer is packed wrongly ({why}, from 127.0.0.1:{store.port})"
    )
    assert sent(world) == 1


@pytest.mark.parametrize(
    ("headers", "content"),
    [
        ({}, gzip.compress(b" " * 40_000_000)),
        ({}, members(*[b" " * 9_000_000] * 4)),
        ({"Content-Encoding": "gzip"}, gzip.compress(b" " * 40_000_000)),
        ({"Content-Encoding": "deflate"}, zlib.compress(b" " * 40_000_000)),
        ({}, gzip.compress(gzip.compress(b" " * 40_000_000))),
    ],
    ids=["undeclared", "members", "gzip", "deflate", "twice"],
)
def test_a_packed_result_is_unpacked_within_bounds(world, store, headers, content):
    answers(store, (200, headers, content))
    with pytest.raises(
        QueryError, match=r"the answer is larger than 33554432 bytes|is not the JSON"
    ):
        world.fetch({"limit": 25})


def test_what_is_no_gzip_though_it_is_said_to_be_is_told(world, store):
    answers(store, (200, {"Content-Encoding": "gzip"}, NOTHING))
    with pytest.raises(QueryError, match=r"the answer is packed wrongly \(error, from"):
        world.fetch()


def test_one_number_of_five_thousand_digits_costs_no_page(world):
    row = {"id": "r", "created": "2026-11-20T07:00:00Z", "_xact_id": "7", "metadata": {"n": 0}}
    body = json.dumps({"data": [row, row | {"id": "s"}]}).replace(
        '"n": 0', f'"n": -{"9" * 5000}', 1
    )
    world.braintrust.faults.add("query", body=body)
    assert [row.id for row in world.fetch().rows] == ["r", "s"]
