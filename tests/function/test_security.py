"""Where the key may go: over TLS that holds, to the one host, past no proxy in plain text."""

import http.server
import ipaddress
import ssl
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from lib.errors import QueryError
from tests.world import World


class Listener(http.server.BaseHTTPRequestHandler):
    """Notes what reaches it, and answers nothing useful."""

    heard: list[str]

    def do_POST(self) -> None:
        self.heard.append(f"{self.path} {self.headers.get('Authorization')}")
        self.send_error(500)

    do_GET = do_CONNECT = do_POST  # noqa: N815 - http.server's names

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


@pytest.fixture
def listener() -> Iterator[http.server.HTTPServer]:
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), type("Noting", (Listener,), {"heard": []})
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def heard(server: http.server.HTTPServer) -> list[str]:
    notes: list[str] = server.RequestHandlerClass.heard  # type: ignore[attr-defined]
    return notes


def self_signed(folder: Path) -> ssl.SSLContext:
    """A certificate for 127.0.0.1 that nobody vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    today = datetime.now(UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder(
            name,
            name,
            key.public_key(),
            x509.random_serial_number(),
            today,
            today + timedelta(days=1),
        )
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / "both.pem"
    pem, private = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    secret = key.private_bytes(pem, private, serialization.NoEncryption())
    file.write_bytes(certificate.public_bytes(pem) + secret)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


def test_a_certificate_that_does_not_hold_ends_the_run_at_once_whatever_the_environment_says(
    world: World, listener: http.server.HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener.socket = self_signed(tmp_path).wrap_socket(listener.socket, server_side=True)
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.setenv(variable, "")
    monkeypatch.setenv("PYTHONHTTPSVERIFY", "0")
    world.add_users(1)
    world.settings = {"BRAINTRUST_API_URL": f"https://127.0.0.1:{listener.server_port}"}
    began = time.monotonic()
    with pytest.raises(QueryError, match="CERTIFICATE_VERIFY_FAILED"):
        world.run(seconds=60)
    assert time.monotonic() - began < 10
    assert heard(listener) == []


def test_a_proxy_is_not_shown_a_key_in_plain_text(
    world: World, listener: http.server.HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plain http is for servers on this machine; a proxy of the environment is not one of them."""
    world.add_users(1)
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(variable, f"http://127.0.0.1:{listener.server_port}")
    monkeypatch.setenv("NO_PROXY", "")
    client = world.connect()
    assert [user.id for user in client.users() or []] == world.users
    assert heard(listener) == []


def test_a_netrc_does_not_replace_the_key(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n", "ascii")
    monkeypatch.setenv("NETRC", str(netrc))
    world.add_users(1)
    world.add_rows(2)
    assert world.run()["assigned"] == 2
