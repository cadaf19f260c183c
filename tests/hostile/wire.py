"""A client that sends whatever bytes it likes, when it likes, and takes apart what comes back, to the last byte."""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Callable
from typing import Final, Protocol, Self

from tests.doors.client import CHAT, Reply
from tests.live_gateway import TOKEN

SECONDS: Final = 20.0
PROBE: Final = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
BODY: Final = b'{"model": "zero:echo", "messages": [{"role": "user", "content": "x"}]}'


def request(body: bytes = BODY, *lines: str, length: bool = True) -> bytes:
    """Return an authenticated POST to the endpoint with further header lines."""
    fixed = [f"POST {CHAT} HTTP/1.1", "Host: x", f"Authorization: Bearer {TOKEN}", "Content-Type: application/json"]
    counted = [f"Content-Length: {len(body)}"] if length else []
    return "\r\n".join([*fixed, *counted, *lines, "", ""]).encode() + body


def asking(agent: str, *lines: str, **fields: object) -> bytes:
    """Return a request to one of the agents of ``upstream_configuration``, with further header lines and fields."""
    body = {"model": f"zero:{agent}", "messages": [{"role": "user", "content": "x"}], **fields}
    return request(json.dumps(body).encode(), *lines)


class Listening(Protocol):
    """A gateway, of which only the port counts."""

    port: int


class Wire:
    """A connection, open from its construction; a context manager.

    Args:
        gateway: Whom to connect to.
        room: The most bytes that may wait to be read, or 0 for as many as usual.
    """

    def __init__(self, gateway: Listening, *, room: int = 0) -> None:
        self.socket = socket.socket()
        if room:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        self.socket.settimeout(SECONDS)
        self.socket.connect(("127.0.0.1", gateway.port))

    def send(self, *pieces: bytes) -> Self:
        """Send pieces one by one, each in a packet of its own if the machine sees no reason against it."""
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            self.socket.sendall(piece)
        return self

    def drip(self, piece: bytes, seconds: float) -> None:
        """Send the same again and again, with pauses, until an answer or the end comes."""
        self.socket.settimeout(seconds)
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            try:
                self.socket.recv(1, socket.MSG_PEEK)
                break
            except TimeoutError:
                self.socket.sendall(piece)
            except ConnectionError:
                break
        self.socket.settimeout(SECONDS)

    def read(self, size: int = 65536) -> bytes:
        """Return some of what came; nothing at the end."""
        return self.socket.recv(size)

    def until(self, part: bytes) -> bytes:
        """Read until it has come."""
        received = b""
        while part not in received:
            more = self.read()
            assert more, f"the connection ended before {part!r}: {received!r}"
            received += more
        return received

    def rest(self) -> bytes:
        """Return all that comes until the gateway closes the connection."""
        received = b""
        while more := self.read():
            received += more
        return received

    def close(self) -> None:
        """Leave."""
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def replies(received: bytes) -> list[Reply]:
    """Return the answers in what came; every byte has to belong to one."""
    found: list[Reply] = []
    while received:
        head, ended, received = received.partition(b"\r\n\r\n")
        assert ended, head
        assert head.startswith(b"HTTP/1.1 "), head
        status, *lines = head.decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        headers = tuple((name.lower(), value.strip()) for name, _, value in pairs)
        if ("transfer-encoding", "chunked") in headers:
            body = b""
            while True:
                size, _, received = received.partition(b"\r\n")
                body += received[: int(size, 16)]
                received = received[int(size, 16) + 2 :]
                if not int(size, 16):
                    break
        else:
            length = int(next(value for name, value in headers if name == "content-length"))
            assert len(received) >= length, received
            body, received = received[:length], received[length:]
        found.append(Reply(int(status.split()[1]), headers, body))
    return found


def sent_and_read(gateway: Listening, *pieces: bytes) -> list[Reply]:
    """Send on a connection of its own and return the answers until the gateway closes it."""
    with Wire(gateway) as wire:
        return replies(wire.send(*pieces).rest())


def soon(holds: Callable[[], bool], seconds: float = SECONDS) -> float:
    """Wait until something holds; return how long that took."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < seconds, "it did not come to hold"
        time.sleep(0.001)
    return time.monotonic() - began


def pause_until(moment: float) -> None:
    """Do nothing until then, by ``time.monotonic()``: for clients that are slow on purpose."""
    time.sleep(max(0.0, moment - time.monotonic()))


def measured(what: str) -> None:
    """Show a figure, with ``pytest -s``."""
    sys.stdout.write(f"\n{what}\n")
