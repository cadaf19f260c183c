"""When a request is sent to an upstream once more. Pure, but for the dice.

Only what can't have had an effect is repeated, for a model call costs money: no connection was made, or the upstream
says that it is busy and when to come back. Any other failure may have come after the work was done: a 500, a 502 or 504
of a proxy, a connection that broke off, a timeout.
"""

from __future__ import annotations

from random import random
from typing import Final

from app.config import Retry

BUSY: Final = frozenset({429, 503, 529})
"""Statuses that say that a request was turned away, if a ``Retry-After`` is with them."""

_FIRST_SECONDS: Final = 0.25


def pause_before(
    retry: Retry, attempt: int, elapsed: float, retry_after: float | None = None, dice: float | None = None
) -> float | None:
    """Return how long to wait, in seconds, or ``None`` to give up.

    Args:
        retry: The limits.
        attempt: How often the request was repeated already.
        elapsed: Seconds since it was first sent.
        retry_after: What the upstream asks for, in seconds.
        dice: From 0 to 1; thrown when not given. Many who were turned away together don't come back together.
    """
    if attempt >= retry.attempts:
        return None
    dice = random() if dice is None else dice  # noqa: S311 -- scatters, and guards nothing
    if retry_after is not None:
        pause = retry_after + dice * _FIRST_SECONDS
    else:
        pause = _FIRST_SECONDS * 2**attempt * (1 + dice) / 2
    return pause if elapsed + pause <= retry.max_seconds else None
