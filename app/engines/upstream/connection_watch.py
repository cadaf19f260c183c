"""Telling the reader of a response when its connection is gone.

The HTTP client does so itself, but for one case: where an answer's chunked framing breaks in the middle, aiohttp 3.14
closes the connection and lets the reader wait for ever, its own timeouts switched off.
"""

from __future__ import annotations

from asyncio import Future
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import aiohttp


class ConnectionWatch:
    """A context manager that ends the reading of a response with ``ClientPayloadError`` when nothing more can come.

    Args:
        response: The response, its head read and nothing of its body yet.
    """

    __slots__ = ("_closed", "_response")

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self._closed: Future[None] | None = None

    async def __aenter__(self) -> Self:
        connection = self._response.connection
        if connection is not None and connection.protocol is not None:
            self._closed = connection.protocol.closed
            if self._closed is None:
                self._end()
            else:
                self._closed.add_done_callback(self._end)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._closed is not None:  # the connection may serve further requests
            self._closed.remove_done_callback(self._end)
        await self._response.__aexit__(None, None, None)

    def _end(self, closed: Future[None] | None = None) -> None:
        import aiohttp

        if closed is not None and not closed.cancelled():
            closed.exception()  # taken note of
        content = self._response.content
        if not content.is_eof() and content.exception() is None:
            content.set_exception(aiohttp.ClientPayloadError("the connection was closed"))
