"""What a session store promises, whichever database is behind it.

Owns the protocol and the values that cross it. Implementations: ``sqlite``, ``postgresql``.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Protocol

import msgspec

from app.sessions.failures import FailureLedger
from app.sessions.idempotency import IdempotencyRecords
from app.sessions.interruption import BegunRun, InterruptedRun
from app.sessions.key_uses import KeyLedger
from app.sessions.leases import SessionLeases
from app.sessions.message import Message
from app.sessions.summary import SessionSummaries

if TYPE_CHECKING:
    from app.sessions.archive import SessionArchive
    from app.sessions.history import History  # made of what is below


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
        records: Keeps what was answered under which ``Idempotency-Key``.
        failures: Counts failed authentications.
        key_uses: Counts what API keys use; ``None`` where one process has the store for itself.
        archive: Looks after what is stored.
        summaries: Keeps what stands for the beginnings of long sessions.
    """

    @property
    def leases(self) -> SessionLeases | None: ...

    @property
    def records(self) -> IdempotencyRecords: ...

    @property
    def failures(self) -> FailureLedger: ...

    @property
    def key_uses(self) -> KeyLedger | None: ...

    @property
    def archive(self) -> SessionArchive: ...

    @property
    def summaries(self) -> SessionSummaries: ...

    async def history(self, session_key: str) -> History:
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
        keyed: str | None = None,
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
            keyed: The ``Idempotency-Key`` that the run has. Its record tells then that the turn is stored.

        Raises:
            SessionConflict: If the head is no longer ``expected_head``, or the lease that ``fence`` stands for was
                taken over, or the key was; nothing is written then.
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

    async def reset(self, session_key: str, *, fence: int | None = None) -> SessionRecord | None:
        """Begin a session anew: it has no messages then. Return it, or ``None`` when there is none.

        Runs of other processes that had the session or waited for it are stopped, and store nothing afterwards.

        Args:
            session_key: The session.
            fence: What ``SessionLeases.held`` gave the run that wants this: then no run is stopped.

        Raises:
            SessionConflict: If the lease that ``fence`` stands for was taken over.
        """
        ...

    async def delete(self, session_key: str, *, unchanged_since: float | None = None) -> bool:
        """Remove a session and everything said in it, and stop its runs as ``reset`` does.

        Args:
            session_key: Which session.
            unchanged_since: Only if it hasn't changed since then, in seconds since 1970; its runs go on in any case.

        Returns:
            Whether there was one.
        """
        ...

    async def revoke(self, session_key: str, why: str, run_id: str | None = None) -> list[str]:
        """Stop the runs of a session, or one of them, in all processes that share the store.

        They end with ``RunAborted`` and store nothing from now on. Where one process has the store for itself this does
        nothing: it knows its runs.

        Returns:
            The ids of those that there were.
        """
        ...

    def noted(self, run: BegunRun) -> AbstractAsyncContextManager[None]:
        """Have it on record that a run is under way while the block lasts, so that it is found if its process dies.

        Where there are ``leases``, they do that.
        """
        ...

    async def interrupted(self, session_key: str) -> list[InterruptedRun]:
        """Return the runs of a session that ended with their process, as far as they are remembered; newest first."""
        ...

    async def interrupted_run(self, run_id: str) -> InterruptedRun | None:
        """Return what is remembered of a run that ended with its process."""
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
