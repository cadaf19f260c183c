"""The records of ``Idempotency-Key`` in each kind of store: one run for a key, whatever dies, and bounds everywhere."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import msgspec
import pytest

from app.sessions import followers, idempotency_records
from app.sessions.idempotency import Claimant, Claimed, Found, KeptAnswer, Record, StoredAnswer, UnderWay
from app.sessions.idempotency_records import SqlRecords
from app.sessions.leases import LEASE_SECONDS
from app.sessions.sql import SqlStore
from app.sessions.store import SessionConflict, StoreError
from tests.sessions.place import Place, PostgresqlPlace, SqlitePlace
from tests.sessions.talk import KEY, written
from tests.unit.conversation import assistant, user

SECONDS = 60.0
ASKED = b"asked"
ROOT = Path(__file__).parents[2]
HOLDER = """
import asyncio, sys
from app.sessions import owner
from tests.sessions.test_idempotency_records import claim, turn

async def main() -> None:
    kind, where, machine, stores = sys.argv[1:]
    if machine:
        owner.machine = lambda: machine
    if kind == "sqlite":
        from app.sessions.deferred import open_sqlite as opened
    else:
        from app.sessions.deferred import open_postgresql as opened
    store = await opened(where)
    await claim(store)
    if stores:
        await turn(store, "run_1")
    print(flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


def claimant(run_id: str = "run_1") -> Claimant:
    """Return a run."""
    return Claimant(run_id, "main", KEY)


def answer(run_id: str = "run_1", body: bytes | None = b"body") -> KeptAnswer:
    """Return the answer of a run."""
    return KeptAnswer(run_id, "main", KEY, estimated=False, body=body)


async def claim(store: SqlStore, run_id: str = "run_1", *, key: str = "k", asked: bytes = ASKED) -> Found:
    """Claim a key for a run."""
    return await store.records.claim(key, asked, claimant(run_id), SECONDS)


async def kept(store: SqlStore, key: str, body: bytes | None = b"body", seconds: float = SECONDS) -> None:
    """Answer a request under a key."""
    assert Claimed() == await claim(store, f"run_{key}", key=key)
    await store.records.keep(key, answer(f"run_{key}", body), seconds)


async def turn(store: SqlStore, run_id: str, *, keyed: str | None = "k") -> None:
    """Store a turn of a run."""
    await store.append(
        KEY,
        "main",
        run_id,
        expected_head=None,
        parent=None,
        messages=(user("a"), assistant("A")),
        keyed=keyed,
    )


def dies(place: Place, run_id: str) -> None:
    """Have a run's process be dead for as long as a lease lasts."""
    place.execute(f"UPDATE idempotency SET leased_until = 1 WHERE run_id = '{run_id}'")


@contextmanager
def holder(place: Place, machine: str = "", *, stores: bool = False) -> Iterator[subprocess.Popen[bytes]]:
    """Yield another process that has the key and goes on, and may have stored its turn."""
    kind, where = ("sqlite", str(place.path)) if isinstance(place, SqlitePlace) else ("postgresql", place.setting)
    command = [sys.executable, "-c", HOLDER, kind, where, machine, "stores" * stores]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert b"\n" == process.stdout.readline()
            yield process
        finally:
            process.kill()


@asynccontextmanager
async def two(place: Place) -> AsyncIterator[tuple[SqlStore, SqlStore]]:
    """Open two stores, as two processes would."""
    async with AsyncExitStack() as stores:
        one, other = [await stores.enter_async_context(place.opened()) for _ in range(2)]
        yield one, other


def play(place: Place, scenario: Callable[[SqlStore, SqlStore], Awaitable[None]]) -> None:
    """Play a scenario with two processes, under a deadline."""

    async def main() -> None:
        async with asyncio.timeout(30), two(place) as (one, other):
            await scenario(one, other)

    asyncio.run(main())


def test_what_is_kept_is_found(place: Place) -> None:
    """By every process, with what was asked and answered, to the byte; and keys differ in case."""
    given = KeptAnswer("run_1", "main", KEY, estimated=True, body=bytes(range(256)))

    async def scenario(one: SqlStore, other: SqlStore) -> None:
        assert Claimed() == await claim(one)
        await one.records.keep("k", given, SECONDS)
        again = Record(ASKED, KeptAnswer("run_1", "main", KEY, estimated=True, body=given.body))
        assert [again, again] == [await claim(store, "run_2") for store in (one, other)]
        assert Claimed() == await claim(other, "run_3", key="K")

    play(place, scenario)


def test_one_of_many_gets_the_key(place: Place) -> None:
    """However many try at once, in however many processes; the others are told who has it."""

    async def scenario(one: SqlStore, other: SqlStore) -> None:
        found = await asyncio.gather(*(claim((one, other)[n % 2], f"run_{n}") for n in range(20)))
        winner = next(n for n, each in enumerate(found) if isinstance(each, Claimed))
        others = [each for n, each in enumerate(found) if n != winner]
        assert [UnderWay(ASKED, claimant(f"run_{winner}"))] * 19 == others

    play(place, scenario)


def test_another_request_is_told_apart(place: Place) -> None:
    """Whoever comes with another request under the key learns what the key stands for."""

    async def scenario(one: SqlStore, other: SqlStore) -> None:
        await claim(one)
        assert UnderWay(ASKED, claimant()) == await claim(other, "run_2", asked=b"else")
        await one.records.keep("k", answer(), SECONDS)
        assert Record(ASKED, answer()) == await claim(other, "run_2", asked=b"else")

    play(place, scenario)


def test_a_key_that_is_freed(place: Place) -> None:
    """It is anybody's, also for another request."""

    async def scenario(one: SqlStore, other: SqlStore) -> None:
        await claim(one)
        await one.records.free("k", "run_1")
        assert Claimed() == await claim(other, "run_2", asked=b"else")

    play(place, scenario)


def test_only_the_run_that_has_the_key_can_free_or_answer_it(place: Place) -> None:
    """What an earlier run says late changes nothing."""

    async def scenario(one: SqlStore, other: SqlStore) -> None:
        await claim(one)
        dies(place, "run_1")
        assert Claimed() == await claim(other, "run_2")
        await one.records.free("k", "run_1")
        with pytest.raises(StoreError, match="another run"):
            await one.records.keep("k", answer(), SECONDS)
        assert UnderWay(ASKED, claimant("run_2")) == await claim(one, "run_3")

    play(place, scenario)


class TestADeadProcess:
    """A process that died with a key in its hands."""

    def test_before_its_turn_was_stored(self, place: Place) -> None:
        """The key is free once the lease has expired, and not before."""

        async def scenario(one: SqlStore, other: SqlStore) -> None:
            await claim(one)
            assert UnderWay(ASKED, claimant()) == await claim(other, "run_2")
            dies(place, "run_1")
            assert Claimed() == await claim(other, "run_2", asked=b"else")

        play(place, scenario)

    def test_after_its_turn_was_stored(self, place: Place) -> None:
        """Whoever takes the key over is given the stored answer, again and again; for another request it isn't free."""

        async def scenario(one: SqlStore, other: SqlStore) -> None:
            await claim(one)
            await turn(one, "run_1")
            stored = (await other.history(KEY))[-1]
            for before, run_id in (("run_1", "run_2"), ("run_2", "run_3")):
                dies(place, before)
                assert isinstance(await claim(other, "run_x", asked=b"else"), UnderWay)
                assert Claimed(StoredAnswer(stored.id, stored.message)) == await claim(other, run_id)

        play(place, scenario)

    def test_that_was_not_dead(self, place: Place) -> None:
        """A run whose key was taken over meanwhile can't store its turn."""

        async def scenario(one: SqlStore, other: SqlStore) -> None:
            await claim(one)
            dies(place, "run_1")
            assert Claimed() == await claim(other, "run_2")
            with pytest.raises(SessionConflict):
                await turn(one, "run_1")
            assert [] == await written(other)
            await turn(other, "run_2")
            assert ["user: a", "assistant: A"] == await written(other)

        play(place, scenario)

    def test_whose_session_was_deleted(self, place: Place) -> None:
        """That there was an answer stays known, though nobody has it any more."""

        async def scenario(one: SqlStore, other: SqlStore) -> None:
            await claim(one)
            await turn(one, "run_1")
            stored = (await other.history(KEY))[-1]
            assert await other.delete(KEY)
            dies(place, "run_1")
            assert Claimed(StoredAnswer(stored.id, None)) == await claim(other, "run_2")

        play(place, scenario)


class TestASeenDeath:
    """A process of the same machine that died with a key in its hands: nobody waits for its lease."""

    @pytest.mark.parametrize("stored", [False, True], ids=["before its turn was stored", "afterwards"])
    def test_its_key_is_free(self, place: Place, monkeypatch: pytest.MonkeyPatch, stored: bool) -> None:
        """At once, for those that follow its run and for those that come later; and not before it is dead."""
        monkeypatch.setattr(followers, "LOOK_SECONDS", 0.01)

        async def scenario(one: SqlStore, other: SqlStore) -> None:
            with holder(place, stores=stored) as process:
                waiting = asyncio.create_task(other.records.follow("k", "run_1"))
                assert UnderWay(ASKED, claimant()) == await claim(one, "run_2")
                await asyncio.sleep(0.05)
                assert not waiting.done()
                process.kill()
                process.wait()
                async with asyncio.timeout(LEASE_SECONDS / 2):
                    assert None is await waiting
                if stored:
                    assert isinstance(await claim(one, "run_x", asked=b"else"), UnderWay)
                found = await claim(one, "run_2")
                assert isinstance(found, Claimed)
                assert stored == (found.answer is not None)
                assert UnderWay(ASKED, claimant("run_2")) == await claim(other, "run_3")

        play(place, scenario)

    def test_elsewhere(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nobody sees it: the lease decides."""
        monkeypatch.setattr(followers, "LOOK_SECONDS", 0.01)

        async def scenario(one: SqlStore, other: SqlStore) -> None:
            with holder(place, "elsewhere") as process:
                process.kill()
                process.wait()
                waiting = asyncio.create_task(other.records.follow("k", "run_1"))
                await asyncio.sleep(0.1)
                assert not waiting.done()
                assert UnderWay(ASKED, claimant()) == await claim(one, "run_2")
                dies(place, "run_1")
                assert None is await waiting
                assert Claimed() == await claim(one, "run_2")

        play(place, scenario)


def test_a_run_that_failed_after_its_turn_was_stored(place: Place) -> None:
    """Its key goes to the next one at once, together with the answer."""

    async def scenario(one: SqlStore, other: SqlStore) -> None:
        await claim(one)
        await turn(one, "run_1")
        await one.records.free("k", "run_1", b"failure")
        found = await claim(other, "run_2")
        assert isinstance(found, Claimed)
        assert found.answer is not None

    play(place, scenario)


def test_a_key_is_renewed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run may take longer than a lease."""
    monkeypatch.setattr(idempotency_records, "LEASE_SECONDS", 1.5)
    monkeypatch.setattr(idempotency_records, "BEAT_SECONDS", 0.1)

    async def scenario(one: SqlStore, other: SqlStore) -> None:
        await claim(one)
        until = asyncio.get_running_loop().time() + 3
        while asyncio.get_running_loop().time() < until:
            await asyncio.sleep(0.05)
            assert isinstance(await claim(other, "run_2"), UnderWay)

    play(place, scenario)


class TestFollowing:
    """Waiting for what another process runs."""

    def test_to_its_end(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        """All who wait go on when there is an answer."""
        monkeypatch.setattr(followers, "LOOK_SECONDS", 0.01)

        async def scenario(one: SqlStore, other: SqlStore) -> None:
            await claim(one)
            waiting = [asyncio.create_task(other.records.follow("k", "run_1")) for _ in range(3)]
            await asyncio.sleep(0.1)
            assert [False] * 3 == [task.done() for task in waiting]
            await one.records.keep("k", answer(), SECONDS)
            assert [None] * 3 == await asyncio.gather(*waiting)
            assert Record(ASKED, answer()) == await claim(other, "run_2")

        play(place, scenario)

    def test_a_failure(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is theirs, too; the key is free for whoever comes later."""
        monkeypatch.setattr(followers, "LOOK_SECONDS", 0.01)

        async def scenario(one: SqlStore, other: SqlStore) -> None:
            await claim(one)
            waiting = [asyncio.create_task(other.records.follow("k", "run_1")) for _ in range(2)]
            await asyncio.sleep(0.05)
            await one.records.free("k", "run_1", b"failure")
            assert [b"failure"] * 2 == await asyncio.gather(*waiting)
            assert Claimed() == await claim(other, "run_2", asked=b"else")

        play(place, scenario)

    @pytest.mark.parametrize("how", ["freed", "dead", "taken over"])
    def test_that_ends_otherwise(self, place: Place, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
        """Who waits doesn't wait for ever."""
        monkeypatch.setattr(followers, "LOOK_SECONDS", 0.01)

        async def scenario(one: SqlStore, other: SqlStore) -> None:
            await claim(one)
            waiting = asyncio.create_task(other.records.follow("k", "run_1"))
            await asyncio.sleep(0.05)
            assert not waiting.done()
            if how == "freed":
                await one.records.free("k", "run_1")
            else:
                dies(place, "run_1")
            if how == "taken over":
                await claim(one, "run_2")
            assert None is await waiting

        play(place, scenario)

    def test_that_is_given_up(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        """Others wait on; and closing leaves nobody waiting."""
        monkeypatch.setattr(followers, "LOOK_SECONDS", 0.01)

        async def scenario(one: SqlStore, other: SqlStore) -> None:
            await claim(one)
            leaving, staying = (asyncio.create_task(other.records.follow("k", "run_1")) for _ in range(2))
            await asyncio.sleep(0.05)
            leaving.cancel()
            await asyncio.gather(leaving, return_exceptions=True)
            await one.records.keep("k", answer(), SECONDS)
            assert None is await staying
            assert 0 == len(other.records._followers)

        play(place, scenario)


class TestBounds:
    """What is kept has an end in every direction."""

    def test_time(self, place: Place) -> None:
        """Past its time an answer isn't given any more, and its row goes with the next pruning; the others stay."""

        async def scenario(one: SqlStore, other: SqlStore) -> None:
            for key in ("old", "older", "new"):
                await kept(one, key)
            place.execute("UPDATE idempotency SET expires_at = 1 WHERE key LIKE 'old%'")
            assert Claimed() == await claim(other, "run_2", key="old", asked=b"else")
            await other.records.prune()
            assert [("new",), ("old",)] == place.execute("SELECT key FROM idempotency ORDER BY key")

        play(place, scenario)

    def test_a_run_may_take_longer(self, place: Place) -> None:
        """A key that a living run has isn't forgotten, however short the time."""

        async def scenario(one: SqlStore, other: SqlStore) -> None:
            await one.records.claim("k", ASKED, claimant(), 0.0)
            await other.records.prune()
            assert isinstance(await claim(other, "run_2"), UnderWay)

        play(place, scenario)

    def test_number_and_bytes(self, place: Place) -> None:
        """The oldest answers go first, then the oldest keys; nobody who is at work loses anything."""

        async def scenario(one: SqlStore, other: SqlStore) -> None:
            await claim(one, "run_w", key="working")
            for number, key in enumerate("abcdef"):
                await kept(one, key, seconds=SECONDS + number)
            small = SqlRecords(other._writing, other._reading, other._insert, max_records=4, max_bytes=10)
            await small.prune()
            rows = place.execute("SELECT key, size, body IS NULL FROM idempotency WHERE key <> 'working' ORDER BY key")
            assert [("c", 0, True), ("d", 0, True), ("e", 4, False), ("f", 4, False)] == [
                (key, size, bool(bare)) for key, size, bare in rows
            ]
            assert Record(ASKED, answer("run_c", None)) == await claim(other, "run_2", key="c")
            assert isinstance(await claim(other, "run_2", key="working"), UnderWay)

        play(place, scenario)

    def test_are_seen_to(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        """By whoever keeps answers, now and then."""
        monkeypatch.setattr(idempotency_records, "PRUNE_RECORDS", 3)

        async def scenario(one: SqlStore, _other: SqlStore) -> None:
            await kept(one, "first")
            place.execute("UPDATE idempotency SET expires_at = 1")
            for key in "abc":
                await kept(one, key)
            assert one.records._pruning is not None
            await one.records._pruning
            assert [("a",), ("b",), ("c",)] == place.execute("SELECT key FROM idempotency ORDER BY key")

        play(place, scenario)

    def test_a_session_that_is_deleted(self, place: Place) -> None:
        """Takes what was said in it along, kept answers and its name included; that the keys were used stays known."""

        async def scenario(one: SqlStore, other: SqlStore) -> None:
            await claim(one)
            await turn(one, "run_1")
            await one.records.keep("k", answer(), SECONDS)
            assert await other.delete(KEY)
            forgotten = msgspec.structs.replace(answer(body=None), session_key="")
            assert Record(ASKED, forgotten) == await claim(other, "run_2")

        play(place, scenario)


def test_a_store_that_is_away(database: PostgresqlPlace) -> None:
    """Everything says so, and nobody waits for ever."""

    async def scenario() -> None:
        async with asyncio.timeout(30), database.opened() as store:
            await claim(store)
            database.execute("ALTER TABLE idempotency RENAME TO elsewhere")
            for asking in (
                claim(store, "run_2"),
                store.records.keep("k", answer(), SECONDS),
                store.records.free("k", "run_1"),
            ):
                with pytest.raises(StoreError):
                    await asking

    asyncio.run(scenario())


def test_who_follows_when_the_store_goes_away(database: PostgresqlPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A short outage is waited out; of a long one they are told."""
    monkeypatch.setattr(followers, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(followers, "PATIENCE_SECONDS", 1.0)

    async def scenario() -> None:
        async with asyncio.timeout(30), database.opened() as one, database.opened() as other:
            await claim(one)
            following = asyncio.create_task(other.records.follow("k", "run_1"))
            database.execute("ALTER TABLE idempotency RENAME TO elsewhere")
            await asyncio.sleep(0.2)
            assert not following.done()
            with pytest.raises(StoreError):
                await following

    asyncio.run(scenario())
