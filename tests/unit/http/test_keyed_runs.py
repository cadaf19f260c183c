"""Runs under a key: what becomes of those who wait when something goes wrong."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from app.errors import (
    AnswerNotKept,
    EngineFailed,
    IdempotencyKeyReused,
    InternalError,
    RateLimited,
    RunAborted,
    StoreUnavailable,
)
from app.http import keyed_runs
from app.http.answer_log import AnswerLog
from app.http.keyed_runs import KeyedRuns, Perform
from app.runs.arrivals import Arrivals
from app.runs.job import Job
from app.sessions.deferred import open_sqlite
from app.sessions.idempotency import (
    MAX_ANSWER_BYTES,
    Claimant,
    Claimed,
    Found,
    IdempotencyRecords,
    KeptAnswer,
)
from app.sessions.store import StoreError
from tests.unit.runs.jobs import job

SECONDS = 60.0


class Broken:
    """Records that can't be asked, or written."""

    def __init__(self, *, readable: bool) -> None:
        self._readable = readable

    async def claim(self, _key: str, _asked: bytes, _claimant: Claimant, _seconds: float) -> Found:
        """Give the key, or fail."""
        if not self._readable:
            raise StoreError("no")
        return Claimed()

    async def follow(self, _key: str, _run_id: str) -> bytes | None:
        """Fail."""
        raise StoreError("no")

    async def keep(self, _key: str, _answer: KeptAnswer, _seconds: float) -> None:
        """Fail."""
        raise StoreError("no")

    async def free(self, _key: str, _run_id: str, _failure: bytes | None = None) -> None:
        """Fail."""
        raise StoreError("no")


class Performer:
    """Runs jobs as the test says, and counts them."""

    def __init__(self, body: bytes = b"done", error: Exception | None = None) -> None:
        self.jobs: list[Job] = []
        self.go = asyncio.Event()
        self._body = body
        self._error = error

    async def __call__(self, job: Job, _log: AnswerLog) -> KeptAnswer:
        self.jobs.append(job)
        await self.go.wait()
        if self._error is not None:
            raise self._error
        return KeptAnswer(job.run_id, "main", "k", estimated=False, body=self._body)


Play = Callable[[Callable[[IdempotencyRecords], Awaitable[None]]], None]


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """Play a scenario with records in a file of its own, under a deadline."""

    def played(scenario: Callable[[IdempotencyRecords], Awaitable[None]]) -> None:
        async def main() -> None:
            store = await open_sqlite(str(tmp_path / "sessions.sqlite3"))
            try:
                async with asyncio.timeout(10):
                    await scenario(store.records)
            finally:
                await store.close()

        asyncio.run(main())

    return played


async def begun(performer: Performer, count: int = 1) -> None:
    """Wait until so many runs have begun."""
    while len(performer.jobs) < count:  # noqa: ASYNC110 - a list has no event
        await asyncio.sleep(0.001)


async def body_of(runs: KeyedRuns, perform: Perform, asked: bytes = b"asked") -> bytes | None:
    """Ask under the key, and wait for the answer."""
    taken, _ = await runs.take("key", job(), asked, perform)
    return (await taken.outcome()).body


def test_a_time_limit_of_the_client_does_not_hold(play: Play) -> None:
    """The next attempt waits on for the same run."""

    async def scenario(records: IdempotencyRecords) -> None:
        perform, runs = Performer(), KeyedRuns(records, SECONDS, Arrivals())
        perform.go.set()
        taken, repeated = await runs.take("key", job(time_limit=0.1), b"asked", perform)
        assert (b"done", False) == ((await taken.outcome()).body, repeated)
        assert [None] == [each.time_limit for each in perform.jobs]
        assert 0 == len(runs)

    play(scenario)


@pytest.mark.parametrize(
    ("error", "told"),
    [(EngineFailed("no"), EngineFailed), (RunAborted("no"), RunAborted), (ValueError("no"), InternalError)],
    ids=["engine", "aborted", "defect"],
)
def test_a_failure_is_everybodys_and_leaves_nothing(play: Play, error: Exception, told: type[Exception]) -> None:
    """All who wait get it; then the key is free, even for another request."""

    async def scenario(records: IdempotencyRecords) -> None:
        failing, runs = Performer(error=error), KeyedRuns(records, SECONDS, Arrivals())
        waiting = [asyncio.create_task(body_of(runs, failing)) for _ in range(3)]
        await begun(failing)
        failing.go.set()
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert [told] * 3 == [type(outcome) for outcome in outcomes]
        assert 1 == len(failing.jobs)
        perform = Performer()
        perform.go.set()
        assert b"done" == await body_of(runs, perform, b"other")

    play(scenario)


def test_records_that_can_not_be_read(play: Play) -> None:
    """Nothing is run, since it might have been before; a retry is welcome."""

    async def scenario(records: IdempotencyRecords) -> None:
        perform, runs = Performer(), KeyedRuns(Broken(readable=False), SECONDS, Arrivals())
        with pytest.raises(StoreUnavailable) as caught:
            await body_of(runs, perform)
        assert (None, []) == (caught.value.should_retry, perform.jobs)
        assert 0 == len(runs)

    play(scenario)


def test_records_that_can_not_be_written(play: Play, caplog: pytest.LogCaptureFixture) -> None:
    """The answer is given all the same; the log says that it isn't kept."""

    async def scenario(records: IdempotencyRecords) -> None:
        perform, runs = Performer(), KeyedRuns(Broken(readable=True), SECONDS, Arrivals())
        perform.go.set()
        assert b"done" == await body_of(runs, perform)

    with caplog.at_level(logging.ERROR):
        play(scenario)
    assert "was not kept" in caplog.text


