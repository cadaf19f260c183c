"""Places in sessions' queues whose processes are dead: found, removed, and their runs recorded as interrupted.

A place is dead when it has not been renewed in time, or its process is known to have ended. SQL, for PostgreSQL alone.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Final

from sqlalchemy import ColumnElement, delete, func, select

from app.sessions import interrupted
from app.sessions.core_engine import AsyncConnection
from app.sessions.interruption import BegunRun, tell
from app.sessions.news import FREE
from app.sessions.owner import is_dead
from app.sessions.schema import turns

Lend = Callable[[], AbstractAsyncContextManager[AsyncConnection]]

_MOST_TOLD: Final = 500
"""Sessions of which it is told that somebody has left; those who wait for more look by themselves."""
EXPIRED: Final[ColumnElement[bool]] = turns.c.expires_at < func.clock_timestamp()


async def sweep(reading: Lend, writing: Lend) -> int:
    """Remove all dead places, of every session; return how many there were.

    Args:
        reading: Lends a connection on which each statement stands alone.
        writing: Lends a connection with a transaction around it.
    """
    owners = select(turns.c.owner, func.bool_or(EXPIRED).label("expired")).group_by(turns.c.owner)
    async with reading() as connection:
        found = (await connection.execute(owners)).all()
    dead = [row.owner for row in found if is_dead(row.owner)]
    if not dead and not any(row.expired for row in found):
        return 0
    # What somebody is at work with is for the next time: waiting for it could be waiting in a circle.
    free = select(turns.c.id).where(EXPIRED | turns.c.owner.in_(dead)).with_for_update(skip_locked=True)
    async with writing() as connection:
        removed, runs = await remove(connection, turns.c.id.in_(free))
    tell(runs)
    return removed


async def remove(connection: AsyncConnection, dead: ColumnElement[bool]) -> tuple[int, list[BegunRun]]:
    """Remove dead places and record their runs, in the transaction under way; who waits behind them is told.

    Returns:
        How many places, and which runs were interrupted. A run that was to stop anyway is none of those.
    """
    columns = turns.c
    gone = (
        await connection.execute(
            delete(turns)
            .where(dead)
            .returning(
                columns.run_id,
                columns.session_key,
                columns.agent_id,
                columns.started_at,
                columns.revoked,
                columns.awaited,
            )
        )
    ).all()
    if not gone:
        return 0, []
    awaited = sorted({row.session_key for row in gone if row.awaited})[:_MOST_TOLD]
    if awaited:
        await connection.execute(select(*(func.pg_notify(FREE, key) for key in awaited)))
    runs = [
        BegunRun(row.run_id, row.session_key, row.agent_id, row.started_at)
        for row in gone
        if row.run_id is not None and row.revoked is None
    ]
    return len(gone), await interrupted.record(connection, runs)
