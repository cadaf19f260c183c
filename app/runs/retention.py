"""Forgetting sessions that nobody has gone on with for long: at the start of a gateway, and every hour.

Owns when and how many at a time. Several gateways may do it for one database at once: each session is looked at again
when it is deleted. Source of the rule: docs/sessions.md, "Retention".
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import time
from typing import Final

from app.config import Session
from app.errors import GatewayError
from app.log import logger
from app.runs.session_care import SessionCare
from app.sessions.archive import SessionArchive
from app.sessions.store import SessionRecord, StoreError

EVERY_SECONDS: Final = 3600.0
"""How long it rests."""
BATCH: Final = 100
"""Sessions that are read at a time."""
DAY: Final = 86_400.0

_log = logger("zero.sessions")


class Retention:
    """Deletes sessions that have grown old.

    Args:
        archive: Finds them.
        care: Deletes them.
        settings: Returns the configuration's ``session`` in force.
        clock: Returns the time, in seconds since 1970.
    """

    def __init__(
        self,
        archive: SessionArchive,
        care: SessionCare,
        settings: Callable[[], Session],
        clock: Callable[[], float] = time,
    ) -> None:
        self._archive = archive
        self._care = care
        self._settings = settings
        self._clock = clock

    async def keep(self, every: float = EVERY_SECONDS) -> None:
        """Delete what has grown old, now and again and again; never returns."""
        while True:
            try:
                await self.apply()
            except (StoreError, GatewayError) as error:
                _log.warning("sessions past their retention can't be deleted now: %s", error)
            except Exception:
                _log.exception("sessions past their retention can't be deleted now")
            await asyncio.sleep(every)

    async def apply(self) -> int:
        """Delete what has grown old, and return how many sessions that were.

        Raises:
            StoreError: If the store can't be read.
            StoreUnavailable: If it can't be written.
        """
        days = self._settings().retention_days
        if days is None:
            return 0
        since = self._clock() - days * DAY
        deleted = 0
        last: SessionRecord | None = None
        while records := await self._archive.unchanged(since, limit=BATCH, after=last):
            for record in records:
                deleted += await self._care.delete_unchanged(record, since)
            last = records[-1]
        if deleted:
            _log.info("deleted %d session(s) that had not changed for %d day(s)", deleted, days)
        return deleted
