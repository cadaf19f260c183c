"""Frames between JSON text and the contract's structs: requests read, responses made, and what bad ones have as id."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import UNSET

from app.contract.frames import RequestErrorDetails, RequestFrame, ResponseFrame
from app.ws.caller import Payload
from app.ws.failure import MethodFailed
from app.ws.outbox import MAX_FRAME_BYTES

MAX_ID_CHARS: Final = 16 * 1024
"""A longer id isn't repeated."""
INVALID_ID: Final = "invalid"

_decoder = msgspec.json.Decoder(RequestFrame)


class NotJsonError(Exception):
    """Raised for a frame that is no JSON."""


class NotARequestError(Exception):
    """Raised for a frame that is JSON, but no request.

    Args:
        request_id: The id under which it is answered.
        problem: What is wrong.
    """

    def __init__(self, request_id: str, problem: str) -> None:
        super().__init__(problem)
        self.request_id = request_id


def request_of(text: str) -> RequestFrame:
    """Return the request that a frame has.

    Raises:
        NotJsonError: If it is no JSON.
        NotARequestError: If it is something else.
    """
    try:
        return _decoder.decode(text)
    except msgspec.ValidationError as error:
        raise NotARequestError(_id_of(text), str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise NotJsonError from None


def response_of(request_id: str, answer: Payload | MethodFailed) -> ResponseFrame:
    """Return the response that answers a request."""
    shown = _repeatable(request_id)
    if isinstance(answer, MethodFailed):
        payload = answer.payload if answer.payload is not None else UNSET
        return ResponseFrame(id=shown, ok=False, payload=payload, error=answer.shape)
    return ResponseFrame(id=shown, ok=True, payload=answer)


def too_large(size: int) -> MethodFailed:
    """Return the failure that is answered instead of an answer of ``size`` bytes, which no frame may have."""
    what = (
        f"the answer has {size} bytes, and a frame has {MAX_FRAME_BYTES} at most (policy.maxPayload): ask for less at "
        "a time (limit, maxChars). What a run has said is in its session, if it has one (chat.history)."
    )
    return MethodFailed(
        "INVALID_REQUEST", what, RequestErrorDetails(type="invalid_request_error", code="response_too_large")
    )


def _repeatable(request_id: str) -> str:
    return request_id if len(request_id) <= MAX_ID_CHARS else INVALID_ID


def _id_of(text: str) -> str:
    try:
        # The decoder of requests gives up at the first thing that is wrong; what comes after it may be no JSON at all.
        frame = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise NotJsonError from None
    found = frame.get("id") if isinstance(frame, dict) else None
    return _repeatable(found) if isinstance(found, str) and found else INVALID_ID
