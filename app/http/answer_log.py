"""A stream's bytes as they come, for any number of readers, each from the beginning and at its own speed.

Written like an ASGI connection, so that whatever writes a stream to a client can write it here. Bounded: beyond a limit
only what present readers have not read yet is held, the slowest of them holds the writer back, and nobody can begin any
more. Knows bytes only.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final, Self

from litestar.types import Message

LOG_BYTES: Final = 8 * 1024 * 1024
"""What one log holds for those who come later."""
ROOM_BYTES: Final = 64 * 1024 * 1024
"""What all of them hold together."""
_BEHIND_BYTES: Final = 256 * 1024
"""How far behind a reader may be, once a log holds nothing for those who come later."""


class Room:
    """What the logs of a process may hold together.

    Args:
        limit: So many bytes.
    """

    def __init__(self, limit: int = ROOM_BYTES) -> None:
        self.limit = limit
        self.taken = 0


class AnswerLog:
    """One stream.

    Args:
        room: Shared with other logs.
        limit: See ``LOG_BYTES``.
    """

    def __init__(self, room: Room, limit: int = LOG_BYTES) -> None:
        self._room = room
        self._limit = limit
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._first = 0
        """The number of the first piece that is still here."""
        self._readers: dict[LogReader, int] = {}
        """The number of the piece that each wants next."""
        self._ended = False
        self._changed = asyncio.Event()
        self.whole = True
        """Whether everything since the beginning is here, so that one can begin to read."""

    async def send(self, message: Message) -> None:
        """Take what ASGI's ``send`` would. Returns when more may come."""
        if message["type"] != "http.response.body":
            return
        data = message["body"]
        if data:
            self._pieces.append(data)
            self._account(len(data))
            if self._size > self._limit or self._room.taken > self._room.limit:
                self.whole = False
        if not message.get("more_body", False):
            self._ended = True
        self._tell()
        if not self.whole:
            self._drop()
            while self._size > _BEHIND_BYTES and not self._ended:
                await self._changed.wait()

    def reader(self) -> LogReader:
        """Return a new reader, from whom nothing is dropped from now on. To be called only while ``whole``."""
        assert self.whole, "the beginning is here"
        reader = LogReader(self)
        self._readers[reader] = 0
        return reader

    async def after(self, reader: LogReader) -> bytes:
        """Return what has come since the reader read last, as soon as there is something; nothing at the end."""
        while True:
            at, end = self._readers[reader], self._first + len(self._pieces)
            if at < end:
                ready = b"".join(self._pieces[number - self._first] for number in range(at, end))
                self._readers[reader] = end
                self._let_go()
                return ready
            if self._ended:
                return b""
            await self._changed.wait()

    def leave(self, reader: LogReader) -> None:
        """Hold nothing for a reader any more."""
        self._readers.pop(reader, None)
        self._let_go()

    def end(self) -> None:
        """Say that nothing comes any more, however the writer ended, and count no longer towards the room."""
        self._ended = True
        self._room.taken -= self._size
        self._room = Room()
        self._room.taken = self._size
        self._tell()

    def content(self) -> bytes | None:
        """Return everything, or ``None`` if it isn't all here."""
        return b"".join(self._pieces) if self.whole else None

    def _let_go(self) -> None:
        if not self.whole:
            self._drop()
            self._tell()

    def _drop(self) -> None:
        """Give up what every present reader has read."""
        wanted = min(self._readers.values(), default=self._first + len(self._pieces))
        while self._first < wanted:
            self._account(-len(self._pieces.popleft()))
            self._first += 1

    def _account(self, size: int) -> None:
        self._size += size
        self._room.taken += size

    def _tell(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


class LogReader:
    """Somebody who reads a log; use it as a context manager, so that it holds nobody back once it has gone."""

    def __init__(self, log: AnswerLog) -> None:
        self._log = log

    async def next(self) -> bytes:
        """Return what comes next; nothing at the end. A cancelled call has taken nothing."""
        return await self._log.after(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._log.leave(self)
