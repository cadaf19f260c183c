"""The summaries of a store that may not be open yet; see ``deferred``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from app.sessions.store import SessionStore
from app.sessions.summary import Summary


class DeferredSummaries:
    """Hands everything on to the real ones.

    Args:
        opened: Returns the store once it is open; may raise ``StoreError``.
    """

    def __init__(self, opened: Callable[[], Awaitable[SessionStore]]) -> None:
        self._opened = opened

    async def read(self, session_key: str) -> list[Summary]:
        """See ``SessionSummaries``."""
        return await (await self._opened()).summaries.read(session_key)

    async def keep(self, session_key: str, summary: Summary) -> bool:
        """See ``SessionSummaries``."""
        return await (await self._opened()).summaries.keep(session_key, summary)
