"""The tables in which sessions lie, as the statements see them. How a database comes to have them is ``migrations``."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
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

schema_version: Final = Table("schema_version", metadata, Column("version", Integer, nullable=False))

shared: Final = MetaData()
"""What only databases have that several gateways share."""

turns: Final = Table(
    "turns",
    shared,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("session_key", _TEXT, nullable=False),
    Column("owner", _TEXT, nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("awaited", Boolean, nullable=False),
    Index("turns_by_session", "session_key", "id"),
)
"""Who has a session and who waits for it: of a session's rows the one with the lowest id has it."""
