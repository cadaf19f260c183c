"""The table of interrupted runs: written by whoever finds one, bounded, read by session or by run. SQL alone."""

from __future__ import annotations

from collections.abc import Sequence
from time import time
from typing import Final

from sqlalchemy import ColumnElement, Delete, delete, insert, select, tuple_

from app.sessions.core_engine import AsyncConnection
from app.sessions.interruption import BegunRun, InterruptedRun
from app.sessions.schema import interrupted_runs, messages

MAX_KEPT: Final = 1_000
"""The newest so many are kept, of all sessions together."""
MAX_SHOWN: Final = 100
_BATCH: Final = 200

_columns = interrupted_runs.c
_RUN: Final = (_columns.run_id, _columns.session_key, _columns.agent_id, _columns.started_at, _columns.found_at)


async def record(connection: AsyncConnection, runs: Sequence[BegunRun]) -> list[BegunRun]:
    """Write down that runs were interrupted, in the transaction under way.

    It has to be a statement after those that made sure that the runs can store nothing any more: only then does it see
    what they have stored. A run whose turn is stored was not interrupted, and one that is known is not written twice.

    Returns:
        Those that were written.
    """
    found_at = time()
    written: list[BegunRun] = []
    for at in range(0, len(runs), _BATCH):
        some = runs[at : at + _BATCH]
        names = [(run.session_key, plain(run.run_id)) for run in some]
        turns = select(messages.c.session_key, messages.c.run_id).distinct()
        stored = (
            await connection.execute(turns.where(tuple_(messages.c.session_key, messages.c.run_id).in_(names)))
        ).all()
        found = select(_columns.session_key, _columns.run_id, _columns.started_at)
        known = (await connection.execute(found.where(tuple_(_columns.session_key, _columns.run_id).in_(names)))).all()
        over = {tuple(row) for row in (*stored, *known)}
        new = [
            run
            for run, name in zip(some, names, strict=True)
            if name not in over and (*name, run.started_at) not in over
        ]
        if new:
            rows = [
                {
                    "run_id": plain(run.run_id),
                    "session_key": run.session_key,
                    "agent_id": run.agent_id,
                    "started_at": run.started_at,
                    "found_at": found_at,
                }
                for run in new
            ]
            await connection.execute(insert(interrupted_runs).values(rows))
        written += new
    if written:
        # What another one is just removing is left to it.
        old = select(_columns.id).order_by(_columns.id.desc()).offset(MAX_KEPT).with_for_update(skip_locked=True)
        await connection.execute(delete(interrupted_runs).where(_columns.id.in_(old)))
    return written


async def of_session(connection: AsyncConnection, session_key: str) -> list[InterruptedRun]:
    """Return the interrupted runs of a session, the newest first."""
    return await _read(connection, _columns.session_key == session_key)


async def of_run(connection: AsyncConnection, run_id: str) -> InterruptedRun | None:
    """Return a run of that id that was interrupted, the newest if there are several."""
    return next(iter(await _read(connection, _columns.run_id == plain(run_id))), None)


def forgotten(session_key: str) -> Delete:
    """Return the statement that removes what is known of a session's interrupted runs."""
    return delete(interrupted_runs).where(_columns.session_key == session_key)


def plain(run_id: str) -> str:
    """Return a run's id as databases take it: PostgreSQL's texts can't have the character NUL."""
    return run_id.replace("\0", "\N{REPLACEMENT CHARACTER}")


async def _read(connection: AsyncConnection, condition: ColumnElement[bool]) -> list[InterruptedRun]:
    newest = select(*_RUN).where(condition).order_by(_columns.id.desc()).limit(MAX_SHOWN)
    return [InterruptedRun(*row) for row in (await connection.execute(newest)).all()]
