"""What an upstream's failure means to our client: the mapping of statuses and error bodies. Pure.

Source of the rules: design.md, "Answer" (errors).
"""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from time import time
from typing import Any, Literal

import msgspec

from app.errors import EngineFailed, GatewayError, InvalidRequest

_STATUS: Mapping[int, Literal[429, 502, 503, 504]] = {429: 429, 503: 503, 504: 504, 408: 504, 529: 503}
"""What keeps its meaning; every other failure is a 502: the client's request was all right, our upstream wasn't."""

_OF_THE_REQUEST = frozenset({400, 413, 415, 422})


def failure_of_response(provider: str, status: int, body: bytes, retry_after: str | None) -> GatewayError:
    """Return the failure that an upstream's HTTP error means.

    Args:
        provider: Its name in the configuration, for the message.
        status: Its status.
        body: Its body, or the beginning of it.
        retry_after: Its ``Retry-After``.
    """
    return failure_of_error(provider, status, _error_object(body), retry_after)


def failure_of_error(
    provider: str, status: int, error: Mapping[str, Any], retry_after: str | None = None
) -> GatewayError:
    """Return the failure that an error object means; ``status`` is 0 for one that came inside a stream."""
    code = error.get("code")
    how = f"failed with status {status}" if status else "reported an error"
    if status == 0:
        # llama.cpp and others put the HTTP status into the code.
        status = code if isinstance(code, int) and 400 <= code <= 599 else 502
    code = code if isinstance(code, str) and code else None
    said = str(error.get("message") or "").strip()[:1000]
    if status in _OF_THE_REQUEST:
        if code is None and "context" in str(error.get("type")):
            code = "context_length_exceeded"
        param = error.get("param")
        if not isinstance(param, str):
            param = "messages" if code == "context_length_exceeded" else None
        return InvalidRequest(
            said or f"The provider {provider!r} refused the request.",
            param=param,
            code=code,
        )
    if status in (401, 403):
        return EngineFailed(
            f"The provider {provider!r} refused the gateway's own credentials: "
            f"check models.providers.{provider}.apiKey.",
            code="upstream_authentication_failed",
        )
    if 300 <= status <= 399:
        return EngineFailed(f"The provider {provider!r} answered with a redirect: check its baseUrl.")
    return EngineFailed(
        f"The provider {provider!r} {how}" + (f": {said}" if said else "."),
        status=_STATUS.get(status, 502),
        code=code or ("rate_limit_exceeded" if status == 429 else None),
        retry_after=seconds_of(retry_after) or (1 if status == 429 else None),
    )


def _error_object(body: bytes) -> Mapping[str, Any]:
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}  # HTML, plain text, nothing: not fit to be shown to a client
    error = decoded.get("error", decoded) if isinstance(decoded, dict) else decoded
    if isinstance(error, dict):
        return error
    return {"message": error} if isinstance(error, str) else {}


def seconds_of(retry_after: str | None) -> float | None:
    """Return how long a ``Retry-After`` asks to wait, in seconds; ``None`` if it doesn't say."""
    if not retry_after:
        return None
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(retry_after).timestamp() - time()
        except (TypeError, ValueError, OverflowError):
            return None
    return min(seconds, 86_400.0) if seconds > 0 else None
