"""An OpenAI-compatible service under a test's control: it shows what it was asked and answers what it is told.

Automatic unless a test takes the calls over with ``held``: then every call waits for the test's word, which makes order
and simultaneity facts and not a matter of time.
"""

from __future__ import annotations

import json
import queue
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECONDS = 20.0


class Call:
    """One request that arrived.

    Args:
        body: Its JSON.
        connection: Its socket, to see when the gateway lets go.
    """

    def __init__(self, body: dict[str, Any], connection: socket.socket) -> None:
        self.body = body
        self._connection = connection
        self.orders: queue.Queue[tuple[int, bytes] | None] = queue.Queue()

    @property
    def conversation(self) -> list[tuple[str, Any]]:
        """The messages as pairs of role and content."""
        return [(message["role"], message.get("content")) for message in self.body["messages"]]

    @property
    def last(self) -> Any:
        """The last message's content."""
        return self.conversation[-1][1]

    def say(self, text: str, finish_reason: str | None = None) -> None:
        """Send a piece of the answer."""
        choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish_reason}
        chunk = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
        self.orders.put((200, b"data: " + json.dumps(chunk).encode() + b"\n\n"))

    def answer(self, text: str) -> None:
        """Send a whole answer."""
        self.say(text, "stop")
        self.orders.put((200, b"data: [DONE]\n\n"))
        self.orders.put(None)

    def fail(self, status: int) -> None:
        """Answer with an HTTP error; after ``say``, with an error event."""
        self.orders.put((status, b'{"error": {"message": "made to fail", "type": "server_error", "code": null}}'))
        self.orders.put(None)

    def wait_until_abandoned(self) -> None:
        """Return as soon as the gateway has closed this call's connection.

        Raises:
            TimeoutError: If it keeps it.
        """
        try:
            assert self._connection.recv(1) == b""
        except TimeoutError:
            raise
        except OSError:
            pass  # reset by the gateway, or closed here because writing to it failed
        self.orders.put(None)


class Upstream:
    """Listens on construction at ``url``, which is a provider's ``baseUrl``; ``close()`` ends it."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._held: queue.Queue[Call] | None = None
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = SECONDS

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                call = Call(body, self.connection)
                upstream._arrived(call)
                self.close_connection = True
                begun = False
                try:
                    while (order := call.orders.get(timeout=SECONDS)) is not None:
                        status, data = order
                        if not begun:
                            begun = True
                            self.send_response(status)
                            kind = "text/event-stream" if status == 200 else "application/json"
                            self.send_header("Content-Type", kind)
                            self.send_header("Connection", "close")
                            self.end_headers()
                        elif status != 200:
                            data = b"data: " + data + b"\n\n"
                        self.wfile.write(data)
                        self.wfile.flush()
                except (ConnectionError, queue.Empty):
                    pass

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    @property
    def last(self) -> Call:
        """The latest call."""
        return self.calls[-1]

    @contextmanager
    def held(self) -> Iterator[queue.Queue[Call]]:
        """Have calls wait for the test's word; they come through the queue in order of arrival."""
        self._held = queue.Queue()
        try:
            yield self._held
        finally:
            self._held = None

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _arrived(self, call: Call) -> None:
        self.calls.append(call)
        if self._held is not None:
            self._held.put(call)
        elif str(call.last).startswith("fail "):
            call.fail(int(str(call.last).removeprefix("fail ")))
        else:
            call.answer(f"re: {call.last}")
