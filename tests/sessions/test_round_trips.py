"""How often a turn goes to PostgreSQL and back; what it stores in one statement is what several would store."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import event

from app.errors import RunAborted
from app.sessions import lending
from app.sessions.sql import SqlStore
from app.sessions.store import SessionConflict
from tests.sessions.place import PostgresqlPlace
from tests.sessions.talk import KEY, append, written
from tests.unit.conversation import assistant, user


@contextmanager
def statements(store: SqlStore) -> Iterator[list[str]]:
    """Collect the statements that are executed."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "bool_or" not in statement:  # the search for what dead processes left, now and then in the background
            seen.append(statement)

    event.listen(store._engine.sync_engine, "before_cursor_execute", note)
    yield seen
    event.remove(store._engine.sync_engine, "before_cursor_execute", note)


def test_a_turn_when_nobody_else_is_there(database: PostgresqlPlace) -> None:
    """Two statements to get the session, one to read, one to write, one to leave; each in a round trip of its own."""

    async def scenario() -> None:
        async with database.opened() as store:
            assert store.leases is not None
            await append(store, user("a"))
            await store.history(KEY)
            with statements(store) as seen:
                async with store.leases.held(KEY) as fence:
                    await append(store, user("b"), assistant("B"), behind=await store.history(KEY), fence=fence)
            assert 5 == len(seen), seen
            assert not [one for one in seen if one in ("BEGIN", "COMMIT")]
            assert ["user: a", "user: b", "assistant: B"] == await written(store)
        async with database.opened() as another:
            assert ["user: a", "user: b", "assistant: B"] == await written(another)
            assert () == (await another.verify()).faults

    asyncio.run(scenario())


@pytest.mark.parametrize("lost", ["lease", "head"])
def test_what_may_not_be_stored(database: PostgresqlPlace, lost: str) -> None:
    """Whose session has moved on, or is another's, stores nothing by either way, and hears why."""

    async def scenario() -> None:
        async with database.opened() as store:
            assert store.leases is not None
            await append(store, user("a"))
            before = await store.history(KEY)
            async with store.leases.held(KEY) as fence:
                if lost == "head":
                    await append(store, user("b"), behind=before, fence=fence)
                    with pytest.raises(SessionConflict):
                        await append(store, user("c"), behind=before, fence=fence)
                else:
                    assert fence is not None
                    with pytest.raises(SessionConflict):
                        await append(store, user("c"), behind=before, fence=fence + 1)
            kept = ["user: a", "user: b"] if lost == "head" else ["user: a"]
            assert kept == await written(store)
            assert len(kept) == (await store.verify()).messages

    asyncio.run(scenario())


def test_a_revoked_run(database: PostgresqlPlace) -> None:
    """It stores nothing, and hears who wanted that."""

    async def scenario() -> None:
        async with database.opened() as store:
            leases = store.leases
            assert leases is not None
            await append(store, user("a"))
            before = await store.history(KEY)
            revoked = "UPDATE zero.turns SET revoked = 'enough' RETURNING 1"

            async def turn() -> None:
                async with leases.held(KEY) as fence:
                    await asyncio.to_thread(database.execute, revoked)
                    await append(store, user("b"), behind=before, fence=fence)

            with pytest.raises(RunAborted, match="enough"):
                await turn()
            assert ["user: a"] == await written(store)

    asyncio.run(scenario())


def test_the_same_answer_again(database: PostgresqlPlace) -> None:
    """An answer that is word for word one that is there already is stored once, and the session goes on behind it."""

    async def scenario() -> None:
        async with database.opened() as store:
            assert store.leases is not None
            await append(store, user("a"), assistant("A"))
            for _ in range(2):
                async with store.leases.held(KEY) as fence:
                    now = await store.history(KEY)
                    await append(store, assistant("A"), behind=now, fork_at=1, fence=fence)
            assert ["user: a", "assistant: A"] == await written(store)
            assert 2 == (await store.verify()).messages

    asyncio.run(scenario())


@pytest.mark.parametrize(("idle", "tried"), [(0.0, True), (60.0, False)])
def test_only_idle_connections_are_tried(
    database: PostgresqlPlace, monkeypatch: pytest.MonkeyPatch, idle: float, tried: bool
) -> None:
    """Before a connection is lent it is tried if it has lain there; if it was just used, that would be for nothing."""
    monkeypatch.setattr(lending, "IDLE_SECONDS", idle)

    async def scenario() -> None:
        async with database.opened() as store:
            tries: list[object] = []
            dialect = store._engine.sync_engine.dialect
            ping = dialect.do_ping

            def noting(connection: object) -> bool:
                tries.append(connection)
                return ping(connection)  # type: ignore[arg-type] # as the dialect has it from the pool

            monkeypatch.setattr(dialect, "do_ping", noting)
            await store.history(KEY)
            assert tried == bool(tries)

    asyncio.run(scenario())
