"""Runs of several gateways over one database: each turn seen once, in order, and no connection held meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from app.errors import StoreUnavailable
from app.runs.event import Event, finish_event, text_event
from app.runs.run import Runs
from app.runs.turn import Turn
from app.sessions.sql import SqlStore
from tests.sessions.place import Place, PostgresqlPlace
from tests.sessions.talk import KEY, written
from tests.unit.runs.engines import Shelf, TinyEngine
from tests.unit.runs.jobs import job


def at_work(store: SqlStore) -> int:
    """Count the connections that somebody has taken out of the pool."""
    pool: Any = store._engine.pool
    return int(pool.checkedout())


def test_turns_over_two_gateways(database: PostgresqlPlace) -> None:
    """Runs of one session in two gateways at once each see all that was said before, and none is refused."""
    engine = TinyEngine()

    async def scenario() -> None:
        async with AsyncExitStack() as stack:
            stores = [await stack.enter_async_context(database.opened()) for _ in range(2)]
            gateways = [Runs(Shelf({"one": engine}), store) for store in stores]
            await asyncio.gather(*(gateways[n % 2].execute(job(f"{n}")) for n in range(20)))
            said = await written(stores[0])
            assert () == (await stores[0].verify()).faults
        assert 40 == len(said)
        assert sorted(f"user: {n}" for n in range(20)) == sorted(said[::2])
        assert [f"assistant: re: {line.removeprefix('user: ')}" for line in said[::2]] == said[1::2]
        assert [said[: 2 * turn + 1] for turn in range(20)] == engine.seen

    asyncio.run(scenario())


def test_no_connection_while_the_engine_works(place: Place) -> None:
    """While runs wait for their engines the pool has everything it ever had, and the database sees nobody at work."""

    async def scenario() -> None:
        go = asyncio.Event()

        async def slow(_turn: Turn) -> AsyncIterator[Event]:
            await go.wait()
            yield text_event("A")
            yield finish_event("stop")

        engine = TinyEngine(slow)
        async with place.opened() as store:
            gateway = Runs(Shelf({"one": engine}), store)
            runs = [asyncio.create_task(gateway.execute(job("a", key=f"agent:main:{n}"))) for n in range(30)]
            async with asyncio.timeout(20):
                while len(engine.turns) < 30:  # noqa: ASYNC110 - an engine has no event for it
                    await asyncio.sleep(0.01)
            assert 0 == at_work(store)
            if isinstance(place, PostgresqlPlace):
                assert (0, 0) == (place.connections("active"), place.connections("idle in%"))
            go.set()
            await asyncio.gather(*runs)
            assert ["user: a", "assistant: A"] == await written(store, "agent:main:7")

    asyncio.run(scenario())


def test_a_database_that_is_gone(database: PostgresqlPlace) -> None:
    """A run that can't have its session is 503 before any work; when the database is back, the next one works."""
    engine = TinyEngine()

    async def scenario() -> None:
        async with database.opened() as store:
            gateway = Runs(Shelf({"one": engine}), store)
            await gateway.execute(job("a"))
            database.server.execute(f"ALTER DATABASE {database.name} ALLOW_CONNECTIONS false")
            database.cut()
            with pytest.raises(StoreUnavailable) as caught:
                await gateway.execute(job("b"))
            assert (503, [("retry-after", "5")]) == (caught.value.status, caught.value.headers)
            database.server.execute(f"ALTER DATABASE {database.name} ALLOW_CONNECTIONS true")
            await gateway.execute(job("c"))
            assert ["user: a", "assistant: re: a", "user: c", "assistant: re: c"] == await written(store, KEY)

    asyncio.run(scenario())
    assert 2 == len(engine.turns)
