"""What a request over the WebSocket can fail with, and how the gateway's own failures look there."""

from __future__ import annotations

import msgspec
from msgspec import UNSET

from app.contract.frames import ErrorCode, ErrorShape, RequestErrorDetails
from app.errors import GatewayError


class MethodFailed(Exception):
    """Raised when a request is answered with ``ok: false``.

    Args:
        code: The protocol's code.
        message: What went wrong and what to do.
        details: A struct of the contract that says more to a program.
        retry_after: Seconds after which a retry makes sense; says that one does.
        payload: A result that goes with the failure.
    """

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        details: msgspec.Struct | None = None,
        *,
        retry_after: float | None = None,
        payload: msgspec.Struct | None = None,
    ) -> None:
        super().__init__(message)
        self.payload = payload
        self.shape = ErrorShape(
            code=code,
            message=message,
            details=details if details is not None else UNSET,
            retryable=True if retry_after is not None else UNSET,
            retry_after_ms=int(retry_after * 1000) if retry_after is not None else UNSET,
        )


def failure_of(error: GatewayError) -> MethodFailed:
    """Return what a failure of the gateway is called here: the request's fault, a prohibition, or no service now."""
    code: ErrorCode = "INVALID_REQUEST"
    if error.status == 403:
        code = "FORBIDDEN"
    elif error.status == 429 or error.status >= 500:
        code = "UNAVAILABLE"
    details = RequestErrorDetails(
        type=error.type,
        code=error.code if error.code is not None else UNSET,
        param=error.param if error.param is not None else UNSET,
    )
    retry_after = error.retry_after if error.should_retry is not False else None
    return MethodFailed(code, error.message, details, retry_after=retry_after)
