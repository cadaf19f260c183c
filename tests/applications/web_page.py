"""A web page's server with OpenAI's Node SDK for its scripts, on an origin that is not the gateway's.

Knows no gateway. A script says something to its test by asking for ``/told/<what>``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from tests.npm import node_modules

_PAGE = b"<!doctype html><meta charset=utf-8><title>A page</title>"


class WebPage(ThreadingHTTPServer):
    """Serves from construction until the end of its context.

    Attributes:
        told: Called with what a script says.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Page)
        self.told: Callable[[str], object] = lambda _: None
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def origin(self, host: str = "localhost") -> str:
        """Return its origin under one of this machine's names."""
        return f"http://{host}:{self.server_port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class _Page(BaseHTTPRequestHandler):
    server: WebPage

    def do_GET(self) -> None:
        if self.path.startswith("/told/"):
            self.server.told(self.path.removeprefix("/told/"))
            return self._answer(b"", "text/plain")
        if self.path.endswith(".mjs"):
            return self._answer((node_modules() / self.path.lstrip("/")).read_bytes(), "text/javascript")
        if self.path.endswith(".js"):
            # What is for Node only is CommonJS, for which a page's bundler would put nothing in.
            return self._answer(b"export {}", "text/javascript")
        return self._answer(_PAGE, "text/html")

    def _answer(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
