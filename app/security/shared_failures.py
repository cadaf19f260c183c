"""The lock-out, counted together with other gateways: what one of them has seen soon holds at all of them.

Deciding stays in memory and asks nobody; a task in the background tells a ledger of failures, as they come, and learns
from it while requests come. Where the ledger can't be reached, each process counts for itself. Knows no database.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from time import monotonic
from typing import Final, Protocol

from app.config import RateLimit
from app.errors import StoreUnavailable
from app.log import logger
from app.security.failure_limit import FailureLimit

SHARE_SECONDS: Final = 1.0
"""How long what happens here may stay untold, and what is known of the others may be old while requests come."""
PATIENCE_SECONDS: Final = 10.0
"""How long the ledger is left alone after it could not be reached."""
MAX_PENDING: Final = 1_000
"""Addresses of which there may be something to tell; of those beyond it only this process knows."""

_log = logger("zero.security")


class FailureLedger(Protocol):
    """Counts the failures of all gateways."""

    async def exchange(
        self,
        failures: Mapping[str, int],
        forgiven: Collection[str],
        *,
        most: int,
        window_seconds: float,
        lockout_seconds: float,
    ) -> Sequence[tuple[str, int, float]]:
        """Tell new failures, by address, and addresses that have shown the right secret; return what holds for all.

        Returns:
            Addresses, their failures that count, and the seconds for which they are still locked out.

        Raises:
            StoreUnavailable: If that can't be done.
        """
        ...


class SharedFailureLimit(FailureLimit):
    """A limit that other gateways share.

    Args:
        settings: As for ``FailureLimit``.
        ledger: Where the gateways meet.
        others: Whether there may be others; without them it is read at the start only.
        clock: Monotonic seconds.
    """

    def __init__(
        self, settings: RateLimit, ledger: FailureLedger, *, others: bool, clock: Callable[[], float] = monotonic
    ) -> None:
        super().__init__(settings, clock)
        self._ledger = ledger
        self._others = others and settings.enabled
        self._failures: dict[str, int] = {}
        self._forgiven: set[str] = set()
        self._suspects: frozenset[str] = frozenset()
        """Addresses that have failures which count, anywhere."""
        self._stale_at = 0.0
        self._learned = False
        """Whether the ledger was read once. What it knows of lock-outs is what it was told, and that a little later."""
        self._stirred = asyncio.Event()

    def retry_after(self, address: str) -> float | None:
        """See ``FailureLimit``. Has what the others know looked up in the background, if that was a while ago."""
        if self._others and self._clock() >= self._stale_at:
            self._stirred.set()
        return super().retry_after(address)

    def failed(self, address: str) -> None:
        """See ``FailureLimit``."""
        if not self._settings.enabled:
            return
        super().failed(address)
        if address in self._failures or len(self._failures) < MAX_PENDING:
            self._failures[address] = self._failures.get(address, 0) + 1
        self._stirred.set()

    def succeeded(self, address: str) -> None:
        """See ``FailureLimit``."""
        if (address in self._records or address in self._suspects) and len(self._forgiven) < MAX_PENDING:
            self._failures.pop(address, None)
            self._forgiven.add(address)
            self._suspects -= {address}
            self._stirred.set()
        super().succeeded(address)

    async def share(self) -> None:
        """Tell and learn, until cancelled."""
        if not self._settings.enabled:
            return
        away = False
        while True:
            self._stirred.clear()
            reached = await self._exchange()
            if not reached and not away:
                _log.warning("failed authentications are counted by each process for itself: no store to share them")
            away = not reached
            wait = PATIENCE_SECONDS if away else SHARE_SECONDS
            self._stale_at = self._clock() + wait
            await asyncio.sleep(wait)
            await self._stirred.wait()

    async def _exchange(self) -> bool:
        failures, forgiven = self._failures, self._forgiven
        self._failures, self._forgiven = {}, set()
        settings = self._settings
        try:
            standings = await self._ledger.exchange(
                failures,
                forgiven,
                most=settings.max_failures,
                window_seconds=settings.window_seconds,
                lockout_seconds=settings.lockout_seconds,
            )
        except StoreUnavailable:
            return False
        self._suspects = frozenset(address for address, _, _ in standings) - self._forgiven
        if self._others or not self._learned:
            for address, _, locked_for in standings:
                if locked_for > 0:
                    self.lock(address, locked_for)
        self._learned = True
        return True
