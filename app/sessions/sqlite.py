"""Sessions in one SQLite file: write-ahead log, one transaction per turn.

Knows SQL and nothing of runs. SQLAlchemy's async core over aiosqlite, so that PostgreSQL can stand behind the same
statements (docs/dependencies.md).
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from time import time
from typing import Any

import msgspec
from sqlalchemy import (
    Column,
    Float,
    Index,
    LargeBinary,
    MetaData,
    String,
    Table,
    and_,
    case,
    delete,
    event,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from app.sessions.message import Message, chained, digest
from app.sessions.store import Excerpt, SessionConflict, SessionRecord, StoredMessage, StoreError

_metadata = MetaData()

_sessions = Table(
    "sessions",
    _metadata,
    Column("key", String, primary_key=True),
    Column("agent_id", String, nullable=False),
    Column("head", String),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
)
_messages = Table(
    "messages",
    _metadata,
    Column("session_key", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("parent", String),
    Column("digest", String, nullable=False),
    Column("role", String, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("run_id", String, nullable=False),
    Column("created_at", Float, nullable=False),
    Index("messages_by_parent", "session_key", "parent"),
)

_BUSY_SECONDS = 5.0
_LINK = (
    _messages.c.session_key,
    _messages.c.id,
    _messages.c.parent,
    _messages.c.role,
    func.length(_messages.c.body).label("size"),
)
_RECORD = (_sessions.c.key, _sessions.c.agent_id, _sessions.c.created_at, _sessions.c.updated_at)


class SqliteStore:
    """A session store in a SQLite file, readable by its owner only."""

    def __init__(self, engine: AsyncEngine, path: Path) -> None:
        self._engine = engine
        self._path = path
        self._inode = 0

    @classmethod
    async def open(cls, path: Path) -> SqliteStore:
        """Open the file, with its folder and tables where they don't exist yet.

        Raises:
            StoreError: If it can't be created or read.
        """
        engine = create_async_engine(
            f"sqlite+aiosqlite:///{path}",
            connect_args={"timeout": _BUSY_SECONDS},
            hide_parameters=True,  # an error goes to the log, and what was said must not
        )
        event.listen(engine.sync_engine, "connect", _configure)
        store = cls(engine, path)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Created before SQLite does, because SQLite asks the umask; -wal and -shm take the mode over.
            descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
            store._inode = os.fstat(descriptor).st_ino
            os.close(descriptor)
            async with store._transaction() as connection:
                await connection.run_sync(_metadata.create_all)
        except OSError as error:
            await engine.dispose()
            raise StoreError(f"The session store {path} can't be opened: {error.strerror}.") from error
        except StoreError:
            await engine.dispose()
            raise
        return store

    async def history(self, session_key: str) -> list[StoredMessage]:
        """Walk the chain from the head to its beginning; return it oldest first."""
        branch = (
            select(_messages.c.id, _messages.c.parent, literal(0).label("age"))
            .join(_sessions, (_sessions.c.key == _messages.c.session_key) & (_sessions.c.head == _messages.c.id))
            .where(_messages.c.session_key == session_key)
            .cte("branch", recursive=True)
        )
        branch = branch.union_all(
            select(_messages.c.id, _messages.c.parent, (branch.c.age + 1).label("age"))
            .join(branch, _messages.c.id == branch.c.parent)
            .where(_messages.c.session_key == session_key)
        )
        statement = (
            select(_messages.c.id, _messages.c.digest, _messages.c.role, _messages.c.body)
            .join(branch, _messages.c.id == branch.c.id)
            .where(_messages.c.session_key == session_key)
            .order_by(branch.c.age.desc())
        )
        async with self._transaction() as connection:
            rows = (await connection.execute(statement)).all()
        return [StoredMessage(row.id, row.digest, Message(row.role, msgspec.Raw(row.body))) for row in rows]

    async def excerpts(
        self, session_keys: Collection[str], *, latest: int, skip: int = 0, max_bytes: int, opening: bool = False
    ) -> dict[str, Excerpt]:
        """Walk the chains, all in one query, without the messages' texts; then read those that are wanted."""
        branch = (
            select(*_LINK, literal(0).label("age"))
            .join(_sessions, (_sessions.c.key == _messages.c.session_key) & (_sessions.c.head == _messages.c.id))
            .where(_sessions.c.key.in_(session_keys))
            .cte("branch", recursive=True)
        )
        branch = branch.union_all(
            select(*_LINK, (branch.c.age + 1).label("age")).join(
                branch, (_messages.c.session_key == branch.c.session_key) & (_messages.c.id == branch.c.parent)
            )
        )
        own, age = branch.c.session_key, branch.c.age
        asked = age.between(skip, skip + latest - 1)
        sizes = case((asked, branch.c.size), else_=0)
        chain = select(
            own,
            branch.c.id,
            age,
            func.count().over(partition_by=own).label("total"),
            (asked & (func.sum(sizes).over(partition_by=own, order_by=age) <= max_bytes)).label("latest"),
            and_(
                literal(opening),
                branch.c.size <= max_bytes,
                age == func.max(case((branch.c.role == "user", age))).over(partition_by=own),
            ).label("opening"),
        ).subquery("chain")
        wanted = chain.c.latest | chain.c.opening
        statement = (
            select(_sessions.c.key, chain.c.total, chain.c.latest, chain.c.opening, _messages.c.role, _messages.c.body)
            .outerjoin(chain, chain.c.session_key == _sessions.c.key)
            .outerjoin(
                _messages, wanted & (_messages.c.session_key == chain.c.session_key) & (_messages.c.id == chain.c.id)
            )
            # The head of each, wanted or not, says how many there are.
            .where(_sessions.c.key.in_(session_keys), or_(chain.c.age.is_(None), chain.c.age == 0, wanted))
            .order_by(chain.c.age.desc())
        )
        async with self._transaction() as connection:
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
    ) -> None:
        """Write the messages and move the head, or write nothing."""
        now = time()
        rows: list[dict[str, Any]] = []
        for message in messages:
            content = digest(message)
            message_id = chained(parent, content)
            rows.append(
                {
                    "session_key": session_key,
                    "id": message_id,
                    "parent": parent,
                    "digest": content,
                    "role": message.role,
                    "body": bytes(message.raw),
                    "run_id": run_id,
                    "created_at": now,
                }
            )
            parent = message_id
        async with self._transaction() as connection:
            # The head first: it takes SQLite's write lock, so that what is compared can't change underneath.
            await connection.execute(
                sqlite_insert(_sessions)
                .values(key=session_key, agent_id=agent_id, head=None, created_at=now, updated_at=now)
                .on_conflict_do_nothing()
            )
            moved = await connection.execute(
                update(_sessions)
                .where(_sessions.c.key == session_key, _sessions.c.head.is_not_distinct_from(expected_head))
                .values(head=parent, updated_at=now)
            )
            if moved.rowcount != 1:
                raise SessionConflict(session_key)
            if rows:
                # A regenerated answer may be word for word the old one: the message is there already then.
                await connection.execute(insert(_messages).prefix_with("OR IGNORE", dialect="sqlite"), rows)

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
        wanted = _sessions.c.updated_at >= since
        if agent_id is not None:
            wanted &= _sessions.c.agent_id == agent_id
        if agents is not None:
            wanted &= _sessions.c.agent_id.in_(agents)
        if search:
            wanted &= _sessions.c.key.contains(search, autoescape=True)
        newest = select(*_RECORD).where(wanted).order_by(_sessions.c.updated_at.desc(), _sessions.c.key)
        async with self._transaction() as connection:
            rows = (await connection.execute(newest.limit(limit).offset(offset))).all()
            total = await connection.scalar(select(func.count()).select_from(_sessions).where(wanted))
        return [SessionRecord(*row) for row in rows], total or 0

    async def session(self, session_key: str) -> SessionRecord | None:
        """Read one row."""
        async with self._transaction() as connection:
            row = (await connection.execute(select(*_RECORD).where(_sessions.c.key == session_key))).first()
        return None if row is None else SessionRecord(*row)

    async def reset(self, session_key: str) -> SessionRecord | None:
        """Let the head point nowhere. What was said stays in the file, on a branch that nothing leads to."""
        change = (
            update(_sessions)
            .where(_sessions.c.key == session_key)
            .values(head=None, updated_at=time())
            .returning(*_RECORD)
        )
        async with self._transaction() as connection:
            row = (await connection.execute(change)).first()
        return None if row is None else SessionRecord(*row)

    async def delete(self, session_key: str) -> bool:
        """Delete the session's row and its messages, all branches, in one transaction."""
        async with self._transaction() as connection:
            gone = await connection.execute(delete(_sessions).where(_sessions.c.key == session_key))
            await connection.execute(delete(_messages).where(_messages.c.session_key == session_key))
        return gone.rowcount > 0

    async def ping(self) -> None:
        """Read one row's worth of everything, from the file that is there now."""
        if not self._path.exists() or self._path.stat().st_ino != self._inode:
            raise StoreError(f"The session store {self._path} was moved or deleted while the gateway runs; restart it.")
        async with self._transaction() as connection:
            await connection.execute(select(_sessions).limit(1))
            await connection.execute(select(_messages).limit(1))

    async def close(self) -> None:
        """Close every connection, which folds the write-ahead log into the file."""
        await self._engine.dispose()

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with self._engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise StoreError(f"The session store failed: {error}") from error


def _configure(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    # With WAL, NORMAL survives the death of the process at any instruction; only a power cut may lose the last turns.
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()
