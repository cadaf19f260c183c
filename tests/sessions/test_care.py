"""Changing sessions from outside of their runs, and forgetting old ones: on each store, and over several gateways."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from app.config import Session
from app.errors import BranchNotFound, SessionBusy, SessionNotFound
from app.runs.event import Event, finish_event, text_event
from app.runs.retention import DAY, Retention
from app.runs.run import Runs
from app.runs.session_care import SessionCare
from app.runs.turn import Turn
from app.sessions.archive import Selection, branches_of
from app.sessions.sql import SqlStore
from tests.sessions.place import Place, PostgresqlPlace
from tests.sessions.talk import KEY, append, written
from tests.unit.conversation import assistant, user
from tests.unit.runs.engines import Shelf, TinyEngine
from tests.unit.runs.jobs import job

NOW = 1_800_000_000.0


class Gate:
    """An engine that answers once it is let."""

    def __init__(self) -> None:
        self.begun, self.go = asyncio.Event(), asyncio.Event()
        self.engine = TinyEngine(self._answer)

    async def _answer(self, _turn: Turn) -> AsyncIterator[Event]:
        self.begun.set()
        await self.go.wait()
        yield text_event("late")
        yield finish_event("stop")


async def forked(store: SqlStore) -> str:
    """Write a session with an old branch, and return that."""
    await append(store, user("a"), assistant("A"), user("b"), assistant("B"))
    await append(store, user("c"), assistant("C"), behind=await store.history(KEY), fork_at=2)
    outline = await store.archive.outline(KEY)
    assert outline is not None
    return branches_of(outline)[1].id


def test_a_restore_waits_for_the_run_of_another_gateway(database: PostgresqlPlace) -> None:
    """The run's turn is stored, and then the session goes on from the old branch."""

    async def scenario() -> None:
        gate = Gate()
        async with AsyncExitStack() as stack:
            here, there = [await stack.enter_async_context(database.opened()) for _ in range(2)]
            old = await forked(here)
            running = asyncio.create_task(Runs(Shelf({"one": gate.engine}), there).execute(job("d")))
            await gate.begun.wait()
            care = SessionCare(here, Runs(Shelf({}), here))
            restoring = asyncio.create_task(care.restore(KEY, old))
            await asyncio.wait({restoring}, timeout=0.3)
            assert not restoring.done()
            gate.go.set()
            await running
            await restoring
            assert ["user: a", "assistant: A", "user: b", "assistant: B"] == await written(here)
            outline = await here.archive.outline(KEY)
            assert outline is not None
            assert [4, 6] == sorted(branch.messages for branch in branches_of(outline))
            assert () == (await here.verify()).faults

    asyncio.run(scenario())


def test_patience_ends(place: Place) -> None:
    """A restore or an import that would have to wait too long changes nothing, and the run isn't disturbed."""

    async def scenario() -> None:
        gate = Gate()
        async with place.opened() as store:
            old = await forked(store)
            runs = Runs(Shelf({"one": gate.engine}), store)
            running = asyncio.create_task(runs.execute(job("d")))
            await gate.begun.wait()
            with pytest.raises(SessionBusy) as caught:
                await SessionCare(store, runs, patience=0.05).restore(KEY, old)
            assert (503, "session_conflict") == (caught.value.status, caught.value.code)
            gate.go.set()
            await running
            assert ["user: d", "assistant: late"] == (await written(store))[-2:]
            with pytest.raises(BranchNotFound):
                await SessionCare(store, runs).restore(KEY, f"sha256:{'0' * 64}")
            with pytest.raises(SessionNotFound):
                await SessionCare(store, runs).restore("agent:main:nobody", old)

    asyncio.run(scenario())


def test_changes_are_told(place: Place) -> None:
    """Whoever subscribed hears of each session that was changed."""

    async def scenario() -> None:
        async with place.opened() as store:
            old = await forked(store)
            runs = Runs(Shelf({}), store)
            heard: list[tuple[str, str, str]] = []
            runs.changes.subscribe(lambda *change: heard.append(change))
            care = SessionCare(store, runs)
            await care.restore(KEY, old)
            await care.reset(KEY)
            with pytest.raises(SessionNotFound):
                await care.reset("agent:main:nobody")
            assert 1 == await care.delete_all(Selection(agent_id="main"))
            assert not await care.delete(KEY)
            assert ["update", "reset", "delete"] == [reason for _, _, reason in heard]

    asyncio.run(scenario())


