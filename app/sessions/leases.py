"""Who may run in a session: one run at a time, first come, first served, whichever process it came to.

Owns the promise. In one process ``app.runs.lanes`` keeps it, in memory; for several that share a database, ``turns``.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol

from app.sessions.interruption import BegunRun

LEASE_SECONDS: Final = 10.0
"""After how long without a sign of life a process has lost what it has: sessions, and keys of requests."""
BEAT_SECONDS: Final = 2.5
"""How often a process gives signs of life."""
WAITING_SECONDS: Final = 3.0
"""After how long it has lost its places in queues: who only waits loses little by it, and holds others up."""
WAITING_BEAT_SECONDS: Final = 0.75
"""How often a process gives signs of life of which a run waits."""


class SessionLeases(Protocol):
    """Gives sessions out, each to one run at a time."""

    def held(self, session_key: str, run: BegunRun | None = None) -> AbstractAsyncContextManager[int | None]:
        """Wait for the session, and give it back at the end. Cancelling the wait gives the place in the queue up.

        Args:
            session_key: The session.
            run: Who wants it: what is recorded if its process dies.

        Returns:
            The fence: a number that ``SessionStore.append`` takes, by which a turn is refused whose session was given
            to somebody else meanwhile; ``None`` where that can't happen.

        Raises:
            RateLimited: If too many wait. Nothing has been done then, so a retry is safe.
            RunAborted: If somebody has revoked the run, through whichever process.
            SessionConflict: If the session was lost to somebody else while it was held; the calling task is stopped
                then, wherever it is.
            StoreError: If those who share the session can't be asked.
        """
        ...
