"""Runs that outlive their callers: how they end, who learns of it, and how long they are remembered."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import cast

import pytest

from app.errors import EngineFailed, GatewayError, InternalError, RunAborted
from app.runs import background
from app.runs.answer import Answer
from app.runs.background import BackgroundRuns
from app.runs.job import Job
from app.runs.run import Runs
from app.sessions.store import SessionStore
from tests.unit.runs.engines import Shelf, TinyEngine, failing, waiting
from tests.unit.runs.jobs import job

Outcome = Answer | GatewayError


def play(engine: TinyEngine, scenario: Callable[[BackgroundRuns], Awaitable[None]]) -> None:
    """Play a scenario over an engine; it has five seconds, and no run of it is left over."""

    async def main() -> None:
        # Jobs here are stateless, so that no store is asked for anything.
        runs = BackgroundRuns(Runs(Shelf({"one": engine}), cast("SessionStore", None)))
        async with asyncio.timeout(5):
            await scenario(runs)
            await runs.close()

    asyncio.run(main())


def stateless(run_id: str = "r1") -> Job:
    """Return a job that keeps nothing."""
    return job("hi", key=None, run_id=run_id)


def said(outcome: Outcome) -> str | None:
    """Return an answer's words."""
    assert isinstance(outcome, Answer), outcome
    return outcome.choices()[0].message.content


def test_whoever_asks_gets_the_outcome() -> None:
    """Several times, during the run and after it; whoever began it is told without asking, once."""
    gate = asyncio.Event()
    told: list[Outcome] = []

    async def scenario(runs: BackgroundRuns) -> None:
        run = runs.start(stateless(), None, told.append)
        waiting_already = asyncio.create_task(run.outcome())
        await asyncio.sleep(0)
        assert (False, None) == (run.done, run.ended_at)
        gate.set()
        outcome = await waiting_already
        assert outcome is await run.outcome()
        assert ("re: hi", [outcome], True) == (said(outcome), told, run.done)
        assert run.ended_at is not None
        assert run.duration_ms == run.ended_at - run.began_at >= 0

    play(TinyEngine(waiting(gate)), scenario)


def test_a_failure_is_an_outcome() -> None:
    """It is returned rather than raised: whoever waits didn't begin the run."""
    failure = EngineFailed("no")
    told: list[Outcome] = []

    async def scenario(runs: BackgroundRuns) -> None:
        assert failure is await runs.start(stateless(), None, told.append).outcome()
        assert [failure] == told

    play(TinyEngine(failing(failure)), scenario)


def test_a_defect_is_an_outcome_too(caplog: pytest.LogCaptureFixture) -> None:
    """The log has it; those who wait get an error that says so, instead of waiting for ever."""

    class Broken:
        async def on_event(self, event: object) -> None:
            raise ZeroDivisionError

        async def flush(self) -> None:
            raise NotImplementedError

    async def scenario(runs: BackgroundRuns) -> None:
        with caplog.at_level(logging.ERROR, "zero.runs"):
            outcome = await runs.start(stateless(), Broken()).outcome()
        assert isinstance(outcome, GatewayError)
        assert 500 <= outcome.status

    play(TinyEngine(), scenario)
    assert caplog.records


def test_a_defect_outside_the_engine(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the run itself falls over."""

    async def fall_over(*_: object) -> Answer:
        raise ZeroDivisionError

    async def scenario(runs: BackgroundRuns) -> None:
        monkeypatch.setattr(Runs, "execute", fall_over)
        assert isinstance(await runs.start(stateless(), None).outcome(), InternalError)

    play(TinyEngine(), scenario)
    assert ["run r1 failed"] == [record.getMessage() for record in caplog.records]


def test_giving_up_waiting_leaves_the_run_alone() -> None:
    """It goes on, and is there for the next who asks."""
    gate = asyncio.Event()

    async def scenario(runs: BackgroundRuns) -> None:
        run = runs.start(stateless(), None)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await run.outcome()
        gate.set()
        assert "re: hi" == said(await run.outcome())

    play(TinyEngine(waiting(gate)), scenario)


@pytest.mark.parametrize("steps", [0, 1, 5])
def test_closing_stops_what_runs(steps: int) -> None:
    """However far it has come, also before its first step; those who wait learn of it."""
    told: list[Outcome] = []
    engine = TinyEngine(waiting(asyncio.Event()))

    async def scenario(runs: BackgroundRuns) -> None:
        run = runs.start(stateless(), None, told.append)
        waiting_already = asyncio.create_task(run.outcome())
        for _ in range(steps):
            await asyncio.sleep(0)
        await runs.close()
        outcome = await waiting_already
        assert isinstance(outcome, RunAborted)
        assert [outcome] == told
        assert runs.get("r1") is None

    play(engine, scenario)
    assert engine.ended in ([], ["cancelled"])


def test_an_abort_is_told_apart_from_the_end_of_the_gateway() -> None:
    """What ``ActiveRuns`` stops ends with its reason."""

    async def scenario(runs: BackgroundRuns) -> None:
        run = runs.start(stateless(), None)
        await asyncio.sleep(0)
        runs._runs.active.of_session(run.job.target.session_key)[0].abort("somebody said so")
        outcome = await run.outcome()
        assert isinstance(outcome, RunAborted)
        assert "somebody said so" in outcome.message

    play(TinyEngine(waiting(asyncio.Event())), scenario)


def test_runs_are_found_by_their_id() -> None:
    """Under way, and for a while afterwards."""

    async def scenario(runs: BackgroundRuns) -> None:
        run = runs.start(stateless(), None)
        assert run is runs.get("r1")
        await run.outcome()
        assert run is runs.get("r1")
        assert runs.get("r2") is None

    play(TinyEngine(), scenario)


def test_old_ones_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """After their time, when the next one starts; those under way never."""
    gate = asyncio.Event()

    async def scenario(runs: BackgroundRuns) -> None:
        going = runs.start(stateless("going"), None)
        for name in ("old", "young"):
            gate.set()
            await runs.start(stateless(name), None).outcome()
        await going.outcome()
        old = runs.get("old")
        assert old is not None
        old.ended_at = 0
        gate.clear()
        slow = runs.start(stateless("slow"), None)
        slow.began_at = 0
        runs.start(stateless("new"), None)
        assert [None, "young", "slow", "new"] == [
            run.job.run_id if (run := runs.get(name)) else None for name in ("old", "young", "slow", "new")
        ]

    play(TinyEngine(waiting(gate)), scenario)


def test_too_many_are_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest go first, so that memory stays bounded."""
    monkeypatch.setattr(background, "MAX_REMEMBERED", 2)

    async def scenario(runs: BackgroundRuns) -> None:
        for name in "abcd":
            await runs.start(stateless(name), None).outcome()
        runs.start(stateless("e"), None)
        assert ["c", "d", "e"] == [name for name in "abcde" if runs.get(name) is not None]

    play(TinyEngine(), scenario)
