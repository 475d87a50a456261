"""The Braintrust API over HTTP: one session, one retry policy, bounded answers, a key that stays home."""

import json
import random
import re
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.cookiejar import DefaultCookiePolicy
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple
from urllib.parse import quote, urljoin, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict

from lib.deadline import Deadline
from lib.errors import QueryError
from lib.roster import Group, User
from lib.settings import LOCAL_HOSTS, Settings

# The retry policy. The budget is the time the invocation has left, not a number of tries.
RETRIED = frozenset(
    {408, 429, 500, 502, 503, 504}
)  # and connection faults; any other status is a refusal
TOO_HEAVY = frozenset({408, 413, 500, 504})  # on a query: fewer rows a page may cure it
FIRST_PAUSE = 1.0  # seconds, doubled with every try, with jitter; a Retry-After header comes first
FIRST_PAUSE_THROTTLED_QUERY = 4.0  # an allowance of 20 queries a minute is normal
LONGEST_PAUSE = 60.0

CONNECT_TIMEOUT = 10.0
MAX_ANSWER = 32 * 2**20  # bytes, unpacked; a larger page is asked for again with fewer rows
LOOKUP_PAGE = 1000
CURSOR_HEADERS = ("x-bt-cursor", "x-amz-meta-bt_cursor", "x-amz-meta-bt-cursor")
NAMES = {
    "query": "BTQL query",
    "insert": "insert",
    "user": "user look-up",
    "group": "group look-up",
}
WRONG_PROJECT = "verify that PROJECT_ID {project} exists and that the key may read it"
ADVICE = {
    401: "check that the API key is correct and has not expired",
    403: WRONG_PROJECT,
    404: WRONG_PROJECT,
}


Headers = Mapping[str, str]


class RequestFailed(Exception):  # noqa: N818 - a fact for the calling module to judge, it never leaves lib/
    """A request that was refused, or not answered in the time there was."""

    def __init__(
        self, reason: str, status: int | None = None, *, may_have_landed: bool = False
    ) -> None:
        super().__init__(reason)
        self.status = status
        """The HTTP status of the last answer; None: no answer came."""
        self.may_have_landed = may_have_landed
        """One of the attempts was sent and not clearly refused, so that a write may have been applied."""
        self.out_of_time = False
        """Another try was due, but there was no time for it."""


class NotStarted(RequestFailed):
    """There was no time left to send it even once."""


class Answer(NamedTuple):
    """A 2xx answer: its headers and its decoded JSON."""

    headers: Mapping[str, str]
    body: Any


class _Bearer(requests.auth.AuthBase):
    """Adds the key to a request. As an auth object no ~/.netrc replaces it, and no repr shows it."""

    def __init__(self, key: str) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._key}"
        return request


