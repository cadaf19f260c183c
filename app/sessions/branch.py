"""The queries that walk a session's active branch, from its head to its beginning. The connection is the caller's."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Connection, Select, and_, bindparam, case, func, literal, or_, select, true

from app.sessions.message import Message
from app.sessions.schema import messages, sessions
from app.sessions.store import StoredMessage

_LINK = (
    messages.c.session_key,
    messages.c.id,
    messages.c.parent,
    messages.c.role,
    func.length(messages.c.body).label("size"),
)


def _beyond() -> Select[Any]:
    unknown = (messages.c.session_key == bindparam("session_key")) & (messages.c.id != bindparam("known"))
    # Everything is taken along: where PostgreSQL knows little of a table yet, it would look for the messages of the
    # branch among all of the session's.
    said = (messages.c.id, messages.c.parent, messages.c.digest, messages.c.role, messages.c.body)
    branch = (
        select(*said, literal(0).label("age"))
        .join(sessions, (sessions.c.key == messages.c.session_key) & (sessions.c.head == messages.c.id))
        .where(unknown)
        .cte("branch", recursive=True)
    )
    branch = branch.union_all(
        select(*said, (branch.c.age + 1).label("age")).join(branch, messages.c.id == branch.c.parent).where(unknown)
    )
    found = (branch.c.id, branch.c.parent, branch.c.digest, branch.c.role, branch.c.body)
    return (
        select(sessions.c.created_at, sessions.c.head, *found)
        .select_from(sessions.outerjoin(branch, true()))
        .where(sessions.c.key == bindparam("session_key"))
        .order_by(branch.c.age.desc())
    )


_BEYOND: Final = _beyond()
"""Selects a session (``created_at``, ``head``) with each message of its active branch, oldest first.

Parameters: ``session_key``; ``known``, the id of a message at which the walk back from the head ends, itself left out,
or "" to walk to the beginning. A session of whose branch there is nothing else to say is one row without a message.
Made once, since making a statement takes several times as long as executing it.
"""


class Beyond(NamedTuple):
    """What a session has beyond a message.

    Attributes:
        created_at: When the session was made, in seconds since 1970.
        parent: What the first of the messages hangs on; the session's head if there are none.
        messages: The messages, oldest first.
    """

    created_at: float
    parent: str | None
    messages: list[StoredMessage]


def beyond(connection: Connection, *, session_key: str, known: str) -> Beyond | None:
    """Walk back from a session's head to a message, or to the beginning if it doesn't get there.

    Args:
        connection: Where the session is.
        session_key: The session; ``None`` is returned if there is none.
        known: The message's id; "" for none.
    """
    rows = connection.execute(_BEYOND, {"session_key": session_key, "known": known}).all()
    if not rows:
        return None
    found = [StoredMessage(row.id, row.digest, Message(row.role, msgspec.Raw(row.body))) for row in rows if row.id]
    return Beyond(rows[0].created_at, rows[0].parent if found else rows[0].head, found)


def ends(session_keys: Collection[str], *, latest: int, skip: int, max_bytes: int, opening: bool) -> Select[Any]:
    """Select the ends of several sessions (key, total, latest, opening, role, body), as ``SessionStore.excerpts`` says.

    Walks the chains without the messages' texts, then reads those that are wanted.
    """
    branch = (
        select(*_LINK, literal(0).label("age"))
        .join(sessions, (sessions.c.key == messages.c.session_key) & (sessions.c.head == messages.c.id))
        .where(sessions.c.key.in_(session_keys))
        .cte("branch", recursive=True)
    )
    branch = branch.union_all(
        select(*_LINK, (branch.c.age + 1).label("age")).join(
            branch, (messages.c.session_key == branch.c.session_key) & (messages.c.id == branch.c.parent)
        )
    )
    own, age = branch.c.session_key, branch.c.age
    asked = age.between(skip, skip + latest - 1)
    sizes = case((asked, branch.c.size), else_=0)
    chain = select(
        own,
        branch.c.id,
        age,
        func.count().over(partition_by=own).label("total"),
        (asked & (func.sum(sizes).over(partition_by=own, order_by=age) <= max_bytes)).label("latest"),
        and_(
            literal(opening),
            branch.c.size <= max_bytes,
            age == func.max(case((branch.c.role == "user", age))).over(partition_by=own),
        ).label("opening"),
    ).subquery("chain")
    wanted = chain.c.latest | chain.c.opening
    return (
        select(sessions.c.key, chain.c.total, chain.c.latest, chain.c.opening, messages.c.role, messages.c.body)
        .outerjoin(chain, chain.c.session_key == sessions.c.key)
        .outerjoin(messages, wanted & (messages.c.session_key == chain.c.session_key) & (messages.c.id == chain.c.id))
        # The head of each, wanted or not, says how many there are.
        .where(sessions.c.key.in_(session_keys), or_(chain.c.age.is_(None), chain.c.age == 0, wanted))
        .order_by(chain.c.age.desc())
    )
