"""What is said, in bytes, to a client whose request never gets as far as the application."""

from __future__ import annotations

from collections.abc import Iterable

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from app.errors import GatewayError, MalformedRequest
from app.http.error_response import error_body
from app.unique_id import unique_id


def refusal(error: GatewayError, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return an answer that is the connection's last.

    Args:
        error: What it says.
        headers: The server's own, such as ``date``.
    """
    body = error_body(error)
    lines = [
        *headers,
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
        (b"x-request-id", b"req_" + unique_id().encode()),
        (b"openai-processing-ms", b"0"),
        *((name.encode(), value.encode()) for name, value in error.headers),
    ]
    return b"".join([STATUS_LINE[error.status], *(b"%b: %b\r\n" % line for line in lines), b"\r\n", body])


def reason(error: httptools.HttpParserError) -> GatewayError:
    """Return why a parser has stopped.

    Raises:
        httptools.HttpParserError: If one of its callbacks failed, for no reason that a client may know.
    """
    inner = error.__context__
    if isinstance(inner, GatewayError):
        return inner
    if isinstance(error, httptools.HttpParserCallbackError) and not isinstance(inner, httptools.HttpParserError):
        raise error
    return MalformedRequest(str(inner or error)[:100] or "it could not be read")
