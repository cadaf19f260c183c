"""What one request takes of its key's allowance: reserved before its run, put right after it.

Owns what limits mean in numbers of requests and tokens, and the words of a refusal; how they are counted is
``key_uses``. Knows nothing of HTTP.
"""

from __future__ import annotations

import asyncio
from math import ceil
from typing import Literal

import msgspec

from app.errors import KeyBusy, KeyLimitReached
from app.security.key_uses import SLACK, WINDOW_SECONDS, KeyUses, Standing, Wish
from app.security.named_key import Limits, NamedKey


class Left(msgspec.Struct, frozen=True):
    """What is left of a limit.

    Attributes:
        limit: So many per minute.
        remaining: How many of them there are at the moment.
        reset_seconds: In how long there are all again, if nothing is taken meanwhile.
    """

    limit: int
    remaining: int
    reset_seconds: float


class Allowance:
    """What a request takes of its key's allowance.

    Args:
        name: The key.
        limits: What it may use.
        uses: Counts.
        settling: Where what is being put right is kept meanwhile.
    """

    def __init__(self, name: str, limits: Limits, uses: KeyUses, settling: set[asyncio.Task[None]]) -> None:
        self._name = name
        self._limits = limits
        self._uses = uses
        self._settling = settling
        self._standing: Standing | None = None
        self._wish: Wish | None = None
        self._tokens = 0

    @property
    def requests(self) -> Left | None:
        """What is left of the requests, once something was taken or refused."""
        return self._left(self._limits.requests, self._standing.requests if self._standing else None)

    @property
    def tokens(self) -> Left | None:
        """What is left of the tokens, once something was taken or refused."""
        return self._left(self._limits.tokens, self._standing.tokens if self._standing else None)

    async def take(self, run_id: str, tokens: int) -> None:
        """Take a request, a place among those under way, and tokens by estimate; all of it or nothing.

        Args:
            run_id: The run that is to begin. ``settle`` has to follow where this doesn't raise.
            tokens: What it will take, as far as one can tell.

        Raises:
            KeyLimitReached: If the key has used up its requests or tokens.
            KeyBusy: If it has too many runs under way.
        """
        limits = self._limits
        wish = Wish(
            self._name,
            run_id,
            requests=WINDOW_SECONDS / limits.requests if limits.requests else 0.0,
            tokens=_seconds(tokens, limits.tokens),
            most=limits.concurrent,
        )
        if limits.tokens and tokens > limits.tokens:
            raise KeyLimitReached(
                f"The request is too large for API key {self._name!r}, which has {limits.tokens} tokens per minute: it "
                f"would take about {tokens}, what it says and the answer that it allows together.",
                "tokens",
                None,
            )
        self._standing = standing = await self._uses.take(wish)
        if standing.taken:
            self._wish, self._tokens = wish, tokens
            return
        # In a store others may have changed what was in the way, between the refusal and this.
        waits = standing.requests + wish.requests, standing.tokens + wish.tokens
        if limits.concurrent is not None and max(waits) <= WINDOW_SECONDS + SLACK:
            raise KeyBusy(self._name, limits.concurrent)
        if limits.tokens is None or (limits.requests is not None and waits[0] >= waits[1]):
            raise self._refusal("requests", self.requests, waits[0], 1)
        raise self._refusal("tokens", self.tokens, waits[1], tokens)

    async def settle(self, tokens: int | None) -> None:
        """Give the place back, and put the tokens right. Cancelling the wait doesn't stop that.

        Args:
            tokens: What the run has taken; ``None`` if nobody knows, so that the estimate stands.
        """
        wish, self._wish = self._wish, None
        if wish is None:
            return
        more = 0.0 if tokens is None else _seconds(tokens - self._tokens, self._limits.tokens)
        if more or wish.most is not None:
            task = asyncio.create_task(self._uses.settle(wish, more), name=f"{wish.run_id}-settling")
            self._settling.add(task)
            task.add_done_callback(self._settling.discard)
            await asyncio.shield(task)

    @staticmethod
    def _left(limit: int | None, ahead: float | None) -> Left | None:
        if limit is None or ahead is None:
            return None
        remaining = int((WINDOW_SECONDS - ahead) * limit / WINDOW_SECONDS + 1e-3)
        return Left(limit, max(remaining, 0), ahead)

    def _refusal(
        self, kind: Literal["requests", "tokens"], left: Left | None, ahead: float, wanted: int
    ) -> KeyLimitReached:
        assert left is not None, "what has no limit refuses nothing"
        wait = max(ahead - WINDOW_SECONDS, 0.001)
        return KeyLimitReached(
            f"Rate limit reached for API key {self._name!r} on {kind} per minute: limit {left.limit}, left "
            f"{left.remaining}, requested {wanted}. Try again in {ceil(wait)} s.",
            kind,
            wait,
        )


class Allowances:
    """Hands out allowances.

    Args:
        uses: Counts for all keys.
    """

    def __init__(self, uses: KeyUses) -> None:
        self._uses = uses
        self._settling: set[asyncio.Task[None]] = set()

    def of(self, key: NamedKey | None) -> Allowance | None:
        """Return the allowance of a new request; ``None`` where the key, or the operator, has no limit."""
        if key is None or key.limits is None:
            return None
        return Allowance(key.name, key.limits, self._uses, self._settling)

    async def close(self) -> None:
        """Wait until everything is put right that was begun."""
        if self._settling:
            await asyncio.wait(self._settling)


def _seconds(tokens: int, limit: int | None) -> float:
    return tokens * WINDOW_SECONDS / limit if limit else 0.0
