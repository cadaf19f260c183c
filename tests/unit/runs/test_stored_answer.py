"""A job whose turn a process stored that died: it is answered with that, wherever it is in the session by now."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from app.errors import AnswerNotKept
from app.sessions.deferred import open_sqlite
from app.sessions.idempotency import StoredAnswer
from tests.unit.conversation import said, script
from tests.unit.runs.jobs import KEY, job, request
from tests.unit.runs.test_run import Bench, Listening


@pytest.fixture
def play(tmp_path: Path) -> Callable[[Callable[[Bench], Awaitable[None]]], None]:
    """Play a scenario with runs over a real store."""

    def played(scenario: Callable[[Bench], Awaitable[None]]) -> None:
        async def main() -> None:
            store = await open_sqlite(str(tmp_path / "sessions.sqlite3"))
            try:
                await scenario(Bench(store))
            finally:
                await store.close()

        asyncio.run(main())

    return played


Play = Callable[[Callable[[Bench], Awaitable[None]]], None]


async def stored(bench: Bench, place: int) -> StoredAnswer:
    """Return what a session has of an answer."""
    message = (await bench.store.history(KEY))[place]
    return StoredAnswer(message.id, message.message)


@pytest.mark.parametrize("place", [1, 3], ids=["others came since", "at the end"])
def test_is_given_again(play: Play, place: int) -> None:
    """No engine is asked and nothing is stored; its usage is estimated from what was said before it."""

    async def scenario(bench: Bench) -> None:
        await bench.say("a rather long first message, so that one can tell")
        await bench.say("b")
        before = script(one.message for one in await bench.store.history(KEY))
        asked = len(bench.one.turns)
        listening = Listening()
        answered = await stored(bench, place)
        answer = await bench.runs.execute(job("b", answered=answered), listening)
        assert before[place] == f"assistant: {answer.choices()[0].message.content}"
        assert listening.heard[-1] == "stop"
        assert (True, True) == (answer.replayed, answer.estimated)
        assert answer.usage is not None
        assert (place == 3) == (answer.usage.prompt_tokens > 15)
        assert (asked, before) == (len(bench.one.turns), await bench.written())

    play(scenario)


def test_of_a_branch_that_was_left(play: Play) -> None:
    """It is given all the same; what was said before it is what the request says."""

    async def scenario(bench: Bench) -> None:
        await bench.say("a")
        answered = await stored(bench, 1)
        await bench.store.reset(KEY)
        answer = await bench.runs.execute(job("a", answered=answered))
        assert answer.replayed
        assert answer.usage is not None
        assert 0 < answer.usage.prompt_tokens < 15
        assert [] == await bench.written()

    play(scenario)


@pytest.mark.parametrize("why", ["deleted", "several", "sound"])
def test_is_not_all_of_the_answer(play: Play, why: str) -> None:
    """It isn't given as if it were, and the request isn't run again."""

    async def scenario(bench: Bench) -> None:
        answered = StoredAnswer("sha256:0", None if why == "deleted" else said("assistant", "A"))
        sound: dict[str, object] = {"audio": {"voice": "ash", "format": "wav"}}
        fields: dict[str, object] = sound if why == "sound" else {"n": 2 if why == "several" else 1}
        with pytest.raises(AnswerNotKept):
            await bench.runs.execute(job("a", answered=answered, request=request(**fields)))
        assert [] == bench.one.turns

    play(scenario)
