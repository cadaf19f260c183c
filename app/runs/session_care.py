"""Changing sessions from outside of their runs, in a way that no run is surprised by.

Emptying and deleting a session stops its runs; what moves its head waits in the queue that they wait in. Owns that rule
and tells the subscribers of changes. Knows no door. Source of the rules: docs/sessions.md, "Looking after sessions".
"""

from __future__ import annotations

import asyncio
from typing import Final

from app.errors import BranchNotFound, RateLimited, SessionBusy, SessionMovedOn, SessionNotFound, StoreUnavailable
from app.log import logger
from app.runs.run import Runs
from app.sessions.archive import ArchivedSession, Selection, TakenIn, every
from app.sessions.store import SessionConflict, SessionRecord, SessionStore, StoreError

PATIENCE_SECONDS: Final = 30.0
"""How long a change waits for the runs that are before it."""

_log = logger("zero.sessions")


class SessionCare:
    """Changes sessions.

    Every method may raise ``StoreUnavailable``.

    Args:
        store: Where they are.
        runs: Whose order is kept.
        patience: See ``PATIENCE_SECONDS``.
    """

    def __init__(self, store: SessionStore, runs: Runs, patience: float = PATIENCE_SECONDS) -> None:
        self._store = store
        self._runs = runs
        self._patience = patience

    async def reset(self, session_key: str) -> SessionRecord:
        """Empty a session; its runs are stopped, and what was said stays as a branch.

        Raises:
            SessionNotFound: If there is none.
        """
        self._stop(session_key, "its session was reset")
        try:
            record = await self._store.reset(session_key)
        except StoreError as error:
            raise _unavailable(error) from error
        if record is None:
            raise SessionNotFound(session_key)
        self._runs.changes.publish(session_key, record.agent_id, "reset")
        return record

    async def delete(self, session_key: str) -> bool:
        """Remove a session and everything said in it; its runs are stopped. Return whether there was one."""
        self._stop(session_key, "its session was deleted")
        try:
            record = await self._store.session(session_key)
            deleted = await self._store.delete(session_key)
        except StoreError as error:
            raise _unavailable(error) from error
        if deleted and record is not None:
            self._runs.changes.publish(session_key, record.agent_id, "delete")
        return deleted

    async def delete_all(self, selection: Selection) -> int:
        """Remove all sessions that are meant and there are now; return how many."""
        try:
            keys = [record.key async for record in every(self._store.archive, selection)]
        except StoreError as error:
            raise _unavailable(error) from error
        return sum([await self.delete(key) for key in keys])

    async def restore(self, session_key: str, branch: str) -> SessionRecord:
        """Have a session go on from one of its branches, once the runs that came before are done.

        Raises:
            SessionNotFound: If there is no such session.
            BranchNotFound: If it has no such branch.
            RateLimited: If too many runs wait for it.
            SessionBusy: If they take too long.
            SessionMovedOn: If another process took the session over meanwhile.
        """
        try:
            if await self._store.session(session_key) is None:
                raise SessionNotFound(session_key)
            async with asyncio.timeout(self._patience) as deadline, self._runs.alone_in(session_key) as fence:
                deadline.reschedule(None)
                record = await self._store.archive.restore(session_key, branch, fence=fence)
        except (TimeoutError, StoreError, SessionConflict) as error:
            raise _failure(error) from error
        if record is None:
            raise BranchNotFound(branch)
        self._runs.changes.publish(session_key, record.agent_id, "update")
        return record

    async def take_in(self, session: ArchivedSession) -> TakenIn:
        """Write what isn't there yet of a session, once the runs that came before are done.

        Raises:
            RateLimited: If too many runs wait for it.
            SessionBusy: If they take too long.
            SessionMovedOn: If another process took the session over meanwhile.
        """
        key = session.record.key
        try:
            async with asyncio.timeout(self._patience) as deadline, self._runs.alone_in(key) as fence:
                deadline.reschedule(None)
                taken = await self._store.archive.take_in(session, fence=fence)
        except (TimeoutError, StoreError, SessionConflict) as error:
            raise _failure(error) from error
        if taken.outcome != "unchanged":
            self._runs.changes.publish(key, session.record.agent_id, "update")
        return taken

    async def delete_unchanged(self, record: SessionRecord, since: float) -> bool:
        """Remove a session if it has no runs and hasn't changed since then. Return whether it was removed."""
        if self._runs.active.of_session(record.key):
            return False
        try:
            async with asyncio.timeout(self._patience) as deadline, self._runs.alone_in(record.key):
                deadline.reschedule(None)
                deleted = await self._store.delete(record.key, unchanged_since=since)
        except (TimeoutError, RateLimited):
            return False
        except StoreError as error:
            raise _unavailable(error) from error
        if deleted:
            self._runs.changes.publish(record.key, record.agent_id, "delete")
        return deleted

    def _stop(self, session_key: str, why: str) -> None:
        for run in self._runs.active.of_session(session_key):
            run.abort(why)


def _failure(error: TimeoutError | StoreError | SessionConflict) -> SessionBusy | SessionMovedOn | StoreUnavailable:
    if isinstance(error, TimeoutError):
        return SessionBusy()
    return SessionMovedOn() if isinstance(error, SessionConflict) else _unavailable(error)


def _unavailable(error: StoreError) -> StoreUnavailable:
    _log.error("%s", error)
    return StoreUnavailable()
