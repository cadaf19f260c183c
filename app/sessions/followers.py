"""Those who wait for another process's run under an ``Idempotency-Key``: one look at the database for all of them.

Part of ``idempotency_records``. SQL, and nothing of runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from time import monotonic
from typing import Final, TypeAlias

from sqlalchemy import case, select

from app.sessions.clock import now
from app.sessions.core_engine import AsyncConnection
from app.sessions.owner import is_dead
from app.sessions.schema import idempotency
from app.sessions.store import StoreError

LOOK_SECONDS: Final = 0.5
"""How often they look."""
PATIENCE_SECONDS: Final = 15.0
"""How long the database may be out of reach before they are told."""

_Which: TypeAlias = tuple[str, str]
"""A key and a run."""
_Lend = Callable[[], AbstractAsyncContextManager[AsyncConnection]]
_own = idempotency.c


class Followers:
    """Waits for runs of other processes; see ``IdempotencyRecords.follow``.

    Args:
        single: Lends a connection for a statement that stands alone.
    """

    def __init__(self, single: _Lend) -> None:
        self._single = single
        self._followed: dict[_Which, set[asyncio.Event]] = {}
        self._failures: dict[_Which, bytes] = {}
        self._eye: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return sum(map(len, self._followed.values()))

    async def follow(self, key: str, run_id: str) -> bytes | None:
        """See ``IdempotencyRecords``. Whoever waits looks at least once, however short the run."""
        which = key, run_id
        over = asyncio.Event()
        self._followed.setdefault(which, set()).add(over)
        if self._eye is None or self._eye.done():
            self._eye = asyncio.create_task(self._look(), name="idempotency-watch")
        eye = self._eye
        waiting = asyncio.create_task(over.wait())
        try:
            await asyncio.wait({waiting, eye}, return_when=asyncio.FIRST_COMPLETED)
            if not over.is_set():
                await eye  # it ended because the database is out of reach, and says so
            return self._failures.get(which)
        finally:
            waiting.cancel()
            followers = self._followed.get(which, set())
            followers.discard(over)
            if not followers:
                self._followed.pop(which, None)
                self._failures.pop(which, None)

    async def close(self) -> None:
        """Look no more."""
        if self._eye is not None:
            self._eye.cancel()
            with suppress(asyncio.CancelledError, StoreError):
                await self._eye

    async def _look(self) -> None:
        patience = monotonic() + PATIENCE_SECONDS
        while self._followed:
            followed = tuple(self._followed)
            try:
                async with self._single() as connection:
                    alive = _own.leased_until > now(connection)
                    seen = select(_own.key, _own.run_id, alive, _own.owner, case((_own.failed, _own.body)))
                    rows = (await connection.execute(seen.where(_own.key.in_([key for key, _ in followed])))).all()
                patience = monotonic() + PATIENCE_SECONDS
            except StoreError:
                if monotonic() > patience:
                    raise
            else:
                ended = {owner: is_dead(owner) for _, _, _, owner, _ in rows}
                self._tell(
                    followed,
                    {
                        (key, run_id): (bool(leased) and not ended[owner], failure)
                        for key, run_id, leased, owner, failure in rows
                    },
                )
            await asyncio.sleep(LOOK_SECONDS)

    def _tell(self, followed: tuple[_Which, ...], seen: dict[_Which, tuple[bool, bytes | None]]) -> None:
        for which in followed:
            alive, failure = seen.get(which, (False, None))
            if alive or which not in self._followed:
                continue
            if failure is not None:
                self._failures[which] = failure
            for over in self._followed[which]:
                over.set()
