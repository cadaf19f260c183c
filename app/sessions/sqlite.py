"""Sessions in one SQLite file: write-ahead log, one transaction per turn.

Knows what is SQLite's own: the file, its rights, its modes. The statements are in ``sql``.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from sqlalchemy import Connection, Engine, Table, create_engine, event
from sqlalchemy.dialects.sqlite import Insert, insert

from app.sessions import interrupted, schema
from app.sessions.core_engine import AsyncConnection, AsyncEngine, create_async_engine
from app.sessions.interruption import BegunRun, tell
from app.sessions.journal import AbandonedJournals, RunJournal
from app.sessions.migrations import migrate
from app.sessions.sql import SqlStore, translated
from app.sessions.sqlite_thread import SqliteThread
from app.sessions.store import SessionConflict, StoreError

_BUSY_SECONDS = 5.0
_OPTIONS: Final[dict[str, Any]] = {
    "connect_args": {"timeout": _BUSY_SECONDS},
    "hide_parameters": True,  # an error goes to the log, and what was said must not
}
_ADD: Final = insert(schema.messages).on_conflict_do_nothing()

_T = TypeVar("_T")


class SqliteStore(SqlStore):
    """A session store in a SQLite file, readable by its owner only."""

    def __init__(self, engine: AsyncEngine, path: Path) -> None:
        super().__init__(engine)
        self._thread = SqliteThread(_with_settings(create_engine(f"sqlite:///{path}", **_OPTIONS)))
        self._path = path
        # Who writes waits for its turn here. SQLite has a queue for nobody: it tries again now and then, whoever comes
        # next may be quicker, and under load some would never have got it within the time.
        self._turn = asyncio.Lock()
        self._inode = 0
        self._journal = RunJournal(path)

    @classmethod
    async def open(cls, path: Path) -> Self:
        """Open the file, with its folder and tables where they don't exist yet.

        Raises:
            StoreError: If it can't be created or read, or a newer gateway has written it.
        """
        engine = create_async_engine(f"sqlite+aiosqlite:///{path}", **_OPTIONS)
        event.listen(_with_settings(engine.sync_engine), "invalidate", _undo)
        store = cls(engine, path)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Created before SQLite does, because SQLite asks the umask; -wal and -shm take the mode over.
            descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
            store._inode = os.fstat(descriptor).st_ino
            with suppress(PermissionError):  # of somebody else's file, whose rights are their business
                os.fchmod(descriptor, 0o600)  # a copy from elsewhere may be open to others
            os.close(descriptor)
            async with store._writing() as connection:
                await connection.run_sync(migrate)
            await store._close_abandoned_runs()
        except OSError as error:
            await engine.dispose()
            raise StoreError(f"The session store {path} can't be opened: {error.strerror}.") from error
        except StoreError:
            await engine.dispose()
            raise
        return store

    async def ping(self) -> None:
        """Read one row's worth of everything, from the file that is there now."""
        if not self._path.exists() or self._path.stat().st_ino != self._inode:
            raise StoreError(f"The session store {self._path} was moved or deleted while the gateway runs; restart it.")
        await super().ping()

    @asynccontextmanager
    async def noted(self, run: BegunRun) -> AsyncIterator[None]:
        """Note it in this process's journal."""
        with self._journal.noted(run):
            yield

    async def close(self) -> None:
        """Close every connection, behind what was begun."""
        self._journal.close()
        await self._thread.close()
        await super().close()

    @staticmethod
    def _insert(table: Table) -> Insert:
        return insert(table)

    async def _close_abandoned_runs(self) -> None:
        abandoned = AbandonedJournals.beside(self._path)
        try:
            if abandoned.runs:
                async with self._writing() as connection:
                    runs = await interrupted.record(connection, abandoned.runs)
                tell(runs)
            abandoned.remove()
        finally:
            abandoned.release()

    def _guarded(self, _connection: Connection, session_key: str, _fence: int) -> None:
        raise SessionConflict(session_key)  # nobody gives out sessions that are in a file

    def _add(self, connection: Connection, rows: Sequence[dict[str, Any]]) -> int:
        # Without a network between, one statement many times costs less than a large one made anew each time.
        if not rows:
            return 0
        return connection.execute(_ADD, list(rows), execution_options={"preserve_rowcount": True}).rowcount

    async def _read(self, work: Callable[[Connection], _T]) -> _T:
        async with translated():
            return await self._thread.transacted(work)

    async def _write(self, work: Callable[[Connection], _T]) -> _T:
        async with self._turn:
            return await self._read(work)

    def _reading(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return super()._writing()  # SQLite locks for what is done, not for what it is called

    def _single(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return self._writing()

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[AsyncConnection]:
        async with self._turn, super()._writing() as connection:
            yield connection


def _with_settings(engine: Engine) -> Engine:
    event.listen(engine, "connect", _configure)
    return engine


def _undo(connection: Any, _record: object, _error: object) -> None:
    """Undo what a connection was at when its task was cancelled, before SQLAlchemy closes it.

    SQLite closes a connection only when the last of its statements is gone. Somebody still has the cursor of that which
    was cancelled, until the garbage collector comes by; its transaction would lock the file for so long.
    """
    with suppress(Exception):
        connection.rollback()


def _configure(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    # With WAL, NORMAL survives the death of the process at any instruction; only a power cut may lose the last turns.
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()
