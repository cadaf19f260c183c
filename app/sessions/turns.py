"""Whose turn it is in a session, among all gateways that share a database.

Each run that wants a session puts a row into ``turns``; of a session's rows the one with the lowest id has it, and the
id is the fence. A row lives for ``LEASE_SECONDS`` unless its process renews it, so that what dies with its process
holds nobody up; whoever removes such a row records its run (``expiry``). A row may be revoked: it has no place in the
queue from then on, and its run is stopped. No connection is held while a run has a session or waits for it. Who leaves
says so (NOTIFY) when somebody waits; where that doesn't arrive, those who wait look every ``LOOK_SECONDS``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from time import monotonic
from typing import Any, Final, Literal, TypeVar
from weakref import WeakValueDictionary

from sqlalchemy import case, func, select, update

from app.errors import RateLimited, RunAborted
from app.log import logger
from app.sessions.broom import Broom
from app.sessions.core_engine import AsyncConnection
from app.sessions.expiry import EXPIRED, Lend, remove
from app.sessions.interrupted import plain
from app.sessions.interruption import BegunRun, tell
from app.sessions.leases import BEAT_SECONDS, LEASE_SECONDS, WAITING_BEAT_SECONDS, WAITING_SECONDS
from app.sessions.news import FREE, REVOKED, News
from app.sessions.owner import this_process
from app.sessions.places import BEFORE, ENTER, LEAVE, after, alone
from app.sessions.schema import turns
from app.sessions.store import SessionConflict, StoreError
from app.sessions.tenure import Tenure

MAX_WAITING: Final = 64
"""Runs that may wait for one session, in all gateways together; the next is refused before any work."""
LOOK_SECONDS: Final = 1.0
"""How often those who wait look by themselves."""

_T = TypeVar("_T")
_log = logger("zero.sessions")


class _PlaceLost(StoreError):
    """Raised when a row that was to be renewed was not, and is gone."""

    def __init__(self) -> None:
        super().__init__("The place in the session's queue was lost: this process was out of touch for too long.")


class Turns:
    """Sessions given out through a database; see ``SessionLeases``.

    Args:
        writing: Lends a connection with a transaction around it.
        reading: Lends a connection on which each statement stands alone.
        connect: Opens a connection of psycopg's, to listen on.
    """

    def __init__(self, writing: Lend, reading: Lend, connect: Callable[[], Awaitable[Any]]) -> None:
        self._writing = writing
        self._reading = reading
        self._owner = this_process()
        self._tenures: dict[int, Tenure] = {}
        self._queues: dict[str, dict[int, asyncio.Event]] = {}
        self._entrances: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._news = News(connect, self)
        self._heart: asyncio.Task[None] | None = None
        self._look = asyncio.Event()
        self._broom = Broom(reading, writing)
        self._closed = False

    def open(self) -> None:
        """Look for what dead processes have left, now and from time to time."""
        self._broom.open()

    @asynccontextmanager
    async def held(self, session_key: str, run: BegunRun | None = None) -> AsyncIterator[int]:
        """Wait for the session, and give it back at the end. Cancelling the wait gives the place in the queue up."""
        began = monotonic()
        entering = self._task(self._enter(session_key, run))
        try:
            own, before = await asyncio.shield(entering)
        except asyncio.CancelledError:
            # Its row may get there all the same, and mustn't stay.
            entering.add_done_callback(self._regret)
            raise
        tenure = self._tenures[own] = Tenure(own, session_key, began)
        if not self._closed and (self._heart is None or self._heart.done()):
            self._heart = asyncio.create_task(self._beat(), name="session-turns-renewal")
        lost: Exception | None = None
        try:
            if before:
                await self._wait(session_key, own)
            tenure.holding = True
            if before:
                self.look()  # its row lives for no longer yet than one that waits
            yield own
        except asyncio.CancelledError:
            if (lost := tenure.end()) is None:
                raise
        except BaseException:
            tenure.end()
            raise
        else:
            tenure.end()
        finally:
            del self._tenures[own]
            await asyncio.shield(self._task(self._leave(own)))
            self._wake(session_key)
        if lost is not None:
            raise lost

    def settle(self, fence: int) -> None:
        """Say that a run has stored its turn: whatever becomes of its place, it is not stopped any more."""
        if tenure := self._tenures.get(fence):
            tenure.settled = True

    def look(self) -> None:
        """See at once what has become of the places held here."""
        self._look.set()

    async def close(self) -> None:
        """Stop listening and renewing, and give back what is held."""
        self._closed = True
        if self._heart is not None:
            self._heart.cancel()
            await asyncio.wait({self._heart})
        await self._broom.close()
        await self._news.close()
        while self._tasks:
            await asyncio.wait(self._tasks)
        await self._leave(*self._tenures)

    async def revoke(self, connection: AsyncConnection, key: str, why: str, run_id: str | None = None) -> list[str]:
        """Stop a session's runs, or one of them, in all gateways, when the transaction under way ends.

        A turn that is just being stored is waited for. Who comes after this transaction is not meant.

        Returns:
            The runs' ids.
        """
        await alone(connection, key)
        meant = (turns.c.session_key == key) & turns.c.revoked.is_(None)
        if run_id is not None:
            meant &= turns.c.run_id == plain(run_id)
        revoked = update(turns).where(meant).values(revoked=why).returning(turns.c.run_id)
        stopped = (await connection.execute(revoked)).scalars().all()
        if stopped:
            await connection.execute(select(func.pg_notify(REVOKED, key), func.pg_notify(FREE, key)))
        return [one for one in stopped if one is not None]

    def listening(self) -> bool:
        """See ``Hearer``."""
        return bool(self._queues or self._tenures)

    def hear(self, channel: str, message: str) -> None:
        """See ``Hearer``."""
        if channel == FREE:
            self._wake(message)
        elif any(tenure.session_key == message for tenure in self._tenures.values()):
            self.look()

    def catch_up(self) -> None:
        """See ``Hearer``."""
        self.look()
        for key in self._queues:
            self._wake(key)

    async def _enter(self, key: str, run: BegunRun | None) -> tuple[int, bool]:
        """Take the last place in a session's queue; return it, and whether there is anybody before it."""
        entry: dict[str, Any] = {
            "entered": key,
            "entrant": self._owner,
            "lease": timedelta(seconds=LEASE_SECONDS),
            "wait": timedelta(seconds=WAITING_SECONDS),
            "run_id": None,
            "agent_id": None,
            "began": None,
        }
        if run is not None:
            entry |= {"run_id": plain(run.run_id), "agent_id": run.agent_id, "began": run.started_at}
        async with self._first_come(key), self._reading() as connection:
            own: int = (await connection.execute(ENTER, entry)).scalar_one()
            try:
                found = (await connection.execute(BEFORE, {"entered": key, "own": own})).one()
            except BaseException:
                self._task(self._leave(own))
                raise
        if found.revoked is not None or found.living > MAX_WAITING:
            await self._leave(own)
        if found.revoked is not None:
            raise RunAborted(found.revoked)
        if found.living > MAX_WAITING:
            raise RateLimited(
                f"{MAX_WAITING} runs of this session are waiting already. Try again later.",
                code="session_queue_full",
                retry_after=2,
            )
        return own, bool(found.all)

    @asynccontextmanager
    async def _first_come(self, key: str) -> AsyncIterator[None]:
        """Let the runs of this process enter a session's queue one by one: connections don't keep their order."""
        entrance = self._entrances.setdefault(key, asyncio.Lock())
        try:
            async with asyncio.timeout(LEASE_SECONDS):
                await entrance.acquire()
        except TimeoutError as error:
            raise StoreError(f"The session store didn't answer within {LEASE_SECONDS:g} s.") from error
        try:
            yield
        finally:
            entrance.release()

    async def _wait(self, key: str, own: int) -> None:
        self._news.want()
        if not self._queues:
            self.look()  # the next sign of life was to come later than is enough for one that waits
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
                try:
                    # Only the first of those who wait here can be the next one; the others are woken after it.
                    async with asyncio.timeout(LOOK_SECONDS if own == min(queue) else None):
                        await wake.wait()
                except TimeoutError:
                    await self._broom.sweep()
        finally:
            del queue[own]
            if queue:
                queue[min(queue)].set()
            else:
                self._queues.pop(key, None)

    async def _first(self, key: str, own: int) -> bool:
        before = (turns.c.session_key == key) & (turns.c.id < own)
        look = select(
            func.count().filter(turns.c.id < own, turns.c.revoked.is_(None)).label("before"),
            func.count().filter(turns.c.id == own).label("own"),
            func.max(turns.c.revoked).filter(turns.c.id == own).label("revoked"),
        )
        async with self._writing() as connection:
            await alone(connection, key)
            _, interrupted = await remove(connection, before & EXPIRED)
            # Whoever is before it says so on leaving. One that is just leaving is waited for here, and then is gone.
            await connection.execute(update(turns).where(before, ~turns.c.awaited).values(awaited=True))
            row = (await connection.execute(look.where(turns.c.session_key == key))).one()
        tell(interrupted)
        if not row.own:
            raise _PlaceLost
        if row.revoked is not None:
            raise RunAborted(row.revoked)
        return not row.before

    async def _leave(self, *rows: int) -> None:
        for attempt in range(2 if rows else 0):
            try:
                async with self._reading() as connection:
                    await connection.execute(LEAVE, {"left": rows})
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
        renewing: asyncio.Task[dict[int, str | Literal[False] | None]] | None = None
        while self._tenures:
            with suppress(TimeoutError):
                async with asyncio.timeout(WAITING_BEAT_SECONDS if self._queues else BEAT_SECONDS):
                    await self._look.wait()
            self._look.clear()
            if not self._tenures:
                return
            self._news.want()  # by now it is a longer run, which may be told to stop
            if renewing is None:
                began, renewing = monotonic(), self._task(self._renew())
            # Not stopped when it takes longer: a connection that is just being opened would be lost.
            await asyncio.wait({renewing}, timeout=BEAT_SECONDS)
            error = renewing.exception() if renewing.done() else "there is no answer yet"
            if error is not None:
                _log.warning("the sessions held here could not be renewed: %s", error)
                for tenure in tuple(self._tenures.values()):
                    if monotonic() - tenure.renewed > LEASE_SECONDS:
                        self._lose(tenure, SessionConflict(tenure.session_key))
                renewing = None if renewing.done() else renewing
                continue
            found, renewing = renewing.result(), None
            self._heed(found, began)

    def _heed(self, found: dict[int, str | Literal[False] | None], began: float) -> None:
        """Take note of what has become of the places held here; ``began`` is when that was asked for."""
        for row, revoked in found.items():
            if (tenure := self._tenures.get(row)) is None:
                continue
            if revoked is None:
                tenure.renewed = began
            else:
                self._lose(tenure, RunAborted(revoked) if revoked else SessionConflict(tenure.session_key))

    def _lose(self, tenure: Tenure, error: Exception) -> None:
        """Stop a run; one that waits finds out by itself what has become of its place."""
        if tenure.holding:
            tenure.lose(error)
        elif wake := self._queues.get(tenure.session_key, {}).get(tenure.row):
            wake.set()

    async def _renew(self) -> dict[int, str | Literal[False] | None]:
        """Renew the places held here; return of each whether it is revoked and why, or ``False`` if it is gone."""
        rows = tuple(self._tenures)
        # What somebody is at work with is renewed the next time: waiting for it could be waiting in a circle.
        free = select(turns.c.id).where(turns.c.id.in_(rows)).with_for_update(key_share=True, skip_locked=True)
        holding = [row for row in rows if self._tenures[row].holding]
        expiry = case((turns.c.id.in_(holding), after(LEASE_SECONDS)), else_=after(WAITING_SECONDS))
        renewed = update(turns).where(turns.c.id.in_(free)).values(expires_at=expiry).returning(turns.c.id)
        look = select(turns.c.id, turns.c.revoked).where(turns.c.id.in_(rows)).add_cte(renewed.cte("renewed"))
        async with self._reading() as connection:
            found = {row.id: row.revoked for row in (await connection.execute(look)).all()}
        return {row: found.get(row, False) for row in rows}

    def _wake(self, key: str) -> None:
        if queue := self._queues.get(key):
            queue[min(queue)].set()

    def _task(self, work: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
