"""What a session store promises, whichever database is behind it.

Owns the protocol and the values that cross it. Implementations: ``sqlite``, ``postgresql``.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

import msgspec

from app.sessions.leases import SessionLeases
from app.sessions.message import Message


class StoredMessage(msgspec.Struct, frozen=True):
    """A message of a session's active branch: its id in the chain, its content's digest, and itself."""

    id: str
    digest: str
    message: Message


class SessionRecord(msgspec.Struct, frozen=True):
    """What is known of a session without its messages; times in seconds since 1970."""

    key: str
    agent_id: str
    created_at: float
    updated_at: float


class Excerpt(msgspec.Struct, frozen=True):
    """The two ends of a session's active branch.

    Attributes:
        total: How many messages the branch has.
        opening: The user's first message, if it was wanted and there is one that isn't too large.
        latest: Its last messages that were wanted, oldest first.
    """

    total: int
    opening: Message | None
    latest: tuple[Message, ...]


class Fault(msgspec.Struct, frozen=True):
    """A message that is not what was once written, and in which way."""

    session_key: str
    message_id: str
    problem: str


class Verification(msgspec.Struct, frozen=True):
    """What deriving every hash anew has shown; how many sessions and messages were looked at."""

    sessions: int
    messages: int
    faults: tuple[Fault, ...]


class SessionConflict(Exception):
    """Raised when a session has moved on since it was read: another process appended to it, or has taken it over."""


class SessionStore(Protocol):
    """Keeps sessions. Every method may raise ``StoreError``.

    Attributes:
        leases: Gives sessions out among all who share the store; ``None`` where one process has it for itself.
    """

    @property
    def leases(self) -> SessionLeases | None: ...

    async def history(self, session_key: str) -> list[StoredMessage]:
        """Return the active branch of a session, oldest first; empty for a session never written."""
        ...

    async def excerpts(
        self, session_keys: Collection[str], *, latest: int, skip: int = 0, max_bytes: int, opening: bool = False
    ) -> dict[str, Excerpt]:
        """Return the ends of sessions, by key; of those only that there are. Reads no more than is asked for.

        Args:
            session_keys: Which sessions.
            latest: How many of the last messages of each.
            skip: How many of the very last ones to leave out.
            max_bytes: What the JSON texts of one session's ``latest`` may have in all; what comes before those that fit
                is left out, and that may be everything. The opening has the same limit for itself.
            opening: Whether the user's first message is wanted.
        """
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
        fence: int | None = None,
    ) -> None:
        """Append messages behind ``parent`` and make the last of them the session's head, in one transaction.

        Args:
            session_key: The session, created when it doesn't exist.
            agent_id: The agent it belongs to.
            run_id: The run that these messages come from.
            expected_head: The head that ``history`` showed (``None``: no messages).
            parent: The id of the message to append to; another one than the head forks the conversation.
            messages: What is new, oldest first.
            fence: What ``SessionLeases.held`` gave; ``None`` where nobody else can have the session.

        Raises:
            SessionConflict: If the head is no longer ``expected_head``, or the lease that ``fence`` stands for was
                taken over; nothing is written then.
        """
        ...

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
        """Return sessions, the last changed first, and how many there are in all.

        Args:
            limit: How many at most.
            offset: How many to skip.
            agent_id: Only this agent's.
            agents: Only those of these agents.
            since: Only those changed since then, in seconds since 1970.
            search: Only those whose key contains this text.
        """
        ...

    async def session(self, session_key: str) -> SessionRecord | None:
        """Return one session, if there is one under the key."""
        ...

    async def reset(self, session_key: str) -> SessionRecord | None:
        """Begin a session anew: it has no messages then. Return it, or ``None`` when there is none."""
        ...

    async def delete(self, session_key: str) -> bool:
        """Remove a session and everything said in it. Return whether there was one."""
        ...

    async def verify(self) -> Verification:
        """Derive every hash of every message anew, and see whether each chain is whole."""
        ...

    async def ping(self) -> None:
        """Return when the store can be read."""
        ...

    async def close(self) -> None:
        """Release every connection. Idempotent."""
        ...


class StoreError(Exception):
    """Raised when the store can't do what it was asked: unreachable, read-only, full, corrupt."""
