"""Runs under a key: what becomes of those who wait when something goes wrong."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest

from app.errors import (
    AnswerNotKept,
    EngineFailed,
    IdempotencyKeyReused,
    InternalError,
    RunAborted,
    StoreUnavailable,
)
from app.http.answer_log import AnswerLog
from app.http.keyed_runs import KeyedRuns, Perform
from app.runs.job import Job
from app.sessions.idempotency import MAX_ANSWER_BYTES, KeptAnswer, MemoryRecords, Record
from app.sessions.store import StoreError
from tests.unit.runs.jobs import job

SECONDS = 60.0


class Broken(MemoryRecords):
    """Records that can't be read, or written."""

    def __init__(self, *, readable: bool) -> None:
        super().__init__()
        self._readable = readable

    async def find(self, key: str) -> Record | None:
        """See ``IdempotencyRecords``."""
        if not self._readable:
            raise StoreError("no")
        return await super().find(key)

    async def keep(self, key: str, asked: bytes, answer: KeptAnswer, seconds: float) -> None:
        """See ``IdempotencyRecords``."""
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


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    """Run a scenario under a deadline."""

    async def main() -> None:
        async with asyncio.timeout(10):
            await scenario()

    asyncio.run(main())


async def body_of(runs: KeyedRuns, perform: Perform, asked: bytes = b"asked") -> bytes | None:
    """Ask under the key, and wait for the answer."""
    taken, _ = await runs.take("key", job(), asked, perform)
    return (await taken.outcome()).body


def test_a_time_limit_of_the_client_does_not_hold() -> None:
    """The next attempt waits on for the same run."""

    async def scenario() -> None:
        perform, runs = Performer(), KeyedRuns(MemoryRecords(), SECONDS)
        perform.go.set()
        taken, repeated = await runs.take("key", job(time_limit=0.1), b"asked", perform)
        assert (b"done", False) == ((await taken.outcome()).body, repeated)
        assert [None] == [each.time_limit for each in perform.jobs]
        assert 0 == len(runs)

    run(scenario)


@pytest.mark.parametrize(
    ("error", "told"),
    [(EngineFailed("no"), EngineFailed), (RunAborted("no"), RunAborted), (ValueError("no"), InternalError)],
    ids=["engine", "aborted", "defect"],
)
def test_a_failure_is_everybodys_and_leaves_nothing(error: Exception, told: type[Exception]) -> None:
    """All who wait get it; then the key is free, even for another request."""

    async def scenario() -> None:
        failing, runs = Performer(error=error), KeyedRuns(MemoryRecords(), SECONDS)
        waiting = [asyncio.create_task(body_of(runs, failing)) for _ in range(3)]
        await asyncio.sleep(0)
        failing.go.set()
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert [told] * 3 == [type(outcome) for outcome in outcomes]
        assert 1 == len(failing.jobs)
        perform = Performer()
        perform.go.set()
        assert b"done" == await body_of(runs, perform, b"other")

    run(scenario)


def test_records_that_can_not_be_read() -> None:
    """Nothing is run, since it might have been before; a retry is welcome."""

    async def scenario() -> None:
        perform, runs = Performer(), KeyedRuns(Broken(readable=False), SECONDS)
        with pytest.raises(StoreUnavailable) as caught:
            await body_of(runs, perform)
        assert (None, []) == (caught.value.should_retry, perform.jobs)
        assert 0 == len(runs)

    run(scenario)


def test_records_that_can_not_be_written(caplog: pytest.LogCaptureFixture) -> None:
    """The answer is given all the same; the log says that it isn't kept."""

    async def scenario() -> None:
        perform, runs = Performer(), KeyedRuns(Broken(readable=True), SECONDS)
        perform.go.set()
        assert b"done" == await body_of(runs, perform)

    with caplog.at_level(logging.ERROR):
        run(scenario)
    assert "was not kept" in caplog.text


def test_an_answer_that_is_too_large() -> None:
    """Who waits gets it, who comes later is told that it is gone, and another request that the key is taken."""

    async def scenario() -> None:
        perform, runs = Performer(b"x" * (MAX_ANSWER_BYTES + 1)), KeyedRuns(MemoryRecords(), SECONDS)
        perform.go.set()
        answers = await asyncio.gather(body_of(runs, perform), body_of(runs, perform))
        assert [MAX_ANSWER_BYTES + 1] * 2 == [len(answer or b"") for answer in answers]
        with pytest.raises(AnswerNotKept):
            await body_of(runs, perform)
        with pytest.raises(IdempotencyKeyReused):
            await body_of(runs, perform, b"other")
        assert 1 == len(perform.jobs)

    run(scenario)


def test_closing_stops_what_is_under_way() -> None:
    """Even what has not come to its first step; who waits hears that the gateway stops."""

    async def scenario() -> None:
        perform, runs = Performer(), KeyedRuns(MemoryRecords(), SECONDS)
        first = asyncio.create_task(body_of(runs, perform))
        await asyncio.sleep(0)
        second = asyncio.create_task(runs.take("other", job(), b"asked", perform))
        await asyncio.sleep(0)
        await runs.close()
        outcomes = await asyncio.gather(first, return_exceptions=True)
        taken, _ = await second
        with pytest.raises(RunAborted):
            await taken.outcome()
        assert [RunAborted] == [type(outcome) for outcome in outcomes]
        assert 0 == len(runs)

    run(scenario)


def test_a_client_that_leaves_takes_nothing_along() -> None:
    """Cancelling the wait leaves the run to the others."""

    async def scenario() -> None:
        perform, runs = Performer(), KeyedRuns(MemoryRecords(), SECONDS)
        leaving, staying = (asyncio.create_task(body_of(runs, perform)) for _ in range(2))
        await asyncio.sleep(0)
        leaving.cancel()
        perform.go.set()
        assert b"done" == await staying
        assert leaving.cancelled()
        assert 1 == len(perform.jobs)

    run(scenario)
