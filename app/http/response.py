"""Writing a whole HTTP response in one go."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

from litestar.types import Send

JSON = b"application/json"
PART: Final = 256 * 1024
"""Bytes written at once."""


async def send_response(
    send: Send, status: int, body: bytes, content_type: bytes = JSON, headers: Iterable[tuple[str, str]] = ()
) -> None:
    """Send status, headers and body.

    Args:
        send: ASGI's.
        status: HTTP status.
        body: The bytes.
        content_type: The media type.
        headers: Further headers, names in lower case.
    """
    all_headers = [(b"content-type", content_type), (b"content-length", b"%d" % len(body))]
    all_headers.extend((name.encode(), value.encode()) for name, value in headers)
    await send({"type": "http.response.start", "status": status, "headers": all_headers})
    if len(body) > PART:
        await send_last(send, body)
    else:
        await send({"type": "http.response.body", "body": body, "more_body": False})


async def send_last(send: Send, body: bytes) -> None:
    """Send the last of a body, in parts: each write copies what it writes, which nobody else should wait for."""
    at = 0
    while len(body) - at > PART:
        await send({"type": "http.response.body", "body": body[at : at + PART], "more_body": True})
        await asyncio.sleep(0)
        at += PART
    await send({"type": "http.response.body", "body": body[at:], "more_body": False})
