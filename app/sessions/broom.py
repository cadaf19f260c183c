"""When it is looked for what dead processes have left in sessions' queues: now and then, and while somebody waits.

Owns the times; what is dead, and what becomes of it, is ``expiry``.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from time import monotonic
from typing import Final

from app.log import logger
from app.sessions.expiry import Lend, sweep
from app.sessions.leases import LEASE_SECONDS
from app.sessions.store import StoreError

SWEEP_SECONDS: Final = 1.0
"""How long nobody looks again, however many want it."""

_log = logger("zero.sessions")


class Broom:
    """Sweeps, one time after the other.

    Args:
        reading: Lends a connection on which each statement stands alone.
        writing: Lends a connection with a transaction around it.
    """

    def __init__(self, reading: Lend, writing: Lend) -> None:
        self._reading = reading
        self._writing = writing
        self._timer: asyncio.Task[None] | None = None
        self._sweeping: asyncio.Task[None] | None = None
        self._swept = 0.0

    def open(self) -> None:
        """Sweep now and from time to time."""
        self._timer = asyncio.create_task(self._now_and_then(), name="session-turns-sweep")

    async def sweep(self) -> None:
        """Sweep, unless that was just done or is being done. Cancelling the wait doesn't stop it."""
        if monotonic() < self._swept + SWEEP_SECONDS or (self._sweeping is not None and not self._sweeping.done()):
            return
        self._swept = monotonic()
        self._sweeping = asyncio.create_task(self._sweep())
        await asyncio.shield(self._sweeping)

    async def close(self) -> None:
        """Sweep no more, and wait for what was begun."""
        if self._timer is not None:
            self._timer.cancel()
            with suppress(asyncio.CancelledError):
                await self._timer
        if self._sweeping is not None:
            await asyncio.wait({self._sweeping})

    async def _now_and_then(self) -> None:
        while True:
            await self.sweep()
            await asyncio.sleep(LEASE_SECONDS)

    async def _sweep(self) -> None:
        try:
            await sweep(self._reading, self._writing)
        except StoreError as error:
            _log.warning("what dead processes left could not be looked for: %s", error)
