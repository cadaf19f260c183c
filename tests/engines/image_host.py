"""A host of images, and of what isn't one: a real HTTP server on all of this machine's loopback addresses."""

from __future__ import annotations

import base64
import threading
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from tests.fakes.script import Json

PNG: Final = b"\x89PNG\r\n\x1a\n" + bytes(range(64))
JPEG: Final = b"\xff\xd8\xff\xe0" + bytes(100)
MAX_BYTES: Final = 10_000
"""What the tests' gateways let all images of a request have; ``/big`` is more, ``/half`` more than a half."""
DRIP_SECONDS: Final = 0.1
SLOW_SECONDS: Final = 0.4
"""How long ``/slowly_away`` takes; three of it are more than the tests' gateways have patience for."""


class ImageHost(ThreadingHTTPServer):
    """Serves images, and what isn't one, and remembers what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("0.0.0.0", 0), _Page)
        self.asked: list[str] = []
        self.headers: list[Message] = []
        self.left = threading.Event()
        """Set when a client of ``/silent`` or ``/drip`` has gone away."""
        self.silence = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def at(self, path: str, host: str = "127.0.0.1") -> str:
        """Return the address of a path."""
        return f"http://{host}:{self.server_port}{path}"


class _Page(BaseHTTPRequestHandler):
    server: ImageHost

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.server.headers.append(self.headers)
        name, _, there = self.path.partition("?")
        if name in ("/away", "/slowly_away"):
            self.server.silence.wait(SLOW_SECONDS if name == "/slowly_away" else 0)
            return self._answer(302, b"", location=there, set_cookie="who=me; Path=/")
        if name == "/silent":
            return self._watch()
        if name in ("/endless", "/drip"):
            self.send_response(200)
            self.end_headers()
            return self._pour() if name == "/endless" else self._drip()
        if name == "/zipped":
            return self._answer(200, PNG, content_encoding="gzip")
        body = {"/png": PNG, "/jpeg": JPEG, "/big": PNG + bytes(MAX_BYTES), "/page": b"<html>", "/half": PNG * 90}
        return self._answer(200 if name in body else 404, body.get(name, b""))

    def _pour(self) -> None:
        try:
            while True:
                self.wfile.write(PNG * 1000)
        except OSError:
            pass

    def _drip(self) -> None:
        try:
            self.wfile.write(PNG)
            while not self.server.silence.wait(DRIP_SECONDS):
                self.wfile.write(b"x")
        except OSError:
            self.server.left.set()

    def _watch(self) -> None:
        if not self.connection.recv(1):
            self.server.left.set()

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for key, value in {**headers, "content_type": "text/plain", "content_length": str(len(body))}.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def question(*addresses: str) -> list[Json]:
    """Return the messages that ask about images."""
    parts: list[Json] = [{"type": "text", "text": "what is it?"}]
    parts += [{"type": "image_url", "image_url": {"url": address, "detail": "low"}} for address in addresses]
    return [{"role": "user", "content": parts}]


def data_uri(media_type: str, data: bytes) -> str:
    """Return bytes as an address of themselves."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"
