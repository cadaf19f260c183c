"""A service for a soak, in a process of its own: answers well, word by word, for as long as it is asked.

``python -m tests.torture.upstream`` prints its port. SIGUSR1 has it close the connections on which nothing is asked.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, cast

import uvloop

from tests.fakes.script import DONE, completion, words
from tests.machine.zero import ROOT

WORDS: Final = ("All", " is", " well", " that", " ends", " well.")
SAID: Final = "".join(WORDS)
_HEAD: Final = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_PIECES: Final = [b"%x\r\n%s\r\n" % (len(piece), piece) for piece in words(*WORDS)]
_BODY: Final = json.dumps(completion(SAID)).encode()
_WHOLE: Final = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (
    len(_BODY),
    _BODY,
)
_PACE_SECONDS: Final = 0.01
assert DONE in _PIECES[-1]


class _Connection(asyncio.Protocol):
    def __init__(self, everyone: set[_Connection], chance: random.Random) -> None:
        self._everyone = everyone
        self._chance = chance
        self._received = bytearray()
        self._next: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        self._everyone.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._everyone.discard(self)
        self._transport = None
        if self._next is not None:
            self._next.cancel()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        if len(body) < length:
            return
        self._received.clear()
        streamed = json.loads(body).get("stream")
        self._later([_HEAD + _PIECES[0], *_PIECES[1:], b"0\r\n\r\n"] if streamed else [_WHOLE])

    def close_if_idle(self) -> None:
        """Close, unless there is an answer under way."""
        if self._next is None and self._transport is not None:
            self._transport.close()

    def _later(self, pieces: list[bytes]) -> None:
        pause = self._chance.expovariate(1 / _PACE_SECONDS)
        self._next = asyncio.get_running_loop().call_later(pause, self._send, pieces)

    def _send(self, pieces: list[bytes]) -> None:
        self._next = None
        if self._transport is None:
            return
        self._transport.write(pieces[0])
        if len(pieces) > 1:
            self._later(pieces[1:])


@contextmanager
def served() -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Have it run while the block lasts; yield its process and its port."""
    command = [sys.executable, "-m", "tests.torture.upstream"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process, int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


async def _serve() -> None:
    everyone: set[_Connection] = set()
    chance = random.Random(3)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(everyone, chance), "127.0.0.1", 0, backlog=1024)

    def close_idle() -> None:
        for one in set(everyone):
            one.close_if_idle()

    loop.add_signal_handler(signal.SIGUSR1, close_idle)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve())
