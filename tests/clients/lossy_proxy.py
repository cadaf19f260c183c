"""A small TCP proxy that loses answers: the request arrives, the client is cut off, and the gateway sees nothing of it.

That is what a client behind a proxy or a bad network lives through. Knows just enough of HTTP/1.1 to find ends.
"""

from __future__ import annotations

import re
import socket
import threading
from enum import Enum, auto
from typing import Final, Self

SECONDS: Final = 20.0
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)


class Fate(Enum):
    """What becomes of a connection."""

    PASSED = auto()
    """All goes through."""
    LOST_AT_ONCE = auto()
    """The client is cut off as soon as its request has gone through."""
    LOST_AT_THE_END = auto()
    """The client is cut off when the gateway has sent the whole answer, of which it gets nothing."""
    LOST_IN_THE_MIDDLE = auto()
    """The client gets the head and the first piece, and is cut off."""


class LossyProxy:
    """Listens on construction at ``port``; a context manager.

    Args:
        target: The gateway's port.
        fates: Of the connections, in order; those that follow are passed.
    """

    def __init__(self, target: int, *fates: Fate) -> None:
        self._target = target
        self._fates = list(fates)
        self._arrived = threading.Condition()
        self._requests = 0
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def requests(self) -> int:
        """How many requests have gone through."""
        with self._arrived:
            return self._requests

    def wait(self, count: int) -> None:
        """Wait until so many requests have gone through."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: self._requests >= count, SECONDS), f"{self._requests} requests came"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        for each in self._sockets:
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            fate = self._fates.pop(0) if self._fates else Fate.PASSED
            threading.Thread(target=self._serve, args=(client, fate), daemon=True).start()

    def _serve(self, client: socket.socket, fate: Fate) -> None:
        server = socket.create_connection(("127.0.0.1", self._target), timeout=SECONDS)
        # Kept open to the end: the gateway must not learn that anybody has gone.
        self._sockets += [client, server]
        client.settimeout(SECONDS)
        try:
            while request := _message(client):
                server.sendall(request)
                with self._arrived:
                    self._requests += 1
                    self._arrived.notify_all()
                if fate is Fate.LOST_AT_ONCE:
                    break
                if fate is Fate.LOST_AT_THE_END:
                    _message(server)
                    break
                if fate is Fate.LOST_IN_THE_MIDDLE:
                    client.sendall(_some(server))
                    break
                _pass_on(server, client)
            client.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the client or the gateway was quicker
        client.close()


def _some(source: socket.socket) -> bytes:
    """Read until a stream's first piece is there."""
    data = b""
    while b"\n\n" not in data.partition(b"\r\n\r\n")[2] and (more := source.recv(65536)):
        data += more
    return data


def _message(source: socket.socket) -> bytes:
    """Read one whole request or answer."""
    data = b""
    while not _is_whole(data):
        more = source.recv(65536)
        if not more:
            break
        data += more
    return data


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    data = b""
    while not _is_whole(data):
        more = source.recv(65536)
        if not more:
            break
        data += more
        sink.sendall(more)


def _is_whole(data: bytes) -> bool:
    head, end, body = data.partition(b"\r\n\r\n")
    if not end:
        return False
    length = _LENGTH.search(head + b"\r\n")
    return len(body) >= int(length[1]) if length else body.endswith(b"0\r\n\r\n")
