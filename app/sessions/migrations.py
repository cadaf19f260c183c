"""From whatever a database has to the tables of this version: forward only, once, however many gateways begin at once.

Each migration is a fixed text: what it made in somebody's database can't be changed afterwards, only followed by the
next one. Knows SQL and no sessions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from sqlalchemy import Connection, delete, func, insert, inspect, select, text

from app.sessions.schema import schema_version
from app.sessions.store import StoreError

Migration = Callable[[Connection], None]

SCHEMA: Final = "zero"
"""Where the tables are on PostgreSQL, so that they get into nobody's way."""
_LOCK: Final = 0x7A65726F
"""The number of the advisory lock; nobody else's, one hopes."""


def _sessions_and_messages(connection: Connection) -> None:
    # Files of gateways before there were versions have these tables already.
    postgresql = connection.dialect.name == "postgresql"
    word, blob = ('TEXT COLLATE "C"', "BYTEA") if postgresql else ("VARCHAR", "BLOB")
    place = f"{SCHEMA}." if postgresql else ""
    for statement in (
        f"""CREATE TABLE IF NOT EXISTS {place}sessions (
            key {word} NOT NULL PRIMARY KEY, agent_id {word} NOT NULL, head {word},
            created_at FLOAT NOT NULL, updated_at FLOAT NOT NULL)""",
        f"""CREATE TABLE IF NOT EXISTS {place}messages (
            session_key {word} NOT NULL, id {word} NOT NULL, parent {word}, digest {word} NOT NULL,
            role {word} NOT NULL, body {blob} NOT NULL, run_id {word} NOT NULL, created_at FLOAT NOT NULL,
            PRIMARY KEY (session_key, id))""",
        f"CREATE INDEX IF NOT EXISTS messages_by_parent ON {place}messages (session_key, parent)",
    ):
        connection.execute(text(statement))
    if not postgresql:
        return  # one process has the file, and orders its runs in memory
    for statement in (
        f"""CREATE TABLE {place}turns (
            id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, session_key {word} NOT NULL, owner {word} NOT NULL,
            expires_at TIMESTAMPTZ NOT NULL, awaited BOOLEAN NOT NULL DEFAULT FALSE)""",
        f"CREATE INDEX turns_by_session ON {place}turns (session_key, id)",
    ):
        connection.execute(text(statement))


def _interrupted_runs(connection: Connection) -> None:
    postgresql = connection.dialect.name == "postgresql"
    word = 'TEXT COLLATE "C"' if postgresql else "VARCHAR"
    number = "BIGINT GENERATED ALWAYS AS IDENTITY" if postgresql else "INTEGER"
    place = f"{SCHEMA}." if postgresql else ""
    for statement in (
        f"""CREATE TABLE {place}interrupted_runs (
            id {number} NOT NULL PRIMARY KEY, run_id {word} NOT NULL, session_key {word} NOT NULL,
            agent_id {word} NOT NULL, started_at FLOAT NOT NULL, found_at FLOAT NOT NULL)""",
        f"CREATE INDEX interrupted_runs_by_session ON {place}interrupted_runs (session_key)",
        f"CREATE INDEX interrupted_runs_by_run ON {place}interrupted_runs (run_id)",
    ):
        connection.execute(text(statement))
    if postgresql:
        connection.execute(
            text(f"""ALTER TABLE {place}turns ADD COLUMN run_id {word}, ADD COLUMN agent_id {word},
            ADD COLUMN started_at FLOAT, ADD COLUMN revoked {word}""")
        )


