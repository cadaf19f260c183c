"""A store that opens itself in the background: the gateway answers before its database layer is even imported.

Importing SQLAlchemy takes longer than the rest of the start-up together, and stateless requests never need it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager

from app.log import logger
from app.sessions.archive import SessionArchive
from app.sessions.deferred_archive import DeferredArchive
from app.sessions.deferred_records import DeferredFailureLedger, DeferredKeyLedger, DeferredRecords
from app.sessions.deferred_summaries import DeferredSummaries
from app.sessions.history import History
from app.sessions.interruption import BegunRun, InterruptedRun
from app.sessions.leases import SessionLeases
from app.sessions.message import Message
from app.sessions.store import Excerpt, SessionRecord, SessionStore, StoreError, Verification

_log = logger("zero.sessions")


class DeferredStore:
    """Opens the real store once, at ``open()`` or at first use; a failed opening is tried again at the next use.

    Args:
        opener: Opens the real store; may raise ``StoreError``.
        shared: Whether the real store has leases, because other processes use it, too.

    Attributes:
        kind: What it is called, for people; its address is a secret.
    """

    def __init__(self, opener: Callable[[], Awaitable[SessionStore]], *, shared: bool = False) -> None:
        self.kind = "postgresql" if shared else "sqlite"
        self.leases: SessionLeases | None = DeferredLeases(self.opened) if shared else None
        self.archive: SessionArchive = DeferredArchive(self._archive)
        self.records = DeferredRecords(self.opened)
        self.failures = DeferredFailureLedger(self.opened)
        self.key_uses = DeferredKeyLedger(self.opened) if shared else None
        self.summaries = DeferredSummaries(self.opened)
        self._opener = opener
        self._opening: asyncio.Task[SessionStore] | None = None
        self._closed = False

    def open(self) -> None:
        """Begin opening, unless that has begun."""
        if self._opening is None or (self._opening.done() and not _succeeded(self._opening)):
            self._opening = asyncio.create_task(self._open(), name="session-store-open")
            self._opening.add_done_callback(_log_failure)

    async def history(self, session_key: str) -> History:
        """See ``SessionStore``."""
        return await (await self.opened()).history(session_key)

    async def excerpts(
        self, session_keys: Collection[str], *, latest: int, skip: int = 0, max_bytes: int, opening: bool = False
    ) -> dict[str, Excerpt]:
        """See ``SessionStore``."""
        store = await self.opened()
        return await store.excerpts(session_keys, latest=latest, skip=skip, max_bytes=max_bytes, opening=opening)

    async def append(
        self,
        session_key: str,
        agent_id: str,
        run_id: str,
        *,
        expected_head: str | None,
        parent: str | None,
        messages: Sequence[Message],
        fence: int | None = None,
        keyed: str | None = None,
    ) -> None:
        """See ``SessionStore``."""
        store = await self.opened()
        await store.append(
            session_key,
            agent_id,
            run_id,
            expected_head=expected_head,
            parent=parent,
            messages=messages,
            fence=fence,
            keyed=keyed,
        )

    async def sessions(
        self,
        *,
        limit: int,
        offset: int = 0,
        agent_id: str | None = None,
        agents: Collection[str] | None = None,
        since: float = 0.0,
        search: str = "",
    ) -> tuple[list[SessionRecord], int]:
        """See ``SessionStore``."""
        store = await self.opened()
        return await store.sessions(
            limit=limit, offset=offset, agent_id=agent_id, agents=agents, since=since, search=search
        )

    async def session(self, session_key: str) -> SessionRecord | None:
        """See ``SessionStore``."""
        return await (await self.opened()).session(session_key)

    async def reset(self, session_key: str, *, fence: int | None = None) -> SessionRecord | None:
        """See ``SessionStore``."""
        return await (await self.opened()).reset(session_key, fence=fence)

    async def delete(self, session_key: str, *, unchanged_since: float | None = None) -> bool:
        """See ``SessionStore``."""
        return await (await self.opened()).delete(session_key, unchanged_since=unchanged_since)

    async def revoke(self, session_key: str, why: str, run_id: str | None = None) -> list[str]:
        """See ``SessionStore``."""
        return await (await self.opened()).revoke(session_key, why, run_id)

    @asynccontextmanager
    async def noted(self, run: BegunRun) -> AsyncIterator[None]:
        """See ``SessionStore``."""
        async with (await self.opened()).noted(run):
            yield

    async def interrupted(self, session_key: str) -> list[InterruptedRun]:
        """See ``SessionStore``."""
        return await (await self.opened()).interrupted(session_key)

    async def interrupted_run(self, run_id: str) -> InterruptedRun | None:
        """See ``SessionStore``."""
        return await (await self.opened()).interrupted_run(run_id)

    async def verify(self) -> Verification:
        """See ``SessionStore``."""
        return await (await self.opened()).verify()

    async def ping(self) -> None:
        """See ``SessionStore``."""
        await (await self.opened()).ping()

    async def close(self) -> None:
        """Close the real store if it was ever opened."""
        self._closed = True
        if self._opening is not None:
            await asyncio.wait({self._opening})
            if _succeeded(self._opening):
                await self._opening.result().close()
            self._opening = None

    async def opened(self) -> SessionStore:
        """Return the real store, once it is open.

        Raises:
            StoreError: If it can't be opened.
        """
        if self._closed:
            raise StoreError("The session store is closed: the gateway is shutting down.")
        if self._opening is not None and _succeeded(self._opening):
            return self._opening.result()
        self.open()
        assert self._opening is not None, "open() leaves a task"
        # One caller's cancellation must not take the opening away from the others.
        return await asyncio.shield(self._opening)

    async def _open(self) -> SessionStore:
        return await self._opener()

    async def _archive(self) -> SessionArchive:
        return (await self.opened()).archive


class DeferredLeases:
    """The leases of a store that may not be open yet.

    Args:
        opened: Returns the store once it is.
    """

    def __init__(self, opened: Callable[[], Awaitable[SessionStore]]) -> None:
        self._opened = opened

    @asynccontextmanager
    async def held(self, session_key: str, run: BegunRun | None = None) -> AsyncIterator[int | None]:
        """See ``SessionLeases``."""
        leases = (await self._opened()).leases
        assert leases is not None, "the store is a shared one"
        async with leases.held(session_key, run) as fence:
            yield fence


def _log_failure(opening: asyncio.Task[SessionStore]) -> None:
    if not opening.cancelled() and (error := opening.exception()) is not None:
        _log.error("%s", error)


def _succeeded(task: asyncio.Task[SessionStore]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


async def open_sqlite(path: str) -> SessionStore:
    """Import the SQLite store off the event loop, then open it."""
    await asyncio.to_thread(__import__, "app.sessions.sqlite")
    from pathlib import Path

    from app.sessions.sqlite import SqliteStore

    return await SqliteStore.open(Path(path))


async def open_postgresql(address: str) -> SessionStore:
    """Import the PostgreSQL store off the event loop, then connect.

    Args:
        address: What ``session.store`` says, with its password.
    """
    await asyncio.to_thread(__import__, "app.sessions.postgresql")
    from app.sessions.postgresql import PostgresqlStore

    return await PostgresqlStore.open(address)


async def reach_postgresql(address: str) -> None:
    """Connect to a database and change nothing in it; raises ``StoreError`` if that can't be done."""
    await asyncio.to_thread(__import__, "app.sessions.postgresql")
    from app.sessions.postgresql import reach

    await reach(address)
