"""How a database comes to its tables: once, whole, forward only."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection, inspect, text

from app.sessions import schema
from app.sessions.migrations import MIGRATIONS, SCHEMA, Migration, migrate
from app.sessions.sql import SqlStore
from app.sessions.store import StoreError
from tests.sessions.place import Place, PostgresqlPlace, SqlitePlace
from tests.sessions.talk import KEY, append, written
from tests.unit.conversation import user

BEFORE_VERSIONS = Path(__file__).with_name("before_versions.sql").read_text()


def versions(place: Place) -> list[int]:
    """Return what the table of the version says."""
    return [version for (version,) in place.execute("SELECT version FROM schema_version")]


def test_a_file_from_before_there_were_versions(file: SqlitePlace) -> None:
    """It works on: every session, every branch, every hash, and its file is from now on its owner's only."""
    with closing(sqlite3.connect(file.path)) as old:
        old.executescript(BEFORE_VERSIONS)
    file.path.chmod(0o644)

    async def scenario() -> None:
        async with file.opened() as store:
            assert ["user: a", "assistant: A", "user: c", "assistant: é"] == await written(store)
            assert [] == await written(store, "agent:beta:other")
            found = await store.verify()
            assert (2, 8, ()) == (found.sessions, found.messages, found.faults)
            await append(store, user("d"), behind=await store.history(KEY))
        async with file.opened() as store:
            assert "user: d" == (await written(store))[-1]

    asyncio.run(scenario())
    assert [len(MIGRATIONS)] == versions(file)
    assert 0o600 == stat.S_IMODE(file.path.stat().st_mode)


def test_many_begin_at_once(place: Place) -> None:
    """Replicas that find an empty database at the same moment make it together, once, and all of them work."""

    async def one(number: int) -> None:
        async with place.opened() as store:
            await append(store, user("a"), key=f"agent:main:{number}")

    async def scenario() -> None:
        await asyncio.gather(*(one(number) for number in range(8)))
        async with place.opened() as store:
            assert 8 == (await store.verify()).sessions

    asyncio.run(scenario())
    assert [len(MIGRATIONS)] == versions(place)


def test_a_newer_database_is_refused(place: Place) -> None:
    """What a newer gateway wrote isn't touched by an older one, which says why."""

    async def scenario() -> None:
        async with place.opened():
            pass
        place.execute("UPDATE schema_version SET version = 999")
        with pytest.raises(StoreError, match=r"written by a newer gateway .* version 999"):
            async with place.opened():
                pass

    asyncio.run(scenario())
    assert [999] == versions(place)


def further(connection: Connection) -> None:
    """Be the next migration of some later version."""
    place = f"{SCHEMA}." if connection.dialect.name == "postgresql" else ""
    connection.execute(text(f"CREATE TABLE {place}further (number INTEGER)"))
    connection.execute(text(f"INSERT INTO {place}further VALUES (1)"))


def failing(connection: Connection) -> None:
    """Fail behind the half of it."""
    further(connection)
    connection.execute(text("SELECT of nonsense"))


async def migrated(store: SqlStore, migration: Migration) -> None:
    """Have a store's database go one version further."""
    async with store._writing() as connection:
        await connection.run_sync(migrate, (*MIGRATIONS, migration))


def test_the_next_version(place: Place) -> None:
    """A database of this version gets what the next one adds, once, and keeps what it has."""

    async def scenario() -> None:
        async with place.opened() as store:
            await append(store, user("a"))
            for _ in range(2):
                await migrated(store, further)
            assert ["user: a"] == await written(store)

    asyncio.run(scenario())
    assert [(1,)] == place.execute("SELECT number FROM further")
    assert [len(MIGRATIONS) + 1] == versions(place)


def test_a_migration_that_fails_leaves_nothing(place: Place) -> None:
    """All of it or nothing: the database is as it was, and works with the version that it has."""

    async def scenario() -> None:
        async with place.opened() as store:
            with pytest.raises(StoreError):
                await migrated(store, failing)
            await append(store, user("a"))
            await migrated(store, further)
            assert ["user: a"] == await written(store)

    asyncio.run(scenario())
    assert [(1,)] == place.execute("SELECT number FROM further")


def test_the_tables_are_those_that_the_statements_know(place: Place) -> None:
    """What the migrations make has the columns and keys of ``schema``, no more and no fewer."""
    shared = isinstance(place, PostgresqlPlace)
    expected = {table.name: table for table in (*schema.metadata.sorted_tables, *schema.shared.sorted_tables * shared)}

    def look(connection: Connection) -> None:
        found = inspect(connection)
        own = SCHEMA if shared else None
        assert set(expected) == set(found.get_table_names(schema=own))
        for name, table in expected.items():
            columns = {column["name"]: column["nullable"] for column in found.get_columns(name, schema=own)}
            assert {column.name: column.nullable for column in table.columns} == columns
            key = found.get_pk_constraint(name, schema=own)["constrained_columns"]
            assert [column.name for column in table.primary_key.columns] == key
            indexes = {index["name"]: index["column_names"] for index in found.get_indexes(name, schema=own)}
            assert {index.name: [column.name for column in index.columns] for index in table.indexes} == indexes

    async def scenario() -> None:
        async with place.opened() as store, store._engine.connect() as connection:
            await connection.run_sync(look)

    asyncio.run(scenario())


def test_a_database_that_others_use_too(database: PostgresqlPlace) -> None:
    """Our tables have a schema of their own: what else is in the database stays what it is, whatever its name."""
    database.execute("CREATE TABLE public.sessions (of_somebody_else TEXT)")

    async def scenario() -> None:
        async with database.opened() as store:
            await append(store, user("a"))
            assert ["user: a"] == await written(store)

    asyncio.run(scenario())
    assert [(0,)] == database.execute("SELECT count(*) FROM public.sessions")


def test_an_account_that_may_make_no_schema(database: PostgresqlPlace) -> None:
    """Where somebody else has made the schema ready for it, the account needs no right to make one."""
    database.execute(f"DROP ROLE IF EXISTS modest_{database.name}")
    database.execute(f"CREATE ROLE modest_{database.name} LOGIN PASSWORD 'x'")
    modest = PostgresqlPlace.__new__(PostgresqlPlace)
    modest.server, modest.name = database.server, database.name
    modest.setting = f"postgresql://modest_{database.name}:x@127.0.0.1:{database.server.port}/{database.name}"

    async def scenario() -> None:
        with pytest.raises(StoreError, match="permission denied"):
            async with modest.opened():
                pass
        database.execute(f"CREATE SCHEMA zero AUTHORIZATION modest_{database.name}")
        async with modest.opened() as store:
            await append(store, user("a"))
            assert ["user: a"] == await written(store)

    asyncio.run(scenario())