def _idempotency_and_failures(connection: Connection) -> None:
    postgresql = connection.dialect.name == "postgresql"
    word, blob = ('TEXT COLLATE "C"', "BYTEA") if postgresql else ("VARCHAR", "BLOB")
    place = f"{SCHEMA}." if postgresql else ""
    for statement in (
        f"""CREATE TABLE {place}idempotency (
            key {word} NOT NULL PRIMARY KEY, asked {blob} NOT NULL, run_id {word} NOT NULL, agent_id {word} NOT NULL,
            session_key {word} NOT NULL, answer_id {word}, leased_until FLOAT, expires_at FLOAT NOT NULL,
            failed BOOLEAN NOT NULL, estimated BOOLEAN NOT NULL, size INTEGER NOT NULL, body {blob})""",
        f"CREATE INDEX idempotency_by_age ON {place}idempotency (expires_at, key, size)",
        f"CREATE INDEX idempotency_by_session ON {place}idempotency (session_key)",
        f"""CREATE TABLE {place}auth_failures (
            address {word} NOT NULL PRIMARY KEY, failures INTEGER NOT NULL, window_ends FLOAT NOT NULL,
            locked_until FLOAT NOT NULL)""",
    ):
        connection.execute(text(statement))


def _summaries(connection: Connection) -> None:
    postgresql = connection.dialect.name == "postgresql"
    word = 'TEXT COLLATE "C"' if postgresql else "VARCHAR"
    place = f"{SCHEMA}." if postgresql else ""
    connection.execute(
        text(f"""CREATE TABLE {place}summaries (
            session_key {word} NOT NULL, upto {word} NOT NULL, text {word} NOT NULL, model {word} NOT NULL,
            created_at FLOAT NOT NULL, PRIMARY KEY (session_key, upto))""")
    )


def _owners_of_keys(connection: Connection) -> None:
    postgresql = connection.dialect.name == "postgresql"
    word, place = ('TEXT COLLATE "C"', f"{SCHEMA}.") if postgresql else ("VARCHAR", "")
    connection.execute(text(f"ALTER TABLE {place}idempotency ADD COLUMN owner {word}"))


def _key_uses(connection: Connection) -> None:
    if connection.dialect.name != "postgresql":
        return  # one process has the file, and counts in memory
    connection.execute(
        text(f"""CREATE TABLE {SCHEMA}.key_uses (
            name TEXT COLLATE "C" NOT NULL PRIMARY KEY, requests_until FLOAT NOT NULL, tokens_until FLOAT NOT NULL,
            running JSONB NOT NULL)""")
    )


MIGRATIONS: Final[tuple[Migration, ...]] = (
    _sessions_and_messages,
    _interrupted_runs,
    _idempotency_and_failures,
    _summaries,
    _owners_of_keys,
    _key_uses,
)
"""The first makes version 1 of nothing, the second version 2 of version 1, and so on."""


def migrate(connection: Connection, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Bring the database to the newest version, all of it or nothing; the caller's transaction ends it.

    Args:
        connection: A connection that has not begun anything.
        migrations: What there is to do, from an empty database on.

    Raises:
        StoreError: If the database is newer than this gateway.
    """
    postgresql = connection.dialect.name == "postgresql"
    place = f"{SCHEMA}." if postgresql else ""
    newest = len(migrations)
    if _version(connection) == newest:
        return
    if postgresql:
        # Released at the end of the transaction, whichever way it ends.
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        if not inspect(connection).has_schema(SCHEMA):  # IF NOT EXISTS would ask for the right to make one all the same
            connection.execute(text(f"CREATE SCHEMA {SCHEMA}"))
    else:
        # The read above has begun nothing: Python's driver begins transactions at writes, and not at this kind.
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    connection.execute(text(f"CREATE TABLE IF NOT EXISTS {place}schema_version (version INTEGER NOT NULL)"))
    version = _version(connection)
    if version > newest:
        raise StoreError(
            f"The session store was written by a newer gateway (its tables have version {version}, this gateway knows "
            f"{newest}). Run a gateway of that version or newer."
        )
    for migration in migrations[version:]:
        migration(connection)
    connection.execute(delete(schema_version))
    connection.execute(insert(schema_version).values(version=newest))


def _version(connection: Connection) -> int:
    place = SCHEMA if connection.dialect.name == "postgresql" else None
    if not inspect(connection).has_table(schema_version.name, schema=place):
        return 0
    return connection.scalar(select(func.max(schema_version.c.version))) or 0
