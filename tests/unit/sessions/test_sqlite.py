"""The SQLite store, on real files: what only it promises. What both stores do is in tests/sessions."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.sessions import sqlite
from app.sessions.idempotency import Claimant
from app.sessions.message import Message
from app.sessions.sqlite import SqliteStore
from app.sessions.store import StoredMessage, StoreError
from tests.unit.conversation import script, user

KEY = "agent:main:k"


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[SqliteStore]:
    """Open a store and close it in the end."""
    store = await SqliteStore.open(path)
    try:
        yield store
    finally:
        await store.close()


async def append(
    store: SqliteStore,
    *messages: Message,
    behind: Sequence[StoredMessage] = (),
    fork_at: int | None = None,
    key: str = KEY,
) -> None:
    """Append messages to a history, at its end or behind its first ``fork_at`` messages."""
    kept = list(behind)[:fork_at]
    await store.append(
        key,
        "main",
        "run_1",
        expected_head=behind[-1].id if behind else None,
        parent=kept[-1].id if kept else None,
        messages=messages,
    )


def names(folder: Path) -> list[str]:
    """Return what is in a folder."""
    return sorted(entry.name for entry in folder.iterdir())


async def written(store: SqliteStore, key: str = KEY) -> list[str]:
    """Write the active branch of a session down."""
    return script(stored.message for stored in await store.history(key))


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_private(tmp_path: Path, mask: int) -> None:
    """Whatever the process's umask, the folder and the files are their owner's only, while open and after."""
    folder = tmp_path / "new" / "state"
    had = os.umask(mask)

    async def scenario() -> None:
        async with opened(folder / "s.db") as store:
            await append(store, user("a"))
            files = {entry.name: stat.S_IMODE(entry.stat().st_mode) for entry in folder.iterdir()}
            assert {"s.db": 0o600, "s.db-wal": 0o600, "s.db-shm": 0o600} == files

    try:
        asyncio.run(scenario())
    finally:
        os.umask(had)
    assert (0o700, 0o600) == tuple(stat.S_IMODE(path.stat().st_mode) for path in (folder, folder / "s.db"))


def unusable(tmp_path: Path, kind: str) -> Path:
    """Make a path that no database can be at, even for root."""
    path = tmp_path / "state" / "s.db"
    if kind == "the folder is a file":
        path.parent.write_text("")
    elif kind == "the file is a folder":
        path.mkdir(parents=True)
    elif kind == "no such device":
        path = Path("/proc/zero/s.db")
    elif kind == "not a database":
        path.parent.mkdir()
        path.write_text("This is a letter, not a database." * 100)
    return path


@pytest.mark.parametrize("kind", ["the folder is a file", "the file is a folder", "no such device", "not a database"])
def test_cannot_be_opened(tmp_path: Path, kind: str) -> None:
    """A path that can't be used is a StoreError, and leaves no thread behind that would keep the process alive."""
    path = unusable(tmp_path, kind)

    async def scenario() -> None:
        with pytest.raises(StoreError) as caught:
            await SqliteStore.open(path)
        assert "session store" in str(caught.value)

    asyncio.run(scenario())


def test_breaks_while_open(tmp_path: Path) -> None:
    """When the database loses its tables, every method says StoreError."""

    async def scenario() -> None:
        async with opened(tmp_path / "s.db") as store:
            await store.ping()
            connection = sqlite3.connect(tmp_path / "s.db")
            connection.executescript("DROP TABLE messages; DROP TABLE sessions;")
            connection.close()
            with pytest.raises(StoreError):
                await store.ping()
            with pytest.raises(StoreError):
                await store.history(KEY)
            with pytest.raises(StoreError):
                await append(store, user("a"))

    asyncio.run(scenario())


TURNS = st.lists(st.tuples(st.integers(0, 6), st.lists(st.sampled_from("abc"), min_size=1, max_size=3)), max_size=5)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(turns=TURNS)
def test_any_branching(tmp_path: Path, turns: list[tuple[int, list[str]]]) -> None:
    """However a conversation forks, and however words repeat, the history is the branch written last."""
    path = tmp_path / "s.db"
    path.unlink(missing_ok=True)

    async def scenario() -> None:
        async with opened(path) as store:
            expected: list[str] = []
            for fork, texts in turns:
                history = await store.history(KEY)
                await append(store, *map(user, texts), behind=history, fork_at=min(fork, len(history)))
                expected = [*expected[:fork], *(f"user: {text}" for text in texts)]
                assert expected == await written(store)

    asyncio.run(scenario())


def test_writers_wait_for_their_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one process nobody is refused because somebody else writes, even if SQLite itself would not wait at all."""
    monkeypatch.setitem(sqlite._OPTIONS, "connect_args", {"timeout": 0})

    async def main() -> None:
        async with opened(tmp_path / "s.sqlite3") as store:

            async def claim(n: int) -> None:
                claimant = Claimant(f"run_{n}", "main", f"{KEY}{n}")
                await store.records.claim(f"key {n}", b"asked", claimant, 60)
                await append(store, user("a"), key=f"{KEY}{n}")
                await store.records.free(f"key {n}", claimant.run_id)

            await asyncio.gather(*(claim(n) for n in range(40)))
            assert [["user: a"]] * 40 == [await written(store, f"{KEY}{n}") for n in range(40)]

    asyncio.run(main())
