"""uvicorn's HTTP protocol, with fewer writes to the socket and fewer tasks for each request, and in less memory.

``app.http.uvicorn_connection`` builds on it, which is what ``zero gateway`` uses. Knows uvicorn,
nothing of what is served. What each override changes is what uvicorn 0.54 does without it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Final, TypeVar, cast

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.http.departure import EXTENSION, Departure

_CONTINUE: Final = b"HTTP/1.1 100"


T = TypeVar("T")


class UvicornWire(HttpToolsProtocol):
    """One connection."""

    # uvicorn's own attributes are 28. From the 31st on, each connection would have a dictionary of its own.
    __slots__ = ("_departure",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.pipeline = cast("deque[Any]", _Queue())

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begin to serve."""
        super().connection_made(transport)
        self.flow = _Flow(transport)
        self._departure = Departure(self.flow.resume_reading)

    def on_headers_complete(self) -> None:
        """Begin a request, with the connection's end to come in its scope."""
        before = self.cycle
        cast("dict[str, Any]", self.scope)["extensions"] = {EXTENSION: self._departure}
        super().on_headers_complete()
        if self.cycle is not before:
            # Its task hasn't begun yet, nor has any of its body come.
            self.cycle.message_event = cast("asyncio.Event", _Signal())
            self.cycle.transport = cast("asyncio.Transport", HeadWithBody(self.transport, self.loop))

    def connection_lost(self, exc: Exception | None) -> None:
        """End what was for this client only."""
        super().connection_lost(exc)
        self._departure.happened()


class _Queue(list[T]):
    """Requests sent before the one ahead was answered. An empty deque takes 760 bytes, and nearly all are empty."""

    __slots__ = ()

    def appendleft(self, item: T) -> None:
        self.insert(0, item)


class _Signal:
    """What uvicorn uses of ``asyncio.Event``, without that one's deque of those who wait."""

    __slots__ = ("_set", "_waiters")

    def __init__(self) -> None:
        self._set = False
        self._waiters: tuple[asyncio.Future[None], ...] = ()

    def set(self) -> None:
        self._set = True
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    def clear(self) -> None:
        self._set = False

    async def wait(self) -> bool:
        if not self._set:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters = (*self._waiters, waiter)
            try:
                await waiter
            finally:
                self._waiters = tuple(one for one in self._waiters if one is not waiter)
        return True


class _Flow(FlowControl):
    """uvicorn's flow control, with that in place of its event."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.read_paused = False
        self.write_paused = False
        self._is_writable_event = cast("asyncio.Event", _Signal())
        self._is_writable_event.set()


class HeadWithBody:
    """What one response is written to: its head waits for the first of its body, and both go out in one write.

    As two they take the kernel twice the time, and wake the client twice. A head that nothing follows at once doesn't
    wait for long.
    """

    __slots__ = ("_head", "_loop", "_past", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._head = b""
        self._past = False

    def write(self, data: bytes) -> None:
        if self._past:
            if self._head:
                data, self._head = self._head + data, b""
            self._transport.write(data)
        elif data.startswith(_CONTINUE):
            self._transport.write(data)
        else:
            self._past = True
            self._head = data
            self._loop.call_soon(self._flush)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def _flush(self) -> None:
        head, self._head = self._head, b""
        if head:
            self._transport.write(head)
