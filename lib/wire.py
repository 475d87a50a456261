"""One attempt on the wire: sent, answered, given up in time; its sessions keep the key at home."""

import threading
import time
from collections.abc import Callable
from http.cookiejar import DefaultCookiePolicy
from queue import Empty, SimpleQueue
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

import requests
from requests.structures import CaseInsensitiveDict

from lib.answer import Broken, Headers, Said, read
from lib.connection import Adapter, Attempt, NotSentError, current_attempt
from lib.settings import LOCAL_HOSTS, Settings

THREAD = "braintrust-attempt"
CONNECT_TIMEOUT = 10.0
LEAST_TIMEOUT = 0.05
TO_A_STORE = frozenset({302, 303})  # from /btql: a big result lies in an object store
REDIRECTS = frozenset({301, 302, 303, 307, 308})
MOST_REDIRECTS = 5  # of an object store, which sends on to where the bucket is


class Request(NamedTuple):
    """What one attempt sends."""

    kind: str
    method: str
    path: str
    body: bytes | None = None


class _Bearer(requests.auth.AuthBase):
    """Adds the key to a request.

    As an auth object no ~/.netrc replaces it, and no repr shows it.
    """

    def __init__(self, key: str) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._key}"
        return request


class _Nobody(requests.auth.AuthBase):
    """Adds nothing, so that no ~/.netrc and no address adds a password."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


class Wire:
    """Carries attempts, until it is closed. Safe to use from several threads."""

    def __init__(self, settings: Settings, api_key: str) -> None:
        self._base = settings.braintrust_api_url
        self._lock = threading.Lock()
        self._under_way: dict[Attempt, SimpleQueue[Said | BaseException]] = {}
        self._closed = threading.Event()
        self._api = self._session(settings.insert_concurrency, _Bearer(api_key))
        if settings.impersonate_user:
            self._api.headers["x-bt-impersonate-user"] = settings.impersonate_user
        self._object_store = self._session(1, _Nobody())

    def _session(self, connections: int, auth: requests.auth.AuthBase) -> requests.Session:
        session = requests.Session()
        for scheme in ("https://", "http://"):
            session.mount(scheme, Adapter(pool_maxsize=connections))
        session.auth = auth
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        session.trust_env = self._base.startswith("https://")  # no proxy sees a key in plain text
        return session

    @property
    def closed(self) -> bool:
        """Nothing is sent any more."""
        return self._closed.is_set()

    def sleep(self, seconds: float) -> None:
        """Wait, or until it is closed."""
        self._closed.wait(seconds)

    def close(self) -> None:
        """Send nothing more, whatever an attempt waits for now, even if Lambda thaws it later."""
        with self._lock:
            self._closed.set()
            under_way = dict(self._under_way)
        for attempt, inbox in under_way.items():
            # So that nobody waits for it. First, as its thread may make an answer of its end.
            inbox.put(NotSentError("the client was closed"))
            attempt.end()
        self._api.close()
        self._object_store.close()

    def attempt(
        self, request: Request, seconds: float, may_send: Callable[[], bool]
    ) -> Said | Broken:
        """Send once, within so many seconds as a whole.

        `may_send` is asked again just before the bytes go out. The socket's own timeouts only bound
        each silence, and nothing bounds a name look-up: an attempt that is not over in time is left
        to its thread, which sends nothing any more.
        """
        seconds = max(LEAST_TIMEOUT, seconds)
        ends = time.monotonic() + seconds
        attempt = Attempt(lambda: time.monotonic() < ends and may_send())
        inbox: SimpleQueue[Said | BaseException] = SimpleQueue()

        def work() -> None:
            current_attempt.set(attempt)
            result: Said | BaseException
            try:
                result = self._exchange(request, seconds, ends, attempt)
            except BaseException as error:  # noqa: BLE001 - judged where it is waited for
                result = error
            attempt.let_go()
            inbox.put(result)

        result: Said | BaseException
        try:
            self._begin(attempt, inbox)
            threading.Thread(target=work, name=THREAD, daemon=True).start()
            result = inbox.get(timeout=seconds)
        except Empty:
            result = TimeoutError(f"no whole answer within {seconds:.0f} seconds")
        except (NotSentError, RuntimeError) as error:  # RuntimeError: no more threads to be had
            result = error
        finally:
            self._end(attempt)
        if isinstance(result, Said):
            return result
        host = attempt.store or urlsplit(self._base).netloc
        return Broken(result, attempt.sent, host, attempt.store)

    def _begin(self, attempt: Attempt, inbox: SimpleQueue[Said | BaseException]) -> None:
        with self._lock:
            if self.closed:
                raise NotSentError("the client is closed")
            self._under_way[attempt] = inbox

    def _end(self, attempt: Attempt) -> None:
        attempt.end()
        with self._lock:
            self._under_way.pop(attempt, None)

    def _exchange(self, request: Request, seconds: float, ends: float, attempt: Attempt) -> Said:
        url = self._base + request.path
        response = self._api.request(
            request.method,
            url,
            data=request.body,
            headers={"Content-Type": "application/json"} if request.body else {},
            timeout=(min(CONNECT_TIMEOUT, seconds), seconds),
            allow_redirects=False,
            stream=True,
        )
        if request.kind == "query" and response.status_code in TO_A_STORE:
            return self._from_store(response, seconds, ends, attempt)
        with response:
            return Said(response.status_code, response.headers, read(response, ends))

    def _from_store(
        self, response: requests.Response, seconds: float, ends: float, attempt: Attempt
    ) -> Said:
        """Follow /btql's redirect, and the store's own, without the key or any other credential."""
        answered, url = response.headers, self._base
        for _ in range(MOST_REDIRECTS):
            status, location = response.status_code, response.headers.get("Location", "")
            response.close()
            url = urljoin(url, location)
            if not location or not self._may_follow(url):
                text = b"redirected to a place that is neither https nor local"
                return Said(status, {}, text, attempt.store)
            attempt.store = urlsplit(url).netloc.rpartition("@")[2]
            response = self._object_store.get(
                url,
                timeout=(min(CONNECT_TIMEOUT, seconds), seconds),
                allow_redirects=False,
                stream=True,
            )
            if response.status_code not in REDIRECTS:
                break
        else:
            response.close()
            return Said(response.status_code, {}, b"redirects without end", attempt.store)
        with response:
            headers: Headers = CaseInsensitiveDict({**answered, **response.headers})
            return Said(response.status_code, headers, read(response, ends), attempt.store)

    def _may_follow(self, target: str) -> bool:
        """Https anywhere; plain http only from a local server to a local server."""
        base, to = urlsplit(self._base), urlsplit(target)
        return (to.scheme == "https" and bool(to.hostname)) or (
            base.scheme == to.scheme == "http" and to.hostname in LOCAL_HOSTS
        )
