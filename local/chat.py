"""A chat on this machine: it takes what an incoming webhook takes, and shows the messages."""

import http.server
import json
import threading
from contextlib import suppress
from typing import Self

HOST = "127.0.0.1"
PATH = "/services/T0000/B0000/local-and-secret"


class Chat:
    """`with Chat() as chat:` messages that are posted to `chat.address` are in `chat.messages`."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.bodies: list[bytes] = []
        """Everything that came, as it came."""
        chat = self

        class Incoming(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self.send_response(chat.take(self.path, body))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Stay quiet."""

        self._server = http.server.ThreadingHTTPServer((HOST, 0), Incoming)
        self.address = f"http://{HOST}:{self._server.server_port}{PATH}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def take(self, path: str, body: bytes) -> int:
        """Keep a message; the status to answer with."""
        self.bodies.append(body)
        if path != PATH:
            return 404
        with suppress(ValueError, KeyError, TypeError):
            self.messages.append(str(json.loads(body)["text"]))
            return 200
        return 400
