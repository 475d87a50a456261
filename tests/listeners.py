"""Servers that note what reaches them, for tests of where a request goes and with what."""

import http.server
import ipaddress
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


class Heard(NamedTuple):
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    """In lower case."""


Reply = tuple[int, dict[str, str], bytes]


class Listener:
    """Answers every request by `reply` (as it is set at that moment), and keeps what it heard."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.heard: list[Heard] = []
        self.reply: Callable[[Heard], Reply] = lambda _: (500, {}, b"nothing useful")
        listener = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                self.rfile.read(int(headers.get("content-length", 0)))
                heard = Heard(self.command, self.path, headers)
                listener.heard.append(heard)
                status, more, body = listener.reply(heard)
                self.send_response(status)
                for name, value in ({"Content-Length": str(len(body))} | more).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_CONNECT = answer  # noqa: N815 - http.server's names

            def log_message(self, *_: object) -> None:
                """Stay quiet."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign] # a client that hangs up is no error
        if tls:
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )

    @contextmanager
    def serving(self) -> Iterator["Listener"]:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        yield self
        self._server.shutdown()
        self._server.server_close()


def self_signed(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A certificate for 127.0.0.1 that nobody vouches for: a server's context, and the file to trust it by."""
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
    both, public = folder / "both.pem", folder / "certificate.pem"
    pem, private = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    secret = key.private_bytes(pem, private, serialization.NoEncryption())
    public.write_bytes(certificate.public_bytes(pem))
    both.write_bytes(certificate.public_bytes(pem) + secret)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    return context, public
