"""A SQLite file's connection for the work of turns: a thread of its own, to which a whole transaction is one trip.

An async driver makes a trip of every call, four or so for a statement. Knows transactions and nothing of sessions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

_T = TypeVar("_T")


class SqliteThread:
    """Does one thing after the other, in the order in which they were asked for. Starts with the first of them.

    Args:
        engine: The way to the file.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._thread: ThreadPoolExecutor | None = None
        self._connection: Connection | None = None

    async def transacted(self, work: Callable[[Connection], _T]) -> _T:
        """Do something in one transaction.

        Who is cancelled while it waits doesn't stop what has begun: it is done whole, or not at all if it hadn't begun.
        Whatever is asked for next comes after it and sees it.

        Raises:
            SQLAlchemyError: If the database refuses; everything of the transaction is undone then.
        """
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="session-store")
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._transact, work)

    async def close(self) -> None:
        """Close the connection behind all that was asked for. Idempotent."""
        thread, self._thread = self._thread, None
        if thread is not None:
            await asyncio.get_running_loop().run_in_executor(thread, self._disconnect)
            thread.shutdown()

    def _transact(self, work: Callable[[Connection], _T]) -> _T:
        if self._connection is None:
            self._connection = self._engine.connect()
        try:
            with self._connection.begin():
                return work(self._connection)
        except SQLAlchemyError:
            self._disconnect()  # whatever state it is in, the next one is new
            raise

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        self._engine.dispose()
