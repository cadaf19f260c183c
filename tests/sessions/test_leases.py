"""Whose turn it is in a session: in one process by its lanes, over several by the database; the promise is the same."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from app.errors import RateLimited
from app.runs.lanes import MAX_WAITING, Lanes
from app.sessions import turns
from app.sessions.leases import LEASE_SECONDS, SessionLeases
from app.sessions.news import News
from app.sessions.store import SessionConflict, SessionStore, StoreError
from tests.sessions.place import Place, PostgresqlPlace
from tests.sessions.talk import KEY, append, written
from tests.unit.conversation import user

ROOT = Path(__file__).parents[2]
Scenario = Callable[["Desk"], Awaitable[None]]


class Desk:
    """Runs that want sessions, given out by one process or by two in turns; notes who has one, and who had.

    Args:
        leases: The processes' leases.
    """

    def __init__(self, *leases: SessionLeases) -> None:
        self.leases = leases
        self.inside: list[str] = []
        self.had: list[str] = []
        self.done: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    def want(self, name: str, key: str = KEY) -> asyncio.Task[None]:
        """Have a run want a session, and keep it until ``done[name]`` is set."""
        self.done[name] = asyncio.Event()
        process = self.leases[len(self.tasks) % len(self.leases)]
        self.tasks[name] = asyncio.create_task(self._run(name, key, process))
        return self.tasks[name]

    async def queued(self, name: str) -> None:
        """Have a run want the session, and return once it stands in the queue."""
        before = await self.standing()
        self.want(name)
        await until(lambda: self._longer(before))

    async def leave(self, name: str) -> None:
        """Have a run give its session back."""
        self.done[name].set()
        await self.tasks[name]

    async def standing(self) -> int:
        """Count who has a session or waits for one."""
        raise NotImplementedError

    async def _longer(self, before: int) -> bool:
        return await self.standing() > before

    async def _run(self, name: str, key: str, process: SessionLeases) -> None:
        async with process.held(key):
            self.inside.append(name)
            self.had.append(name)
            try:
                await self.done[name].wait()
            finally:
                self.inside.remove(name)


class LanesDesk(Desk):
    """One process, which has the lanes for itself."""

    def __init__(self) -> None:
        self.lanes = Lanes("session")
        super().__init__(self.lanes)

    async def standing(self) -> int:
        """Ask the lanes."""
        found = self.lanes.statistics()
        return found.lanes + found.waiting


class DatabaseDesk(Desk):
    """Two processes that share a database."""

    def __init__(self, place: Place, *stores: SessionStore) -> None:
        super().__init__(*(store.leases for store in stores if store.leases is not None))
        self.place = place

    async def standing(self) -> int:
        """Ask the database."""
        return int((await asyncio.to_thread(self.place.execute, "SELECT count(*) FROM turns"))[0][0])


async def until(so: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(20):
        while not await so():  # noqa: ASYNC110 - what is waited for is in a database, and has no event
            await asyncio.sleep(0.005)


async def alone(desk: Desk, name: str) -> None:
    """Wait until a run has the session."""
    await until(lambda: _true(desk.inside == [name]))


@asynccontextmanager
async def opened(place: Place) -> AsyncIterator[Desk]:
    """Open a desk; in the end nobody may have a session or wait for one."""
    async with AsyncExitStack() as stores:
        desk: Desk = LanesDesk()
        if isinstance(place, PostgresqlPlace):
            two = [await stores.enter_async_context(place.opened()) for _ in range(2)]
            desk = DatabaseDesk(place, *two)
        try:
            yield desk
        finally:
            for task in desk.tasks.values():
                task.cancel()
            await asyncio.gather(*desk.tasks.values(), return_exceptions=True)
        await until(lambda: _equal(desk.standing(), 0))


def play(place: Place, scenario: Scenario) -> None:
    """Play a scenario at a desk."""

    async def main() -> None:
        async with opened(place) as desk:
            await scenario(desk)

    asyncio.run(main())


def test_first_come_first_served(place: Place) -> None:
    """Runs of one session have it one after the other, in the order in which they came, whichever process has them."""

    async def scenario(desk: Desk) -> None:
        names = list("abcdefg")
        for name in names:
            await desk.queued(name)
        for position, name in enumerate(names):
            await alone(desk, name)
            assert names[: position + 1] == desk.had
            await desk.leave(name)

    play(place, scenario)


def test_all_at_once(place: Place) -> None:
    """Runs that come to one process at the same moment keep their order, whatever connections they enter through."""

    async def scenario(desk: Desk) -> None:
        desk.leases = desk.leases[:1]
        names = [str(number) for number in range(40)]
        for name in names:
            desk.want(name)
            desk.done[name].set()
        await asyncio.gather(*desk.tasks.values())
        assert names == desk.had

    play(place, scenario)


async def _true(found: bool) -> bool:
    return found


def test_sessions_are_independent(place: Place) -> None:
    """Another session isn't held up."""

    async def scenario(desk: Desk) -> None:
        for name in "abc":
            desk.want(name, key=f"agent:main:{name}")
        await until(lambda: _true(sorted(desk.inside) == list("abc")))

    play(place, scenario)