def retention(store: SqlStore, runs: Runs, days: int | None) -> Retention:
    """Return the retention of a gateway, at a moment."""
    care = SessionCare(store, runs, patience=0.2)
    return Retention(store.archive, care, lambda: Session(retention_days=days), lambda: NOW)


async def aged(store: SqlStore, place: Place, ages: dict[str, float]) -> None:
    """Write sessions that haven't changed for so many days."""
    for name, days in ages.items():
        await append(store, user("a"), assistant("A"), key=f"agent:main:{name}")
        place.execute(f"UPDATE sessions SET updated_at = {NOW - days * DAY} WHERE key = 'agent:main:{name}'")


async def left(store: SqlStore) -> set[str]:
    """Name the sessions that there are."""
    records, _ = await store.sessions(limit=1000)
    return {record.key.rsplit(":", 1)[1] for record in records}


def test_retention(place: Place) -> None:
    """What hasn't changed for longer goes with its messages, in as many batches as it takes; without days nothing."""

    async def scenario() -> None:
        async with place.opened() as store:
            await aged(store, place, {**{f"old{n}": 31 + n for n in range(205)}, "young": 29.9, "new": 0})
            runs = Runs(Shelf({}), store)
            assert 0 == await retention(store, runs, None).apply()
            assert 207 == len(await left(store))
            assert 205 == await retention(store, runs, 30).apply()
            assert {"young", "new"} == await left(store)
            assert 0 == await retention(store, runs, 30).apply()
        assert [(4,)] == place.execute("SELECT count(*) FROM messages")

    asyncio.run(scenario())


def test_retention_by_several_gateways(database: PostgresqlPlace) -> None:
    """They may do it at once: each session goes once, and none that has a run under way in any of them."""

    async def scenario() -> None:
        gate = Gate()
        async with AsyncExitStack() as stack:
            stores = [await stack.enter_async_context(database.opened()) for _ in range(3)]
            await aged(stores[0], database, {f"old{n}": 40 for n in range(20)})
            gateways = [Runs(Shelf({"one": gate.engine}), store) for store in stores]
            running = asyncio.create_task(gateways[0].execute(job("b", key="agent:main:old7")))
            await gate.begun.wait()
            deleted = await asyncio.gather(
                *(retention(store, runs, 30).apply() for store, runs in zip(stores, gateways, strict=True))
            )
            assert 19 == sum(deleted)
            assert {"old7"} == await left(stores[0])
            gate.go.set()
            await running
            assert 4 == len(await written(stores[0], "agent:main:old7"))

    asyncio.run(scenario())


def test_retention_leaves_a_running_session_alone(place: Place) -> None:
    """Its run goes on, and what it says is added to what there was."""

    async def scenario() -> None:
        gate = Gate()
        async with place.opened() as store:
            await aged(store, place, {"k": 40})
            runs = Runs(Shelf({"one": gate.engine}), store)
            running = asyncio.create_task(runs.execute(job("b", key=KEY)))
            await gate.begun.wait()
            assert 0 == await retention(store, runs, 30).apply()
            gate.go.set()
            await running
            assert 4 == len(await written(store))

    asyncio.run(scenario())


def test_retention_goes_on_after_a_failure(place: Place) -> None:
    """A store that fails once is asked again the next time."""

    async def scenario() -> None:
        async with place.opened() as store:
            await aged(store, place, {"old": 40})
            runs = Runs(Shelf({}), store)
            asked = 0

            def settings() -> Session:
                nonlocal asked
                asked += 1
                if asked == 1:
                    raise ValueError("not now")
                return Session(retention_days=30)

            keeping = asyncio.create_task(
                Retention(store.archive, SessionCare(store, runs), settings, lambda: NOW).keep(every=0.01)
            )
            async with asyncio.timeout(20):
                while await left(store):  # noqa: ASYNC110 - a database has no event for it
                    await asyncio.sleep(0.01)
            keeping.cancel()
            with pytest.raises(asyncio.CancelledError):
                await keeping

    asyncio.run(scenario())
