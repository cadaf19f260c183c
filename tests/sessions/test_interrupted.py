"""Runs that end with their process: found and recorded at the next start; their sessions are as they were."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import stat
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.errors import EngineFailed
from app.runs.answer import Answer
from app.runs.event import Event, finish_event
from app.runs.run import Runs
from app.runs.turn import Turn
from app.sessions import expiry, interrupted, journal
from app.sessions.interruption import MAX_TOLD, BegunRun, InterruptedRun, tell
from app.sessions.journal import AbandonedJournals, RunJournal
from app.sessions.sql import SqlStore
from tests.sessions.place import Place, PostgresqlPlace, SqlitePlace
from tests.sessions.talk import KEY, append, written
from tests.unit.conversation import user
from tests.unit.runs.engines import Shelf, TinyEngine, failing
from tests.unit.runs.jobs import agent, job

ROOT = Path(__file__).parents[2]
START_SECONDS = 60.0
STORED = ["user: stored", "assistant: A"]


@contextmanager
def victim(place: Place, machine: str = "") -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """Yield a process and the ids of its runs: one is stored, one at work, one waits."""
    kind, where = ("sqlite", str(place.path)) if isinstance(place, SqlitePlace) else ("postgresql", place.setting)
    command = [sys.executable, "-m", "tests.sessions.victim", kind, where, KEY, machine]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        patience = threading.Timer(START_SECONDS, process.kill)  # it is read from without an end otherwise
        patience.start()
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().split()
        finally:
            patience.cancel()
            process.kill()


async def found(store: SqlStore, number: int, key: str = KEY) -> list[InterruptedRun]:
    """Return a session's interrupted runs, once there are so many of them: a database is searched in the background."""
    async with asyncio.timeout(20):
        while len(runs := await store.interrupted(key)) < number:  # noqa: ASYNC110 - it is in a database
            await asyncio.sleep(0.01)
    return runs