class Braintrust:
    """The calls this product makes. Safe to use from several threads; each call ends by the deadline."""

    def __init__(
        self,
        settings: Settings,
        api_key: str,
        deadline: Deadline,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.deadline = deadline
        self.counts: Counter[str] = Counter()
        """Requests sent, by kind (`query`, `insert`, `user`, `group`), and `retries` and `throttles`."""
        self._project_id = settings.project_id
        self._base = settings.braintrust_api_url
        self._timeout = settings.request_timeout
        self._key = api_key
        self._sleep = sleep
        self._lock = threading.Lock()
        self._not_before: dict[str, float] = {}
        self._closed = False
        self._session = self._new_session(settings.insert_concurrency)
        self._session.auth = _Bearer(api_key)
        if settings.impersonate_user:
            self._session.headers["x-bt-impersonate-user"] = settings.impersonate_user
        self._object_store = self._new_session(
            1
        )  # overflowing results lie elsewhere: no key goes there

    def _new_session(self, connections: int) -> requests.Session:
        session = requests.Session()
        for scheme in ("https://", "http://"):
            session.mount(scheme, HTTPAdapter(pool_maxsize=connections))
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        session.trust_env = self._base.startswith("https://")  # no proxy sees a key in plain text
        return session

    def close(self) -> None:
        """Let go of the connections. No thread sends anything after this, even one that Lambda thaws later."""
        self._closed = True
        self._session.close()
        self._object_store.close()

    def query(
        self, body: Callable[[], Any], lighten: Callable[[], bool], deadline: Deadline
    ) -> Answer:
        """POST `body()` to /btql; where fewer rows may help, `lighten()` changes the next body and says if it could."""
        return self._request(
            "query", "POST", "/btql", lambda: json.dumps(body()).encode(), lighten, deadline
        )

    def insert(self, payload: bytes) -> Any:  # noqa: ANN401 - JSON, for the caller to check
        """POST the JSON `payload` to the project's insert endpoint; returns the decoded answer."""
        path = f"/v1/project_logs/{quote(self._project_id, safe='')}/insert"
        return self._request("insert", "POST", path, lambda: payload).body

    def users(self) -> list[User] | None:
        """Every user of the organisation; None if the key may not list them (403)."""
        if (listed := self._list("user")) is None:
            return None
        return [User(item["id"], str(item.get("email") or "").lower()) for item in listed]

    def groups(self) -> list[Group] | None:
        """Every group of the organisation; None if the key may not list them (403)."""
        if (listed := self._list("group")) is None:
            return None
        return [
            Group(
                item["id"],
                str(item.get("name")),
                _ids(item, "member_users"),
                _ids(item, "member_groups"),
            )
            for item in listed
        ]

    def _list(self, kind: str) -> list[dict[str, Any]] | None:
        found: dict[str, dict[str, Any]] = {}
        path = start = f"/v1/{kind}?limit={LOOKUP_PAGE}"
        try:
            while True:
                body = self._request(kind, "GET", path).body
                page = body.get("objects") if isinstance(body, dict) else None
                if not isinstance(page, list) or not all(
                    isinstance(item, dict) and _is_id(item.get("id")) for item in page
                ):
                    raise QueryError(
                        f"{NAMES[kind]} failed: the answer is not a list of objects with ids"
                    )
                if all(
                    item["id"] in found for item in page
                ):  # empty, or a server that knows no starting_after
                    return list(found.values())
                found |= {item["id"]: item for item in page}
                path = f"{start}&starting_after={quote(page[-1]['id'], safe='')}"
        except RequestFailed as failure:
            if failure.status == 403:
                return None
            raise QueryError(self.explain(kind, failure)) from failure

    def explain(self, kind: str, failure: RequestFailed) -> str:
        """The failure in one sentence that says what to do."""
        advice = ADVICE.get(failure.status or 0, "").format(project=self._project_id)
        return f"{NAMES[kind]} failed ({failure.status or 'no answer'}): {advice or failure}"

    def clean(self, text: str) -> str:
        """The server's words, fit for logs and errors: one short line without the key or an e-mail address."""
        text = re.sub(r"[^\s@<>\"']+@[\w.-]+", "<e-mail>", text.replace(self._key, "***"))
        text = re.sub(r"\?\S*=\S*", "?...", text)  # an object store's address carries a signature
        return " ".join("".join(c if c.isprintable() else " " for c in text[:2000]).split())[:300]

    def _request(
        self,
        kind: str,
        method: str,
        path: str,
        body: Callable[[], bytes | None] = lambda: None,
        lighten: Callable[[], bool] = lambda: False,
        deadline: Deadline | None = None,
    ) -> Answer:
        """Send until it is answered, refused or out of time: the one place that retries."""
        deadline = deadline or self.deadline
        failure: RequestFailed = NotStarted("there was no time left to send it")
        tries, pause = 0, 0.0
        while True:
            pause = max(pause, self._not_before.get(kind, 0.0) - time.monotonic())
            if self._closed or deadline.left() <= pause:
                failure.out_of_time = True
                raise failure
            if pause > 0:
                self._sleep(pause)
            self._count(kind, *(["retries"] if tries else []))
            landed, retry_after = failure.may_have_landed, None
            try:
                status, headers, content = self._answer(method, path, body(), deadline)
            except (
                requests.ConnectionError,
                requests.Timeout,
                urllib3.exceptions.HTTPError,
                OSError,
            ) as error:
                reason = self.clean(f"{type(error).__name__}: {error}")
                failure = RequestFailed(reason, may_have_landed=landed or not _never_sent(error))
                if _is_hopeless(error):
                    raise failure from error
            else:
                landed = landed or status == 408 or not 300 <= status < 500
                if 200 <= status < 300:
                    return Answer(headers, self._decode(content, status))
                failure = RequestFailed(
                    self._reason(status, headers, content), status, may_have_landed=landed
                )
                retry_after = headers.get("Retry-After")
                lighter = status in TOO_HEAVY and lighten()
                if not lighter and status not in RETRIED:
                    raise failure
                tries = 0 if lighter else tries
            tries += 1
            pause = self._pause(kind, failure.status, tries, retry_after)

    def _pause(self, kind: str, status: int | None, tries: int, retry_after: str | None) -> float:
        """Seconds until the next try. When one request is throttled, all of its kind wait: its allowance is shared."""
        throttled = status == 429
        first = FIRST_PAUSE_THROTTLED_QUERY if throttled and kind == "query" else FIRST_PAUSE
        pause = min(LONGEST_PAUSE, first * 2.0 ** min(tries - 1, 10)) * (1 + random.random()) / 2  # noqa: S311 - jitter
        if (asked := _seconds(retry_after)) is not None:
            pause = asked
        if throttled:
            self._count("throttles")
            self._not_before[kind] = max(self._not_before.get(kind, 0.0), time.monotonic() + pause)
        return pause

    def _count(self, *names: str) -> None:
        with self._lock:
            self.counts.update(names)

    def _answer(
        self, method: str, path: str, body: bytes | None, deadline: Deadline
    ) -> tuple[int, Headers, bytes]:
        """One attempt, within REQUEST_TIMEOUT and the deadline as a whole.

        The socket's own timeouts only bound each silence; an answer that drips is left to its thread.
        """
        limit = min(self._timeout, deadline.left())
        answers: SimpleQueue[tuple[int, Headers, bytes] | BaseException] = SimpleQueue()

        def attempt() -> None:
            try:
                answers.put(self._send(method, path, body, limit))
            except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
                answers.put(error)

        threading.Thread(target=attempt, daemon=True).start()
        try:
            answer = answers.get(timeout=max(0.001, limit))
        except Empty:
            raise TimeoutError(f"no whole answer within {limit:.0f} seconds") from None
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def _send(
        self, method: str, path: str, body: bytes | None, limit: float
    ) -> tuple[int, Headers, bytes]:
        url, give_up = self._base + path, time.monotonic() + limit
        timeout = (min(CONNECT_TIMEOUT, limit), limit)
        headers = {"Content-Type": "application/json"} if body else {}
        response = self._session.request(
            method,
            url,
            data=body,
            headers=headers,
            timeout=timeout,
            allow_redirects=False,
            stream=True,
        )
        answered = response.headers
        if path == "/btql" and response.status_code in {
            302,
            303,
        }:  # a big result: it lies in an object store
            target = urljoin(url, answered.get("Location", ""))
            response.close()
            if not self._may_follow(target):
                return (
                    response.status_code,
                    {},
                    b"redirected to a place that is neither https nor local",
                )
            response = self._object_store.get(
                target, timeout=timeout, allow_redirects=False, stream=True
            )
        with response:
            content = _read(response, give_up)
        if content is None:
            return 413, {}, f"the answer is larger than {MAX_ANSWER} bytes".encode()
        return response.status_code, CaseInsensitiveDict({**answered, **response.headers}), content

    def _may_follow(self, target: str) -> bool:
        """Https anywhere; plain http only from a local server to a local server."""
        base, to = urlsplit(self._base), urlsplit(target)
        return to.scheme == "https" or (
            base.scheme == to.scheme == "http" and to.hostname in LOCAL_HOSTS
        )

    def _decode(self, content: bytes, status: int) -> Any:  # noqa: ANN401 - JSON
        try:
            return json.loads(content)
        except (ValueError, RecursionError) as error:
            said = self.clean(content[:200].decode("utf-8", "replace"))
            raise RequestFailed(
                f"the answer is not the JSON it should be: {said}", status, may_have_landed=True
            ) from error

    def _reason(self, status: int, headers: Mapping[str, str], content: bytes) -> str:
        """What the server said: `Message` of its JSON errors, `message` of its gateway's, or plain text."""
        if 300 <= status < 400 and headers:
            return "an unexpected redirect: check BRAINTRUST_API_URL"
        text = content[:20_000].decode("utf-8", "replace")
        try:
            told = json.loads(text)
            text = str(told.get("Message") or told.get("message") or text)
        except (ValueError, RecursionError, AttributeError):
            pass
        return self.clean(text) or "no reason given"


def _read(response: requests.Response, give_up: float) -> bytes | None:
    """The whole body, unpacked, as it comes in; None if it is too large. Raises TimeoutError after `give_up`."""
    content = bytearray()
    while piece := response.raw.read1(2**16, decode_content=True):
        content += piece
        if len(content) > MAX_ANSWER:
            return None
        if time.monotonic() > give_up:
            raise TimeoutError("the answer was still coming in when its time ran out")
    if content[:2] != b"\x1f\x8b":
        return bytes(content)
    unpacker = zlib.decompressobj(wbits=31)  # an object store may pack without saying so
    try:
        unpacked = unpacker.decompress(bytes(content), MAX_ANSWER)
    except zlib.error as error:
        raise urllib3.exceptions.DecodeError(str(error)) from error
    return None if unpacker.unconsumed_tail else unpacked


def _never_sent(error: Exception) -> bool:
    """The connection was not even made, so nothing can have been applied."""
    cause = getattr(error.args[0] if error.args else None, "reason", None)
    return isinstance(error, requests.ConnectTimeout) or isinstance(
        cause, urllib3.exceptions.NewConnectionError
    )


def _is_hopeless(error: Exception) -> bool:
    """A fault that no later try can cure: a request that cannot be sent, a certificate that does not hold."""
    faults = (
        requests.exceptions.InvalidURL,
        requests.exceptions.InvalidHeader,
        requests.exceptions.InvalidSchema,
    )
    return isinstance(error, faults) or "CERTIFICATE_VERIFY_FAILED" in str(error)


def _seconds(retry_after: str | None) -> float | None:
    """A Retry-After header, in seconds or as a date, as seconds from now; None if there is none to understand."""
    if not retry_after:
        return None
    if re.fullmatch(r"\d{1,9}(\.\d+)?", retry_after.strip()):
        return float(retry_after)
    try:
        until = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    return max(0.0, (until.replace(tzinfo=until.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def _is_id(value: object) -> bool:
    return isinstance(value, str) and bool(value) and value.isprintable()


def _ids(item: dict[str, Any], field: str) -> tuple[str, ...]:
    members = item.get(field)
    return tuple(filter(_is_id, members)) if isinstance(members, list) else ()
