"""How places in sessions' queues are taken, looked at and given up: the statements of ``turns``, for PostgreSQL alone.

Made once: making a statement takes several times as long as executing it. Each stands alone, in one round trip.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, DateTime, Interval, Select, bindparam, case, delete, func, insert, literal, select
from sqlalchemy.sql.dml import ReturningInsert

from app.sessions.core_engine import AsyncConnection
from app.sessions.expiry import EXPIRED
from app.sessions.news import FREE
from app.sessions.schema import turns


async def alone(connection: AsyncConnection, key: str) -> None:
    """Have a session's queue for oneself until the transaction ends.

    Ids have to come in the order in which rows become visible, or two could see themselves as the first; and of two who
    look through the same rows each could wait for the other's.
    """
    await connection.execute(select(_lock(literal(key, turns.c.session_key.type))))


def after(seconds: float) -> ColumnElement[datetime]:
    """Return the time that it will be then, by the database's clock."""
    return func.clock_timestamp(type_=DateTime(timezone=True)) + timedelta(seconds=seconds)


def _lock(key: ColumnElement[str]) -> ColumnElement[None]:
    return func.pg_advisory_xact_lock(func.hashtextextended(key, 0))


def _entering() -> ReturningInsert[Any]:
    key = bindparam("entered", type_=turns.c.session_key.type)
    # Alone from before the number is drawn until the row is there to be seen, see ``alone``.
    locked = select(_lock(key).label("lock")).cte("locked")
    others = select(turns.c.id).where(turns.c.session_key == key).exists()
    seconds = case((others, bindparam("wait", type_=Interval())), else_=bindparam("lease", type_=Interval()))
    row = {
        "session_key": key,
        "owner": bindparam("entrant", type_=turns.c.owner.type),
        "expires_at": func.clock_timestamp(type_=DateTime(timezone=True)) + seconds,
        "awaited": literal(value=False),
        "run_id": bindparam("run_id", type_=turns.c.run_id.type),
        "agent_id": bindparam("agent_id", type_=turns.c.agent_id.type),
        "started_at": bindparam("began", type_=turns.c.started_at.type),
    }
    values = select(*(value.label(name) for name, value in row.items())).where(locked.c.lock.is_not(None))
    return insert(turns).from_select(list(row), values).returning(turns.c.id)


def _looking() -> Select[int, int, Any]:
    own = bindparam("own", type_=turns.c.id.type)
    before = (turns.c.id < own) & turns.c.revoked.is_(None)
    seen = (
        func.count().filter(before).label("all"),
        func.count().filter(before, ~EXPIRED).label("living"),
        func.max(turns.c.revoked).filter(turns.c.id == own).label("revoked"),
    )
    return select(*seen).where(turns.c.session_key == bindparam("entered"))


def _leaving() -> Select[Any]:
    own = turns.c.id.in_(bindparam("left", expanding=True))
    gone = delete(turns).where(own).returning(turns.c.session_key, turns.c.awaited).cte("gone")
    return select(func.pg_notify(FREE, gone.c.session_key)).where(gone.c.awaited)


ENTER: Final = _entering()
"""Takes the last place of the session ``entered`` for the process ``entrant``; gives its number.

Further parameters: ``run_id``, ``agent_id``, ``began``; ``lease`` and ``wait``, how long the place is there without a
sign of life if it is the only one, or isn't.
"""
BEFORE: Final = _looking()
"""Counts the places before one's ``own``: ``all`` and the ``living``; and says whether one's own is ``revoked``.

To be executed after ``ENTER``: only what begins after that is sure to see everybody who was there before.
"""
LEAVE: Final = _leaving()
"""Gives up the places ``left``, and tells whoever waits behind them."""
