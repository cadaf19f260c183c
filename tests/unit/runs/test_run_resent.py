"""A long conversation that is resent with every turn: a run looks at what is new in it, and a session's end is seen."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from app.runs.run import Runs
from app.sessions import continuation
from app.sessions.message import Message, digest
from app.sessions.sqlite import SqliteStore
from tests.unit.conversation import assistant, script, user
from tests.unit.runs.engines import Shelf, TinyEngine
from tests.unit.runs.jobs import KEY, job

TURNS = 12


def test_resent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From turn to turn three messages are looked at, and none is taken for known that the session no longer has."""
    looked_at: list[Message] = []

    def looking(message: Message) -> str:
        looked_at.append(message)
        return digest(message)

    monkeypatch.setattr(continuation, "digest", looking)

    async def main() -> None:
        store = await SqliteStore.open(tmp_path / "s.db")
        runs = Runs(Shelf({"one": TinyEngine()}), store)
        said: list[Message] = []
        amounts = []
        for turn in range(TURNS):
            looked_at.clear()
            said.append(user(f"{turn}"))
            answer = await runs.execute(job(*said))
            said.append(assistant(answer.choices()[0].message.content or ""))
            amounts.append(len(looked_at))
        assert [3] * 4 == amounts[-4:]
        assert script(said) == script(stored.message for stored in await store.history(KEY))

        await store.delete(KEY)
        said.append(user("the session is gone"))
        await runs.execute(job(*said))
        assert script(said) == script(stored.message for stored in await store.history(KEY))[:-1]
        await store.close()

    asyncio.run(main())
