"""Sessions in a database: what every kind of database does alike. SQL, and nothing of runs.

SQLAlchemy's async core, without its ORM. What differs is in ``sqlite`` and ``postgresql`` (docs/dependencies.md).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from time import time
from typing import Any, Final

import msgspec
from sqlalchemy import Table, delete, func, select, update
from sqlalchemy.dialects.postgresql import Insert as PostgresqlInsert
from sqlalchemy.dialects.sqlite import Insert as SqliteInsert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.large.aside import LARGE, aside_if
from app.sessions import schema
from app.sessions.audit import audited
from app.sessions.branch import ends, whole
from app.sessions.leases import SessionLeases
from app.sessions.message import Message, chained, digest, size_of
from app.sessions.store import Excerpt, SessionConflict, SessionRecord, StoredMessage, StoreError, Verification

_ROWS_PER_STATEMENT: Final = 100
"""Both databases bound the parameters of a statement: SQLite 32,766, PostgreSQL 65,535. It is made on the event loop,
which takes some 5 ms for as many rows."""

_RECORD = (
    schema.sessions.c.key,
    schema.sessions.c.agent_id,
    schema.sessions.c.created_at,
    schema.sessions.c.updated_at,
)


class SqlStore(ABC):
    """A session store in a database.

    Args:
        engine: SQLAlchemy's way to the database.
    """

    leases: SessionLeases | None = None

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def history(self, session_key: str) -> list[StoredMessage]:
        """Walk the chain from the head to its beginning; return it oldest first."""
        async with self._reading() as connection:
            rows = (await connection.execute(whole(session_key))).all()
        return [StoredMessage(row.id, row.digest, Message(row.role, msgspec.Raw(row.body))) for row in rows]

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
    ) -> None:
        """Write the messages and move the head, or write nothing."""
        now = time()
        rows = await aside_if(size_of(messages) > LARGE, _rows, session_key, run_id, parent, messages, now)
        head = rows[-1]["id"] if rows else parent
        async with self._writing() as connection:
            if fence is not None:
                await self._guard(connection, session_key, fence)
            # The head first: it locks the session, so that what is compared can't change underneath.
            await connection.execute(
                self._insert(schema.sessions)
                .values(key=session_key, agent_id=agent_id, head=None, created_at=now, updated_at=now)
                .on_conflict_do_nothing()
            )
            moved = await connection.execute(
                update(schema.sessions)
                .where(schema.sessions.c.key == session_key, schema.sessions.c.head.is_not_distinct_from(expected_head))
                .values(head=head, updated_at=now)
            )
            if moved.rowcount != 1:
                raise SessionConflict(session_key)
            # Statements with many rows, not one statement many times: psycopg makes a pipeline of that, and a run that
            # is cancelled while it opens one leaves a broken connection in the pool.
            for at in range(0, len(rows), _ROWS_PER_STATEMENT):
                some = rows[at : at + _ROWS_PER_STATEMENT]
                # A regenerated answer may be word for word the old one: the message is there already then.
                await connection.execute(self._insert(schema.messages).values(some).on_conflict_do_nothing())

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
        async with self._reading() as connection:
            row = (await connection.execute(select(*_RECORD).where(schema.sessions.c.key == session_key))).first()
        return None if row is None else SessionRecord(*row)

    async def reset(self, session_key: str) -> SessionRecord | None:
        """Let the head point nowhere. What was said stays in the database, on a branch that nothing leads to."""
        change = (
            update(schema.sessions)
            .where(schema.sessions.c.key == session_key)
            .values(head=None, updated_at=time())
            .returning(*_RECORD)
        )
        async with self._writing() as connection:
            row = (await connection.execute(change)).first()
        return None if row is None else SessionRecord(*row)

    async def delete(self, session_key: str) -> bool:
        """Delete the session's row and its messages, all branches, in one transaction."""
        async with self._writing() as connection:
            gone = await connection.execute(delete(schema.sessions).where(schema.sessions.c.key == session_key))
            # Where there was no row, one may just be coming, whose messages are not ours to delete.
            if found := gone.rowcount > 0:
                await connection.execute(delete(schema.messages).where(schema.messages.c.session_key == session_key))
        return found

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
        await self._engine.dispose()

    @staticmethod
    @abstractmethod
    def _insert(table: Table) -> SqliteInsert | PostgresqlInsert:
        """Begin an INSERT in the database's own words, which know ON CONFLICT."""

    @abstractmethod
    async def _guard(self, connection: AsyncConnection, session_key: str, fence: int) -> None:
        """See to it that nobody takes the session over before the transaction ends.

        Raises:
            SessionConflict: If somebody has.
        """

    @abstractmethod
    def _reading(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Lend a connection for statements that change nothing."""

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[AsyncConnection]:
        """Lend a connection with a transaction around it."""
        async with translated(), self._engine.begin() as connection:
            yield connection


@asynccontextmanager
async def translated() -> AsyncIterator[None]:
    """Turn what the database library raises into ``StoreError``: its first line; the rest may quote what was said."""
    try:
        yield
    except SQLAlchemyError as error:
        raise StoreError(f"The session store failed: {str(error).partition(chr(10))[0]}") from error


def _rows(
    session_key: str, run_id: str, parent: str | None, new: Sequence[Message], now: float
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for message in new:
        content = digest(message)
        rows.append(
            {
                "session_key": session_key,
                "id": chained(parent, content),
                "parent": parent,
                "digest": content,
                "role": message.role,
                "body": bytes(message.raw),
                "run_id": run_id.replace("\0", "\N{REPLACEMENT CHARACTER}"),  # PostgreSQL's texts can't have it
                "created_at": now,
            }
        )
        parent = rows[-1]["id"]
    return rows
