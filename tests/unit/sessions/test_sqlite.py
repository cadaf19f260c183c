"""The SQLite store, on real files."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.sessions.message import Message, chained, digest
from app.sessions.sqlite import SqliteStore
from app.sessions.store import SessionConflict, StoredMessage, StoreError
from tests.unit.conversation import assistant, said, script, user

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


def test_append_and_history(tmp_path: Path) -> None:
    """What was appended is the history: in order, to the letter, with digests and chained ids."""
    odd = Message("user", said("user", "é\u2028\x00").raw)

    async def scenario() -> None:
        async with opened(tmp_path / "s.db") as store:
            assert [] == await store.history(KEY)
            await append(store, user("a"), assistant("A"))
            await append(store, odd, assistant("B"), behind=await store.history(KEY))
            history = await store.history(KEY)
        assert [user("a"), assistant("A"), odd, assistant("B")] == [stored.message for stored in history]
        assert [digest(stored.message) for stored in history] == [stored.digest for stored in history]
        parents = [None, *(stored.id for stored in history)]
        assert [chained(p, s.digest) for p, s in zip(parents, history, strict=False)] == [s.id for s in history]

    asyncio.run(scenario())


def test_sessions_are_separate(tmp_path: Path) -> None:
    """The same words in two sessions are two conversations, and keys differ in case."""

    async def scenario() -> None:
        async with opened(tmp_path / "s.db") as store:
            for key in ("agent:main:k", "agent:main:K"):
                await append(store, user("a"), assistant(key), key=key)
            assert ["user: a", "assistant: agent:main:k"] == await written(store, "agent:main:k")
            assert ["user: a", "assistant: agent:main:K"] == await written(store, "agent:main:K")
            assert [] == await written(store, "agent:main:other")

    asyncio.run(scenario())


def test_fork(tmp_path: Path) -> None:
    """Appending behind an earlier message makes that branch the active one, and a fork at the root starts over."""

    async def scenario() -> None:
        async with opened(tmp_path / "s.db") as store:
            await append(store, user("a"), assistant("A"), user("b"), assistant("B"))
            await append(store, user("c"), assistant("C"), behind=await store.history(KEY), fork_at=2)
            assert ["user: a", "assistant: A", "user: c", "assistant: C"] == await written(store)
            await append(store, user("x"), assistant("X"), behind=await store.history(KEY), fork_at=0)
            assert ["user: x", "assistant: X"] == await written(store)

    asyncio.run(scenario())


def test_same_answer_again(tmp_path: Path) -> None:
    """An answer that is word for word the old one when asked for anew is there already, and nothing goes wrong."""

    async def scenario() -> None:
        async with opened(tmp_path / "s.db") as store:
            await append(store, user("a"), assistant("A"), user("b"), assistant("B"))
            for answer in ("B", "C", "B"):
                await append(store, assistant(answer), behind=await store.history(KEY), fork_at=3)
                assert ["user: a", "assistant: A", "user: b", f"assistant: {answer}"] == await written(store)

    asyncio.run(scenario())


def test_repeated_words(tmp_path: Path) -> None:
    """The same words said again are messages of their own: what identifies them is all that was said before, too."""

    async def scenario() -> None:
        async with opened(tmp_path / "s.db") as store:
            for _ in range(3):
                await append(store, user("yes"), assistant("yes"), behind=await store.history(KEY))
            assert ["user: yes", "assistant: yes"] * 3 == await written(store)

    asyncio.run(scenario())


@pytest.mark.parametrize("expected", ["nothing", "an older head", "a stranger"])
def test_conflict(tmp_path: Path, expected: str) -> None:
    """A session that has moved on since it was read isn't written to, not even in part."""

    async def scenario() -> None:
        async with opened(tmp_path / "s.db") as store:
            await append(store, user("a"), assistant("A"))
            older = await store.history(KEY)
            await append(store, user("b"), assistant("B"), behind=older)
            before = await store.history(KEY)
            head = {"nothing": None, "an older head": older[-1].id, "a stranger": "sha256:0"}[expected]
            with pytest.raises(SessionConflict):
                await store.append(KEY, "main", "run_2", expected_head=head, parent=head, messages=[user("c")])
            assert before == await store.history(KEY)
        with sqlite3.connect(tmp_path / "s.db") as connection:
            assert [(0,)] == connection.execute("SELECT count(*) FROM messages WHERE run_id = 'run_2'").fetchall()
        connection.close()

    asyncio.run(scenario())


def test_conflict_over_a_new_session(tmp_path: Path) -> None:
    """Who expects messages in a session that has none doesn't create it."""

    async def scenario() -> None:
        async with opened(tmp_path / "s.db") as store:
            with pytest.raises(SessionConflict):
                await store.append(KEY, "main", "r", expected_head="sha256:0", parent=None, messages=[user("a")])
            assert [] == await store.history(KEY)
            await append(store, user("a"))
            assert ["user: a"] == await written(store)

    asyncio.run(scenario())


def test_reopen(tmp_path: Path) -> None:
    """What was written is there after closing and opening again, and closing leaves just the one file."""

    async def scenario() -> None:
        async with opened(tmp_path / "s.db") as store:
            await append(store, user("a"), assistant("A"))
        assert ["s.db"] == names(tmp_path)
        async with opened(tmp_path / "s.db") as store:
            assert ["user: a", "assistant: A"] == await written(store)
            await store.close()
            await store.close()

    asyncio.run(scenario())


