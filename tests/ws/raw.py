"""A client that knows no manners: it sends what it likes and reads only when it is told to. No library, one socket."""

from __future__ import annotations

import json
import socket
import struct
from typing import Final, Self

from tests.official import Json
from tests.ws.client import SECONDS, handshake

PING: Final = 0x9
TEXT: Final = 0x1
CONTINUED: Final = 0x0
CLOSE: Final = 0x8
LITTLE: Final = 4096
"""Its buffer for what comes: a client that doesn't read is noticed early."""


class RawClient:
    """A WebSocket, open from its construction; a context manager.

    Args:
        port: Where the gateway listens, on this machine.
    """

    def __init__(self, port: int) -> None:
        self.socket = socket.socket()
        self.socket.settimeout(SECONDS)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, LITTLE)
        self.socket.connect(("127.0.0.1", port))
        self._stream = self.socket.makefile("rb")
        self.socket.sendall(
            b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        while self._stream.readline().strip():
            pass

    def admitted(self) -> Self:
        """Shake hands."""
        self.request("connect", handshake())
        assert b'"connect.challenge"' in self.read()[1]
        assert b'"hello-ok"' in self.read()[1]
        return self

    def request(self, method: str, params: Json) -> None:
        """Send a request."""
        self.frame(TEXT, json.dumps({"type": "req", "id": method, "method": method, "params": params}).encode())

    def frame(
        self, opcode: int, data: bytes, *, fin: bool = True, times: int = 1, announced: int | None = None
    ) -> None:
        """Send a frame, or many that are alike.

        Args:
            opcode: Its kind.
            data: What is in it.
            fin: Whether its message ends with it.
            times: How often to send it.
            announced: The length that its header says.
        """
        self.socket.sendall(self.encoded(opcode, data, fin=fin, announced=announced) * times)

    @staticmethod
    def encoded(opcode: int, data: bytes, *, fin: bool = True, announced: int | None = None) -> bytes:
        """Return the bytes of a frame, so that several can be sent at once."""
        size = len(data) if announced is None else announced
        short = size if size < 126 else 126 if size < 1 << 16 else 127
        long = b"" if size < 126 else struct.pack("!H" if size < 1 << 16 else "!Q", size)
        # A mask of zeros leaves the data as they are.
        return bytes([0x80 * fin | opcode, 0x80 | short]) + long + bytes(4) + data

    def read(self) -> tuple[int, bytes]:
        """Read a frame; return its opcode and what is in it.

        Raises:
            ConnectionError: If the gateway breaks off.
        """
        head = self._exactly(2)
        size = head[1]
        if size == 126:
            (size,) = struct.unpack("!H", self._exactly(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", self._exactly(8))
        return head[0] & 0xF, self._exactly(size)

    def close_code(self) -> int:
        """Read until the gateway closes; return its code."""
        while True:
            opcode, data = self.read()
            if opcode == CLOSE:
                return int.from_bytes(data[:2], "big")

    def close(self) -> None:
        """Leave without a word."""
        self._stream.close()
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _exactly(self, size: int) -> bytes:
        data = self._stream.read(size)
        if len(data) < size:
            raise ConnectionError("the gateway broke off")
        return data
