"""What all failures have in common: status, type, code, param and retry advice. Knows none of them."""

from __future__ import annotations

from typing import ClassVar, Literal

ErrorType = Literal[
    "invalid_request_error", "permission_error", "rate_limit_error", "server_error", "requests", "tokens"
]
LONGEST_WAIT_SECONDS = 5.0
"""How long official SDKs are let wait before they try again by themselves."""


class GatewayError(Exception):
    """Raised when a request can't be answered, for a reason the client may know.

    Args:
        message: What went wrong and what to do about it; shown to the client as it stands.
        param: The request field or header the message is about, such as ``messages[0].role``.
        code: The machine-readable code; the class's own when not given.
        retry_after: Seconds after which a retry makes sense; becomes ``Retry-After``.
        should_retry: What ``x-should-retry`` says to the SDKs; ``None`` leaves it out and the SDK decides by status.
    """

    status: int = 500
    type: ErrorType = "server_error"
    default_code: ClassVar[str | None] = None

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after: float | None = None,
        should_retry: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code if code is not None else self.default_code
        self.retry_after = retry_after
        self.should_retry = should_retry

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The headers that belong to this failure wherever it is answered over HTTP."""
        headers: list[tuple[str, str]] = []
        if self.retry_after is not None:
            # Whole seconds, rounded up: openai-node waits exactly what it is told.
            headers.append(("retry-after", str(max(1, -int(-self.retry_after // 1)))))
        if self.should_retry is not None:
            headers.append(("x-should-retry", "true" if self.should_retry else "false"))
        return headers