def test_giving_up(place: Place) -> None:
    """Who gives up in the queue is passed over, and who gives up with the session gives it back."""

    async def scenario(desk: Desk) -> None:
        for name in "abcd":
            await desk.queued(name)
        desk.tasks["b"].cancel()
        await asyncio.wait({desk.tasks["b"]})
        desk.tasks["a"].cancel()
        await alone(desk, "c")
        desk.tasks["c"].cancel()
        await alone(desk, "d")
        assert list("acd") == desk.had

    play(place, scenario)


@pytest.mark.parametrize("moment", range(12))
def test_giving_up_at_any_moment(place: Place, moment: int) -> None:
    """However early somebody gives up, nobody is held up by it afterwards."""

    async def scenario(desk: Desk) -> None:
        hasty = desk.want("hasty")
        for _ in range(moment * 2):
            await asyncio.sleep(0)
        await asyncio.sleep(moment * 0.0007 if isinstance(desk, DatabaseDesk) else 0)
        hasty.cancel()
        desk.want("next")
        await alone(desk, "next")

    play(place, scenario)


def test_full_queue(place: Place) -> None:
    """When too many wait the next is refused with 429 and without waiting, whichever process it came to."""

    async def scenario(desk: Desk) -> None:
        await desk.queued("first")
        for number in range(MAX_WAITING):
            desk.want(f"{number}")
        await until(lambda: _equal(desk.standing(), 1 + MAX_WAITING))
        for refused in ("one", "other"):
            with pytest.raises(RateLimited) as caught:
                await desk.want(refused)
            assert (429, "session_queue_full") == (caught.value.status, caught.value.code)
            assert [("retry-after", "2")] == caught.value.headers
        for name in ("first", *(f"{number}" for number in range(MAX_WAITING))):
            desk.done[name].set()
        await asyncio.gather(*(task for name, task in desk.tasks.items() if name not in ("one", "other")))
        assert 1 + MAX_WAITING == len(desk.had)

    play(place, scenario)


async def _equal(found: Awaitable[int], expected: int) -> bool:
    return await found == expected


def test_crowd(place: Place) -> None:
    """Many runs in few sessions, many of which give up: never two at once in one session, and all others have it."""

    async def scenario(desk: Desk) -> None:
        busy: dict[str, int] = {}
        had: list[int] = []

        async def run(number: int) -> None:
            key = f"agent:main:{number % 5}"
            async with desk.leases[number % len(desk.leases)].held(key):
                busy[key] = busy.get(key, 0) + 1
                try:
                    assert 1 == busy[key]
                    await asyncio.sleep(0.002)
                    had.append(number)
                finally:
                    busy[key] -= 1

        tasks = [asyncio.create_task(run(number)) for number in range(100)]
        await asyncio.sleep(0.05)
        hasty = [task for number, task in enumerate(tasks) if number % 7 == 3 and not task.done()]
        for task in hasty:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        failures = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
        assert [] == failures
        assert 100 == len(had) + sum(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)

    play(place, scenario)


