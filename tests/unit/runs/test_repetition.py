"""Requests that SDKs send again: recognised by the chain, and only where the chain proves it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from time import time

import pytest

from app.errors import RunAborted
from app.runs.event import Event
from app.runs.repetition import RETRY_SECONDS
from app.runs.run import Runs
from app.runs.turn import Turn
from app.sessions.message import Message
from app.sessions.sqlite import SqliteStore
from tests.unit.conversation import assistant, script, user
from tests.unit.runs.engines import Shelf, TinyEngine, repeat
from tests.unit.runs.jobs import KEY, job, request

A, RE_A, B, RE_B = user("a"), assistant("re: a"), user("b"), assistant("re: b")


class Table:
    """Runs over a real store, whose clock goes when the test says so."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self.late = 0.0
        self.engine = TinyEngine()
        self.runs = Runs(Shelf({"one": self.engine}), store, clock=lambda: time() + self.late)

    async def say(self, *messages: Message, **about: object) -> tuple[str | None, bool]:
        """Run a job; return what was said, and whether it was given before."""
        answer = await self.runs.execute(job(*messages, **about))  # type: ignore[arg-type]  # a job's own arguments
        return answer.choices()[0].message.content, answer.replayed

    async def retry(self, *messages: Message, **about: object) -> tuple[str | None, bool]:
        """The same, by an SDK that says that it tries again."""
        return await self.say(*messages, retried=True, **about)

    async def written(self) -> list[str]:
        """Write the session down."""
        return script(stored.message for stored in await self._store.history(KEY))


def play(folder: Path, scenario: Callable[[Table], Awaitable[None]]) -> None:
    """Run a scenario."""

    async def main() -> None:
        store = await SqliteStore.open(folder / "s.db")
        try:
            await scenario(Table(store))
        finally:
            await store.close()

    asyncio.run(main())


TURNS = ["user: a", "assistant: re: a", "user: b", "assistant: re: b"]

REPEATED: dict[str, tuple[tuple[Message, ...], ...]] = {
    "last message only": ((A,), (B,)),
    "whole conversation": ((A,), (A, RE_A, B)),
    "cut window": ((A,), (RE_A, B)),
    "two messages at once": ((A, B),),
}


@pytest.mark.parametrize("requests", REPEATED.values(), ids=REPEATED)
def test_a_retry_gets_the_answer_again(tmp_path: Path, requests: tuple[tuple[Message, ...], ...]) -> None:
    """Nothing is run or stored, however much of the conversation the client sends."""

    async def scenario(table: Table) -> None:
        for messages in requests:
            await table.say(*messages)
        written = await table.written()
        assert [("re: b", True)] * 2 == [await table.retry(*requests[-1]) for _ in range(2)]
        assert written == await table.written()
        assert len(requests) == len(table.engine.turns)

    play(tmp_path, scenario)


def test_a_retry_whose_first_attempt_never_came(tmp_path: Path) -> None:
    """It is a turn like any other."""

    async def scenario(table: Table) -> None:
        assert ("re: a", False) == await table.retry(A)
        assert ("re: b", False) == await table.retry(A, RE_A, B)
        assert TURNS == await table.written()

    play(tmp_path, scenario)


def test_a_retry_of_a_regeneration_is_none_of_the_answer_before(tmp_path: Path) -> None:
    """Who wanted the last answer anew, and didn't get it, doesn't get the old one; who got the new one gets that."""

    async def unwilling(turn: Turn) -> AsyncIterator[Event]:
        async for event in repeat(turn):
            if turn.messages:
                raise RunAborted("somebody wanted it to")
            yield event

    async def scenario(table: Table) -> None:
        await table.say(A)
        await table.say(A, RE_A, B)
        table.engine.answer = unwilling
        with pytest.raises(RunAborted):
            await table.say(A, RE_A, B)
        table.engine.answer = repeat
        assert ("re: b", False) == await table.retry(A, RE_A, B)
        assert ("re: b", True) == await table.retry(A, RE_A, B)
        assert TURNS == await table.written()

    play(tmp_path, scenario)


def test_another_turn_than_the_newest(tmp_path: Path) -> None:
    """Only the newest turn can be given again; what lies further back is edited or said once more."""

    async def scenario(table: Table) -> None:
        await table.say(A)
        await table.say(B)
        assert ("re: a", False) == await table.retry(A)
        assert [*TURNS, "user: a", "assistant: re: a"] == await table.written()

    play(tmp_path, scenario)


def test_the_same_words_twice(tmp_path: Path) -> None:
    """Who doesn't say that it is a retry gets a new turn; so does a conversation that has the first answer in it."""

    async def scenario(table: Table) -> None:
        await table.say(A)
        assert ("re: a", False) == await table.say(A)
        assert ("re: a", False) == await table.retry(A, RE_A, A, RE_A, A)
        assert ["user: a", "assistant: re: a"] * 3 == await table.written()

    play(tmp_path, scenario)


def test_too_late(tmp_path: Path) -> None:
    """No SDK waits that long between two attempts, so it is a new turn."""

    async def scenario(table: Table) -> None:
        await table.say(A)
        table.late = RETRY_SECONDS - 10
        assert ("re: a", True) == await table.retry(A)
        table.late = RETRY_SECONDS + 10
        assert ("re: a", False) == await table.retry(A)

    play(tmp_path, scenario)


def test_a_client_that_always_sends_everything(tmp_path: Path) -> None:
    """With x-zero-history: full a first message is recognised, too."""

    async def scenario(table: Table) -> None:
        await table.say(A, whole_history=True)
        assert ("re: a", True) == await table.retry(A, whole_history=True)
        assert ("re: b", False) == await table.retry(B, whole_history=True)

    play(tmp_path, scenario)


def test_what_can_not_be_given_again_is_made_anew(tmp_path: Path) -> None:
    """Sessions keep one choice and no sound; the new answer takes the old one's place."""

    async def scenario(table: Table) -> None:
        await table.say(A)
        await table.say(B)
        sound = request(modalities=["text", "audio"], audio={"voice": "alloy", "format": "wav"})
        assert ("re: b", False) == await table.retry(B, request=sound)
        assert TURNS == await table.written()

    play(tmp_path, scenario)
