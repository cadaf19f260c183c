"""Deriving every hash anew: whether what a database has is what was once written there. Reads only."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

import msgspec
from sqlalchemy import Row, func, select

from app.sessions.core_engine import AsyncConnection
from app.sessions.message import Message, chained, digest
from app.sessions.reset import is_mark
from app.sessions.schema import messages, sessions
from app.sessions.store import Fault, Verification

_BATCH: Final = 500
"""Messages in memory at a time."""


async def audited(lend: Callable[[], AbstractAsyncContextManager[AsyncConnection]]) -> Verification:
    """Look at every message of every branch, and at every session's head.

    Args:
        lend: Lends a connection for one query; there may be many, and a run may want to write in between.
    """
    faults: list[Fault] = []
    count, last = 0, ("", "")
    parent = messages.alias("parent")
    statement = (
        select(messages, parent.c.id.label("found"))
        .outerjoin(parent, (parent.c.session_key == messages.c.session_key) & (parent.c.id == messages.c.parent))
        .order_by(messages.c.session_key, messages.c.id)
        .limit(_BATCH)
    )
    while True:
        key, identity = last
        behind = (messages.c.session_key > key) | ((messages.c.session_key == key) & (messages.c.id > identity))
        async with lend() as connection:
            rows = (await connection.execute(statement.where(behind))).all()
        faults += [Fault(row.session_key, row.id, problem) for row in rows if (problem := _problem(row))]
        count += len(rows)
        if len(rows) < _BATCH:
            break
        last = (rows[-1].session_key, rows[-1].id)
    headless = (
        select(sessions.c.key, sessions.c.head)
        .outerjoin(messages, (messages.c.session_key == sessions.c.key) & (messages.c.id == sessions.c.head))
        .where(sessions.c.head.is_not(None), messages.c.id.is_(None))
        .order_by(sessions.c.key)
    )
    orphaned = (
        select(messages.c.session_key, func.min(messages.c.id).label("id"))
        .outerjoin(sessions, sessions.c.key == messages.c.session_key)
        .where(sessions.c.key.is_(None))
        .group_by(messages.c.session_key)
        .order_by(messages.c.session_key)
    )
    async with lend() as connection:
        orphans = (await connection.execute(orphaned)).all()
    faults += [Fault(row.session_key, row.id, "the session that it belongs to is not there") for row in orphans]
    async with lend() as connection:
        lost = (await connection.execute(headless)).all()
        total = await connection.scalar(select(func.count()).select_from(sessions))
    faults += [Fault(row.key, row.head, "the session ends with this message, which is not there") for row in lost]
    return Verification(total or 0, count, tuple(faults))


def _problem(row: Row[Any]) -> str | None:
    try:
        content = digest(Message(row.role, msgspec.Raw(row.body)))
    except Exception:  # whatever stands there was never written by us
        return "its text is not a message"
    if content != row.digest:
        return "its text is not what its digest says"
    if chained(row.parent, content) != row.id:
        return "its id is not that of its text and its place"
    if row.parent is not None and row.found is None and not is_mark(row.parent):
        return "the message before it is not there"
    return None