def test_an_answer_that_is_too_large(play: Play) -> None:
    """Who waits gets it, who comes later is told that it is gone, and another request that the key is taken."""

    async def scenario(records: IdempotencyRecords) -> None:
        perform, runs = Performer(b"x" * (MAX_ANSWER_BYTES + 1)), KeyedRuns(records, SECONDS, Arrivals())
        perform.go.set()
        answers = await asyncio.gather(body_of(runs, perform), body_of(runs, perform))
        assert [MAX_ANSWER_BYTES + 1] * 2 == [len(answer or b"") for answer in answers]
        with pytest.raises(AnswerNotKept):
            await body_of(runs, perform)
        with pytest.raises(IdempotencyKeyReused):
            await body_of(runs, perform, b"other")
        assert 1 == len(perform.jobs)

    play(scenario)


def test_closing_stops_what_is_under_way(play: Play) -> None:
    """Even what has not come to its first step; who waits hears that the gateway stops."""

    async def scenario(records: IdempotencyRecords) -> None:
        perform, runs = Performer(), KeyedRuns(records, SECONDS, Arrivals())
        first = asyncio.create_task(body_of(runs, perform))
        await begun(perform)
        second = asyncio.create_task(runs.take("other", job(), b"asked", perform))
        await asyncio.sleep(0)
        await runs.close()
        outcomes = await asyncio.gather(first, return_exceptions=True)
        taken, _ = await second
        with pytest.raises(RunAborted):
            await taken.outcome()
        assert [RunAborted] == [type(outcome) for outcome in outcomes]
        assert 0 == len(runs)

    play(scenario)


def test_a_client_that_leaves_takes_nothing_along(play: Play) -> None:
    """Cancelling the wait leaves the run to the others."""

    async def scenario(records: IdempotencyRecords) -> None:
        perform, runs = Performer(), KeyedRuns(records, SECONDS, Arrivals())
        leaving, staying = (asyncio.create_task(body_of(runs, perform)) for _ in range(2))
        await begun(perform)
        leaving.cancel()
        perform.go.set()
        assert b"done" == await staying
        assert leaving.cancelled()
        assert 1 == len(perform.jobs)

    play(scenario)


def test_too_many(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit nothing is begun, and a retry is welcome; who joins a run is no run."""
    monkeypatch.setattr(keyed_runs, "MAX_RUNS", 1)

    async def scenario(records: IdempotencyRecords) -> None:
        perform, runs = Performer(), KeyedRuns(records, SECONDS, Arrivals())
        waiting = [asyncio.create_task(body_of(runs, perform)) for _ in range(2)]
        await begun(perform)
        with pytest.raises(RateLimited) as caught:
            await runs.take("other", job(), b"asked", perform)
        assert ("keyed_runs_full", 2, None) == (caught.value.code, caught.value.retry_after, caught.value.should_retry)
        perform.go.set()
        assert [b"done"] * 2 == await asyncio.gather(*waiting)
        await runs.take("other", job(), b"asked", perform)
        await runs.drained(5.0)
        assert (2, 0) == (len(perform.jobs), len(runs))

    play(scenario)


def test_draining_waits_for_runs_without_clients(play: Play) -> None:
    """As long as it is allowed to, and no longer than they take."""

    async def scenario(records: IdempotencyRecords) -> None:
        perform, runs = Performer(), KeyedRuns(records, SECONDS, Arrivals())
        await runs.take("key", job(), b"asked", perform)
        await runs.drained(0.05)
        assert 1 == len(runs)
        draining = asyncio.create_task(runs.drained(60.0))
        perform.go.set()
        await draining
        assert 0 == len(runs)
        taken, _ = await runs.take("key", job(), b"asked", perform)
        assert taken.record is not None

    play(scenario)


def test_what_joins_a_request_that_the_key_is_not_for(play: Play) -> None:
    """Another process has the key: who comes with another request is refused, who comes with that one waits for it."""

    async def scenario(records: IdempotencyRecords) -> None:
        perform, arrivals = Performer(), Arrivals()
        there, here = KeyedRuns(records, SECONDS, Arrivals()), KeyedRuns(records, SECONDS, arrivals)
        first = asyncio.create_task(body_of(there, perform))
        await begun(perform)
        stranger, joining = (asyncio.create_task(body_of(here, Performer(), asked)) for asked in (b"else", b"asked"))
        with pytest.raises(IdempotencyKeyReused):
            await stranger
        perform.go.set()
        assert [b"done", b"done"] == list(await asyncio.gather(first, joining))
        assert 0 == len(arrivals)

    play(scenario)


def test_following_can_be_stopped(play: Play) -> None:
    """Who waits for another process is told that this one ends; the run there goes on."""

    async def scenario(records: IdempotencyRecords) -> None:
        perform, arrivals = Performer(), Arrivals()
        there, here = KeyedRuns(records, SECONDS, Arrivals()), KeyedRuns(records, SECONDS, arrivals)
        first = asyncio.create_task(body_of(there, perform))
        await begun(perform)
        taken, _ = await here.take("key", job(), b"asked", Performer())
        assert (True, True, 0) == (taken.following, taken.repeats, len(arrivals))
        await here.drained(60.0)
        here.stop_following()
        with pytest.raises(RunAborted, match="stopping"):
            await taken.outcome()
        perform.go.set()
        assert b"done" == await first

    play(scenario)
