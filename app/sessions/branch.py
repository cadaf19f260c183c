"""The queries that walk a session's active branch, from its head to its beginning. Statements, and no connection."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Select, and_, case, func, literal, or_, select

from app.sessions.schema import messages, sessions

_LINK = (
    messages.c.session_key,
    messages.c.id,
    messages.c.parent,
    messages.c.role,
    func.length(messages.c.body).label("size"),
)


def whole(session_key: str) -> Select[Any]:
    """Select a session's messages (id, digest, role, body), oldest first."""
    branch = (
        select(messages.c.id, messages.c.parent, literal(0).label("age"))
        .join(sessions, (sessions.c.key == messages.c.session_key) & (sessions.c.head == messages.c.id))
        .where(messages.c.session_key == session_key)
        .cte("branch", recursive=True)
    )
    branch = branch.union_all(
        select(messages.c.id, messages.c.parent, (branch.c.age + 1).label("age"))
        .join(branch, messages.c.id == branch.c.parent)
        .where(messages.c.session_key == session_key)
    )
    return (
        select(messages.c.id, messages.c.digest, messages.c.role, messages.c.body)
        .join(branch, messages.c.id == branch.c.id)
        .where(messages.c.session_key == session_key)
        .order_by(branch.c.age.desc())
    )


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
