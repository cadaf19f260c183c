"""Summaries of sessions in a database; see ``summary``. SQL, and nothing of runs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from sqlalchemy import Delete, Table, delete, literal, select

from app.sessions.core_engine import AsyncConnection
from app.sessions.schema import sessions, summaries
from app.sessions.summary import KEPT, Summary

if TYPE_CHECKING:  # one of them is of another database than this process's
    from sqlalchemy.dialects.postgresql import Insert as PostgresqlInsert
    from sqlalchemy.dialects.sqlite import Insert as SqliteInsert

    _Insert = Callable[[Table], SqliteInsert | PostgresqlInsert]

_Lend = Callable[[], AbstractAsyncContextManager[AsyncConnection]]
_own = summaries.c


class SqlSummaries:
    """Summaries in a database; see ``SessionSummaries``.

    Args:
        reading: Lends a connection for statements that change nothing.
        writing: Lends a connection with a transaction around it.
        insert: Begins an INSERT in the database's own words.
    """

    def __init__(self, reading: _Lend, writing: _Lend, insert: _Insert) -> None:
        self._reading = reading
        self._writing = writing
        self._insert = insert

    async def read(self, session_key: str) -> list[Summary]:
        """See ``SessionSummaries``."""
        found = (
            select(_own.upto, _own.text, _own.model, _own.created_at)
            .where(_own.session_key == session_key)
            .order_by(_own.created_at.desc(), _own.upto)
        )
        async with self._reading() as connection:
            return [Summary(*row) for row in (await connection.execute(found)).all()]

    async def keep(self, session_key: str, summary: Summary) -> bool:
        """See ``SessionSummaries``."""
        # PostgreSQL's texts can't have it, and no reader misses it.
        text = summary.text.replace("\0", "\N{REPLACEMENT CHARACTER}")
        # Of a session that is just being deleted this waits for the end, and then finds none.
        row = (
            select(
                sessions.c.key,
                literal(summary.upto),
                literal(text),
                literal(summary.model),
                literal(summary.created_at),
            )
            .where(sessions.c.key == session_key)
            .with_for_update(read=True, key_share=True)
        )
        columns = ["session_key", "upto", "text", "model", "created_at"]
        adding = self._insert(summaries).from_select(columns, row)
        renewed = {name: adding.excluded[name] for name in columns[2:]}
        newest = (
            select(_own.upto)
            .where(_own.session_key == session_key)
            .order_by(_own.created_at.desc(), _own.upto)
            .limit(KEPT)
        )
        async with self._writing() as connection:
            writing = adding.on_conflict_do_update(index_elements=columns[:2], set_=renewed).returning(_own.upto)
            kept = (await connection.execute(writing)).first()
            await connection.execute(delete(summaries).where(_own.session_key == session_key, _own.upto.not_in(newest)))
        return kept is not None


def forgotten_summaries(session_key: str) -> Delete:
    """Return the statement that deletes a session's summaries."""
    return delete(summaries).where(_own.session_key == session_key)