def test_without_news(database: PostgresqlPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where notifications don't arrive, as behind some poolers, those who wait look by themselves."""

    async def deaf(_news: News) -> None:
        """Hear nothing."""

    monkeypatch.setattr(News, "_listen", deaf)
    monkeypatch.setattr(turns, "LOOK_SECONDS", 0.05)

    async def scenario(desk: Desk) -> None:
        await desk.queued("a")
        await desk.queued("b")
        await desk.leave("a")
        await alone(desk, "b")

    play(database, scenario)


def test_news_arrive(database: PostgresqlPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits is told at once when the session is free in another process; it needn't look for that."""
    monkeypatch.setattr(turns, "LOOK_SECONDS", 60.0)

    async def scenario(desk: Desk) -> None:
        listening = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND query = 'LISTEN zero_turns'"
        for name in "abcdefgh":
            await desk.queued(name)
        await until(lambda: _found(database, listening))
        for name in "abcdefgh":
            await alone(desk, name)
            await desk.leave(name)

    play(database, scenario)


async def _found(place: Place, query: str) -> bool:
    return bool(await asyncio.to_thread(place.execute, query))


def test_while_the_connections_break(database: PostgresqlPlace) -> None:
    """When all connections break while runs wait, those who wait get their turn all the same."""

    async def scenario(desk: Desk) -> None:
        for name in "abc":
            await desk.queued(name)
        await asyncio.to_thread(database.cut)
        for name in "abc":
            await alone(desk, name)
            await desk.leave(name)

    play(database, scenario)


def test_no_connection_is_held(database: PostgresqlPlace) -> None:
    """However many runs have sessions or wait for them, no connection is at work, and none waits in a transaction."""

    async def scenario(desk: Desk) -> None:
        for number in range(40):
            desk.want(f"{number}", key=f"agent:main:{number // 2}")
        await until(lambda: _equal(desk.standing(), 40))
        await until(lambda: _true(len(desk.inside) == 20))
        # Now and then somebody looks, so both are zero at some moment, and would never be if a connection were held.
        await until(lambda: _equal(_busy(database), 0))

    play(database, scenario)


async def _busy(place: PostgresqlPlace) -> int:
    return sum(await asyncio.gather(*(asyncio.to_thread(place.connections, one) for one in ("active", "idle in%"))))


HOLDER = """
import asyncio, sys
from app.sessions import owner
from app.sessions.postgresql import PostgresqlStore

async def main() -> None:
    if sys.argv[3]:
        owner.machine = lambda: sys.argv[3]
    store = await PostgresqlStore.open(sys.argv[1])
    async with store.leases.held(sys.argv[2]) as fence:
        print(fence, flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


def test_a_process_that_died(database: PostgresqlPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    """The session of a process on another machine is free once its lease has expired, and not before."""
    monkeypatch.setattr(turns, "LOOK_SECONDS", 0.05)

    async def scenario(desk: Desk) -> None:
        command = [sys.executable, "-c", HOLDER, database.setting, KEY, "elsewhere"]
        process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
        assert process.stdout is not None
        fence = int(await process.stdout.readline())
        process.kill()
        await process.wait()
        await desk.queued("a")
        await asyncio.sleep(0.3)
        assert [] == desk.inside
        database.execute(f"UPDATE turns SET expires_at = clock_timestamp() - interval '1 second' WHERE id = {fence}")
        await alone(desk, "a")

    play(database, scenario)


def test_a_process_of_this_machine_that_died(database: PostgresqlPlace) -> None:
    """Its sessions needn't wait for that: it is seen that it is dead, before its lease expires."""

    async def scenario(desk: Desk) -> None:
        command = [sys.executable, "-c", HOLDER, database.setting, KEY, ""]
        process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
        assert process.stdout is not None
        await process.stdout.readline()
        await desk.queued("a")
        assert [] == desk.inside
        process.kill()
        await process.wait()
        async with asyncio.timeout(LEASE_SECONDS / 2):
            await alone(desk, "a")

    play(database, scenario)


def test_leases_are_renewed(database: PostgresqlPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run may take longer than a lease: its process renews it, and nobody takes the session over."""
    monkeypatch.setattr(turns, "LEASE_SECONDS", 1.0)
    monkeypatch.setattr(turns, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(turns, "LOOK_SECONDS", 0.05)

    async def scenario(desk: Desk) -> None:
        await desk.queued("a")
        await desk.queued("b")
        began = time.monotonic()
        while time.monotonic() - began < 2.5:
            await asyncio.sleep(0.05)
            assert ["a"] == desk.inside
        await desk.leave("a")
        await alone(desk, "b")

    play(database, scenario)


def test_who_waits(database: PostgresqlPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its place would soon be free if its process died; while it lives, it is renewed in time, as is the session."""
    monkeypatch.setattr(turns, "WAITING_SECONDS", 1.0)
    monkeypatch.setattr(turns, "WAITING_BEAT_SECONDS", 0.1)
    lasting = "SELECT id FROM turns WHERE expires_at > clock_timestamp() + interval '5 seconds'"

    async def scenario(desk: Desk) -> None:
        # Both processes have something already, and their next sign of life is some seconds away.
        await desk.queued("a")
        await until(lambda: _true("a" in desk.inside))
        desk.want("x", "agent:main:x")
        await until(lambda: _equal(desk.standing(), 2))
        await desk.queued("b")
        await desk.queued("c")
        assert 2 == len(database.execute(lasting))
        began = time.monotonic()
        while time.monotonic() - began < 3:
            await asyncio.sleep(0.1)
            assert ["a", "x"] == sorted(desk.inside)
            assert 4 == await desk.standing()
            assert [] == database.execute("SELECT id FROM turns WHERE expires_at < clock_timestamp()")
        for name, before in (("b", "a"), ("c", "b")):
            await desk.leave(before)
            await until(lambda: _true(name in desk.inside))  # noqa: B023 - it is awaited here
            await until(lambda: _found(database, f"{lasting} AND session_key = '{KEY}'"))
        assert ["a", "x", "b", "c"] == desk.had

    play(database, scenario)


def test_fence(database: PostgresqlPlace) -> None:
    """A run whose session was taken over meanwhile can't store its turn, even if the session looks as it did before."""

    async def scenario() -> None:
        async with database.opened() as slow, database.opened() as quick:
            assert slow.leases is not None
            assert quick.leases is not None
            async with slow.leases.held(KEY) as old:
                database.execute("UPDATE turns SET expires_at = clock_timestamp() - interval '1 second'")
                async with quick.leases.held(KEY) as new:
                    assert old is not None
                    assert new is not None
                    assert old < new
                    with pytest.raises(SessionConflict):
                        await append(slow, user("late"), fence=old)
                    assert [] == await written(quick)
                    await append(quick, user("in time"), fence=new)
            assert ["user: in time"] == await written(quick)

    asyncio.run(scenario())


def test_taking_over_waits_for_a_turn_that_is_being_stored(database: PostgresqlPlace) -> None:
    """Whoever takes a session over sees what its last holder stored, also if that was stored at the same moment."""

    async def scenario() -> None:
        async with database.opened() as slow, database.opened() as quick:
            assert slow.leases is not None
            assert quick.leases is not None
            leases = quick.leases
            entered = asyncio.Event()

            async def take_over() -> list[str]:
                async with leases.held(KEY):
                    entered.set()
                    return await written(quick)

            async with slow.leases.held(KEY) as fence:
                assert fence is not None
                database.execute("UPDATE turns SET expires_at = clock_timestamp() - interval '1 second'")
                async with slow._writing() as connection:
                    await slow._guard(connection, KEY, fence)
                    over = asyncio.create_task(take_over())
                    blocked = "SELECT 1 FROM pg_locks WHERE NOT granted"
                    await until(lambda: _found(database, blocked))
                    assert not entered.is_set()
                await append(slow, user("x"), fence=None)
                await over

    asyncio.run(scenario())


def test_lost_in_the_queue(database: PostgresqlPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who was passed over because its process was out of touch is told so, instead of waiting for ever."""
    monkeypatch.setattr(turns, "LOOK_SECONDS", 0.05)

    async def scenario(desk: Desk) -> None:
        await desk.queued("a")
        await desk.queued("b")
        database.execute("DELETE FROM turns WHERE id = (SELECT max(id) FROM turns)")
        with pytest.raises(StoreError, match="queue was lost"):
            await desk.tasks["b"]

    play(database, scenario)


def test_closing_gives_everything_back(database: PostgresqlPlace) -> None:
    """A gateway that ends in good order holds nobody up, whatever was under way."""

    async def scenario() -> None:
        async with database.opened() as store:
            assert store.leases is not None
            await store.leases.held(KEY).__aenter__()
        assert [(0,)] == database.execute("SELECT count(*) FROM turns")

    asyncio.run(scenario())
