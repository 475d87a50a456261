"""Where the key may go: over TLS that holds, to the one host, past no proxy in plain text."""

import json
import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lib import telemetry
from lib.errors import QueryError
from tests.listeners import Heard, Listener, Reply, self_signed
from tests.world import World

ROOT = Path(__file__).parents[2]


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener().serving() as listener:
        yield listener


def test_a_certificate_that_does_not_hold_ends_the_run_at_once_whatever_the_environment_says(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add_users(1)
    world.run()  # makes the AWS clients, which would refuse such a bundle
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.setenv(variable, "")
    monkeypatch.setenv("PYTHONHTTPSVERIFY", "0")
    with Listener(self_signed(tmp_path)[0]).serving() as listener:
        world.settings = {"BRAINTRUST_API_URL": listener.url}
        began = time.monotonic()
        with pytest.raises(QueryError, match="CERTIFICATE_VERIFY_FAILED"):
            world.run(seconds=60)
    assert time.monotonic() - began < 10
    assert listener.heard == []


def test_a_proxy_is_not_shown_a_key_in_plain_text(
    world: World, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plain http is for servers on this machine; a proxy of the environment is not one of them."""
    world.add_users(1)
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(variable, listener.url)
    monkeypatch.setenv("NO_PROXY", "")
    client = world.connect()
    assert [user.id for user in client.users() or []] == world.users
    assert listener.heard == []


def test_a_netrc_does_not_replace_the_key(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n", "ascii")
    monkeypatch.setenv("NETRC", str(netrc))
    world.add_users(1)
    world.add_rows(2)
    assert world.run()["assigned"] == 2


# Large results, which lie in an object store


def stored(_: Heard) -> Reply:
    return 200, {}, b'{"data": []}'


def test_an_object_store_is_shown_no_credential_of_ours_and_none_of_a_netrc(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over https, as in earnest: there the environment is heeded, and with it a netrc."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    server, certificate = self_signed(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    world.settings["IMPERSONATE_USER"] = "lead@example.com"
    with Listener(server).serving() as api, Listener(server).serving() as store:
        store.reply = stored
        address = f"https://somebody:else@127.0.0.1:{store.port}/result"
        api.reply = lambda _: (303, {"Location": address, "Set-Cookie": "session=1"}, b"")
        world.settings["BRAINTRUST_API_URL"] = api.url
        assert world.fetch().rows == []
    assert [asked.headers["authorization"] for asked in api.heard] == [
        f"Bearer {world.braintrust.api_key}"
    ]
    (asked,) = store.heard
    assert (asked.method, asked.path) == ("GET", "/result")
    assert asked.headers.keys() == {"host", "user-agent", "accept-encoding", "accept", "connection"}


def test_an_object_store_may_send_on_to_the_bucket_s_region_over_https_only(
    world: World, listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, certificate = self_signed(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    listener.reply = stored
    with (
        Listener(server).serving() as api,
        Listener(server).serving() as store,
        Listener(server).serving() as region,
    ):
        api.reply = lambda _: (303, {"Location": f"{store.url}/result"}, b"")
        store.reply = lambda _: (307, {"Location": f"{region.url}/result?a=b"}, b"")
        region.reply = stored
        world.settings["BRAINTRUST_API_URL"] = api.url
        assert world.fetch().rows == []
        assert [asked.path for asked in region.heard] == ["/result?a=b"]
        store.reply = lambda _: (307, {"Location": listener.url}, b"")
        with pytest.raises(QueryError) as refused:
            world.fetch()
    assert str(refused.value) == (
        f"BTQL query failed (307 of the object store): 127.0.0.1:{store.port}: "
        "redirected to a place that is neither https nor local"
    )
    assert listener.heard == []
    assert {"authorization", "cookie"} & {
        name for asked in region.heard for name in asked.headers
    } == set()


# What libraries log


SCRIPT = """
import json, logging, sys, types, uuid
logging.basicConfig(level=logging.DEBUG, stream=sys.stdout)
import handler
logging.getLogger().setLevel(logging.DEBUG)
context = types.SimpleNamespace(
    aws_request_id=str(uuid.uuid4()), get_remaining_time_in_millis=lambda: 20_000,
    function_name="f", memory_limit_in_mb=256, invoked_function_arn="arn", function_version="1",
)
logging.getLogger("somebody").debug("the root logger is at DEBUG")
print(json.dumps(handler.lambda_handler({}, context)))
"""


@pytest.mark.parametrize("kept_in", ["secret", "parameter"])
def test_with_the_root_logger_at_debug_neither_key_nor_session_token_is_printed(
    world: World, kept_in: str
) -> None:
    key, token = world.braintrust.api_key, "RECOGNISE-this-session-token"
    world.add_users(2)
    world.add_rows(3)
    environ = world.environ
    if kept_in == "parameter":
        ssm = world.client("ssm")
        ssm.put_parameter(Name="/quiet", Value=key, Type="SecureString", Overwrite=True)
        environ |= {"BRAINTRUST_API_KEY_SECRET_ID": "", "BRAINTRUST_API_KEY_PARAMETER": "/quiet"}
    environ |= {
        "AWS_ACCESS_KEY_ID": "RECOGNISE-this-access-key",
        "AWS_SECRET_ACCESS_KEY": "RECOGNISE-this-secret-key",
        "AWS_SESSION_TOKEN": token,
        "AWS_DEFAULT_REGION": "us-east-1",
        "POWERTOOLS_LOG_LEVEL": "DEBUG",
        "POWERTOOLS_DEBUG": "true",
        "POWERTOOLS_SERVICE_NAME": "test",
    }
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT],
        env=environ,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    said = done.stdout + done.stderr
    assert "the root logger is at DEBUG" in said
    assert json.loads(done.stdout.splitlines()[-1])["assigned"] == 3
    assert key not in said
    assert "RECOGNISE" not in said


def test_no_library_of_the_artifact_logs_below_info() -> None:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    locked = {line.split("==")[0] for line in lines if "==" in line}
    silent = {"six", "typing-extensions", "certifi", "tzdata"}  # they log nothing
    names = {name.replace("-", "_").removeprefix("python_") for name in locked - silent}
    assert set(telemetry.LIBRARIES) == names
    levels = [logging.getLogger(f"{name}.inner").getEffectiveLevel() for name in names]
    assert levels == [logging.INFO] * len(names)
