"""A run's failure, written down for those who wait for the run in another process, and read again there. Pure."""

from __future__ import annotations

import msgspec

from app.errors import ErrorType, GatewayError


class _Told(msgspec.Struct, frozen=True):
    status: int
    type: ErrorType
    message: str
    param: str | None
    code: str | None
    retry_after: float | None
    should_retry: bool | None


class ToldFailure(GatewayError):
    """Raised where a run failed that another process has run, just as it failed there."""

    def __init__(self, told: bytes) -> None:
        failure = msgspec.json.decode(told, type=_Told)
        super().__init__(
            failure.message,
            param=failure.param,
            code=failure.code,
            retry_after=failure.retry_after,
            should_retry=failure.should_retry,
        )
        self.status = failure.status
        self.type = failure.type


def told(error: GatewayError) -> bytes:
    """Return what ``ToldFailure`` reads."""
    return msgspec.json.encode(
        _Told(
            error.status,
            error.type,
            error.message,
            error.param,
            error.code,
            error.retry_after,
            error.should_retry,
        )
    )
