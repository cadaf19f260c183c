"""Writing a whole HTTP response in one go."""

from __future__ import annotations

from collections.abc import Iterable

from litestar.types import Send

JSON = b"application/json"


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
    await send({"type": "http.response.body", "body": body, "more_body": False})
