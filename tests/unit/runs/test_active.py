"""The runs under way: who is there, and how one is stopped from outside."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from app.errors import EngineFailed, RunAborted, RunTimedOut
from app.runs.active import ActiveRuns
from tests.unit.runs.jobs import job


def play(scenario: Callable[[ActiveRuns], Awaitable[None]]) -> None:
    """Play a scenario, which has five seconds."""

    async def main() -> None:
        async with asyncio.timeout(5):
            await scenario(ActiveRuns())

    asyncio.run(main())


async def work(
    active: ActiveRuns, key: str = "agent:main:k", run_id: str = "r1", gate: asyncio.Event | None = None
) -> str:
    """Be a run that waits for its gate."""
    with active.entered(job(key=key, run_id=run_id)):
        await (gate or asyncio.Event()).wait()
    return "done"


async def settled() -> None:
    """Let every task go as far as it can."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_a_run_is_known_while_it_lasts() -> None:
    """By its id and by its session's key; afterwards it isn't."""

    async def scenario(active: ActiveRuns) -> None:
        with active.entered(job(key="agent:main:k", run_id="r1")) as run:
            assert run is active.get("r1")
            assert [run] == active.of_session("agent:main:k")
            assert [] == active.of_session("agent:main:other")
            assert ("main", "agent:main:k", 1) == (run.agent_id, run.session_key, len(active))
        assert (None, [], 0) == (active.get("r1"), active.of_session("agent:main:k"), len(active))

    play(scenario)


def test_a_run_that_fails_is_known_no_longer() -> None:
    """And its failure is its own."""

    async def scenario(active: ActiveRuns) -> None:
        with pytest.raises(ValueError, match="mine"), active.entered(job()):
            raise ValueError("mine")
        assert 0 == len(active)

    play(scenario)


def test_runs_of_a_session_are_in_the_order_they_came() -> None:
    """Whichever ends first."""

    async def scenario(active: ActiveRuns) -> None:
        gate = asyncio.Event()
        tasks = [asyncio.create_task(work(active, run_id=name, gate=gate)) for name in ("b", "a", "c")]
        await settled()
        assert ["b", "a", "c"] == [run.run_id for run in active.of_session("agent:main:k")]
        gate.set()
        assert ["done"] * 3 == await asyncio.gather(*tasks)

    play(scenario)


def test_an_aborted_run_ends_with_the_reason() -> None:
    """The first one, where several are given. Other runs go on."""

    async def scenario(active: ActiveRuns) -> None:
        gate = asyncio.Event()
        stopped = asyncio.create_task(work(active))
        other = asyncio.create_task(work(active, run_id="r2", gate=gate))
        await settled()
        run = active.get("r1")
        assert run is not None
        run.abort("because")
        run.abort("because of something else")
        with pytest.raises(RunAborted, match=r"before it was done: because\.$"):
            await stopped
        gate.set()
        assert "done" == await other

    play(scenario)


def test_the_task_goes_on_after_an_abort() -> None:
    """It has not been cancelled, only its run has: it can answer its client, and wait for things."""

    async def scenario(active: ActiveRuns) -> None:
        async def door() -> str:
            try:
                return await work(active)
            except RunAborted:
                task = asyncio.current_task()
                assert task is not None
                assert 0 == task.cancelling()
                async with asyncio.timeout(1):
                    await asyncio.sleep(0)
                return "answered"

        task = asyncio.create_task(door())
        await settled()
        active.of_session("agent:main:k")[0].abort("because")
        assert "answered" == await task

    play(scenario)


def test_a_cancelled_task_is_not_taken_for_an_aborted_run() -> None:
    """A client that goes away, or a gateway that stops, ends it as always."""

    async def scenario(active: ActiveRuns) -> None:
        task = asyncio.create_task(work(active))
        await settled()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert 0 == len(active)

    play(scenario)


def test_an_abort_is_no_time_limit() -> None:
    """A limit around the work doesn't claim the abort for itself."""

    async def scenario(active: ActiveRuns) -> None:
        async def limited() -> None:
            with active.entered(job(run_id="r1")):
                async with asyncio.timeout(60):
                    await asyncio.Event().wait()

        task = asyncio.create_task(limited())
        await settled()
        active.of_session("agent:main:k")[0].abort("because")
        with pytest.raises(RunAborted):
            await task

    play(scenario)


def test_a_run_is_known_before_its_first_step() -> None:
    """One that is expected can be found, and its task finds itself stopped if it was stopped by then."""

    async def scenario(active: ActiveRuns) -> None:
        expected = active.expect(job(run_id="r1", key="agent:main:k"))
        assert [expected] == active.of_session("agent:main:k")
        with active.entered(job(run_id="r1", key="agent:main:k")) as run:
            assert (expected, 1) == (run, len(active))
        assert 0 == len(active)
        active.expect(job(run_id="r2")).abort("because")
        with pytest.raises(RunAborted, match="because"):
            await work(active, run_id="r2")
        assert 0 == len(active)

    play(scenario)


def test_an_expected_run_that_never_comes_is_dismissed() -> None:
    """Those who wait for it learn of it. One that has come and gone is not dismissed once more."""

    async def scenario(active: ActiveRuns) -> None:
        run = active.expect(job(run_id="r1"))
        waits = asyncio.create_task(run.ended())
        await settled()
        active.dismiss(run)
        assert ("aborted", 0) == ((await waits).how, len(active))
        with active.entered(job(run_id="r1")) as second:
            active.dismiss(run)
            assert second is active.get("r1")
        active.dismiss(second)
        assert "done" == (await second.ended()).how

    play(scenario)


@pytest.mark.parametrize(
    ("failure", "how", "message"),
    [
        (None, "done", ""),
        (EngineFailed("no"), "failed", "no"),
        (RunTimedOut(1, "somebody"), "timed out", "within 1 s"),
        (ZeroDivisionError("secret"), "failed", "The gateway failed to process"),
        (asyncio.CancelledError(), "aborted", "whoever wanted it has gone"),
    ],
)
def test_a_run_can_be_waited_for(failure: BaseException | None, how: str, message: str) -> None:
    """By several, during it and after it; they learn how it ended and why, in words for clients."""

    async def scenario(active: ActiveRuns) -> None:
        with suppress(Exception, asyncio.CancelledError), active.entered(job(run_id="r1")) as run:
            waits = [asyncio.create_task(run.ended()) for _ in range(2)]
            await settled()
            assert [False, False] == [wait.done() for wait in waits]
            if failure is not None:
                raise failure
        first, second = await asyncio.gather(*waits)
        assert first is second is await run.ended()
        assert (how, True) == (first.how, message in first.message)
        assert bool(message) is bool(first.message)
        assert first.at >= run.started_at

    play(scenario)


def test_an_end_keeps_nothing_of_the_failure() -> None:
    """Whoever waited has words, and the exception dies with its run, though nobody collects garbage."""

    async def scenario(active: ActiveRuns) -> None:
        failure = EngineFailed("no")
        seen = weakref.ref(failure)
        try:
            with active.entered(job(run_id="r1")) as run:
                raise failure
        except EngineFailed:
            del failure
        assert "no" == (await run.ended()).message
        assert seen() is None

    gc.disable()
    try:
        play(scenario)
    finally:
        gc.enable()


def test_giving_up_waiting_for_a_run_leaves_it_alone() -> None:
    """It goes on, for the next who asks."""

    async def scenario(active: ActiveRuns) -> None:
        with active.entered(job(run_id="r1")) as run, pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await run.ended()
        assert "done" == (await run.ended()).how

    play(scenario)
