"""The records of ``Idempotency-Key`` in a database; see ``idempotency``. SQL, and nothing of runs.

A key's row is written before its run begins and holds the key for ``LEASE_SECONDS``, unless its process renews it, as
in ``turns``; of a process that is seen to be dead it holds it no longer. The transaction that stores the run's turn
notes the answer in the row, or is refused if the key was taken over meanwhile (``SqlStore.append``). So whoever takes a
dead process's key over knows whether there is a turn already. No connection is held while a run is under way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import msgspec
from sqlalchemy import Row, Select, Table, Update, and_, case, delete, func, literal, or_, select, update
from sqlalchemy.sql.dml import ReturningInsert

from app.log import logger
from app.sessions.clock import now
from app.sessions.core_engine import AsyncConnection
from app.sessions.followers import Followers
from app.sessions.idempotency import (
    MAX_BYTES,
    MAX_RECORDS,
    Claimant,
    Claimed,
    Found,
    KeptAnswer,
    Record,
    StoredAnswer,
    UnderWay,
)
from app.sessions.leases import BEAT_SECONDS, LEASE_SECONDS
from app.sessions.message import Message
from app.sessions.owner import is_dead, this_process
from app.sessions.schema import idempotency, messages
from app.sessions.store import StoreError

if TYPE_CHECKING:  # one of them is of another database than this process's
    from sqlalchemy.dialects.postgresql import Insert as PostgresqlInsert
    from sqlalchemy.dialects.sqlite import Insert as SqliteInsert

    _Insert = Callable[[Table], SqliteInsert | PostgresqlInsert]

FAILURE_SECONDS: Final = 30.0
"""How long a failure is there for those who wait for it. The key is free at once."""
PRUNE_RECORDS: Final = 512
PRUNE_BYTES: Final = 8 * 1024 * 1024
PRUNE_SECONDS: Final = 60.0
"""The bounds are seen to whenever a process has kept so many answers, or bytes, since it last did, or so long ago."""

_Lend = Callable[[], AbstractAsyncContextManager[AsyncConnection]]
_log = logger("zero.sessions")
_own = idempotency.c


class SqlRecords:
    """Records in a database; see ``IdempotencyRecords``.

    Args:
        writing: Lends a connection with a transaction around it.
        single: Lends a connection for a statement that stands alone.
        insert: Begins an INSERT in the database's own words.
        max_records: See ``MAX_RECORDS``.
        max_bytes: See ``MAX_BYTES``.
    """

    def __init__(
        self,
        writing: _Lend,
        single: _Lend,
        insert: _Insert,
        *,
        max_records: int = MAX_RECORDS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._writing = writing
        self._single = single
        self._insert = insert
        self._owner = this_process()
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._held: dict[str, str] = {}
        """The keys that runs of this process have, and those runs."""
        self._followers = Followers(single)
        self._heart: asyncio.Task[None] | None = None
        self._pruning: asyncio.Task[None] | None = None
        self._kept_records = 0
        self._kept_bytes = 0
        self._pruned_at = 0.0

    async def claim(self, key: str, asked: bytes, claimant: Claimant, seconds: float) -> Found:
        """See ``IdempotencyRecords``."""
        found: Found | None = None
        dead: str | None = None
        while found is None:  # or what was there has just gone
            async with self._single() as connection:
                claiming = self._claiming(connection, key, asked, claimant, seconds, dead)
                won = (await connection.execute(claiming)).first()
                if won is None:
                    row = (await connection.execute(_whole(key))).first()
                    if row is not None and row.leased_until is not None and row.owner != dead and is_dead(row.owner):
                        dead = row.owner
                    else:
                        found = _read(row)
                else:
                    found = Claimed(await _stored(connection, claimant.session_key, won.answer_id))
        if isinstance(found, Claimed):
            self._held[key] = claimant.run_id
            if self._heart is None or self._heart.done():
                self._heart = asyncio.create_task(self._beat(), name="idempotency-renewal")
        return found

    async def follow(self, key: str, run_id: str) -> bytes | None:
        """See ``IdempotencyRecords``."""
        return await self._followers.follow(key, run_id)

    async def keep(self, key: str, answer: KeptAnswer, seconds: float) -> None:
        """See ``IdempotencyRecords``."""
        self._let_go(key, answer.run_id)
        size = len(answer.body) if answer.body is not None else 0
        async with self._single() as connection:
            kept = await connection.execute(
                update(idempotency)
                .where(_own.key == key, _own.run_id == answer.run_id)
                .values(
                    leased_until=None,
                    expires_at=now(connection) + seconds,
                    estimated=answer.estimated,
                    size=size,
                    body=answer.body,
                )
            )
        if kept.rowcount != 1:
            raise StoreError("The key was given to another run: this process was out of touch for too long.")
        self._kept_records += 1
        self._kept_bytes += size
        if (
            self._kept_records >= PRUNE_RECORDS
            or self._kept_bytes >= PRUNE_BYTES
            or monotonic() - self._pruned_at >= PRUNE_SECONDS
        ) and (self._pruning is None or self._pruning.done()):
            self._pruning = asyncio.create_task(self._prune_quietly(), name="idempotency-pruning")

    async def free(self, key: str, run_id: str, failure: bytes | None = None) -> None:
        """See ``IdempotencyRecords``. A key whose turn is stored already goes to the next one together with that."""
        self._let_go(key, run_id)
        which = and_(_own.key == key, _own.run_id == run_id, _own.leased_until.is_not(None))
        async with self._writing() as connection:
            if failure is None:
                await connection.execute(delete(idempotency).where(which, _own.answer_id.is_(None)))
            else:
                told = update(idempotency).where(which, _own.answer_id.is_(None))
                expiry = now(connection) + FAILURE_SECONDS
                await connection.execute(told.values(leased_until=None, failed=True, body=failure, expires_at=expiry))
            await connection.execute(update(idempotency).where(which).values(leased_until=0.0))

    async def prune(self) -> None:
        """Forget what is over, and the oldest of what is too much."""
        self._kept_records = self._kept_bytes = 0
        self._pruned_at = monotonic()
        newest = (_own.expires_at.desc(), _own.key)
        ranked = (
            select(
                _own.key,
                func.row_number().over(order_by=newest).label("place"),
                func.sum(_own.size).over(order_by=newest).label("bytes"),
            )
            .where(_own.leased_until.is_(None))
            .subquery("ranked")
        )
        async with self._writing() as connection:
            at = now(connection)
            over = and_(_own.expires_at <= at, or_(_own.leased_until.is_(None), _own.leased_until <= at))
            await connection.execute(delete(idempotency).where(over))
            many = select(ranked.c.key).where(ranked.c.place > self._max_records)
            await connection.execute(delete(idempotency).where(_own.key.in_(many), _own.leased_until.is_(None)))
            # That it was answered stays known: a request must not run twice because others had long answers.
            large = select(ranked.c.key).where(ranked.c.bytes > self._max_bytes)
            bare = update(idempotency).where(_own.key.in_(large), _own.leased_until.is_(None), _own.size > 0)
            await connection.execute(bare.values(size=0, body=None))

    async def close(self) -> None:
        """Stop renewing and looking; what is held is free when its time is up."""
        self._held.clear()
        await self._followers.close()
        for task in (self._heart, self._pruning):
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    def _claiming(
        self, connection: AsyncConnection, key: str, asked: bytes, claimant: Claimant, seconds: float, owner: str | None
    ) -> ReturningInsert[Any]:
        """Take the key, if nobody has it or only that process, which is dead."""
        at = now(connection)
        values: dict[str, Any] = {
            "asked": asked,
            "run_id": claimant.run_id,
            "agent_id": claimant.agent_id,
            "session_key": claimant.session_key,
            "answer_id": None,
            "leased_until": at + LEASE_SECONDS,
            "expires_at": at + seconds,
            "failed": False,
            "estimated": False,
            "size": 0,
            "body": None,
            "owner": self._owner,
        }
        forgotten = _own.expires_at <= at
        answered = _own.leased_until.is_(None)
        dead = or_(_own.leased_until <= at, and_(_own.owner == owner, ~answered)) if owner else _own.leased_until <= at
        free = or_(
            _own.failed,
            answered & forgotten,
            # A turn that is stored stands for the request that it is of.
            dead & or_(_own.answer_id.is_(None), _own.asked == asked, forgotten),
        )
        left = case((answered | forgotten, literal(None)), else_=_own.answer_id)
        inserting = self._insert(idempotency).values(key=key, **values)
        return inserting.on_conflict_do_update(
            index_elements=[_own.key], set_={**values, "answer_id": left}, where=free
        ).returning(_own.answer_id)

    def _let_go(self, key: str, run_id: str) -> None:
        if self._held.get(key) == run_id:
            del self._held[key]

    async def _beat(self) -> None:
        while self._held:
            await asyncio.sleep(BEAT_SECONDS)
            which = and_(_own.key.in_(self._held), _own.run_id.in_(self._held.values()), _own.leased_until.is_not(None))
            try:
                async with self._single() as connection:
                    renewed = now(connection) + LEASE_SECONDS
                    await connection.execute(update(idempotency).where(which).values(leased_until=renewed))
            except StoreError as error:
                _log.warning("the idempotency keys held here could not be renewed: %s", error)

    async def _prune_quietly(self) -> None:
        try:
            await self.prune()
        except StoreError as error:  # two processes at it at once, perhaps; it is done again soon
            _log.warning("old idempotency records could not be removed: %s", error)


def _whole(key: str) -> Select[Any]:
    return select(
        _own.asked,
        _own.run_id,
        _own.agent_id,
        _own.session_key,
        _own.estimated,
        _own.leased_until,
        _own.body,
        _own.owner,
    ).where(_own.key == key, ~_own.failed)


async def _stored(connection: AsyncConnection, session_key: str, answer_id: str | None) -> StoredAnswer | None:
    if answer_id is None:
        return None
    message = select(messages.c.role, messages.c.body).where(
        messages.c.session_key == session_key, messages.c.id == answer_id
    )
    row = (await connection.execute(message)).first()
    return StoredAnswer(answer_id, None if row is None else Message(row.role, msgspec.Raw(row.body)))


def _read(row: Row[Any] | None) -> UnderWay | Record | None:
    if row is None:
        return None
    if row.leased_until is not None:
        return UnderWay(row.asked, Claimant(row.run_id, row.agent_id, row.session_key))
    return Record(row.asked, KeptAnswer(row.run_id, row.agent_id, row.session_key, row.estimated, row.body))


def noted(key: str, run_id: str, answer_id: str | None) -> Update:
    """Return the statement that notes a stored turn with its key; it changes one row, or the key is another run's."""
    held = update(idempotency).where(_own.key == key, _own.run_id == run_id, _own.leased_until.is_not(None))
    return held.values(answer_id=answer_id)


def forgotten_answers(session_key: str) -> Update:
    """Return the statement that forgets a session and its answers; that their keys were used stays known."""
    kept = update(idempotency).where(_own.session_key == session_key, _own.leased_until.is_(None))
    return kept.values(size=0, body=None, session_key="")
