"""Reading a request body: only what the operation takes, only so much, and no longer than the client is there."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Final

from litestar.types import Receive

from app.errors import BodyTooLarge, InvalidRequest, UnsupportedMediaType
from app.http.disconnect import ClientDisconnected
from app.http.request_headers import RequestHeaders
from app.large.aside import LARGE, aside

_JSON: Final = "application/json"


def read_json_body(headers: RequestHeaders, receive: Receive, limit: int) -> Coroutine[Any, Any, bytes]:
    """Return the body of a request that has to be JSON; see ``read_body``."""
    return read_body(headers, receive, limit, _JSON)


async def read_body(headers: RequestHeaders, receive: Receive, limit: int, wanted: str) -> bytes:
    """Return the body of a request.

    Args:
        headers: The request's headers.
        receive: ASGI's.
        limit: The most bytes to take in.
        wanted: The media type that it has to be of.

    Raises:
        UnsupportedMediaType: If it isn't declared as that, or is compressed.
        BodyTooLarge: If its declared or real length is over the limit; nothing beyond it is kept.
        InvalidRequest: If there is none.
        ClientDisconnected: If the client went away in the middle.
    """
    content_type = headers.text(b"content-type")
    if content_type != wanted and content_type.partition(";")[0].strip().lower() != wanted:
        raise UnsupportedMediaType(content_type[:100], wanted)
    encoding = headers.text(b"content-encoding")
    if encoding.lower() not in ("", "identity"):
        raise UnsupportedMediaType(f"{wanted} with Content-Encoding: {encoding[:40]}", wanted)
    declared = headers.text(b"content-length")
    if declared.isdecimal() and int(declared[:20]) > limit:
        raise BodyTooLarge(limit)
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnected
        piece: bytes = message.get("body", b"")  # type: ignore[assignment]  # the disconnect message is out already
        size += len(piece)
        if size > limit:
            raise BodyTooLarge(limit)
        if piece:
            pieces.append(piece)
        if not message.get("more_body", False):
            break
    if not size:
        what = "a JSON object" if wanted == _JSON else f"a body of type {wanted}"
        raise InvalidRequest(f"The request has no body. Send {what}.", code="invalid_json")
    return pieces[0] if len(pieces) == 1 else await _joined(pieces, size)


async def _joined(pieces: list[bytes], size: int) -> bytes:
    # Copies some 4 MB in a millisecond, and lets the loop go on meanwhile.
    return b"".join(pieces) if size <= LARGE else await aside(b"".join, pieces)
