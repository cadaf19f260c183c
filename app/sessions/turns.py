"""Whose turn it is in a session, among all gateways that share a database.

Each run that wants a session puts a row into ``turns``; of a session's rows the one with the lowest id has it, and the
id is the fence. A row lives for ``LEASE_SECONDS`` unless its process renews it, so that what dies with its process
holds nobody up. No connection is held while a run has a session or waits for it. Who leaves says so (NOTIFY) when
somebody waits; where that doesn't arrive, those who wait look every ``LOOK_SECONDS``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import datetime, timedelta
from time import monotonic
from typing import Any, Final, TypeVar
from uuid import uuid4

from sqlalchemy import ColumnElement, DateTime, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.errors import RateLimited
from app.sessions.schema import turns
from app.sessions.store import StoreError

MAX_WAITING: Final = 64
"""Runs that may wait for one session, in all gateways together; the next is refused before any work."""
LEASE_SECONDS: Final = 15.0
"""After how long without a sign of life a process counts as dead."""
LOOK_SECONDS: Final = 1.0
"""How often those who wait look by themselves."""
LISTEN_SECONDS: Final = 60.0
"""How long the connection stays that listens, once nobody waits any more."""
CHANNEL: Final = "zero_turns"

_T = TypeVar("_T")
_Lend = Callable[[], AbstractAsyncContextManager[AsyncConnection]]
_log = logging.getLogger("zero.sessions")


class _PlaceLost(StoreError):
    """Raised when a row that was to be renewed was not, and is gone."""


class Turns:
    """Sessions given out through a database; see ``SessionLeases``.

    Args:
        writing: Lends a connection with a transaction around it.
        reading: Lends a connection on which each statement stands alone.
        connect: Opens a connection of psycopg's, to listen on.
    """

    def __init__(self, writing: _Lend, reading: _Lend, connect: Callable[[], Awaitable[Any]]) -> None:
        self._writing = writing
        self._reading = reading
        self._connect = connect
        self._owner = uuid4().hex
        self._rows: set[int] = set()
        self._queues: dict[str, dict[int, asyncio.Event]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._heart: asyncio.Task[None] | None = None
        self._ear: asyncio.Task[None] | None = None
        self._closed = False

    @asynccontextmanager
    async def held(self, session_key: str) -> AsyncIterator[int]:
        """Wait for the session, and give it back at the end. Cancelling the wait gives the place in the queue up."""
        entering = self._task(self._enter(session_key))
        try:
            own, before = await asyncio.shield(entering)
        except asyncio.CancelledError:
            # Its row may get there all the same, and mustn't stay.
            entering.add_done_callback(self._regret)
            raise
        try:
            if before:
                await self._wait(session_key, own)
            yield own
        finally:
            await asyncio.shield(self._task(self._leave(own)))
            self._wake(session_key)

    async def close(self) -> None:
        """Stop listening and renewing, and give back what is held."""
        self._closed = True
        for task in (self._heart, self._ear):
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        while self._tasks:
            await asyncio.wait(self._tasks)
        await self._leave(*self._rows)

    async def _enter(self, key: str) -> tuple[int, bool]:
        expired = turns.c.expires_at < func.clock_timestamp()
        count = select(func.count().label("all"), func.count().filter(expired).label("expired"))
        async with self._writing() as connection:
            await _alone(connection, key)
            found = (await connection.execute(count.where(turns.c.session_key == key))).one()
            if found.expired:
                await connection.execute(delete(turns).where(turns.c.session_key == key, expired))
            if found.all - found.expired > MAX_WAITING:
                raise RateLimited(
                    f"{MAX_WAITING} runs of this session are waiting already. Try again later.",
                    code="session_queue_full",
                    retry_after=2,
                )
            row = insert(turns).values(session_key=key, owner=self._owner, expires_at=_expiry(), awaited=False)
            own = (await connection.execute(row.returning(turns.c.id))).scalar_one()
        self._rows.add(own)
        if not self._closed and (self._heart is None or self._heart.done()):
            self._heart = asyncio.create_task(self._beat(), name="session-turns-renewal")
        return own, bool(found.all)

    async def _wait(self, key: str, own: int) -> None:
        if self._ear is None or self._ear.done():
            self._ear = asyncio.create_task(self._listen(), name="session-turns-listener")
        queue = self._queues.setdefault(key, {})
        wake = queue[own] = asyncio.Event()
        patience = monotonic() + LEASE_SECONDS
        try:
            while True:
                wake.clear()
                try:
                    if await self._first(key, own):
                        return
                    patience = monotonic() + LEASE_SECONDS
                except _PlaceLost:
                    raise
                except StoreError:
                    if monotonic() > patience:  # until then its place in the queue is still there
                        raise
                with suppress(TimeoutError):
                    # Only the first of those who wait here can be the next one; the others are woken after it.
                    async with asyncio.timeout(LOOK_SECONDS if own == min(queue) else None):
                        await wake.wait()
        finally:
            del queue[own]
            if queue:
                queue[min(queue)].set()
            else:
                self._queues.pop(key, None)

    async def _first(self, key: str, own: int) -> bool:
        before = (turns.c.session_key == key) & (turns.c.id < own)
        look = select(
            func.count().filter(turns.c.id < own).label("before"), func.count().filter(turns.c.id == own).label("own")
        )
        async with self._writing() as connection:
            await _alone(connection, key)
            await connection.execute(delete(turns).where(before, turns.c.expires_at < func.clock_timestamp()))
            # Whoever is before it says so on leaving. One that is just leaving is waited for here, and then is gone.
            await connection.execute(update(turns).where(before, ~turns.c.awaited).values(awaited=True))
            row = (await connection.execute(look.where(turns.c.session_key == key))).one()
        if not row.own:
            raise _PlaceLost("The place in the session's queue was lost: this process was out of touch for too long.")
        return not row.before

    async def _leave(self, *rows: int) -> None:
        self._rows.difference_update(rows)
        leaving = delete(turns).where(turns.c.id.in_(rows)).returning(turns.c.session_key, turns.c.awaited)
        gone = leaving.cte("gone")
        news = select(func.pg_notify(CHANNEL, gone.c.session_key)).where(gone.c.awaited)
        for attempt in range(2 if rows else 0):
            try:
                async with self._reading() as connection:
                    await connection.execute(news)
            except StoreError as error:
                if attempt:
                    # It is no longer renewed, so the others get the session when it has expired.
                    _log.warning("a session can't be given back, and is free in %g s: %s", LEASE_SECONDS, error)
            else:
                return

    def _regret(self, entering: asyncio.Task[tuple[int, bool]]) -> None:
        if not entering.cancelled() and entering.exception() is None:
            self._task(self._leave(entering.result()[0]))

    async def _beat(self) -> None:
        while self._rows:
            await asyncio.sleep(LEASE_SECONDS / 4)
            # What somebody is at work with is renewed the next time: waiting for it could be waiting in a circle.
            free = (
                select(turns.c.id).where(turns.c.id.in_(self._rows)).with_for_update(key_share=True, skip_locked=True)
            )
            try:
                async with self._reading() as connection:
                    await connection.execute(update(turns).where(turns.c.id.in_(free)).values(expires_at=_expiry()))
            except StoreError as error:
                _log.warning("the sessions held here could not be renewed: %s", error)

    async def _listen(self) -> None:
        while self._queues:
            try:
                connection = await self._connect()
                try:
                    await connection.set_autocommit(True)
                    await connection.execute(f"LISTEN {CHANNEL}")
                    self._wake_all()  # of what was said before, nothing was heard
                    while self._queues:
                        async for notice in connection.notifies(timeout=LISTEN_SECONDS):
                            self._wake(notice.payload)
                finally:
                    await connection.close()
            except asyncio.CancelledError:
                raise
            except Exception as error:  # a driver's, of which there are many; those who wait look by themselves then
                _log.warning("news of the session store don't arrive: %s", str(error).partition("\n")[0])
                await asyncio.sleep(LOOK_SECONDS)

    def _wake(self, key: str) -> None:
        if queue := self._queues.get(key):
            queue[min(queue)].set()

    def _wake_all(self) -> None:
        for key in self._queues:
            self._wake(key)

    def _task(self, work: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


async def _alone(connection: AsyncConnection, key: str) -> None:
    """Have a session's queue for oneself until the transaction ends.

    Ids have to come in the order in which rows become visible, or two could see themselves as the first; and of two who
    look through the same rows each could wait for the other's.
    """
    await connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(key, 0))))


def _expiry() -> ColumnElement[datetime]:
    return func.clock_timestamp(type_=DateTime(timezone=True)) + timedelta(seconds=LEASE_SECONDS)
