"""Runs that outlive their callers: how they end, who learns of it, and how long they are remembered."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import cast

import pytest

from app.errors import EngineFailed, GatewayError, InternalError, RunAborted
from app.runs import background
from app.runs.answer import Answer
from app.runs.background import BackgroundRuns, Reply
from app.runs.event import Event, finish_event, text_event
from app.runs.job import Job
from app.runs.run import Runs
from app.runs.turn import Turn
from app.sessions.store import SessionStore
from tests.unit.runs.engines import Shelf, TinyEngine, failing, waiting
from tests.unit.runs.jobs import job

Told = Answer | GatewayError


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


class Silent:
    """A listener that does nothing."""

    async def on_event(self, event: Event) -> None:
        """Take an event."""

    async def flush(self) -> None:
        """Take a hint."""


def said(outcome: Reply | GatewayError) -> str | None:
    """Return an answer's words."""
    assert isinstance(outcome, Reply), outcome
    return outcome.text


async def settled() -> None:
    """Let every task and timer go as far as it can."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_whoever_asks_gets_the_outcome() -> None:
    """Several times, during the run and after it; whoever began it is told without asking, once."""
    gate = asyncio.Event()
    told: list[Told] = []

    async def scenario(runs: BackgroundRuns) -> None:
        run = runs.start(stateless(), None, told.append)
        waiting_already = asyncio.create_task(run.outcome())
        await asyncio.sleep(0)
        assert (False, None) == (run.done, run.ended_at)
        gate.set()
        outcome = await waiting_already
        assert outcome is await run.outcome()
        assert ("re: hi", True) == (said(outcome), run.done)
        assert ["re: hi"] == [answer.choices()[0].message.content for answer in told if isinstance(answer, Answer)]
        assert run.ended_at is not None
        assert run.duration_ms == int((run.ended_at - run.started_at) * 1000) >= 0
        assert ("done", run.ended_at, "") == ((ending := await run.ended()).how, ending.at, ending.message)

    play(TinyEngine(waiting(gate)), scenario)


def test_a_failure_is_an_outcome() -> None:
    """It is returned rather than raised: whoever waits didn't begin the run."""
    failure = EngineFailed("no")
    told: list[Told] = []

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
    told: list[Told] = []
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
        assert 0 == len(runs._runs.active)

    play(engine, scenario)
    assert engine.ended in ([], ["cancelled"])


def test_an_abort_is_told_apart_from_the_end_of_the_gateway() -> None:
    """What ``ActiveRuns`` stops ends with its reason."""

    async def scenario(runs: BackgroundRuns) -> None:
        run = runs.start(stateless(), None)
        await asyncio.sleep(0)
        runs._runs.active.of_session(run.session_key)[0].abort("somebody said so")
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


@pytest.mark.parametrize("steps", [0, 1, 5])
def test_it_can_be_stopped_before_its_first_step(steps: int) -> None:
    """From the moment it is begun it is among the active runs, and nothing of it happens once it has been stopped."""
    engine = TinyEngine(waiting(asyncio.Event()))

    async def scenario(runs: BackgroundRuns) -> None:
        run = runs.start(stateless(), None)
        for _ in range(steps):
            await asyncio.sleep(0)
        (active,) = runs._runs.active.of_session(run.session_key)
        active.abort("somebody said so")
        outcome = await run.outcome()
        assert isinstance(outcome, RunAborted)
        assert "somebody said so" in outcome.message
        assert ("aborted", outcome.message) == ((ending := await active.ended()).how, ending.message)
        assert 0 == len(runs._runs.active)

    play(engine, scenario)
    assert (engine.ended == []) is (steps == 0)


def test_what_is_kept_is_what_is_told() -> None:
    """The reply, with the model that gave it. Not the job, its listener or its callback: they may hold anything."""
    told: list[Told] = []
    callback = told.append
    request = stateless()
    listener = Silent()

    async def scenario(runs: BackgroundRuns) -> None:
        before = [sys.getrefcount(one) for one in (request, listener, callback)]
        run = runs.start(request, listener, callback)
        outcome = await run.outcome()
        await settled()
        gc.collect()
        assert before == [sys.getrefcount(one) for one in (request, listener, callback)]
        assert isinstance(outcome, Reply)
        assert ("re: hi", "stop", "one/m") == (outcome.text, outcome.finish_reason, str(outcome.model))
        assert outcome.usage is not None

    play(TinyEngine(), scenario)


