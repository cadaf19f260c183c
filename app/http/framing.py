"""What HTTP/1 asks of a server and its parser leaves to others: heads that say two things, and HTTP/1.0.

Source of the rules: RFC 9112, sections 2.3, 3.2 and 6.1.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from uvicorn._types import ASGI3Application, ASGIReceiveCallable, ASGISendEvent, Scope
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from app.errors import MalformedRequest


def check_head(version: str, headers: Sequence[tuple[bytes, bytes]]) -> None:
    """Refuse a head that two servers could read in two ways.

    Raises:
        MalformedRequest: If it is one.
    """
    if version not in ("1.0", "1.1"):
        raise MalformedRequest(f"HTTP/{version} is not spoken here, but HTTP/1.1")
    hosts = 0
    for name, value in headers:
        if name == b"host":
            hosts += 1
        elif name == b"transfer-encoding" and (version == "1.0" or value.strip().lower() != b"chunked"):
            raise MalformedRequest("no Transfer-Encoding but chunked is known, and that not in HTTP/1.0")
    if hosts > 1 or (version == "1.1" and not hosts):
        raise MalformedRequest("there has to be one Host header")


def check_upgrade(headers: Sequence[tuple[bytes, bytes]], *, answering: bool) -> None:
    """Refuse a WebSocket that begins in the middle of something else.

    Args:
        headers: Its request's.
        answering: Whether earlier requests wait for their answers.

    Raises:
        MalformedRequest: If it does.
    """
    if answering:
        raise MalformedRequest("a WebSocket can't begin before earlier requests are answered")
    if any(name in (b"content-length", b"transfer-encoding") and value != b"0" for name, value in headers):
        raise MalformedRequest("a WebSocket begins with a request that has no body")


def body_length(headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Return the header line that says how long a request's body is, or nothing if there is none."""
    for name, value in headers:
        if name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0")):
            return name + b": " + value
    return b""


class Parting:
    """A transport that is closed by its connection, which knows whether the client has sent everything.

    Args:
        transport: Where answers are written.
        close: Closes it.
    """

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self.write = transport.write
        self.is_closing = transport.is_closing
        self.close = close


def unchunked(app: ASGI3Application, cycle: RequestResponseCycle) -> ASGI3Application:
    """Return an application whose answers a client of HTTP/1.0 can read: without chunks, up to the connection's end."""

    async def answer(scope: Scope, receive: ASGIReceiveCallable, _send: object) -> None:
        endless = False

        async def send(message: ASGISendEvent) -> None:
            nonlocal endless
            if message["type"] == "http.response.start":
                endless = all(name.lower() != b"content-length" for name, _ in message.get("headers", ()))
                if endless:
                    cycle.chunked_encoding = False
            elif message["type"] == "http.response.body" and endless:
                cycle.expected_content_length = len(message.get("body", b""))
            await cycle.send(message)

        await app(scope, receive, send)

    return answer
