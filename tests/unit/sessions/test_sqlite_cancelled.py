"""What a SQLite store does with a transaction whose task is cancelled: it is undone at once, whoever has parts."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import aiosqlite
import pytest

from app.sessions.message import Message
from app.sessions.sqlite import SqliteStore

STEPS: Final = 12
"""More than a reset takes."""
SECONDS: Final = 3.0
"""Less than SQLite waits for a lock."""


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Have the garbage collector not come by."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
def test_cancelled_reset_locks_nobody_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However far a reset has come when its client leaves, the next turn is stored at once."""
    execute: Any = aiosqlite.Connection._execute
    last = steps = 0

    async def counted(self: aiosqlite.Connection, *args: Any, **kwargs: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps == last:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()  # arrives when it waits for what it has just begun
        return await execute(self, *args, **kwargs)

    async def turns() -> int:
        nonlocal last, steps
        store = await SqliteStore.open(tmp_path / "sessions.sqlite3")
        left: list[asyncio.Task[Any]] = []
        try:
            monkeypatch.setattr(aiosqlite.Connection, "_execute", counted)
            for last in range(1, STEPS + 1):
                await _say(store, f"agent:main:{last}")
                steps = 0
                left.append(asyncio.create_task(store.reset(f"agent:main:{last}")))
                await asyncio.wait({left[-1]})
                async with asyncio.timeout(SECONDS):
                    await _say(store, f"agent:beta:{last}")
        finally:
            await store.close()
        return sum(task.cancelled() for task in left)

    assert 3 <= asyncio.run(turns()) < STEPS, "it was cancelled at some steps, and at others it was over"


async def _say(store: SqliteStore, key: str) -> None:
    said = Message.of("user", {"role": "user", "content": "How is it?"})
    await store.append(key, "main", "run", expected_head=None, parent=None, messages=[said])