def test_a_failure_holds_nothing_of_its_run() -> None:
    """No traceback, whose frames have all that the run had, and no exception behind it that has another."""

    async def scenario(runs: BackgroundRuns) -> None:
        outcome = await runs.start(stateless(), None).outcome()
        assert isinstance(outcome, EngineFailed)
        assert (None, None, None) == (outcome.__traceback__, outcome.__cause__, outcome.__context__)

    play(TinyEngine(failing(ZeroDivisionError())), scenario)


def test_old_ones_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """When their time has come, though nothing else happens; those under way never."""
    gate = asyncio.Event()
    monkeypatch.setattr(background, "REMEMBERED_SECONDS", 1.0)

    async def scenario(runs: BackgroundRuns) -> None:
        slow = runs.start(stateless("slow"), None)
        gate.set()
        await runs.start(stateless("old"), None).outcome()
        gate.clear()
        await slow.outcome()
        runs.start(stateless("going"), None)
        await settled()
        assert ["old", "slow", "going"] == [name for name in ("old", "slow", "going") if runs.get(name)]
        assert runs._timer is not None
        loop = asyncio.get_running_loop()
        assert 0 < runs._timer.when() - loop.time() <= background.REMEMBERED_SECONDS
        monkeypatch.setattr(loop, "time", lambda when=runs._over[-1][0]: when)
        await settled()
        assert ["going"] == [name for name in ("old", "slow", "going") if runs.get(name)]
        assert (True, 0) == (vars(runs)["_timer"] is None, runs._bytes)

    play(TinyEngine(waiting(gate)), scenario)


def test_each_is_forgotten_in_its_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The timer is set anew for the next one."""
    monkeypatch.setattr(background, "REMEMBERED_SECONDS", 1.0)

    async def scenario(runs: BackgroundRuns) -> None:
        loop = asyncio.get_running_loop()
        now = [loop.time()]
        monkeypatch.setattr(loop, "time", lambda: now[0])
        await runs.start(stateless("old"), None).outcome()
        now[0] += background.REMEMBERED_SECONDS / 2
        await runs.start(stateless("young"), None).outcome()
        now[0] += background.REMEMBERED_SECONDS / 2
        await settled()
        assert (None, True) == (runs.get("old"), runs.get("young") is not None)
        now[0] += background.REMEMBERED_SECONDS / 2
        await settled()
        assert runs.get("young") is None

    play(TinyEngine(), scenario)


def test_too_many_are_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest go first, so that memory stays bounded."""
    monkeypatch.setattr(background, "MAX_REMEMBERED", 2)

    async def scenario(runs: BackgroundRuns) -> None:
        for name in "abcd":
            await runs.start(stateless(name), None).outcome()
        runs.start(stateless("e"), None)
        assert ["c", "d", "e"] == [name for name in "abcde" if runs.get(name) is not None]

    play(TinyEngine(), scenario)


def test_too_much_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long replies go when they have too many bytes in all, the oldest first; one that has too many alone at once."""
    monkeypatch.setattr(background, "MAX_REMEMBERED_BYTES", 100_000)
    texts = {"a": "x" * 40_000, "b": "x" * 20_000, "c": "é" * 40_000, "d": "x" * 200_000}

    async def answer(turn: Turn) -> AsyncIterator[Event]:
        yield text_event(texts[turn.run_id])
        yield finish_event("stop")

    async def scenario(runs: BackgroundRuns) -> None:
        kept = []
        for name, text in texts.items():
            assert text == said(await runs.start(stateless(name), None).outcome())
            kept.append("".join(one for one in texts if runs.get(one) is not None))
        assert ["a", "ab", "bc", "bc"] == kept
        assert 60_000 < runs._bytes < 100_000

    play(TinyEngine(answer), scenario)


def test_a_failure_in_telling_is_no_failure_of_the_run(caplog: pytest.LogCaptureFixture) -> None:
    """It is remembered, and not among the active ones, whatever the one who is told does."""

    def fail(_outcome: Told) -> None:
        raise ZeroDivisionError

    async def scenario(runs: BackgroundRuns) -> None:
        run = runs.start(stateless(), None, fail)
        assert "re: hi" == said(await run.outcome())
        assert (run, 0) == (runs.get("r1"), len(runs._runs.active))

    play(TinyEngine(), scenario)
    assert [ZeroDivisionError] == [record.exc_info[0] for record in caplog.records if record.exc_info]


def test_a_clock_that_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that ends before it began, by the clock, took no time."""

    async def scenario(runs: BackgroundRuns) -> None:
        run = runs.start(stateless(), None, None)
        monkeypatch.setattr(background, "time", lambda: 5.0)
        assert 0 == run.duration_ms
        await run.outcome()
        assert (5.0, 0) == (run.ended_at, run.duration_ms)

    play(TinyEngine(), scenario)
