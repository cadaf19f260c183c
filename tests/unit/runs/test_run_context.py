"""Runs in sessions that are longer than what a model has room for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.config import ModelRef, Session, Window
from app.errors import EngineFailed, InvalidRequest
from app.runs.event import Event
from app.runs.run import Runs
from app.runs.token_count import size
from app.runs.turn import Turn
from tests.unit.conversation import assistant, script, user
from tests.unit.runs.deltas import chunk, event
from tests.unit.runs.engines import Shelf, TinyEngine, failing, repeat
from tests.unit.runs.jobs import agent, job
from tests.unit.runs.test_run import Bench, play

WORDS = "word " * 100
SMALL = agent(windows={ModelRef("one", "m"): Window(2_000)})


def roomy(tokens: int) -> TinyEngine:
    """Return an engine that finds a conversation above so many tokens too long."""

    async def answer(turn: Turn) -> AsyncIterator[Event]:
        if sum(map(size, turn.messages)) > tokens:
            raise InvalidRequest("too long", param="messages", code="context_length_exceeded")
        async for one in repeat(turn):
            yield one

    return TinyEngine(answer)


def test_a_long_session_goes_on(tmp_path: Path) -> None:
    """What the engine sees stays within the window; prompt, first turn and newest turns are always there."""
    by = agent(windows={ModelRef("one", "m"): Window(2_000)}, system_prompt="Be kind.")

    async def scenario(bench: Bench) -> None:
        for turn in range(20):
            await bench.say(f"{turn} {WORDS}", by=by)
        for turn, seen in enumerate(bench.one.turns):
            told = script(seen.messages)
            assert sum(map(size, seen.messages)) <= 2_000 - 200 - 500
            assert ["system: Be kind.", f"user: 0 {WORDS}", f"user: {turn} {WORDS}"] == [*told[:2], told[-1]]
        assert 40 == len(await bench.written())

    play(tmp_path, scenario)


def test_pinned_turns_are_a_setting(tmp_path: Path) -> None:
    """Without pinned turns the first one goes like any other."""

    async def scenario(bench: Bench) -> None:
        bench.runs = Runs(Shelf(bench.engines), bench.store, settings=lambda: Session(pinned_turns=0))
        for turn in range(10):
            await bench.say(f"{turn} {WORDS}", by=SMALL)
        assert f"user: 0 {WORDS}" not in bench.one.seen[-1]

    play(tmp_path, scenario)


def test_each_model_has_its_own_window(tmp_path: Path) -> None:
    """A fallback gets as much as it has room for, whatever the model before it got."""
    by = agent("one", "two", windows={ModelRef("two", "m"): Window(2_000)})

    async def scenario(bench: Bench) -> None:
        for turn in range(10):
            await bench.say(f"{turn} {WORDS}", by=by)
        one, two = (bench.engines[name].turns[-1].messages for name in ("one", "two"))
        assert 19 == len(one)
        assert 600 < sum(map(size, two)) <= 2_000 - 200 - 500

    play(tmp_path, scenario, one=TinyEngine(failing(EngineFailed("no"))))


def test_a_stateless_request_is_passed_on_as_it_is(tmp_path: Path) -> None:
    """Its client manages its history; what is too long is for the engine to refuse."""
    sent = [said for turn in range(10) for said in (user(f"{turn} {WORDS}"), assistant(WORDS))] + [user("b")]

    async def scenario(bench: Bench) -> None:
        await bench.say(*sent, key=None, by=SMALL)
        assert tuple(sent) == bench.one.turns[-1].messages
        bench.engines["one"] = roomy(500)
        with pytest.raises(InvalidRequest) as refused:
            await bench.say(*sent, key=None, by=SMALL)
        assert "context_length_exceeded" == refused.value.code
        assert 1 == len(bench.engines["one"].turns)

    play(tmp_path, scenario)


def test_history_that_the_request_brings_is_history(tmp_path: Path) -> None:
    """Where a session doesn't know what the client resends, that is cut as if it did; the turn itself never is."""
    sent = [said for turn in range(10) for said in (user(f"{turn} {WORDS}"), assistant(WORDS))] + [user("b")]

    async def scenario(bench: Bench) -> None:
        await bench.say(*sent, by=SMALL)
        assert ["user: 9 " + WORDS, "assistant: " + WORDS, "user: b"] == bench.one.seen[-1][-3:]
        assert len(bench.one.seen[-1]) < 15
        assert 22 == len(await bench.written())

    play(tmp_path, scenario)


def test_a_model_of_which_nobody_knows_the_window(tmp_path: Path) -> None:
    """Its refusal halves the history until it fits; the session goes on, and its own words are the last thing to go."""

    async def scenario(bench: Bench) -> None:
        for turn in range(20):
            assert f"re: {turn} {WORDS}" == await bench.say(f"{turn} {WORDS}")
        assert 40 == len(await bench.written())
        assert f"user: 18 {WORDS}" in bench.one.seen[-1]

    play(tmp_path, scenario, one=roomy(1_500))


def test_a_request_that_is_too_long_by_itself(tmp_path: Path) -> None:
    """Is refused by the engine, as without a session, and leaves the session as it was."""

    async def scenario(bench: Bench) -> None:
        await bench.say("a", by=SMALL)
        with pytest.raises(InvalidRequest) as refused:
            await bench.say(WORDS * 10, by=SMALL)
        assert "context_length_exceeded" == refused.value.code
        assert [f"user: {WORDS * 10}"] == bench.one.seen[-1]
        assert ["user: a", "assistant: re: a"] == await bench.written()

    play(tmp_path, scenario, one=roomy(500))


def test_another_refusal_is_passed_on(tmp_path: Path) -> None:
    """Only what is too long is tried shorter, and never once the answer has begun."""
    refused = InvalidRequest("no", code="content_policy_violation")
    late = InvalidRequest("too long", code="context_length_exceeded")

    async def scenario(bench: Bench) -> None:
        await bench.say("a", by=agent("three"))
        for name in ("one", "two"):
            with pytest.raises(InvalidRequest):
                await bench.runs.execute(job("b", by=agent(name)))
            assert 1 == len(bench.engines[name].turns)

    began = event(chunk(content="hm"))
    play(tmp_path, scenario, one=TinyEngine(failing(refused)), two=TinyEngine(failing(late, began)))
