"""Sessions in a PostgreSQL database that any number of gateways share.

Knows what is PostgreSQL's own: how to reach it, its rows' locks, its time limits. The statements are in ``sql``. The
driver is psycopg, with libpq's own reading of the address, so that everything of PostgreSQL's documentation holds.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, Self

from sqlalchemy import Connection, NullPool, Table, select
from sqlalchemy.dialects.postgresql import Insert, insert

from app.errors import RunAborted
from app.sessions import schema
from app.sessions.addition import Addition
from app.sessions.appending import APPEND, appending
from app.sessions.core_engine import AsyncConnection, AsyncEngine, create_async_engine
from app.sessions.key_ledger import PostgresqlKeyLedger
from app.sessions.lending import check_when_lent
from app.sessions.migrations import SCHEMA, migrate
from app.sessions.sql import SqlStore, translated
from app.sessions.store import SessionConflict, SessionRecord, StoreError
from app.sessions.turns import Turns

POOL_SIZE: Final = 10
"""Connections per process at most, besides one that listens while somebody waits for a session."""
STATEMENT_SECONDS: Final = 15.0
"""How long one use of the database may take, waiting for a connection included."""
_FEW: Final = 16
"""Messages that are stored by one statement."""
_DEFAULTS: Final[dict[str, str]] = {
    "application_name": "zero-gateway",
    "connect_timeout": "5",
    # A server that is gone without a word is noticed after this long.
    "tcp_user_timeout": "15000",
    "keepalives_idle": "15",
    "keepalives_interval": "5",
    "keepalives_count": "3",
}

MISSING_DRIVER: Final = "PostgreSQL's driver is missing. Install it: pip install 'zero-gateway[postgresql]'"

Connect = Callable[[], Awaitable[Any]]
"""Opens a connection of psycopg's."""


class PostgresqlStore(SqlStore):
    """A session store in a PostgreSQL database, and who has which session there.

    Attributes:
        leases: Gives sessions out among all gateways that share the database.
        key_uses: Counts what API keys use at all of them.
    """

    def __init__(self, engine: AsyncEngine, connect: Connect) -> None:
        super().__init__(engine.execution_options(schema_translate_map={None: SCHEMA}))
        self._turns = Turns(self._writing, self._reading, connect)
        self.leases = self._turns
        self.key_uses = PostgresqlKeyLedger(self._reading)

    @classmethod
    async def open(cls, address: str) -> Self:
        """Connect, and make the tables where they don't exist yet.

        Args:
            address: ``postgresql://user:password@host/database`` with whatever parameters libpq knows.

        Raises:
            StoreError: If the database can't be reached or used, or a newer gateway has written it.
        """
        connect = connector(address)
        engine = create_async_engine(
            "postgresql+psycopg://",
            async_creator=connect,
            # One round trip for a statement alone, instead of three; and nothing of a connection is changed on lending
            # it, because a run that is cancelled in that moment would lose it.
            isolation_level="AUTOCOMMIT",
            pool_size=POOL_SIZE,
            max_overflow=0,
            pool_timeout=STATEMENT_SECONDS,
            pool_use_lifo=True,
            hide_parameters=True,  # an error goes to the log, and what was said must not
        )
        check_when_lent(engine.sync_engine)
        store = cls(engine, connect)
        try:
            async with store._writing() as connection:
                await connection.run_sync(migrate)
            store._turns.open()
        except BaseException:
            await engine.dispose()
            raise
        return store

    async def close(self) -> None:
        """Give the sessions back that are still held here, and close every connection."""
        await self._turns.close()
        await super().close()

    @staticmethod
    def _insert(table: Table) -> Insert:
        return insert(table)

    async def _store_turn(self, new: Addition) -> tuple[float, bool]:
        # One round trip for nearly every turn. Where it stores nothing, the longer way finds out why.
        if new.expected is not None and new.fence is not None and new.keyed is None and 0 < len(new.rows) <= _FEW:
            async with self._reading() as connection:
                stored = (await connection.execute(APPEND, appending(new))).first()
            if stored is not None:
                return stored.created_at, stored.added == len(new.rows)
        return await super()._store_turn(new)

    def _guarded(self, connection: Connection, session_key: str, fence: int) -> None:
        # Whoever takes the session over deletes this row, and whoever stops its runs changes it; either waits for this
        # transaction then. A heartbeat doesn't.
        own = select(schema.turns.c.revoked).where(
            schema.turns.c.id == fence, schema.turns.c.session_key == session_key
        )
        found = connection.execute(own.with_for_update(read=True)).first()
        if found is None:
            raise SessionConflict(session_key)
        if found.revoked is not None:
            raise RunAborted(found.revoked)

    def _settled(self, fence: int) -> None:
        self._turns.settle(fence)

    async def _revoke(
        self, connection: AsyncConnection, session_key: str, why: str, run_id: str | None = None
    ) -> list[str]:
        return await self._turns.revoke(connection, session_key, why, run_id)

    async def reset(self, session_key: str, *, fence: int | None = None) -> SessionRecord | None:
        """Reset it, and see at once whether that stops runs here."""
        record = await super().reset(session_key, fence=fence)
        self._turns.look()
        return record

    async def delete(self, session_key: str, *, unchanged_since: float | None = None) -> bool:
        """Delete it, and see at once whether that stops runs here."""
        deleted = await super().delete(session_key, unchanged_since=unchanged_since)
        self._turns.look()
        return deleted

    async def revoke(self, session_key: str, why: str, run_id: str | None = None) -> list[str]:
        """Stop the runs, and those that are here at once."""
        stopped = await super().revoke(session_key, why, run_id)
        self._turns.look()
        return stopped

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[AsyncConnection]:
        async with _bounded(), self._engine.begin() as connection:
            await connection.exec_driver_sql("BEGIN")  # ended by the COMMIT or ROLLBACK of this block
            yield connection

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[AsyncConnection]:
        async with _bounded(), self._engine.connect() as connection:
            yield connection


@asynccontextmanager
async def _bounded() -> AsyncIterator[None]:
    try:
        async with translated(), asyncio.timeout(STATEMENT_SECONDS) as deadline:
            yield
    except TimeoutError as error:
        if not deadline.expired():
            raise
        raise StoreError(f"The session store didn't answer within {STATEMENT_SECONDS:g} s.") from error


async def reach(address: str) -> None:
    """Connect, and leave everything as it is.

    Raises:
        StoreError: If the database can't be reached.
    """
    connect = connector(address)
    engine = create_async_engine("postgresql+psycopg://", async_creator=connect, poolclass=NullPool)
    async with _bounded(), engine.connect() as connection:
        await connection.execute(select(1))


def connector(address: str) -> Connect:
    """Return what opens connections to a database.

    Raises:
        StoreError: If the driver is missing or can't read the address, which is not repeated: it holds a password.
    """
    try:
        import psycopg
        from psycopg.conninfo import conninfo_to_dict, make_conninfo
    except ImportError as error:
        raise StoreError(f"{MISSING_DRIVER} ({error})") from error
    try:
        conninfo = make_conninfo("", **{**_DEFAULTS, **conninfo_to_dict(address)})
    except psycopg.Error:
        raise StoreError("session.store is not an address that PostgreSQL's client library can read.") from None

    async def connect() -> psycopg.AsyncConnection[Any]:
        return await psycopg.AsyncConnection.connect(conninfo)

    return connect
