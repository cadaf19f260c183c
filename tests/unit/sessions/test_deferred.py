"""The store that opens itself: once for everybody, again after a failure, never after the end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from app.sessions.deferred import DeferredStore, open_sqlite
from app.sessions.history import History
from app.sessions.interruption import BegunRun, InterruptedRun
from app.sessions.message import Message
from app.sessions.sqlite import SqliteStore
from app.sessions.store import Excerpt, SessionRecord, SessionStore, StoreError
from tests.unit.conversation import assistant, script, user

KEY = "agent:main:k"


class Opened(SqliteStore):
    """A store that only says what it was asked; there is no database."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def history(self, session_key: str) -> History:
        """Note the question."""
        self.asked.append(f"history {session_key}")
        return History()

    async def excerpts(
        self, session_keys: Collection[str], *, latest: int, skip: int = 0, max_bytes: int, opening: bool = False
    ) -> dict[str, Excerpt]:
        """Note everything."""
        self.asked.append(f"excerpts {session_keys} {latest} {skip} {max_bytes} {opening}")
        return {}

    async def append(
        self,
        session_key: str,
        agent_id: str,
        run_id: str,
        *,
        expected_head: str | None,
        parent: str | None,
        messages: Sequence[Message],
        fence: int | None = None,
        keyed: str | None = None,
    ) -> None:
        """Note everything."""
        said = script(messages)
        self.asked.append(f"append {session_key} {agent_id} {run_id} {expected_head} {parent} {said} {fence} {keyed}")

    async def sessions(
        self,
        *,
        limit: int,
        offset: int = 0,
        agent_id: str | None = None,
        agents: Collection[str] | None = None,
        since: float = 0.0,
        search: str = "",
    ) -> tuple[list[SessionRecord], int]:
        """Note everything."""
        self.asked.append(f"sessions {limit} {offset} {agent_id} {agents} {since} {search}")
        return [], 0

    async def session(self, session_key: str) -> SessionRecord | None:
        """Note the question."""
        self.asked.append(f"session {session_key}")
        return None

    async def reset(self, session_key: str, *, fence: int | None = None) -> SessionRecord | None:
        """Note everything."""
        self.asked.append(f"reset {session_key} {fence}")
        return None

    async def revoke(self, session_key: str, why: str, run_id: str | None = None) -> list[str]:
        """Note everything."""
        self.asked.append(f"revoke {session_key} {why} {run_id}")
        return ["run_1"]

    @asynccontextmanager
    async def noted(self, run: BegunRun) -> AsyncIterator[None]:
        """Note the beginning and the end."""
        self.asked.append(f"noted {run.run_id}")
        yield
        self.asked.append("ended")

    async def interrupted(self, session_key: str) -> list[InterruptedRun]:
        """Note the question."""
        self.asked.append(f"interrupted {session_key}")
        return []

    async def interrupted_run(self, run_id: str) -> InterruptedRun | None:
        """Note the question."""
        self.asked.append(f"interrupted run {run_id}")
        return None

    async def delete(self, session_key: str, *, unchanged_since: float | None = None) -> bool:
        """Note everything."""
        self.asked.append(f"delete {session_key} {unchanged_since}")
        return True

    async def ping(self) -> None:
        """Note the question."""
        self.asked.append("ping")

    async def close(self) -> None:
        """Note the end."""
        self.asked.append("close")


class Opener:
    """Opens a store when the test says so, or fails as often as the test says."""

    def __init__(self, failures: int = 0) -> None:
        self.calls = 0
        self.store = Opened()
        self.gate = asyncio.Event()
        self._failures = failures

    async def __call__(self) -> SessionStore:
        """Wait for the gate, then open or fail."""
        self.calls += 1
        await self.gate.wait()
        if self.calls <= self._failures:
            raise StoreError(f"failure {self.calls}")
        return self.store


def test_passes_everything_on() -> None:
    """Every method reaches the real store with all that it was given."""

    async def scenario() -> None:
        opener = Opener()
        opener.gate.set()
        store = DeferredStore(opener)
        assert [] == await store.history(KEY)
        await store.append(
            KEY, "main", "run_1", expected_head="h", parent="p", messages=[user("a")], fence=3, keyed="x"
        )
        assert {} == await store.excerpts([KEY], latest=5, skip=2, max_bytes=7, opening=True)
        assert ([], 0) == await store.sessions(limit=5, offset=2, agent_id="main", agents=["a"], since=7.0, search="k")
        assert await store.session(KEY) is None
        assert await store.reset(KEY, fence=4) is None
        assert ["run_1"] == await store.revoke(KEY, "enough", "run_1")
        async with store.noted(BegunRun("run_2", KEY, "main", 1.0)):
            assert [] == await store.interrupted(KEY)
        assert await store.interrupted_run("run_3") is None
        assert await store.delete(KEY, unchanged_since=6.0)
        await store.ping()
        await store.close()
        asked = [f"history {KEY}", f"append {KEY} main run_1 h p ['user: a'] 3 x", f"excerpts ['{KEY}'] 5 2 7 True"]
        asked.append("sessions 5 2 main ['a'] 7.0 k")
        asked += [f"session {KEY}", f"reset {KEY} 4", f"revoke {KEY} enough run_1", "noted run_2"]
        asked += [f"interrupted {KEY}", "ended", "interrupted run run_3"]
        expected = [*asked, f"delete {KEY} 6.0", "ping", "close"]
        assert expected == opener.store.asked

    asyncio.run(scenario())


