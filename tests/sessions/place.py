"""A place where sessions are kept, for one test: an empty database of either kind."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from pathlib import Path
from typing import Any, Protocol

from app.sessions.deferred import open_postgresql, open_sqlite
from app.sessions.sql import SqlStore
from tests.sessions.postgresql_server import PostgresqlServer


class Place(Protocol):
    """Where a test's sessions are."""

    setting: str
    """What ``session.store`` says."""

    def opened(self) -> AbstractAsyncContextManager[SqlStore]:
        """Open a store there, as a process of its own would, and close it in the end."""
        ...

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement behind the stores' backs and return its rows."""
        ...


class SqlitePlace:
    """A file.

    Args:
        path: Where it is to be.
    """

    setting = "sqlite"

    def __init__(self, path: Path) -> None:
        self.path = path

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[SqlStore]:
        """Open the file."""
        store = await open_sqlite(str(self.path))
        assert isinstance(store, SqlStore)
        try:
            yield store
        finally:
            await store.close()

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement by a connection of its own."""
        with closing(sqlite3.connect(self.path)) as connection, connection:
            return connection.execute(statement).fetchall()


class PostgresqlPlace:
    """A database.

    Args:
        server: Where it is.
    """

    def __init__(self, server: PostgresqlServer) -> None:
        self.server = server
        self.setting = server.database()
        self.name = self.setting.rpartition("/")[2]

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[SqlStore]:
        """Connect to the database."""
        store = await open_postgresql(self.setting)
        assert isinstance(store, SqlStore)
        try:
            yield store
        finally:
            await store.close()

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement by a connection of its own."""
        return self.server.execute(statement, self.name)

    def connections(self, state: str = "%") -> int:
        """Count the gateway's connections that are in a state, as PostgreSQL calls it."""
        found = self.server.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'zero-gateway' "
            f"AND datname = '{self.name}' AND state LIKE '{state}'"
        )
        return int(found[0][0])

    def cut(self) -> None:
        """End every connection of the gateway's, as a restart of the server would: when this returns they are gone."""
        self.server.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'zero-gateway' "
            f"AND datname = '{self.name}'"
        )
