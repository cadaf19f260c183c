"""The time, as all who share a database read it: PostgreSQL's own, or that of the machine which has the file."""

from __future__ import annotations

from time import time

from sqlalchemy import ColumnElement, Float, cast, extract, func, literal

from app.sessions.core_engine import AsyncConnection


def now(connection: AsyncConnection) -> ColumnElement[float]:
    """Return the time at a statement's execution, in seconds since 1970."""
    if connection.dialect.name == "postgresql":
        return cast(extract("epoch", func.clock_timestamp()), Float)
    return literal(time(), Float)
