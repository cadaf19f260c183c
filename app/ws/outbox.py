"""What waits to be sent on one connection: numbered, in order, and never more than the policy allows.

A client that doesn't read is dropped, and memory stays bounded. The runs it began wait for it a little, so that one
that reads slower than a model writes loses nothing; nobody else waits.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from app.contract.frames import EventFrame, ResponseFrame

MAX_BUFFERED_BYTES: Final = 8 * 1024 * 1024
HIGH_WATER_BYTES: Final = 1024 * 1024
"""From here on a run waits for its client."""
PATIENCE_SECONDS: Final = 5.0
"""How long a run waits for a client that takes nothing at all before the client is dropped."""

_encoder = msgspec.json.Encoder()


class Outbox:
    """The frames on their way to one client.

    Args:
        overflow: Called once, when more than ``MAX_BUFFERED_BYTES`` wait or the client takes nothing for too long.
    """

    def __init__(self, overflow: Callable[[], None]) -> None:
        self._overflow = overflow
        self._frames: deque[tuple[str, int]] = deque()
        self._bytes = 0
        self._seq = 0
        self._full = False
        self._ready = asyncio.Event()
        self._taken = asyncio.Event()

    def event(self, name: str, payload: Any) -> None:
        """Queue an event under the connection's next number."""
        if not self._full:
            self._seq += 1
            self._put(EventFrame(event=name, payload=payload, seq=self._seq))

    def response(self, frame: ResponseFrame) -> None:
        """Queue a response."""
        if not self._full:
            self._put(frame)

    def close(self) -> None:
        """Take nothing more: the client is gone, while runs may go on telling."""
        self._full = True
        self._frames.clear()
        self._taken.set()

    async def room(self) -> None:
        """Wait until less than ``HIGH_WATER_BYTES`` wait, as long as the client takes something now and then."""
        while self._bytes > HIGH_WATER_BYTES and not self._full:
            self._taken.clear()
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await self._taken.wait()
            except TimeoutError:
                self._drop()

    async def drain(self, send: Callable[[str], Awaitable[None]]) -> None:
        """Send what is queued, as fast as the client takes it, until cancelled."""
        while True:
            while self._frames:
                text, size = self._frames[0]
                await send(text)
                self._frames.popleft()
                self._bytes -= size
                self._taken.set()
            self._ready.clear()
            await self._ready.wait()

    async def flush(self, send: Callable[[str], Awaitable[None]]) -> None:
        """Send what is queued, once."""
        while self._frames:
            await send(self._frames.popleft()[0])
        self._bytes = 0

    def _put(self, frame: EventFrame | ResponseFrame) -> None:
        data = _encoder.encode(frame)
        self._frames.append((data.decode(), len(data)))
        self._bytes += len(data)
        self._ready.set()
        if self._bytes > MAX_BUFFERED_BYTES:
            self._drop()

    def _drop(self) -> None:
        if not self._full:
            self._full = True
            self._taken.set()
            self._overflow()
