"""What waits to be sent on one connection: numbered, in order, and never more than the policy allows.

A client that doesn't read is dropped, and memory stays bounded. What it asked for, runs and answers, waits for it a
little, so that one that reads slower than the gateway writes loses nothing; nobody else waits.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from app.contract.frames import EventFrame, ResponseFrame

MAX_BUFFERED_BYTES: Final = 8 * 1024 * 1024
MAX_FRAME_BYTES: Final = 16 * 1024 * 1024
"""The largest frame in either direction: as much as uvicorn takes in by itself, whoever starts it."""
HIGH_WATER_BYTES: Final = 1024 * 1024
"""From here on runs and answers wait for their client, and it isn't read from."""
PATIENCE_SECONDS: Final = 5.0
"""How long they wait for a client that takes nothing at all before it is dropped."""

_encoder = msgspec.json.Encoder()


class FrameTooLargeError(Exception):
    """Raised for a frame that may not be sent.

    Args:
        size: Its bytes.
    """

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


class Outbox:
    """The frames on their way to one client.

    An answer counts for ``HIGH_WATER_BYTES`` at most: there is one large one at a time, as answers wait for room. So no
    more than ``MAX_BUFFERED_BYTES`` and one frame wait, and no answer by itself is too much for a client that reads.

    Args:
        overflow: Called once, when more than ``MAX_BUFFERED_BYTES`` would wait or the client takes nothing for long.
        unsent: Returns how many bytes of the last frames the server beneath still has; they get fewer as the client
            reads.
    """

    def __init__(self, overflow: Callable[[], None], unsent: Callable[[], int] = int) -> None:
        self._overflow = overflow
        self._unsent = unsent
        self._frames: deque[tuple[str, int]] = deque()
        self._bytes = 0
        self._seq = 0
        self._closed = False
        self._ready = asyncio.Event()
        self._taken = asyncio.Event()

    def event(self, name: str, payload: msgspec.Struct | msgspec.Raw) -> None:
        """Queue an event under the connection's next number."""
        if not self._closed:
            self._seq += 1
            data = _encoder.encode(EventFrame(event=name, payload=payload, seq=self._seq))
            self._put(data, len(data))

    def response(self, frame: ResponseFrame) -> None:
        """Queue a response.

        Raises:
            FrameTooLargeError: If it has more than ``MAX_FRAME_BYTES``.
        """
        if not self._closed:
            data = _encoder.encode(frame)
            if len(data) > MAX_FRAME_BYTES:
                raise FrameTooLargeError(len(data))
            self._put(data, min(len(data), HIGH_WATER_BYTES))

    def close(self) -> None:
        """Take nothing more and forget what waits: the client is gone, while runs may go on telling."""
        self._closed = True
        self._frames.clear()
        self._taken.set()
        # They lead to the connection, which has this: without them all of it is free as soon as it is over.
        self._overflow, self._unsent = _nobody, int

    async def room(self, *, patience: float | None = None) -> None:
        """Wait until less than ``HIGH_WATER_BYTES`` wait. Whoever queues a frame without a pause then finds it so.

        Args:
            patience: Seconds after which a client that takes nothing at all is dropped; ``None`` to wait for it.
        """
        while self._bytes >= HIGH_WATER_BYTES and not self._closed:
            self._taken.clear()
            unsent = self._unsent()
            try:
                async with asyncio.timeout(patience):
                    await self._taken.wait()
            except TimeoutError:
                if self._unsent() >= unsent:
                    self._drop()

    async def drain(self, send: Callable[[str], Awaitable[None]]) -> None:
        """Send what is queued, as fast as the client takes it, until cancelled."""
        while True:
            await self.flush(send)
            self._ready.clear()
            await self._ready.wait()

    async def flush(self, send: Callable[[str], Awaitable[None]]) -> None:
        """Send what is queued, once."""
        while self._frames:
            text, size = self._frames.popleft()
            await send(text)
            self._bytes -= size
            self._taken.set()

    def _put(self, data: bytes, size: int) -> None:
        self._bytes += size
        if self._bytes > MAX_BUFFERED_BYTES:
            self._drop()
        else:
            self._frames.append((data.decode(), size))
            self._ready.set()

    def _drop(self) -> None:
        if not self._closed:
            overflow = self._overflow
            self.close()
            overflow()


def _nobody() -> None:
    """Call nobody."""
