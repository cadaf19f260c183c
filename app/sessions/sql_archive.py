"""Looking after sessions in a database: the statements behind ``SessionArchive``. SQL, and nothing of runs.

No answer has more texts than were asked for, and no transaction outlives a call.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from contextlib import AbstractAsyncContextManager
from time import time
from typing import TYPE_CHECKING, Any, Final

import msgspec
from sqlalchemy import ColumnElement, Row, Table, func, literal, select, true, update

from app.sessions.archive import (
    ArchivedMessage,
    ArchivedSession,
    Link,
    Outline,
    Page,
    Selection,
    TakenIn,
    in_order,
    leads_to,
)
from app.sessions.core_engine import AsyncConnection
from app.sessions.reset import is_mark
from app.sessions.schema import messages, sessions
from app.sessions.store import SessionRecord

if TYPE_CHECKING:  # one of them is of another database than this process's
    from sqlalchemy.dialects.postgresql import Insert as PostgresqlInsert
    from sqlalchemy.dialects.sqlite import Insert as SqliteInsert

    Insert = Callable[[Table], SqliteInsert | PostgresqlInsert]

_ROWS_PER_STATEMENT: Final = 500
_RECORD = (sessions.c.key, sessions.c.agent_id, sessions.c.created_at, sessions.c.updated_at)
_MESSAGE = (
    messages.c.id,
    messages.c.parent,
    messages.c.digest,
    messages.c.role,
    messages.c.run_id,
    messages.c.created_at,
    messages.c.body,
)

_Row = Row[*tuple[Any, ...]]

Lend = Callable[[], AbstractAsyncContextManager[AsyncConnection]]
Guard = Callable[[AsyncConnection, str, int], Awaitable[None]]


class SqlArchive:
    """The archive of a store in a database.

    Args:
        reading: Lends a connection for statements that change nothing.
        writing: Lends a connection with a transaction around it.
        insert: Begins an INSERT in the database's own words.
        guard: Sees to it that a lease isn't taken over before the transaction ends; may raise ``SessionConflict``.
    """

    def __init__(self, reading: Lend, writing: Lend, insert: Insert, guard: Guard) -> None:
        self._reading = reading
        self._writing = writing
        self._insert = insert
        self._guard = guard

    async def listing(
        self, selection: Selection, *, limit: int, after: SessionRecord | None = None
    ) -> list[SessionRecord]:
        """Read the table of sessions by their making, which never changes, so that pages fit together."""
        if "\0" in selection.search:
            return []  # in no key, and nothing that PostgreSQL would let one ask for
        wanted = _wanted(selection)
        if after is not None:
            wanted &= (sessions.c.created_at < after.created_at) | (
                (sessions.c.created_at == after.created_at) & (sessions.c.key > after.key)
            )
        newest = select(*_RECORD).where(wanted).order_by(sessions.c.created_at.desc(), sessions.c.key)
        async with self._reading() as connection:
            rows = (await connection.execute(newest.limit(limit))).all()
        return [SessionRecord(*row) for row in rows]

    async def outline(self, session_key: str) -> Outline | None:
        """Read everything but the texts."""
        # The session first: what its head is by then is there when the messages are read, unless it was deleted.
        own = select(*_RECORD, sessions.c.head).where(sessions.c.key == session_key)
        links = select(
            messages.c.id, messages.c.parent, messages.c.created_at, func.length(messages.c.body).label("size")
        ).where(messages.c.session_key == session_key)
        async with self._reading() as connection:
            row = (await connection.execute(own)).first()
            found = (await connection.execute(links)).all() if row is not None else []
        if row is None:
            return None
        return Outline(SessionRecord(*row[:4]), row.head, in_order([Link(*link) for link in found]))

    async def texts(self, session_key: str, ids: Collection[str]) -> list[ArchivedMessage]:
        """Read these messages."""
        wanted = select(*_MESSAGE).where(messages.c.session_key == session_key, messages.c.id.in_(ids))
        async with self._reading() as connection:
            return [_message(row) for row in (await connection.execute(wanted)).all()]

    async def page(
        self, session_key: str, *, branch: str | None = None, after: str | None = None, limit: int, max_bytes: int
    ) -> Page:
        """Walk back from the beginning of the page, and no further than its end."""
        async with self._reading() as connection:
            if after is not None:
                row = await self._place(connection, session_key, after)
                start = None if row.parent is None or is_mark(row.parent) else row.parent
            elif branch is not None:
                start = (await self._place(connection, session_key, branch)).id
            else:
                start = await connection.scalar(select(sessions.c.head).where(sessions.c.key == session_key))
            if start is None:
                return Page((), more=False)
            rows = (await connection.execute(_walk(session_key, start, limit, max_bytes))).all()
        oldest = rows[-1].parent if rows else None
        return Page(tuple(_message(row) for row in rows), more=oldest is not None and not is_mark(oldest))

    async def restore(self, session_key: str, branch: str, *, fence: int | None = None) -> SessionRecord | None:
        """Let the head point to the branch's last message."""
        follower = messages.alias("follower")
        last = (
            select(messages.c.id)
            .outerjoin(
                follower, (follower.c.session_key == messages.c.session_key) & (follower.c.parent == messages.c.id)
            )
            .where(messages.c.session_key == session_key, messages.c.id == branch, follower.c.id.is_(None))
        )
        change = (
            update(sessions)
            .where(sessions.c.key == session_key, (sessions.c.head == branch) | last.exists())
            .values(head=branch, updated_at=time())
            .returning(*_RECORD)
        )
        async with self._writing() as connection:
            if fence is not None:
                await self._guard(connection, session_key, fence)
            row = (await connection.execute(change)).first()
        return None if row is None else SessionRecord(*row)

    async def take_in(self, session: ArchivedSession, *, fence: int | None = None) -> TakenIn:
        """Write the session's row, then its messages, in one transaction."""
        record, key = session.record, session.record.key
        rows = [_row(key, message) for message in session.messages]
        async with self._writing() as connection:
            if fence is not None:
                await self._guard(connection, key, fence)
            # The session first: it locks it, so that what is compared can't change underneath.
            made = await connection.execute(
                self._insert(sessions)
                .values(
                    key=key,
                    agent_id=record.agent_id,
                    head=session.head,
                    created_at=record.created_at,
                    updated_at=record.updated_at,
                )
                .on_conflict_do_nothing()
                .returning(sessions.c.key)
            )
            created = made.first() is not None
            moved = not created and await self._move(connection, session)
            added = 0
            for at in range(0, len(rows), _ROWS_PER_STATEMENT):
                some = self._insert(messages).values(rows[at : at + _ROWS_PER_STATEMENT]).on_conflict_do_nothing()
                added += len((await connection.execute(some.returning(messages.c.id))).all())
        if created:
            return TakenIn("created", added)
        return TakenIn("continued" if moved else "merged" if added else "unchanged", added)

    async def unchanged(self, since: float, *, limit: int, after: SessionRecord | None = None) -> list[SessionRecord]:
        """Read the table of sessions by their last change."""
        wanted = sessions.c.updated_at < since
        if after is not None:
            wanted &= (sessions.c.updated_at > after.updated_at) | (
                (sessions.c.updated_at == after.updated_at) & (sessions.c.key > after.key)
            )
        oldest = select(*_RECORD).where(wanted).order_by(sessions.c.updated_at, sessions.c.key).limit(limit)
        async with self._reading() as connection:
            return [SessionRecord(*row) for row in (await connection.execute(oldest)).all()]

    async def _move(self, connection: AsyncConnection, session: ArchivedSession) -> bool:
        """Lock a session that is there, and let it go on from the archived one's head if that is further on."""
        record = session.record
        own = (
            update(sessions)
            .where(sessions.c.key == record.key)
            .values(updated_at=sessions.c.updated_at)
            .returning(sessions.c.head, sessions.c.updated_at)
        )
        was = (await connection.execute(own)).one()
        if session.head is None or session.head == was.head or not leads_to(session.messages, was.head, session.head):
            return False
        later = max(was.updated_at, record.updated_at)
        await connection.execute(
            update(sessions).where(sessions.c.key == record.key).values(head=session.head, updated_at=later)
        )
        return True

    @staticmethod
    async def _place(connection: AsyncConnection, session_key: str, id: str) -> _Row:
        own = select(messages.c.id, messages.c.parent).where(messages.c.session_key == session_key, messages.c.id == id)
        row = (await connection.execute(own)).first()
        if row is None:
            raise LookupError(id)
        return row