def test_found_at_the_next_start(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """Those that were at work or waited are recorded and told of in the log, once; the one that was stored isn't."""

    async def scenario() -> None:
        with victim(place) as (process, (stored, at_work, waiting)):
            process.kill()
            process.wait()
            for _ in range(2):
                async with place.opened() as store:
                    runs = await found(store, 2)
                    assert {at_work, waiting} == {run.run_id for run in runs}
                    assert {(KEY, "main")} == {(run.session_key, run.agent_id) for run in runs}
                    assert all(run.started_at < run.found_at for run in runs)
                    assert STORED == await written(store)
                    assert await store.interrupted_run(stored) is None
                    one = await store.interrupted_run(at_work)
                    assert one is not None
                    assert one in runs
                    assert [] == await store.interrupted("agent:main:other")
        told = [record.getMessage() for record in caplog.records if "was interrupted" in record.getMessage()]
        assert 2 == len(told)
        for run_id in (at_work, waiting):
            expected = (
                f"run {run_id} of agent main was interrupted: its process is gone; session {KEY} is as it was before"
            )
            assert expected in told

    with caplog.at_level(logging.WARNING, "zero.sessions"):
        asyncio.run(scenario())


def test_the_session_goes_on(place: Place) -> None:
    """Its next run has it at once, and sees what was stored before the crash and nothing of what wasn't."""
    engine = TinyEngine()

    async def scenario() -> None:
        with victim(place) as (process, _):
            process.kill()
            process.wait()
            async with asyncio.timeout(5), place.opened() as store:
                await Runs(Shelf({"one": engine}), store).execute(job("again"))
        assert [[*STORED, "user: again"]] == engine.seen

    asyncio.run(scenario())


def test_runs_of_a_living_process(place: Place) -> None:
    """They are not touched when another process starts."""

    async def scenario() -> None:
        with victim(place) as (_, (_, at_work, _)):
            async with place.opened() as store:
                if isinstance(place, PostgresqlPlace):
                    assert 0 == await expiry.sweep(store._reading, store._writing)
                assert [] == await store.interrupted(KEY)
                assert await store.interrupted_run(at_work) is None

    asyncio.run(scenario())


def test_a_process_on_another_machine(database: PostgresqlPlace) -> None:
    """Nobody knows that it is dead until its leases have expired; then its runs are found by those that are there."""

    async def scenario() -> None:
        with victim(database, "elsewhere") as (process, (_, at_work, waiting)):
            process.kill()
            process.wait()
            async with database.opened() as store:
                assert 0 == await expiry.sweep(store._reading, store._writing)
                assert [] == await store.interrupted(KEY)
                database.execute("UPDATE turns SET expires_at = clock_timestamp() - interval '1 second'")
                await expiry.sweep(store._reading, store._writing)
                # Or the store's own search in the background has come first.
                assert {at_work, waiting} == {run.run_id for run in await found(store, 2)}
                assert 0 == await expiry.sweep(store._reading, store._writing)

    asyncio.run(scenario())


def test_found_by_who_wants_the_session(database: PostgresqlPlace) -> None:
    """Whoever comes to a session whose holder's lease has expired records the holder's run and has the session."""

    async def scenario() -> None:
        with victim(database, "elsewhere") as (process, (_, at_work, waiting)):
            process.kill()
            process.wait()
            async with database.opened() as store:
                await expiry.sweep(store._reading, store._writing)
                database.execute("UPDATE turns SET expires_at = clock_timestamp() - interval '1 second'")
                assert store.leases is not None
                async with store.leases.held(KEY):
                    assert {at_work, waiting} == {run.run_id for run in await store.interrupted(KEY)}

    asyncio.run(scenario())


def test_ends_that_are_none_of_these(place: Place) -> None:
    """Runs that were done, failed, were stopped, or ended with a gateway in good order are not interrupted."""

    async def hang(_turn: Turn) -> AsyncIterator[Event]:
        await asyncio.Event().wait()
        yield finish_event("stop")

    engines = {"one": TinyEngine(), "two": TinyEngine(failing(RuntimeError("no"))), "three": TinyEngine(hang)}

    async def scenario() -> None:
        async with place.opened() as store:
            runs = Runs(Shelf(engines), store)
            await runs.execute(job("a"))
            with pytest.raises(EngineFailed):
                await runs.execute(job("b", by=agent("two")))
            for stop in (_cancel, _abort):
                task = asyncio.create_task(runs.execute(job("c", by=agent("three"))))
                await _until(lambda: runs.active.of_session(KEY) and engines["three"].turns)
                stop(runs, task)
                await asyncio.wait({task})
                task.cancelled() or task.exception()
                engines["three"].turns.clear()
        async with place.opened() as store:
            if isinstance(place, PostgresqlPlace):
                assert 0 == await expiry.sweep(store._reading, store._writing)
            assert [] == await store.interrupted(KEY)
        if isinstance(place, SqlitePlace):
            assert [place.path.name] == sorted(path.name for path in place.path.parent.iterdir())

    asyncio.run(scenario())


def _cancel(_runs: Runs, task: asyncio.Task[Answer]) -> None:
    task.cancel()


def _abort(runs: Runs, _task: asyncio.Task[Answer]) -> None:
    for run in runs.active.of_session(KEY):
        run.abort("enough")


async def _until(so: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not so():  # noqa: ASYNC110 - an engine has no event for it
            await asyncio.sleep(0.005)


def test_bounded(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many are remembered, the newest; and they go with their session."""
    monkeypatch.setattr(interrupted, "MAX_KEPT", 5)

    async def scenario() -> None:
        async with place.opened() as store:
            for number in range(8):
                async with store._writing() as connection:
                    await interrupted.record(connection, [BegunRun(f"run_{number}", KEY, "main", float(number))])
            assert [f"run_{n}" for n in (7, 6, 5, 4, 3)] == [run.run_id for run in await store.interrupted(KEY)]
            await append(store, user("a"))
            assert await store.delete(KEY)
            assert [] == await store.interrupted(KEY)

    asyncio.run(scenario())


def test_many_at_once(place: Place) -> None:
    """More than go into one statement are recorded all the same, each once, ids with any character in them too."""
    runs = [BegunRun(f"run_\0{number}", f"agent:main:{number}", "main", float(number)) for number in range(450)]

    async def scenario() -> None:
        async with place.opened() as store:
            for expected in (450, 0):
                async with store._writing() as connection:
                    assert expected == len(await interrupted.record(connection, runs))
            one = await store.interrupted_run("run_\0" + "7")
            assert one is not None
            assert ("agent:main:7", 7.0) == (one.session_key, one.started_at)

    asyncio.run(scenario())


def test_the_log_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    """Of very many interrupted runs the first are named, and of the others the number."""
    with caplog.at_level(logging.WARNING, "zero.sessions"):
        tell([BegunRun(f"run_{number}", KEY, "main", 0.0) for number in range(MAX_TOLD + 3)])
    assert MAX_TOLD + 1 == len(caplog.messages)
    assert "3 more runs were interrupted; their sessions are as they were before" == caplog.messages[-1]


def test_a_journal_is_its_owners(tmp_path: Path) -> None:
    """It is there while a run is under way and its process lives, and nobody else can read it."""
    store = tmp_path / "s.sqlite3"
    own = RunJournal(store)
    with own.noted(BegunRun("run_1", KEY, "main", 1.0)):
        (path,) = tmp_path.iterdir()
        assert 0o600 == stat.S_IMODE(path.stat().st_mode)
        assert [] == AbandonedJournals.beside(store).runs
    own.close()
    assert [] == list(tmp_path.iterdir())


def test_a_journal_doesnt_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many runs there were, it is not much larger than those under way, of which none is lost."""
    monkeypatch.setattr(journal, "MAX_BYTES", 1_000)
    store = tmp_path / "s.sqlite3"
    own = RunJournal(store)
    with own.noted(BegunRun("run_long", KEY, "main", 1.0)):
        for number in range(200):
            with own.noted(BegunRun(f"run_{number}", KEY, "main", 1.0)):
                (path,) = tmp_path.iterdir()
                assert path.stat().st_size < 1_500
        assert ["run_long"] == [run.run_id for run in journal._read(path)]
    own.close()


def test_half_a_line(tmp_path: Path) -> None:
    """What a process wrote last may be cut off: what stands before it counts."""
    store = tmp_path / "s.sqlite3"
    own = RunJournal(store)
    with own.noted(BegunRun("run_1", KEY, "main", 1.0)), own.noted(BegunRun("run_2", KEY, "main", 1.0)):
        (path,) = tmp_path.iterdir()
        text = path.read_bytes()
    own.close()
    (tmp_path / "s.sqlite3-runs-0").write_bytes(text[:-10])
    abandoned = AbandonedJournals.beside(store)
    assert ["run_1"] == [run.run_id for run in abandoned.runs]
    assert [] == AbandonedJournals.beside(store).runs, "one takes it"
    abandoned.remove()
    assert [] == list(tmp_path.iterdir())


def test_a_journal_that_cant_be_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The run goes on without, and the log says so once."""
    own = RunJournal(tmp_path / "nowhere" / "s.sqlite3")
    with caplog.at_level(logging.WARNING, "zero.sessions"):
        for _ in range(2):
            with own.noted(BegunRun("run_1", KEY, "main", 1.0)):
                pass
    own.close()
    assert 1 == len(caplog.messages)
    assert "No such file or directory" in caplog.messages[0]


def test_a_journal_on_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What can't be written is made good by the first write that can be, and each time of trouble is told of once."""
    store = tmp_path / "s.sqlite3"
    own, really = RunJournal(store), os.write

    def half(file: int, text: bytes) -> int:
        return really(file, text[:5])

    def nothing(_file: int, _text: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with caplog.at_level(logging.WARNING, "zero.sessions"), own.noted(BegunRun("run_long", KEY, "main", 1.0)):
        (path,) = tmp_path.iterdir()
        for write in (half, nothing):
            with own.noted(BegunRun("run_over", KEY, "main", 1.0)):
                monkeypatch.setattr(os, "write", write)
            with own.noted(BegunRun("run_unseen", KEY, "main", 1.0)):
                pass
            monkeypatch.undo()
            with own.noted(BegunRun("run_now", KEY, "main", 1.0)):
                assert ["run_long", "run_now"] == [run.run_id for run in journal._read(path)]
    own.close()
    assert 2 == len(caplog.messages)
