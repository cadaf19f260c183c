"""Reading a response's body within its limits, and closing it.

Owns the clock of silence, and knows when the connection is gone. The HTTP client leaves out one case: where an answer's
chunked framing breaks in the middle, aiohttp 3.14 closes the connection and lets the reader wait for ever.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop, Future, TimerHandle, get_running_loop
from typing import TYPE_CHECKING, Self

from app.engines.upstream.allowance import Allowance

if TYPE_CHECKING:
    import aiohttp


class ConnectionWatch:
    """Reads one body; an asynchronous context manager.

    Silence is counted while the upstream is waited for, and not while a slow client holds it back.

    Args:
        response: The response, its head read and nothing of its body yet.
        allowance: What it may take.
    """

    __slots__ = ("_allowance", "_closed", "_loop", "_response", "_timer", "_waiting_since")

    def __init__(self, response: aiohttp.ClientResponse, allowance: Allowance) -> None:
        self._response = response
        self._allowance = allowance
        self._closed: Future[None] | None = None
        self._loop: AbstractEventLoop = get_running_loop()
        self._timer: TimerHandle | None = None
        self._waiting_since: float | None = None

    async def read(self) -> bytes:
        """Return what has come; nothing at the end.

        Raises:
            aiohttp.ClientError: If nothing more can come (``ClientPayloadError``), or not in time
                (``SocketTimeoutError``).
            EngineFailed: If it is too much.
        """
        content = self._response.content
        if content.is_eof():  # there is nothing to wait for: a short answer comes together with its head
            data = await content.readany()
            self._allowance.heard(self._response, len(data))
            return data
        since = self._waiting_since = self._loop.time()
        if self._timer is None:
            self._set_timer(since)
        data = await content.readany()
        self._waiting_since = None
        begins = not self._allowance.begun
        self._allowance.heard(self._response, len(data))
        if begins:
            self._set_timer(self._loop.time())
        return data

    @property
    def is_over(self) -> bool:
        """Whether everything has come and was read."""
        return self._response.content.at_eof()

    async def __aenter__(self) -> Self:
        connection = self._response.connection
        if connection is not None and connection.protocol is not None:
            self._closed = connection.protocol.closed
            if self._closed is None:
                self._cut_off()
            else:
                self._closed.add_done_callback(self._cut_off)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._closed is not None:  # the connection may serve further requests
            self._closed.remove_done_callback(self._cut_off)
        if not self._response.closed:  # one that was read to its end has given its connection back
            await self._response.__aexit__(None, None, None)

    def _set_timer(self, since: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        silence = self._allowance.silence
        self._timer = self._loop.call_at(since + silence, self._check) if silence else None

    def _check(self) -> None:
        """End the reading if the silence was too long; else look again when it would be. Costs a read no timer."""
        import aiohttp

        now, since = self._loop.time(), self._waiting_since
        if since is not None and now - since >= self._allowance.silence:
            self._timer = None
            self._response.content.set_exception(aiohttp.SocketTimeoutError("silence"))
        else:
            self._set_timer(now if since is None else since)

    def _cut_off(self, closed: Future[None] | None = None) -> None:
        import aiohttp

        if closed is not None and not closed.cancelled():
            closed.exception()  # taken note of
        content = self._response.content
        if not content.is_eof() and content.exception() is None:
            content.set_exception(aiohttp.ClientPayloadError("the connection was closed"))
