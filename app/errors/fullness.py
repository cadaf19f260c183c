"""Failures for want of room: the gateway, an agent, a session or a key has as much as it may have."""

from __future__ import annotations

from typing import Literal

from app.errors.failure import LONGEST_WAIT_SECONDS, ErrorType, GatewayError


class RateLimited(GatewayError):
    """Raised when too much is under way, before the run began, or when the upstream says so."""

    status = 429
    type: ErrorType = "rate_limit_error"
    default_code = "rate_limit_exceeded"


class KeyLimitReached(RateLimited):
    """Raised when a key has used up what it may have in a minute. Nothing was done.

    Args:
        message: What the limit is, and when there will be room.
        kind: What there were too many of; the error's type, as OpenAI has it.
        retry_after: Seconds until there is room; ``None`` if there will never be.
    """

    def __init__(self, message: str, kind: Literal["requests", "tokens"], retry_after: float | None) -> None:
        # Some SDKs sleep for as long as they are told: better to have the client know.
        hopeless = retry_after is None or retry_after > LONGEST_WAIT_SECONDS
        super().__init__(message, retry_after=retry_after or 60, should_retry=False if hopeless else None)
        self.type = kind


class KeyBusy(RateLimited):
    """Raised when a key has as many runs under way as it may have. Nothing was done."""

    default_code = "concurrency_limit_exceeded"

    def __init__(self, name: str, most: int) -> None:
        super().__init__(
            f"The API key {name!r} has {most} runs under way, as many as it may have (maxConcurrent). "
            "Try again when one of them is done.",
            retry_after=1,
        )


class RunsFull(GatewayError):
    """Raised when as many runs are under way as the gateway may have. Nothing was done."""

    status = 503
    default_code = "runs_full"

    def __init__(self, most: int) -> None:
        super().__init__(
            f"{most} runs are under way, the limit set by gateway.limits.maxRuns. Try again later.", retry_after=2
        )


class ConnectionsFull(GatewayError):
    """Raised when as many clients are at work as the gateway may have; its probes are answered all the same."""

    status = 503
    default_code = "connections_full"

    def __init__(self) -> None:
        super().__init__(
            "The gateway has as many connections as gateway.limits.maxConnections or its file descriptors allow. "
            "Try again later.",
            retry_after=2,
        )
