"""Runs that are to stop, in whichever process: their lease is lost, their session is reset, they are aborted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from app.errors import GatewayError, RunAborted, SessionMovedOn
from app.runs.answer import Answer
from app.runs.event import Event, finish_event, text_event
from app.runs.run import Runs
from app.runs.turn import Turn
from app.sessions import turns
from app.sessions.sql import SqlStore
from app.sessions.store import SessionConflict
from tests.sessions.place import PostgresqlPlace
from tests.sessions.talk import KEY, append, written
from tests.unit.conversation import user
from tests.unit.runs.engines import Shelf, TinyEngine
from tests.unit.runs.jobs import job

FOR_EVER = 240.0
QUICKLY = 5.0
_COUNT = "SELECT count(*) FROM turns"


class Replica:
    """A gateway over the database; its engine answers what is told to wait only when it is let.

    Args:
        store: Its way to the database.
    """

    def __init__(self, store: SqlStore) -> None:
        self.store = store
        self.go = asyncio.Event()
        self.engine = TinyEngine(self._answer)
        self.runs = Runs(Shelf({"one": self.engine}), store)

    async def begin(self, text: str) -> asyncio.Task[Answer]:
        """Begin a run, and return once its engine is at work."""
        task = self.queue(text)
        await until(lambda: any(f"user: {text}" in seen for seen in self.engine.seen))
        return task

    def queue(self, text: str) -> asyncio.Task[Answer]:
        """Begin a run."""
        return asyncio.create_task(self.runs.execute(job(text)))

    async def _answer(self, _turn: Turn) -> AsyncIterator[Event]:
        await self.go.wait()
        yield text_event("A")
        yield finish_event("stop")


async def until(so: Callable[[], object]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(20):
        while not so():  # noqa: ASYNC110 - an engine has no event for it, nor has a database
            await asyncio.sleep(0.005)


async def standing(database: PostgresqlPlace, number: int) -> None:
    """Wait until so many have the session or wait for it."""
    async with asyncio.timeout(20):
        while [(number,)] != await asyncio.to_thread(database.execute, _COUNT):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.005)


async def failure(task: asyncio.Task[Answer], seconds: float = QUICKLY) -> GatewayError:
    """Return what a run fails with, soon."""
    with pytest.raises(GatewayError) as caught:
        async with asyncio.timeout(seconds):
            await task
    return caught.value


def play(database: PostgresqlPlace, scenario: Callable[[Replica, Replica], Awaitable[None]]) -> None:
    """Play a scenario with two gateways; in the end nobody has a session."""

    async def main() -> None:
        async with AsyncExitStack() as stack:
            one, other = [Replica(await stack.enter_async_context(database.opened())) for _ in range(2)]
            await scenario(one, other)
        assert [(0,)] == database.execute("SELECT count(*) FROM turns")

    asyncio.run(main())


def test_a_lost_lease(database: PostgresqlPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run whose lease was given to another one is stopped within a heartbeat, before its engine does more harm."""
    monkeypatch.setattr(turns, "BEAT_SECONDS", 0.1)

    async def scenario(one: Replica, _other: Replica) -> None:
        run = await one.begin("a")
        database.execute("DELETE FROM turns")
        assert isinstance(await failure(run), SessionMovedOn)
        assert ["cancelled"] == one.engine.ended
        assert [] == await written(one.store)
        one.go.set()
        await one.runs.execute(job("b"))

    play(database, scenario)


