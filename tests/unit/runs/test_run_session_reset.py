"""Runs in sessions that begin anew: by a command, at an hour, after idle minutes. With a clock of the test's own."""

from __future__ import annotations

from pathlib import Path
from time import time
from typing import Any

import pytest

from app.config import Session, SessionReset
from app.errors import EngineFailed
from app.runs.reset_confirmation import CONFIRMATION
from app.runs.run import Runs
from app.sessions.changes import Reason
from tests.unit.conversation import assistant, said, user
from tests.unit.runs.engines import Shelf, TinyEngine, failing
from tests.unit.runs.jobs import KEY, job, request
from tests.unit.runs.test_run import Bench, Listening, play

IDLE = Session(reset=SessionReset(mode="idle", idle_minutes=30))
MINUTE = 60.0
DAY = 24 * 60 * MINUTE


class Ahead:
    """A clock that goes before the store's, which is the machine's."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return time() + self.seconds


def set_up(bench: Bench, settings: Session) -> Ahead:
    """Have a bench's runs follow settings; return their clock."""
    clock = Ahead()
    bench.runs = Runs(Shelf(bench.engines), bench.store, clock, lambda: settings)
    return clock


@pytest.mark.parametrize(
    ("settings", "seconds", "expected"),
    [
        (Session(), 365 * DAY, False),
        (Session(reset=SessionReset(mode="idle")), 59 * MINUTE, False),
        (Session(reset=SessionReset(mode="idle")), 61 * MINUTE, True),
        (IDLE, 29 * MINUTE, False),
        (IDLE, 31 * MINUTE, True),
        # Whatever hour it is now: it has come again after a day and an hour at the latest.
        (Session(reset=SessionReset(mode="daily")), DAY + 60 * MINUTE, True),
        (Session(reset=SessionReset(mode="daily", idle_minutes=30)), 31 * MINUTE, True),
    ],
)
def test_over(tmp_path: Path, settings: Session, seconds: float, expected: bool) -> None:
    """The next turn after a session's end is the first of a new one; without a rule sessions have no end."""

    async def scenario(bench: Bench) -> None:
        clock = set_up(bench, settings)
        await bench.say("a")
        clock.seconds = seconds
        await bench.say("b")
        assert [["user: b"] if expected else ["user: a", "assistant: re: a", "user: b"]] == bench.one.seen[1:]

    play(tmp_path, scenario)


def test_nothing_is_deleted(tmp_path: Path) -> None:
    """What was said before the end stays in the store, and every hash is right."""

    async def scenario(bench: Bench) -> None:
        clock = set_up(bench, IDLE)
        await bench.say("a")
        clock.seconds = 31 * MINUTE
        await bench.say("a", assistant("re: a"), "b")
        assert ["user: b", "assistant: re: b"] == await bench.written()
        found = await bench.store.verify()
        assert (1, 4, ()) == (found.sessions, found.messages, found.faults)
        clock.seconds = 0
        await bench.say("a", assistant("re: a"), "b", assistant("re: b"), "c")
        assert ["user: b", "assistant: re: b", "user: c"] == bench.one.seen[-1]

    play(tmp_path, scenario)


def test_a_failed_run_begins_nothing(tmp_path: Path) -> None:
    """A session that is over is as it was when the first turn of the new one fails."""

    async def scenario(bench: Bench) -> None:
        clock = set_up(bench, IDLE)
        await bench.say("a")
        clock.seconds = 31 * MINUTE
        bench.engines["one"] = TinyEngine(failing(EngineFailed("no")))
        with pytest.raises(EngineFailed):
            await bench.say("b")
        assert ["user: a", "assistant: re: a"] == await bench.written()

    play(tmp_path, scenario)


def test_results_of_tools_come_late(tmp_path: Path) -> None:
    """A tool that takes longer than the idle minutes still gives its result to the session that called it."""
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}

    async def scenario(bench: Bench) -> None:
        clock = set_up(bench, IDLE)
        await bench.say("a", said("assistant", None, tool_calls=[call]), said("tool", "42", tool_call_id="c1"))
        clock.seconds = 31 * MINUTE
        await bench.say("a", said("assistant", None, tool_calls=[call]), said("tool", "43", tool_call_id="c1"))
        assert ["user: a", "assistant: None", "tool: 43"] == bench.one.seen[-1]

    play(tmp_path, scenario)


@pytest.mark.parametrize("word", ["/new", "/reset", " /NEW\n"])
def test_command_alone(tmp_path: Path, word: str) -> None:
    """The session is empty then, subscribers hear of it, no engine is asked, and the answer says that it is done."""
    told: list[tuple[str, str, Reason]] = []

    async def scenario(bench: Bench) -> None:
        bench.runs.changes.subscribe(lambda *change: told.append(change))
        await bench.say("a")
        answer = await bench.runs.execute(job(word))
        assert CONFIRMATION == answer.choices()[0].message.content
        assert answer.usage is not None
        assert (0, 0, False) == (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.estimated)
        assert [] == await bench.written()
        assert 1 == len(bench.one.turns)
        assert [(KEY, "main", "update"), (KEY, "main", "reset")] == told
        await bench.say("a", assistant("re: a"), word, assistant(CONFIRMATION), "b")
        assert ["user: b"] == bench.one.seen[-1]

    play(tmp_path, scenario)


def test_command_in_a_session_that_never_was(tmp_path: Path) -> None:
    """Nothing is made by it."""

    async def scenario(bench: Bench) -> None:
        assert CONFIRMATION == await bench.say("/new")
        assert await bench.store.session(KEY) is None

    play(tmp_path, scenario)


def test_command_streamed(tmp_path: Path) -> None:
    """A listener hears the confirmation as it hears any answer, of each choice."""

    async def scenario(bench: Bench) -> None:
        listening = Listening()
        await bench.runs.execute(job("/new", request=request(n=2)), listening)
        assert [CONFIRMATION, "stop", CONFIRMATION, "stop"] == listening.heard

    play(tmp_path, scenario)


def test_command_with_a_message(tmp_path: Path) -> None:
    """What follows the word is the new session's first message, and stored as that."""

    async def scenario(bench: Bench) -> None:
        await bench.say("a")
        assert "re: hello" == await bench.say("/new  hello ")
        assert ["user: hello", "assistant: re: hello"] == await bench.written()
        await bench.say("b")
        assert ["user: hello", "assistant: re: hello", "user: b"] == bench.one.seen[-1]

    play(tmp_path, scenario)


def test_command_with_a_message_that_fails(tmp_path: Path) -> None:
    """A failed run leaves the session as it was, also one that was to begin it anew."""

    async def scenario(bench: Bench) -> None:
        await bench.say("a")
        bench.engines["one"] = TinyEngine(failing(EngineFailed("no")))
        with pytest.raises(EngineFailed):
            await bench.say("/new hello")
        assert ["user: a", "assistant: re: a"] == await bench.written()

    play(tmp_path, scenario)


@pytest.mark.parametrize(("about", "settings"), [({"key": None}, Session()), ({}, Session(reset_triggers=()))])
def test_no_command(tmp_path: Path, about: dict[str, Any], settings: Session) -> None:
    """Without a session there is nothing to begin anew, and with an empty list the words are words."""

    async def scenario(bench: Bench) -> None:
        set_up(bench, settings)
        assert "re: /new" == await bench.say(user("/new"), **about)

    play(tmp_path, scenario)
