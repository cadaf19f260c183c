"""What keys have used: the rule by which a limit per minute is kept, and the count of this process.

The rule is GCRA, the "generic cell rate algorithm": a bucket that fills evenly, kept as one number, the moment at which
it will be full again. Taking something moves that moment on; more than a minute ahead it can't be. Pure but for the
clock; ``shared_key_uses`` has several processes count together. Source of the rule: docs/api-keys.md, Limits.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Final, NamedTuple, Protocol

WINDOW_SECONDS: Final = 60.0
MAX_DEBT_SECONDS: Final = 3600.0
"""How far ahead tokens may bring a key: an answer may take more than there was, and that has to be made up for."""
SLACK: Final = 1e-6
"""Of sums of fractions: sixty times a sixtieth of a minute must be a minute."""


class Wish(NamedTuple):
    """What a run wants of its key's allowance.

    Attributes:
        key: The key's name.
        run_id: The run.
        requests: Seconds that a request costs; 0 without such a limit.
        tokens: Seconds that its tokens cost; 0 without such a limit.
        most: Runs at the same time; ``None`` without such a limit.
    """

    key: str
    run_id: str
    requests: float
    tokens: float
    most: int | None


class Standing(NamedTuple):
    """How a key stands.

    Attributes:
        taken: Whether the wish was granted; if not, nothing was deducted.
        requests: Seconds until it has all of its requests again.
        tokens: Seconds until it has all of its tokens again.
        running: How many runs of it are under way, this one included.
    """

    taken: bool
    requests: float
    tokens: float
    running: int


class KeyUses(Protocol):
    """Counts what keys use."""

    async def take(self, wish: Wish) -> Standing:
        """Deduct what a run wants, all of it or nothing."""
        ...

    async def settle(self, wish: Wish, tokens: float) -> None:
        """Count a run out, and its tokens for what they were.

        Args:
            wish: What it took.
            tokens: Seconds to add to what its tokens cost; negative where it took less than was deducted.
        """
        ...


class _Use:
    __slots__ = ("requests_until", "running", "tokens_until")

    def __init__(self) -> None:
        self.requests_until = 0.0
        self.tokens_until = 0.0
        self.running: set[str] = set()


class OwnKeyUses:
    """What the keys have used in this process.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._uses: dict[str, _Use] = {}

    async def take(self, wish: Wish) -> Standing:
        """See ``KeyUses``."""
        now = self._clock()
        use = self._uses.setdefault(wish.key, _Use())
        requests = max(use.requests_until - now, 0.0)
        tokens = max(use.tokens_until - now, 0.0)
        free = wish.most is None or len(use.running) < wish.most
        if not (free and fits(requests, wish.requests) and fits(tokens, wish.tokens)):
            return Standing(False, requests, tokens, len(use.running))
        use.requests_until = now + requests + wish.requests
        use.tokens_until = now + tokens + wish.tokens
        if wish.most is not None:
            use.running.add(wish.run_id)
        return Standing(True, requests + wish.requests, tokens + wish.tokens, len(use.running))

    async def settle(self, wish: Wish, tokens: float) -> None:
        """See ``KeyUses``."""
        use = self._uses.get(wish.key)
        if use is None:
            return
        use.running.discard(wish.run_id)
        now = self._clock()
        use.tokens_until = min(max(use.tokens_until, now) + tokens, now + MAX_DEBT_SECONDS)


def fits(ahead: float, cost: float) -> bool:
    """Tell whether something can be taken: whether the minute has room for what it costs."""
    return not cost or ahead + cost <= WINDOW_SECONDS + SLACK
