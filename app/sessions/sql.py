"""Sessions in a database: what every kind of database does alike. SQL, and nothing of runs.

SQLAlchemy's async core, without its ORM. What differs is in ``sqlite`` and ``postgresql`` (docs/dependencies.md).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from time import time
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
from sqlalchemy import Connection, Table, bindparam, delete, func, select, update
from sqlalchemy.exc import SQLAlchemyError

from app.large.aside import LARGE, aside_if
from app.sessions import interrupted, schema
from app.sessions.addition import Addition, rows_of
from app.sessions.archive import SessionArchive
from app.sessions.audit import audited
from app.sessions.branch import beyond, ends
from app.sessions.core_engine import AsyncConnection, AsyncEngine
from app.sessions.failure_ledger import SqlFailureLedger
from app.sessions.history import History
from app.sessions.idempotency_records import SqlRecords, forgotten_answers, noted
from app.sessions.interruption import BegunRun, InterruptedRun
from app.sessions.key_uses import KeyLedger
from app.sessions.leases import SessionLeases
from app.sessions.message import Message, size_of
from app.sessions.remembered import MOST_OF_ONE, RememberedHistories
from app.sessions.sql_archive import SqlArchive
from app.sessions.sql_summaries import SqlSummaries, forgotten_summaries
from app.sessions.store import Excerpt, SessionConflict, SessionRecord, StoredMessage, StoreError, Verification

if TYPE_CHECKING:  # one of them is of another database than this process's
    from sqlalchemy.dialects.postgresql import Insert as PostgresqlInsert
    from sqlalchemy.dialects.sqlite import Insert as SqliteInsert

_ROWS_PER_STATEMENT: Final = 100
"""Both databases bound the parameters of a statement: SQLite 32,766, PostgreSQL 65,535. It is made on the event loop,
which takes some 5 ms for as many rows."""

_RECORD = (
    schema.sessions.c.key,
    schema.sessions.c.agent_id,
    schema.sessions.c.created_at,
    schema.sessions.c.updated_at,
)

# Made once: making a statement takes several times as long as executing it.
_ONE: Final = select(*_RECORD).where(schema.sessions.c.key == bindparam("session_key"))
_MOVE: Final = (
    update(schema.sessions)
    .where(
        schema.sessions.c.key == bindparam("moved"), schema.sessions.c.head.is_not_distinct_from(bindparam("expected"))
    )
    .values(head=bindparam("head"), updated_at=bindparam("updated_at"))
    .returning(schema.sessions.c.created_at)
)

_T = TypeVar("_T")


class SqlStore(ABC):
    """A session store in a database.

    Args:
        engine: SQLAlchemy's way to the database.
    """

    leases: SessionLeases | None = None
    key_uses: KeyLedger | None = None

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._remembered = RememberedHistories()
        self.records = SqlRecords(self._writing, self._single, self._insert)
        self.failures = SqlFailureLedger(self._writing, self._reading, self._insert)
        self.archive: SessionArchive = SqlArchive(self._reading, self._writing, self._insert, self._guard)
        self.summaries = SqlSummaries(self._reading, self._writing, self._insert)

    async def history(self, session_key: str) -> History:
        """Walk the chain from the head to what is remembered of it, or to its beginning."""
        known = self._remembered.get(session_key)
        head = known.head if known is not None else ""
        found = await self._read(partial(beyond, session_key=session_key, known=head))
        if found is None:
            self._remembered.forget(session_key)
            return History()
        if known is not None and found.created_at != known.created_at:
            self._remembered.forget(session_key)  # that session was deleted, and this is another one
            return await self.history(session_key)
        before = known.history if known is not None and found.parent == known.head else History()
        history = before.extended(found.messages)
        self._remembered.remember(session_key, found.created_at, history)
        return history

    async def excerpts(
        self, session_keys: Collection[str], *, latest: int, skip: int = 0, max_bytes: int, opening: bool = False
    ) -> dict[str, Excerpt]:
        """Read the ends of all of them in one query."""
        statement = ends(session_keys, latest=latest, skip=skip, max_bytes=max_bytes, opening=opening)
        async with self._reading() as connection:
            rows = (await connection.execute(statement)).all()
        found = {row.key: Excerpt(row.total or 0, None, ()) for row in rows}
        for row in rows:
            if row.body is None:
                continue
            message, had = Message(row.role, msgspec.Raw(row.body)), found[row.key]
            found[row.key] = Excerpt(
                had.total,
                message if row.opening else had.opening,
                (*had.latest, message) if row.latest else had.latest,
            )
        return found

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
        """Write the messages and move the head, or write nothing."""
        now = time()
        size = size_of(messages)
        rows = await aside_if(size > LARGE, rows_of, session_key, run_id, parent, messages, now)
        head = rows[-1]["id"] if rows else parent
        created_at, all_new = await self._store_turn(
            Addition(session_key, agent_id, run_id, expected_head, head, rows, now, fence, keyed)
        )
        if fence is not None:
            self._settled(fence)
        # Where one was there already, it may be spelled otherwise: it is read when it is wanted.
        if size > MOST_OF_ONE:
            self._remembered.forget(session_key)
            return
        stored = await aside_if(size > LARGE, _stored, rows) if all_new else ()
        self._remembered.extend(session_key, created_at, parent, stored)

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
        """Read the table of sessions, in the order of their last change."""
        if "\0" in search:
            return [], 0  # in no key, and nothing that PostgreSQL would let one ask for
        wanted = schema.sessions.c.updated_at >= since
        if agent_id is not None:
            wanted &= schema.sessions.c.agent_id == agent_id
        if agents is not None:
            wanted &= schema.sessions.c.agent_id.in_(agents)
        if search:
            wanted &= schema.sessions.c.key.icontains(search, autoescape=True)
        newest = select(*_RECORD).where(wanted).order_by(schema.sessions.c.updated_at.desc(), schema.sessions.c.key)
        async with self._reading() as connection:
            rows = (await connection.execute(newest.limit(limit).offset(offset))).all()
            total = await connection.scalar(select(func.count()).select_from(schema.sessions).where(wanted))
        return [SessionRecord(*row) for row in rows], total or 0

    async def session(self, session_key: str) -> SessionRecord | None:
        """Read one row."""
        row = await self._read(lambda connection: connection.execute(_ONE, {"session_key": session_key}).first())
        return None if row is None else SessionRecord(*row)

    async def reset(self, session_key: str, *, fence: int | None = None) -> SessionRecord | None:
        """Let the head point nowhere. What was said stays in the database, on a branch that nothing leads to."""
        change = (
            update(schema.sessions)
            .where(schema.sessions.c.key == session_key)
            .values(head=None, updated_at=time())
            .returning(*_RECORD)
        )
        async with self._writing() as connection:
            if fence is None:
                await self._revoke(connection, session_key, "its session was reset")
            else:
                await self._guard(connection, session_key, fence)
            row = (await connection.execute(change)).first()
            await connection.execute(forgotten_summaries(session_key))
        return None if row is None else SessionRecord(*row)

    async def delete(self, session_key: str, *, unchanged_since: float | None = None) -> bool:
        """Delete the session's row and its messages, all branches, in one transaction."""
        async with self._writing() as connection:
            if unchanged_since is None:
                await self._revoke(connection, session_key, "its session was deleted")
            own = delete(schema.sessions).where(schema.sessions.c.key == session_key)
            if unchanged_since is not None:
                own = own.where(schema.sessions.c.updated_at < unchanged_since)
            gone = await connection.execute(own)
            # Where there was no row, one may just be coming, whose messages are not ours to delete.
            if found := gone.rowcount > 0:
                await connection.execute(delete(schema.messages).where(schema.messages.c.session_key == session_key))
                await connection.execute(forgotten_answers(session_key))
                await connection.execute(forgotten_summaries(session_key))
                await connection.execute(interrupted.forgotten(session_key))
        return found

    async def revoke(self, session_key: str, why: str, run_id: str | None = None) -> list[str]:
        """Have the runs stopped that are in the database."""
        async with self._writing() as connection:
            return await self._revoke(connection, session_key, why, run_id)

    @asynccontextmanager
    async def noted(self, run: BegunRun) -> AsyncIterator[None]:  # noqa: ARG002 - the leases note it
        """Do nothing: the leases note it."""
        yield

    async def interrupted(self, session_key: str) -> list[InterruptedRun]:
        """Read the newest records of a session."""
        async with self._reading() as connection:
            return await interrupted.of_session(connection, session_key)

    async def interrupted_run(self, run_id: str) -> InterruptedRun | None:
        """Read one record."""
        async with self._reading() as connection:
            return await interrupted.of_run(connection, run_id)

    async def verify(self) -> Verification:
        """Read everything, a batch at a time."""
        return await audited(self._reading)

    async def ping(self) -> None:
        """Read one row's worth of everything."""
        async with self._reading() as connection:
            await connection.execute(select(schema.sessions).limit(1))
            await connection.execute(select(schema.messages).limit(1))

    async def close(self) -> None:
        """Close every connection."""
        await self.records.close()
        await self._engine.dispose()

    @staticmethod
    @abstractmethod
    def _insert(table: Table) -> SqliteInsert | PostgresqlInsert:
        """Begin an INSERT in the database's own words, which know ON CONFLICT."""

    def _settled(self, _fence: int) -> None:
        """Take note that the run with this lease has stored its turn: it needs the lease no more."""
        return

    async def _revoke(
        self, _connection: AsyncConnection, _session_key: str, _why: str, _run_id: str | None = None
    ) -> list[str]:
        """Stop runs of a session when the transaction ends; return their ids."""
        return []

    async def _guard(self, connection: AsyncConnection, session_key: str, fence: int) -> None:
        """Do what ``_guarded`` does."""
        await connection.run_sync(self._guarded, session_key, fence)

    @abstractmethod
    def _guarded(self, connection: Connection, session_key: str, fence: int) -> None:
        """See to it that nobody takes the session over before the transaction ends.

        Raises:
            SessionConflict: If somebody has.
        """

    async def _store_turn(self, new: Addition) -> tuple[float, bool]:
        """Store a turn; return when its session was made, and whether all of the turn's messages are new there."""
        return await self._write(partial(self._appended, new=new))

    def _appended(self, connection: Connection, new: Addition) -> tuple[float, bool]:
        key = new.session_key
        if new.fence is not None:
            self._guarded(connection, key, new.fence)
        # The head first: it locks the session, so that what is compared can't change underneath.
        if new.expected is None:
            session = {
                "key": key,
                "agent_id": new.agent_id,
                "head": None,
                "created_at": new.now,
                "updated_at": new.now,
            }
            connection.execute(self._insert(schema.sessions).on_conflict_do_nothing(), session)
        moved = connection.execute(
            _MOVE, {"moved": key, "expected": new.expected, "head": new.head, "updated_at": new.now}
        ).first()
        if moved is None:
            raise SessionConflict(key)
        if new.keyed is not None and connection.execute(noted(new.keyed, new.run_id, new.head)).rowcount != 1:
            raise SessionConflict(key)
        # A regenerated answer may be word for word the old one: the message is there already then.
        return moved.created_at, self._add(connection, new.rows) == len(new.rows)

    def _add(self, connection: Connection, rows: Sequence[dict[str, Any]]) -> int:
        """Insert messages where they aren't there yet; return how many weren't."""
        added = 0
        # Statements with many rows, not one statement many times: psycopg makes a pipeline of that, and a run that is
        # cancelled while it opens one leaves a broken connection in the pool.
        for at in range(0, len(rows), _ROWS_PER_STATEMENT):
            some = rows[at : at + _ROWS_PER_STATEMENT]
            new = self._insert(schema.messages).values(some).on_conflict_do_nothing()
            added += connection.execute(new, execution_options={"preserve_rowcount": True}).rowcount
        return added

    async def _read(self, work: Callable[[Connection], _T]) -> _T:
        """Do something that changes nothing, in as few trips to the database as it takes."""
        async with self._reading() as connection:
            return await connection.run_sync(work)

    async def _write(self, work: Callable[[Connection], _T]) -> _T:
        """Do something in one transaction, in as few trips to the database as it takes."""
        async with self._writing() as connection:
            return await connection.run_sync(work)

    @abstractmethod
    def _reading(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Lend a connection for statements that change nothing."""

    def _single(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Lend a connection for statements of which each stands alone, and may change something."""
        return self._reading()

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[AsyncConnection]:
        """Lend a connection with a transaction around it."""
        async with translated(), self._engine.begin() as connection:
            yield connection


def _stored(rows: Sequence[dict[str, Any]]) -> list[StoredMessage]:
    return [StoredMessage(row["id"], row["digest"], Message(row["role"], msgspec.Raw(row["body"]))) for row in rows]


@asynccontextmanager
async def translated() -> AsyncIterator[None]:
    """Turn what the database library raises into ``StoreError``: its first line; the rest may quote what was said."""
    try:
        yield
    except SQLAlchemyError as error:
        raise StoreError(f"The session store failed: {str(error).partition(chr(10))[0]}") from error
