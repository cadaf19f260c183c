"""Failures of a request that is wrong in itself, or comes wrongly: 400, 413, 415."""

from __future__ import annotations

from typing import Literal

from app.errors.failure import ErrorType, GatewayError


class InvalidRequest(GatewayError):
    """Raised when the request itself is wrong: malformed, mistyped, out of range, contradictory."""

    status = 400
    type: ErrorType = "invalid_request_error"
    default_code = "invalid_value"


class MalformedRequest(InvalidRequest):
    """Raised when what came isn't HTTP, or could be read in two ways. The connection ends with the answer."""

    default_code = "invalid_http"

    def __init__(self, why: str) -> None:
        super().__init__(f"The request is not valid HTTP/1.1: {why[:1].lower()}{why[1:]}.")


class HeadersTooLarge(InvalidRequest):
    """Raised when a request's line, headers, or what stands around its body are over the limit."""

    default_code = "headers_too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"The request's URL and headers are larger than {limit} bytes, the limit set by "
            "gateway.limits.maxHeaderBytes."
        )


class RequestTooSlow(InvalidRequest):
    """Raised when a client takes too long to send its request. Nothing was done, so a retry is safe."""

    default_code = "request_timeout"

    def __init__(self, what: Literal["headers", "body"]) -> None:
        settings = "headSeconds" if what == "headers" else "bodySeconds and requestSeconds"
        super().__init__(
            f"The request's {what} did not come in time; gateway.limits ({settings}) says how long a client has.",
            should_retry=True,
        )


class UnsupportedParameter(InvalidRequest):
    """Raised when the engine behind the agent can't honour a parameter that is valid in itself."""

    default_code = "unsupported_parameter"


class IdempotencyKeyReused(InvalidRequest):
    """Raised when an ``Idempotency-Key`` comes with another request than the one it was first sent with."""

    default_code = "idempotency_key_reused"

    def __init__(self) -> None:
        super().__init__(
            "This Idempotency-Key was sent with another request before: the body, the agent or the session is not the "
            "same. Use a new key for a new request, and repeat a request exactly as it was.",
            param="Idempotency-Key",
        )


class BodyTooLarge(GatewayError):
    """Raised when the request body is over ``maxBodyBytes``."""

    status = 413
    type: ErrorType = "invalid_request_error"
    default_code = "request_too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"The request body is larger than {limit} bytes, the limit set by "
            "gateway.http.endpoints.chatCompletions.maxBodyBytes."
        )


class UnsupportedMediaType(GatewayError):
    """Raised when the body isn't declared as what the operation takes."""

    status = 415
    type: ErrorType = "invalid_request_error"
    default_code = "unsupported_media_type"

    def __init__(self, content_type: str, wanted: str = "application/json") -> None:
        super().__init__(f"Content-Type must be {wanted}, not {content_type or 'missing'!r}.")