def test_a_database_that_is_gone_for_longer_than_a_lease(
    database: PostgresqlPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever can't renew a lease can't know whether it still has it: its run is stopped when the lease has expired."""
    monkeypatch.setattr(turns, "LEASE_SECONDS", 0.4)
    monkeypatch.setattr(turns, "BEAT_SECONDS", 0.1)

    async def scenario(one: Replica, _other: Replica) -> None:
        run = await one.begin("a")
        database.server.execute(f"ALTER DATABASE {database.name} ALLOW_CONNECTIONS false")
        database.cut()
        assert isinstance(await failure(run), SessionMovedOn)
        database.server.execute(f"ALTER DATABASE {database.name} ALLOW_CONNECTIONS true")
        # It couldn't give its place back.
        database.execute("DELETE FROM turns")

    play(database, scenario)


def test_a_short_interruption(database: PostgresqlPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections that break meanwhile stop no run."""
    monkeypatch.setattr(turns, "BEAT_SECONDS", 0.5)

    async def scenario(one: Replica, _other: Replica) -> None:
        run = await one.begin("a")
        for _ in range(3):
            database.cut()
            await asyncio.sleep(0.3)
        one.go.set()
        await run
        assert ["user: a", "assistant: A"] == await written(one.store)

    play(database, scenario)


@pytest.mark.parametrize("said", [True, False], ids=["said", "empty"])
@pytest.mark.parametrize("how", ["reset", "deleted"])
def test_through_another_gateway(
    database: PostgresqlPlace, monkeypatch: pytest.MonkeyPatch, how: str, said: bool
) -> None:
    """A reset or a deletion stops the session's runs in every gateway, whether they are at work or wait."""
    monkeypatch.setattr(turns, "BEAT_SECONDS", 0.1)

    async def scenario(one: Replica, other: Replica) -> None:
        if said:
            await append(other.store, user("before"))
        at_work = await one.begin("a")
        waiting = [one.queue("b"), other.queue("c"), one.queue("d")]
        await standing(database, 4)
        if how == "reset":
            await other.store.reset(KEY)
        else:
            await other.store.delete(KEY)
        for run in (at_work, *waiting):
            error = await failure(run)
            assert isinstance(error, RunAborted)
            assert f"its session was {how}" in error.message
        assert ["cancelled"] == one.engine.ended
        assert [] == other.engine.ended
        assert [] == await written(one.store)
        other.go.set()
        await other.runs.execute(job("e"))
        assert ["user: e", "assistant: A"] == await written(one.store)
        assert [] == await one.store.interrupted(KEY)

    play(database, scenario)


def test_news_of_a_reset_arrive(database: PostgresqlPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who listens stops its run at once, and not only at its next heartbeat."""
    monkeypatch.setattr(turns, "BEAT_SECONDS", FOR_EVER)

    async def scenario(one: Replica, other: Replica) -> None:
        at_work = await one.begin("a")
        waiting = one.queue("b")  # whoever waits listens
        listening = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND query = 'LISTEN zero_turns'"
        await until(lambda: database.execute(listening))
        await standing(database, 2)
        await other.store.reset(KEY)
        for run in (at_work, waiting):
            assert isinstance(await failure(run), RunAborted)

    play(database, scenario)


def test_long_runs_listen(database: PostgresqlPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that has been at work for a while is reached at once, too, though nobody waits."""
    monkeypatch.setattr(turns, "BEAT_SECONDS", 0.1)

    async def scenario(one: Replica, other: Replica) -> None:
        at_work = await one.begin("a")
        listening = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND query = 'LISTEN zero_turns'"
        await until(lambda: database.execute(listening))
        monkeypatch.setattr(turns, "BEAT_SECONDS", FOR_EVER)
        await asyncio.sleep(0.5)  # the last of the short heartbeats is over
        await other.store.reset(KEY)
        assert isinstance(await failure(at_work), RunAborted)

    play(database, scenario)


@pytest.mark.parametrize("said", [True, False], ids=["said", "empty"])
@pytest.mark.parametrize("how", ["reset", "deleted"])
def test_nothing_is_stored_behind_a_reset(database: PostgresqlPlace, how: str, said: bool) -> None:
    """A run begun before it, which hasn't heard of it yet, can't store its turn, even in an empty session."""

    async def scenario() -> None:
        async with database.opened() as slow, database.opened() as quick:
            if said:
                await append(quick, user("before"))
            assert slow.leases is not None
            async with slow.leases.held(KEY) as fence:
                await (quick.reset(KEY) if how == "reset" else quick.delete(KEY))
                with pytest.raises(RunAborted):
                    # As a run would that found the session empty: its head is again what it was.
                    await append(slow, user("late"), fence=fence)
            assert [] == await written(quick)
            assert [] == [row for row in database.execute("SELECT * FROM messages") if b"late" in row]

    asyncio.run(scenario())


def test_a_turn_that_is_being_stored(database: PostgresqlPlace) -> None:
    """A reset waits for it, and it is gone then like all that was said before."""

    async def scenario() -> None:
        async with database.opened() as slow, database.opened() as quick:
            assert slow.leases is not None
            async with slow.leases.held(KEY) as fence:
                assert fence is not None
                async with slow._writing() as connection:
                    await slow._guard(connection, KEY, fence)
                    reset = asyncio.create_task(quick.reset(KEY))
                    blocked = "SELECT 1 FROM pg_locks WHERE NOT granted"
                    await until(lambda: database.execute(blocked))
                    assert not reset.done()
                await reset
                with pytest.raises(RunAborted):
                    await append(slow, user("late"), fence=fence)
            assert [] == await written(quick)

    asyncio.run(scenario())


def test_a_run_whose_turn_is_stored(database: PostgresqlPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    """It isn't stopped any more, and says what it has to say: that it is done is true."""
    monkeypatch.setattr(turns, "BEAT_SECONDS", 0.1)

    async def scenario() -> None:
        async with database.opened() as slow, database.opened() as quick:
            assert slow.leases is not None
            async with slow.leases.held(KEY) as fence:
                await append(slow, user("in time"), fence=fence)
                await quick.reset(KEY)
                await asyncio.sleep(0.5)

    asyncio.run(scenario())


def test_new_stops_nobody(database: PostgresqlPlace) -> None:
    """``/new`` is a run like others: those that came behind it have their turn, whichever gateway it came to."""

    async def scenario(one: Replica, other: Replica) -> None:
        await append(other.store, user("before"))
        first = await one.begin("a")
        anew = other.queue("/new")
        await standing(database, 2)
        behind = one.queue("b")
        await standing(database, 3)
        one.go.set()
        await asyncio.gather(first, anew, behind)
        assert ["user: b", "assistant: A"] == await written(one.store)

    play(database, scenario)


def test_new_by_a_run_that_has_lost_the_session(database: PostgresqlPlace) -> None:
    """It can't empty the session under the one that has it."""

    async def scenario() -> None:
        async with database.opened() as slow, database.opened() as quick:
            await append(quick, user("before"))
            assert slow.leases is not None
            async with slow.leases.held(KEY) as fence:
                database.execute("DELETE FROM turns")
                with pytest.raises(SessionConflict):
                    await slow.reset(KEY, fence=fence)
            assert ["user: before"] == await written(quick)

    asyncio.run(scenario())


def test_aborted_through_another_gateway(database: PostgresqlPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    """All runs of a session, or one of them; the others go on."""
    monkeypatch.setattr(turns, "BEAT_SECONDS", 0.1)

    async def scenario(one: Replica, other: Replica) -> None:
        at_work = await one.begin("a")
        waiting = one.queue("b")
        await standing(database, 2)
        first, second = (run.run_id for run in one.runs.active.of_session(KEY))
        assert [first] == await other.runs.abort_elsewhere(KEY, first, "enough")
        assert isinstance(await failure(at_work), RunAborted)
        assert [] == await other.runs.abort_elsewhere(KEY, first, "enough")
        assert [] == await other.runs.abort_elsewhere(KEY, "run_of_nobody", "enough")
        await until(lambda: len(one.engine.turns) == 2)
        assert [second] == await other.runs.abort(KEY, "enough")
        assert isinstance(await failure(waiting), RunAborted)
        assert [] == await other.runs.abort(KEY, "enough")

    play(database, scenario)


def test_two_reasons_at_once(database: PostgresqlPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is cancelled in the moment in which it loses its session ends as cancelled."""
    monkeypatch.setattr(turns, "BEAT_SECONDS", 0.1)

    async def scenario(one: Replica, _other: Replica) -> None:
        run = await one.begin("a")
        leases = one.store.leases
        assert isinstance(leases, turns.Turns)
        (tenure,) = leases._tenures.values()
        tenure.lose(SessionConflict(KEY))
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run

    play(database, scenario)
