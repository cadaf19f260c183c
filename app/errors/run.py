"""Failures of a run that has begun, and of the gateway itself."""

from __future__ import annotations

from typing import Literal

from app.errors.failure import GatewayError


class EngineFailed(GatewayError):
    """Raised when what answers for the agent failed or answered nonsense.

    ``status`` is one of 429, 502, 503, 504 and keeps the upstream's own meaning. Whether the next model of
    ``fallbacks`` may be tried is the run's decision.
    """

    status = 502
    default_code = "upstream_error"

    def __init__(
        self,
        message: str,
        *,
        status: Literal[429, 502, 503, 504] = 502,
        code: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, code=code, retry_after=retry_after, should_retry=False)
        self.status = status
        self.type = "rate_limit_error" if status == 429 else "server_error"


class RunTimedOut(GatewayError):
    """Raised when a run takes longer than its limit."""

    status = 504
    default_code = "run_timeout"

    def __init__(self, seconds: float, setting: str) -> None:
        super().__init__(f"The run was not done within {seconds:g} s, the limit set by {setting}.", should_retry=False)


class RunAborted(GatewayError):
    """Raised in a run that somebody else stopped: ``chat.abort``, a session reset, the gateway shutting down."""

    status = 503
    default_code = "run_aborted"

    def __init__(self, why: str) -> None:
        super().__init__(f"The run was stopped before it was done: {why}.", should_retry=False)


class AnswerNotKept(GatewayError):
    """Raised when a request was run under its ``Idempotency-Key``, and its answer can't be given a second time."""

    status = 503
    default_code = "idempotent_answer_not_kept"

    def __init__(self) -> None:
        super().__init__(
            "This request was run before under the same Idempotency-Key, and is not run again; but its answer is no "
            "longer at hand from its beginning, because it was too large to keep, had to make room, or was lost with "
            "the process that gave it. To run the request anew, send it with a new key.",
            should_retry=False,
        )


class InternalError(GatewayError):
    """Raised, by the outermost layer only, for a failure nobody foresaw: a defect of the gateway."""

    def __init__(self, request_id: str) -> None:
        super().__init__(
            f"The gateway failed to process the request. Its log has the details under request id {request_id}.",
            should_retry=False,
        )
