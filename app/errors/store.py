"""Failures of sessions: the store can't be used, or others are at work in the same one."""

from __future__ import annotations

from app.errors.failure import GatewayError


class SessionMovedOn(GatewayError):
    """Raised when another process continued the same session while this run was at work; its turn is not stored."""

    status = 503
    default_code = "session_conflict"

    def __init__(self) -> None:
        super().__init__(
            "Another gateway process continued this session during the run, so its turn could not be added. "
            "What the run has done, by tools say, is done. Send the request again if that may be done twice.",
            should_retry=False,
        )


class SessionBusy(GatewayError):
    """Raised when a session can't be changed because runs are at work in it. Nothing was changed."""

    status = 503
    default_code = "session_conflict"

    def __init__(self) -> None:
        super().__init__(
            "Runs of this session are under way, so it was left as it is. Wait for them or abort them, and try again.",
            should_retry=False,
        )


class StoreUnavailable(GatewayError):
    """Raised when the session store can't be read or written."""

    status = 503
    default_code = "session_store_unavailable"

    def __init__(self, *, should_retry: bool | None = None) -> None:
        super().__init__(
            "The session store can't be reached, so the conversation can't be continued. "
            "The gateway's log and /readyz say more.",
            should_retry=should_retry,
            retry_after=None if should_retry is False else 5,
        )
