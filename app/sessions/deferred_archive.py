"""The archive of a store that may not be open yet; see ``deferred``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection

from app.sessions.archive import (
    ArchivedMessage,
    ArchivedSession,
    Outline,
    Page,
    Selection,
    SessionArchive,
    TakenIn,
)
from app.sessions.store import SessionRecord


class DeferredArchive:
    """Hands everything on to the real archive.

    Args:
        opened: Returns that, once it is open; may raise ``StoreError``.
    """

    def __init__(self, opened: Callable[[], Awaitable[SessionArchive]]) -> None:
        self._opened = opened

    async def listing(
        self, selection: Selection, *, limit: int, after: SessionRecord | None = None
    ) -> list[SessionRecord]:
        """See ``SessionArchive``."""
        return await (await self._opened()).listing(selection, limit=limit, after=after)

    async def outline(self, session_key: str) -> Outline | None:
        """See ``SessionArchive``."""
        return await (await self._opened()).outline(session_key)

    async def texts(self, session_key: str, ids: Collection[str]) -> list[ArchivedMessage]:
        """See ``SessionArchive``."""
        return await (await self._opened()).texts(session_key, ids)

    async def page(
        self, session_key: str, *, branch: str | None = None, after: str | None = None, limit: int, max_bytes: int
    ) -> Page:
        """See ``SessionArchive``."""
        archive = await self._opened()
        return await archive.page(session_key, branch=branch, after=after, limit=limit, max_bytes=max_bytes)

    async def restore(self, session_key: str, branch: str, *, fence: int | None = None) -> SessionRecord | None:
        """See ``SessionArchive``."""
        return await (await self._opened()).restore(session_key, branch, fence=fence)

    async def take_in(self, session: ArchivedSession, *, fence: int | None = None) -> TakenIn:
        """See ``SessionArchive``."""
        return await (await self._opened()).take_in(session, fence=fence)

    async def unchanged(self, since: float, *, limit: int, after: SessionRecord | None = None) -> list[SessionRecord]:
        """See ``SessionArchive``."""
        return await (await self._opened()).unchanged(since, limit=limit, after=after)
