"""A store that opens itself in the background: the gateway answers before its database layer is even imported.

Importing SQLAlchemy takes longer than the rest of the start-up together, and stateless requests never need it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence

from app.sessions.message import Message
from app.sessions.store import Excerpt, SessionRecord, SessionStore, StoredMessage, StoreError

_log = logging.getLogger("zero.sessions")


class DeferredStore:
    """Opens the real store once, at ``open()`` or at first use; a failed opening is tried again at the next use.

    Args:
        opener: Opens the real store; may raise ``StoreError``.
    """

    def __init__(self, opener: Callable[[], Awaitable[SessionStore]]) -> None:
        self._opener = opener
        self._opening: asyncio.Task[SessionStore] | None = None
        self._closed = False

    def open(self) -> None:
        """Begin opening, unless that has begun."""
        if self._opening is None or (self._opening.done() and not _succeeded(self._opening)):
            self._opening = asyncio.create_task(self._open(), name="session-store-open")
            self._opening.add_done_callback(_log_failure)

    async def history(self, session_key: str) -> list[StoredMessage]:
        """See ``SessionStore``."""
        return await (await self._store()).history(session_key)

    async def excerpts(
        self, session_keys: Collection[str], *, latest: int, skip: int = 0, max_bytes: int, opening: bool = False
    ) -> dict[str, Excerpt]:
        """See ``SessionStore``."""
        store = await self._store()
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
    ) -> None:
        """See ``SessionStore``."""
        store = await self._store()
        await store.append(session_key, agent_id, run_id, expected_head=expected_head, parent=parent, messages=messages)

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
        store = await self._store()
        return await store.sessions(
            limit=limit, offset=offset, agent_id=agent_id, agents=agents, since=since, search=search
        )

    async def session(self, session_key: str) -> SessionRecord | None:
        """See ``SessionStore``."""
        return await (await self._store()).session(session_key)

    async def reset(self, session_key: str) -> SessionRecord | None:
        """See ``SessionStore``."""
        return await (await self._store()).reset(session_key)

    async def delete(self, session_key: str) -> bool:
        """See ``SessionStore``."""
        return await (await self._store()).delete(session_key)

    async def ping(self) -> None:
        """See ``SessionStore``."""
        await (await self._store()).ping()

    async def close(self) -> None:
        """Close the real store if it was ever opened."""
        self._closed = True
        if self._opening is not None:
            await asyncio.wait({self._opening})
            if _succeeded(self._opening):
                await self._opening.result().close()
            self._opening = None

    async def _store(self) -> SessionStore:
        if self._closed:
            raise StoreError("The session store is closed: the gateway is shutting down.")
        self.open()
        assert self._opening is not None, "open() leaves a task"
        # One caller's cancellation must not take the opening away from the others.
        return await asyncio.shield(self._opening)

    async def _open(self) -> SessionStore:
        return await self._opener()


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
