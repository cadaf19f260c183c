"""What keys have used, counted together with other gateways that share a store. Knows no database.

Where the store can't be reached, each process counts for itself, for a while: a limit is no lock, and the gateway
answers on. Runs are told of as long as they go on, so that those of a process that died hold no place for long.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from time import monotonic
from typing import Final, Protocol

from app.errors import StoreUnavailable
from app.log import logger
from app.security.key_uses import MAX_DEBT_SECONDS, SLACK, WINDOW_SECONDS, OwnKeyUses, Standing, Wish

LEASE_SECONDS: Final = 30.0
"""How long a run holds a place of its key's after its process last told of it."""
BEAT_SECONDS: Final = 10.0
"""How often it tells."""
PATIENCE_SECONDS: Final = 10.0
"""How long the store is left alone after it could not be reached."""
ANSWER_SECONDS: Final = 3.0
"""How long a request waits for the store before it goes without."""

_log = logger("zero.security")


class KeyLedger(Protocol):
    """Counts what keys use of all gateways. Every method may raise ``StoreUnavailable``."""

    async def take(
        self,
        key: str,
        run_id: str,
        *,
        requests: float,
        tokens: float,
        most: int | None,
        window_seconds: float,
        debt_seconds: float,
        lease_seconds: float,
    ) -> tuple[bool, float, float, int]:
        """Deduct what a run wants, all of it or nothing; see ``Wish`` and ``Standing``."""
        ...

    async def settle(self, key: str, run_id: str, *, tokens: float, debt_seconds: float) -> None:
        """Count a run out, and add to what its tokens cost."""
        ...

    async def renew(self, key: str, run_ids: Collection[str], *, lease_seconds: float) -> None:
        """Say that runs are still under way."""
        ...


class SharedKeyUses:
    """What the keys have used everywhere.

    Args:
        ledger: Where the gateways meet.
        clock: Monotonic seconds.
    """

    def __init__(self, ledger: KeyLedger, clock: Callable[[], float] = monotonic) -> None:
        self._ledger = ledger
        self._clock = clock
        self._own = OwnKeyUses(clock)
        self._away_until = 0.0
        self._away = False
        self._running: dict[str, set[str]] = {}
        """Runs of this process that hold a place in the store, by key."""
        self._apart: set[str] = set()
        """Runs that this process has counted for itself."""

    async def take(self, wish: Wish) -> Standing:
        """See ``KeyUses``."""
        if self._clock() >= self._away_until:
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    answer = await self._ledger.take(
                        wish.key,
                        wish.run_id,
                        requests=wish.requests,
                        tokens=wish.tokens,
                        most=wish.most,
                        window_seconds=WINDOW_SECONDS + SLACK,
                        debt_seconds=MAX_DEBT_SECONDS,
                        lease_seconds=LEASE_SECONDS,
                    )
            except (StoreUnavailable, TimeoutError):
                self._go_without()
            else:
                self._away = False
                standing = Standing(*answer)
                if standing.taken and wish.most is not None:
                    self._running.setdefault(wish.key, set()).add(wish.run_id)
                return standing
        standing = await self._own.take(wish)
        if standing.taken:
            self._apart.add(wish.run_id)
        return standing

    async def settle(self, wish: Wish, tokens: float) -> None:
        """See ``KeyUses``."""
        if wish.run_id in self._apart:
            self._apart.discard(wish.run_id)
            await self._own.settle(wish, tokens)
            return
        running = self._running.get(wish.key)
        if running is not None:
            running.discard(wish.run_id)
            if not running:
                del self._running[wish.key]
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._ledger.settle(wish.key, wish.run_id, tokens=tokens, debt_seconds=MAX_DEBT_SECONDS)
        except (StoreUnavailable, TimeoutError):
            # The place falls free by itself, and the tokens stay what they were taken for.
            self._go_without()

    async def renew(self) -> None:
        """Tell of the runs under way, from time to time, until cancelled."""
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            for key, running in list(self._running.items()):
                try:
                    await self._ledger.renew(key, tuple(running), lease_seconds=LEASE_SECONDS)
                except StoreUnavailable:
                    self._go_without()

    def _go_without(self) -> None:
        self._away_until = self._clock() + PATIENCE_SECONDS
        if not self._away:
            _log.warning("the limits of API keys are kept by each process for itself: no store to share them")
        self._away = True
