"""What is left of a key's allowance, as OpenAI's headers say it: ``x-ratelimit-limit-requests`` and its like. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from app.security.allowance import Allowance


def rate_limit_headers(allowance: Allowance) -> Iterator[tuple[bytes, bytes]]:
    """Yield the headers of the limits that there are; none before something was taken or refused."""
    for name, left in ((b"requests", allowance.requests), (b"tokens", allowance.tokens)):
        if left is not None:
            yield b"x-ratelimit-limit-" + name, b"%d" % left.limit
            yield b"x-ratelimit-remaining-" + name, b"%d" % left.remaining
            yield b"x-ratelimit-reset-" + name, span(left.reset_seconds).encode()


def span(seconds: float) -> str:
    """Return a length of time as OpenAI writes it: ``6ms``, ``1.5s``, ``1m0s``, ``1h0m0s``; rounded up."""
    milliseconds = ceil(seconds * 1000 - 1e-6)
    if milliseconds <= 0:
        return "0s"
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    small = f"{rest / 1000:.3f}".rstrip("0").rstrip(".") + "s"
    if hours:
        return f"{hours}h{minutes}m{small}"
    return f"{minutes}m{small}" if minutes else small