def test_two_stores_on_one_file(tmp_path: Path) -> None:
    """Two processes' stores see each other's sessions, and of two appends to one head exactly one succeeds."""

    async def scenario() -> None:
        async with opened(tmp_path / "s.db") as one, opened(tmp_path / "s.db") as other:
            await append(one, user("a"), assistant("A"))
            assert ["user: a", "assistant: A"] == await written(other)
            head = await other.history(KEY)
            outcomes = await asyncio.gather(
                *(append(store, user(f"{n}"), behind=head) for n, store in enumerate((one, other, one, other))),
                return_exceptions=True,
            )
            assert ["NoneType"] + ["SessionConflict"] * 3 == sorted(type(outcome).__name__ for outcome in outcomes)
            assert await written(one) == await written(other)
            assert 3 == len(await written(one))

    asyncio.run(scenario())


def test_many_sessions_at_once(tmp_path: Path) -> None:
    """Appends to different sessions at the same time all succeed."""

    async def scenario() -> None:
        async with opened(tmp_path / "s.db") as one, opened(tmp_path / "s.db") as other:
            keys = [f"agent:main:{n}" for n in range(20)]
            await asyncio.gather(
                *(append((one, other)[n % 2], user(key), key=key) for n, key in enumerate(keys)),
            )
            assert [[f"user: {key}"] for key in keys] == [await written(one, key) for key in keys]

    asyncio.run(scenario())


def test_list_of_sessions(tmp_path: Path) -> None:
    """Sessions are listed last change first, in pages, by agent, time and text; a text is no pattern."""

    async def scenario() -> None:
        async with opened(tmp_path / "s.db") as store:
            for key in ("agent:main:a", "agent:beta:b_c", "agent:main:bxc", "agent:main:%"):
                agent = key.split(":")[1]
                await store.append(key, agent, "r", expected_head=None, parent=None, messages=[user("a")])
            await append(store, user("b"), behind=await store.history("agent:main:a"), key="agent:main:a")

            async def keys(limit: int = 10, **wanted: Any) -> tuple[list[str], int]:
                records, total = await store.sessions(limit=limit, **wanted)
                return [record.key.removeprefix("agent:") for record in records], total

            assert (["main:a", "main:%", "main:bxc", "beta:b_c"], 4) == await keys()
            assert (["main:%", "main:bxc"], 4) == await keys(2, offset=1)
            assert (["beta:b_c"], 1) == await keys(agent_id="beta")
            assert (["main:a", "main:%", "main:bxc"], 3) == await keys(agents=["main", "gone"])
            assert ([], 0) == await keys(agents=[])
            assert (["beta:b_c"], 1) == await keys(search="b_c")
            assert (["main:%"], 1) == await keys(search="%")
            assert ([], 0) == await keys(search="nothing")
            last = (await store.sessions(limit=1))[0][0].updated_at
            assert (["main:a"], 1) == await keys(since=last)

    asyncio.run(scenario())


def test_record(tmp_path: Path) -> None:
    """A session's record says whose it is, when it began and when it changed last."""

    async def scenario() -> None:
        async with opened(tmp_path / "s.db") as store:
            assert await store.session(KEY) is None
            await append(store, user("a"))
            first = await store.session(KEY)
            await append(store, user("b"), behind=await store.history(KEY))
            second = await store.session(KEY)
        assert first is not None
        assert second is not None
        assert (KEY, "main", first.created_at) == (second.key, second.agent_id, second.created_at)
        assert first.created_at == first.updated_at < second.updated_at

    asyncio.run(scenario())


def test_reset(tmp_path: Path) -> None:
    """A session begun anew has no messages, may say the same again, and a run under way can't add to it."""

    async def scenario() -> None:
        async with opened(tmp_path / "s.db") as store:
            assert await store.reset(KEY) is None
            await append(store, user("a"), assistant("A"))
            before = await store.history(KEY)
            record = await store.reset(KEY)
            assert record is not None
            assert (KEY, "main") == (record.key, record.agent_id)
            assert [] == await store.history(KEY)
            with pytest.raises(SessionConflict):
                await append(store, user("late"), behind=before)
            await append(store, user("a"), assistant("B"))
            assert ["user: a", "assistant: B"] == await written(store)

    asyncio.run(scenario())


def test_delete(tmp_path: Path) -> None:
    """A deleted session is gone from the file, every branch of it, and no other session is."""

    async def scenario() -> None:
        async with opened(tmp_path / "s.db") as store:
            assert not await store.delete(KEY)
            await append(store, user("a"), assistant("A"))
            before = await store.history(KEY)
            await append(store, user("b"), behind=before, fork_at=0)
            await append(store, user("c"), key="agent:main:other")
            assert await store.delete(KEY)
            assert (None, []) == (await store.session(KEY), await store.history(KEY))
            with pytest.raises(SessionConflict):
                await append(store, user("late"), behind=before)
        connection = sqlite3.connect(tmp_path / "s.db")
        assert [("agent:main:other",)] == connection.execute("SELECT session_key FROM messages").fetchall()
        assert [("agent:main:other",)] == connection.execute("SELECT key FROM sessions").fetchall()
        connection.close()

    asyncio.run(scenario())


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
