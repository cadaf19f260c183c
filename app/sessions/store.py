"""What a session store promises, whichever database is behind it.

Owns the protocol and the values that cross it. Implementations: ``sqlite``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from app.sessions.message import Message


class StoredMessage(msgspec.Struct, frozen=True):
    """A message of a session's active branch: its id in the chain, its content's digest, and itself."""

    id: str
    digest: str
    message: Message


class SessionConflict(Exception):
    """Raised when a session has moved on since it was read: another process appended to it."""


class SessionStore(Protocol):
    """Keeps sessions. Every method may raise ``StoreError``."""

    async def history(self, session_key: str) -> list[StoredMessage]:
        """Return the active branch of a session, oldest first; empty for a session never written."""
        ...

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
        """Append messages behind ``parent`` and make the last of them the session's head, in one transaction.

        Args:
            session_key: The session, created when it doesn't exist.
            agent_id: The agent it belongs to.
            run_id: The run that these messages come from.
            expected_head: The head that ``history`` showed (``None``: no messages).
            parent: The id of the message to append to; another one than the head forks the conversation.
            messages: What is new, oldest first.

        Raises:
            SessionConflict: If the head is no longer ``expected_head``; nothing is written then.
        """
        ...

    async def ping(self) -> None:
        """Return when the store can be read."""
        ...

    async def close(self) -> None:
        """Release every connection. Idempotent."""
        ...


class StoreError(Exception):
    """Raised when the store can't do what it was asked: unreachable, read-only, full, corrupt."""
