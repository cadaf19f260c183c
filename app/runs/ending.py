"""How a run came to its end, in few words: what is kept of it for those who only want to know that. Pure values."""

from __future__ import annotations

from typing import Literal

import msgspec

from app.errors import GatewayError, RunAborted, RunTimedOut

How = Literal["done", "failed", "aborted", "timed out"]


class Ending(msgspec.Struct, frozen=True):
    """An end.

    Attributes:
        how: Whether the run got to its end, and if not, why.
        at: When, in seconds since 1970.
        message: What went wrong; empty where nothing did.
    """

    how: How
    at: float
    message: str = ""

    @classmethod
    def of(cls, error: GatewayError | None, at: float) -> Ending:
        """Return the end of a run that failed with ``error``, or with none.

        The error itself is not kept: its traceback holds everything that the run had in its hands.
        """
        if error is None:
            return cls("done", at)
        how: How = "failed"
        if isinstance(error, RunAborted):
            how = "aborted"
        elif isinstance(error, RunTimedOut):
            how = "timed out"
        return cls(how, at, error.message)