def test_shared_opening() -> None:
    """However many wait and however often it is told to open, the store is opened once."""

    async def scenario() -> None:
        opener = Opener()
        store = DeferredStore(opener)
        store.open()
        store.open()
        callers = [asyncio.create_task(store.ping()) for _ in range(5)]
        await asyncio.sleep(0)
        assert [] == opener.store.asked
        opener.gate.set()
        await asyncio.gather(*callers)
        await store.ping()
        assert (1, ["ping"] * 6) == (opener.calls, opener.store.asked)
        await store.close()

    asyncio.run(scenario())


def test_failed_opening_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    """A failure reaches all who wait and the log; the next use tries anew, until it works."""

    async def scenario() -> None:
        opener = Opener(failures=2)
        opener.gate.set()
        store = DeferredStore(opener)
        outcomes = await asyncio.gather(store.ping(), store.ping(), return_exceptions=True)
        assert ["failure 1", "failure 1"] == [str(outcome) for outcome in outcomes]
        with pytest.raises(StoreError, match="failure 2"):
            await store.ping()
        await store.ping()
        await store.ping()
        assert (3, ["ping", "ping"]) == (opener.calls, opener.store.asked)
        await store.close()

    with caplog.at_level(logging.ERROR, "zero.sessions"):
        asyncio.run(scenario())
    assert ["failure 1", "failure 2"] == caplog.messages


def test_one_caller_cancelled() -> None:
    """A caller who gives up doesn't take the opening away from the others."""

    async def scenario() -> None:
        opener = Opener()
        store = DeferredStore(opener)
        one, other = asyncio.create_task(store.ping()), asyncio.create_task(store.ping())
        await asyncio.sleep(0)
        one.cancel()
        await asyncio.wait({one})
        assert one.cancelled()
        opener.gate.set()
        await other
        assert (1, ["ping"]) == (opener.calls, opener.store.asked)
        await store.close()

    asyncio.run(scenario())


def test_close_before_open() -> None:
    """Closing what was never opened opens nothing, and from then on every use is a StoreError."""

    async def scenario() -> None:
        opener = Opener()
        store = DeferredStore(opener)
        await store.close()
        await store.close()
        with pytest.raises(StoreError, match="shutting down"):
            await store.history(KEY)
        assert (0, []) == (opener.calls, opener.store.asked)

    asyncio.run(scenario())


def test_close_while_opening() -> None:
    """Closing waits for an opening under way, so that nothing stays open."""

    async def scenario() -> None:
        opener = Opener()
        store = DeferredStore(opener)
        store.open()
        closing = asyncio.create_task(store.close())
        await asyncio.sleep(0)
        assert not closing.done()
        opener.gate.set()
        await closing
        assert ["close"] == opener.store.asked

    asyncio.run(scenario())


def test_close_after_a_failed_opening() -> None:
    """Closing after a failure has nothing to close and says nothing."""

    async def scenario() -> None:
        opener = Opener(failures=1)
        opener.gate.set()
        store = DeferredStore(opener)
        store.open()
        await store.close()
        assert [] == opener.store.asked

    asyncio.run(scenario())


def test_open_sqlite(tmp_path: Path) -> None:
    """The real store opens behind it, and what it can't open is a StoreError for every use."""

    async def scenario() -> None:
        store = DeferredStore(lambda: open_sqlite(str(tmp_path / "s.db")))
        await store.append(KEY, "main", "r", expected_head=None, parent=None, messages=[user("a"), assistant("A")])
        assert ["user: a", "assistant: A"] == script(stored.message for stored in await store.history(KEY))
        await store.close()
        broken = DeferredStore(lambda: open_sqlite(str(tmp_path / "s.db" / "s.db")))
        for _ in range(2):
            with pytest.raises(StoreError):
                await broken.ping()
        await broken.close()

    asyncio.run(scenario())
