"""The tables in which sessions lie, as the statements see them. How a database comes to have them is ``migrations``."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
)

_TEXT: Final = String().with_variant(String(collation="C"), "postgresql")
"""Compared byte by byte, on PostgreSQL too: the order of keys must not depend on where a database was made."""

metadata: Final = MetaData()

sessions: Final = Table(
    "sessions",
    metadata,
    Column("key", _TEXT, primary_key=True),
    Column("agent_id", _TEXT, nullable=False),
    Column("head", _TEXT),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
)
messages: Final = Table(
    "messages",
    metadata,
    Column("session_key", _TEXT, primary_key=True),
    Column("id", _TEXT, primary_key=True),
    Column("parent", _TEXT),
    Column("digest", _TEXT, nullable=False),
    Column("role", _TEXT, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("run_id", _TEXT, nullable=False),
    Column("created_at", Float, nullable=False),
    Index("messages_by_parent", "session_key", "parent"),
)

interrupted_runs: Final = Table(
    "interrupted_runs",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), Identity(always=True), primary_key=True),
    Column("run_id", _TEXT, nullable=False),
    Column("session_key", _TEXT, nullable=False),
    Column("agent_id", _TEXT, nullable=False),
    Column("started_at", Float, nullable=False),
    Column("found_at", Float, nullable=False),
    Index("interrupted_runs_by_session", "session_key"),
    Index("interrupted_runs_by_run", "run_id"),
)

idempotency: Final = Table(
    "idempotency",
    metadata,
    Column("key", _TEXT, primary_key=True),
    Column("asked", LargeBinary, nullable=False),
    Column("run_id", _TEXT, nullable=False),
    Column("agent_id", _TEXT, nullable=False),
    Column("session_key", _TEXT, nullable=False),
    # The stored message that answers the request, once there is one; for who comes after a process that died.
    Column("answer_id", _TEXT),
    # Until when the run has the key; none once it is over.
    Column("leased_until", Float),
    Column("expires_at", Float, nullable=False),
    Column("failed", Boolean, nullable=False),
    Column("estimated", Boolean, nullable=False),
    Column("size", Integer, nullable=False),
    # The answer, or what is to be told of the failure.
    Column("body", LargeBinary),
    # The process that has the key; of gateways before there was this column, none.
    Column("owner", _TEXT),
    Index("idempotency_by_age", "expires_at", "key", "size"),
    Index("idempotency_by_session", "session_key"),
)
auth_failures: Final = Table(
    "auth_failures",
    metadata,
    Column("address", _TEXT, primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("window_ends", Float, nullable=False),
    Column("locked_until", Float, nullable=False),
)

summaries: Final = Table(
    "summaries",
    metadata,
    Column("session_key", _TEXT, primary_key=True),
    Column("upto", _TEXT, primary_key=True),
    Column("text", _TEXT, nullable=False),
    Column("model", _TEXT, nullable=False),
    Column("created_at", Float, nullable=False),
)
"""What models have made of sessions' beginnings, up to a message; see ``summary``."""

schema_version: Final = Table("schema_version", metadata, Column("version", Integer, nullable=False))

shared: Final = MetaData()
"""What only databases have that several gateways share."""

key_uses: Final = Table(
    "key_uses",
    shared,
    Column("name", _TEXT, primary_key=True),
    # When the key will have all of its requests again, and all of its tokens; in seconds since 1970.
    Column("requests_until", Float, nullable=False),
    Column("tokens_until", Float, nullable=False),
    # Its runs under way that hold a place, each with when its lease ends. JSONB, to be exact, of which only the
    # statements need to know: its type comes with the whole of PostgreSQL's dialect.
    Column("running", JSON, nullable=False),
)
"""What API keys have used."""

turns: Final = Table(
    "turns",
    shared,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("session_key", _TEXT, nullable=False),
    Column("owner", _TEXT, nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("awaited", Boolean, nullable=False),
    # Nobody's who only holds a session, as tests do.
    Column("run_id", _TEXT),
    Column("agent_id", _TEXT),
    Column("started_at", Float),
    # Why the run is to stop, once it is: it has no place in the queue any more, and stores nothing.
    Column("revoked", _TEXT),
    Index("turns_by_session", "session_key", "id"),
)
"""Who has a session and who waits for it: of a session's rows the one with the lowest id has it."""