def _wanted(selection: Selection) -> ColumnElement[bool]:
    wanted: ColumnElement[bool] = true()
    if selection.agent_id is not None:
        wanted &= sessions.c.agent_id == selection.agent_id
    if selection.rest is not None:
        wanted &= sessions.c.key == literal("agent:") + sessions.c.agent_id + literal(f":{selection.rest}")
    if selection.search:
        wanted &= sessions.c.key.icontains(selection.search, autoescape=True)
    return wanted


def _walk(session_key: str, start: str, limit: int, max_bytes: int) -> Any:
    size = func.length(messages.c.body)
    chain = (
        select(messages.c.id, messages.c.parent, literal(0).label("age"), size.label("bytes"))
        .where(messages.c.session_key == session_key, messages.c.id == start)
        .cte("chain", recursive=True)
    )
    chain = chain.union_all(
        select(messages.c.id, messages.c.parent, chain.c.age + 1, chain.c.bytes + size)
        .join(chain, messages.c.id == chain.c.parent)
        .where(messages.c.session_key == session_key, chain.c.age + 1 < limit, chain.c.bytes + size <= max_bytes)
    )
    return (
        select(*_MESSAGE)
        .join(chain, messages.c.id == chain.c.id)
        .where(messages.c.session_key == session_key)
        .order_by(chain.c.age)
    )


def _message(row: _Row) -> ArchivedMessage:
    return ArchivedMessage(
        row.id, row.parent, row.digest, row.role, row.run_id, row.created_at, msgspec.Raw(bytes(row.body))
    )


def _row(session_key: str, message: ArchivedMessage) -> dict[str, Any]:
    return {**msgspec.structs.asdict(message), "session_key": session_key, "body": bytes(message.body)}
