"""Wrong secrets per client address, counted by all who share a database. SQL, and nothing of secrets or requests.

A row says what ``app.security.failure_limit`` says of an address in one process: how many failures there were in the
window, when it ends, and until when the address is locked out.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Final

from sqlalchemy import Table, and_, case, delete, func, or_, select, update

from app.sessions.clock import now
from app.sessions.core_engine import AsyncConnection
from app.sessions.failures import Standing
from app.sessions.schema import auth_failures

if TYPE_CHECKING:  # one of them is of another database than this process's
    from sqlalchemy.dialects.postgresql import Insert as PostgresqlInsert
    from sqlalchemy.dialects.sqlite import Insert as SqliteInsert

    _Insert = Callable[[Table], SqliteInsert | PostgresqlInsert]

MAX_STANDINGS: Final = 10_000
"""Addresses that are told of at most, those that are locked out longest first."""
_ROWS_PER_STATEMENT: Final = 500
_SLEW_SECONDS: Final = 1.0
"""By so much clocks are put right in passing."""
_LOCK: Final = 0x7A666C
"""The number of the advisory lock: rows are locked in no certain order, so one process at a time writes."""

_Lend = Callable[[], AbstractAsyncContextManager[AsyncConnection]]
_own = auth_failures.c


class SqlFailureLedger:
    """A ledger in a database; see ``FailureLedger``.

    Args:
        writing: Lends a connection with a transaction around it.
        single: Lends a connection for a statement that stands alone.
        insert: Begins an INSERT in the database's own words.
    """

    def __init__(self, writing: _Lend, single: _Lend, insert: _Insert) -> None:
        self._writing = writing
        self._single = single
        self._insert = insert

    async def exchange(
        self,
        failures: Mapping[str, int],
        forgiven: Collection[str],
        *,
        most: int,
        window_seconds: float,
        lockout_seconds: float,
    ) -> list[Standing]:
        """See ``FailureLedger``."""
        if failures or forgiven:
            async with self._writing() as connection:
                if connection.dialect.name == "postgresql":
                    await connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
                at = now(connection)
                # The right secret doesn't end a lock-out; a process where it came may only not have heard of that yet.
                over = and_(_own.locked_until <= at, or_(_own.window_ends <= at, _own.address.in_(forgiven)))
                over = or_(over, _own.locked_until > at + lockout_seconds + _SLEW_SECONDS)
                await connection.execute(delete(auth_failures).where(over))
                addresses = sorted(failures)
                for start in range(0, len(addresses), _ROWS_PER_STATEMENT):
                    some = addresses[start : start + _ROWS_PER_STATEMENT]
                    await self._count(connection, {one: failures[one] for one in some}, window_seconds)
                locked = at + lockout_seconds
                await connection.execute(
                    update(auth_failures)
                    .where(_own.failures >= most)
                    .values(failures=0, locked_until=locked, window_ends=locked + window_seconds)
                )
        async with self._single() as connection:
            at = now(connection)
            # What lasts longer than it can is of before the clock was put back.
            out = and_(_own.locked_until > at, _own.locked_until <= at + lockout_seconds + _SLEW_SECONDS)
            remaining = case((out, _own.locked_until - at), else_=0.0)
            counted = and_(_own.failures > 0, _own.window_ends > at)
            seen = select(_own.address, _own.failures, remaining).where(or_(counted, out))
            rows = await connection.execute(seen.order_by(_own.locked_until.desc()).limit(MAX_STANDINGS))
            return [Standing(*row) for row in rows]

    async def _count(self, connection: AsyncConnection, failures: Mapping[str, int], window_seconds: float) -> None:
        at = now(connection)
        inserting = self._insert(auth_failures).values(
            [
                {"address": address, "failures": count, "window_ends": at + window_seconds, "locked_until": 0.0}
                for address, count in failures.items()
            ]
        )
        counting = inserting.on_conflict_do_update(
            index_elements=[_own.address],
            set_={"failures": _own.failures + inserting.excluded.failures},
            # What was on its way when the address was locked out counts no more.
            where=_own.locked_until <= at,
        )
        await connection.execute(counting)
