"""The ends of sessions, as the store reads them: no more than is asked for, of all of them at once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event as sql_event

from app.sessions.message import Message
from app.sessions.sqlite import SqliteStore
from app.sessions.store import Excerpt
from tests.unit.conversation import assistant, script, user

TALK = (assistant("x"), user("a"), assistant("A"), user("b"), assistant("B"))
SIZE = len(bytes(user("a").raw))
"""Bytes of a user's message of one letter; an assistant's has five more."""


async def told(store: SqliteStore, key: str, *messages: Message, fork_at: int | None = None) -> None:
    """Append messages to a session, at its end or behind its first ``fork_at`` messages."""
    history = await store.history(key)
    kept = history[:fork_at]
    await store.append(
        key,
        "main",
        "run_1",
        expected_head=history[-1].id if history else None,
        parent=kept[-1].id if kept else None,
        messages=messages,
    )


def found(folder: Path, asked: Mapping[str, Any], sessions: Mapping[str, Sequence[Message]]) -> dict[str, Excerpt]:
    """Write sessions and ask for their excerpts."""

    async def scenario() -> dict[str, Excerpt]:
        store = await SqliteStore.open(folder / "s.db")
        try:
            for key, messages in sessions.items():
                await told(store, key, *messages)
            return await store.excerpts([*sessions, "nobody's"], **{"latest": 2, "max_bytes": 1_000, **asked})
        finally:
            await store.close()

    return asyncio.run(scenario())


@pytest.mark.parametrize(
    ("asked", "opening", "latest"),
    [
        ({}, None, ["user: b", "assistant: B"]),
        ({"latest": 99}, None, ["assistant: x", "user: a", "assistant: A", "user: b", "assistant: B"]),
        ({"latest": 0}, None, []),
        ({"skip": 1}, None, ["assistant: A", "user: b"]),
        ({"skip": 4}, None, ["assistant: x"]),
        ({"skip": 5}, None, []),
        ({"skip": 2**31, "latest": 2**31}, None, []),
        ({"opening": True}, "user: a", ["user: b", "assistant: B"]),
        (
            {"opening": True, "latest": 9},
            "user: a",
            ["assistant: x", "user: a", "assistant: A", "user: b", "assistant: B"],
        ),
        ({"opening": True, "latest": 0}, "user: a", []),
        ({"latest": 9, "max_bytes": 2 * SIZE + 5}, None, ["user: b", "assistant: B"]),
        ({"latest": 9, "max_bytes": 2 * SIZE + 4}, None, ["assistant: B"]),
        ({"latest": 9, "max_bytes": SIZE + 4}, None, []),
        ({"latest": 9, "max_bytes": SIZE, "skip": 1}, None, ["user: b"]),
        ({"opening": True, "max_bytes": SIZE}, "user: a", []),
        ({"opening": True, "max_bytes": SIZE - 1}, None, []),
    ],
    ids=str,
)
def test_the_ends_of_a_session(tmp_path: Path, asked: dict[str, Any], opening: str | None, latest: list[str]) -> None:
    """The user's first message and the latest ones, oldest first, as many as fit; how many there are is always said."""
    excerpt = found(tmp_path, asked, {"k": TALK})["k"]

    assert (5, latest) == (excerpt.total, script(excerpt.latest))
    assert ([opening] if opening else []) == script([excerpt.opening] if excerpt.opening else [])


def test_several_sessions(tmp_path: Path) -> None:
    """Each on its own, with limits of its own; one that there isn't is not among them, an empty one is."""
    sessions = {"one": TALK, "two": (user("a"),), "none": (), "words": (assistant("x" * 90),)}
    excerpts = found(tmp_path, {"opening": True, "max_bytes": 100}, sessions)

    assert {
        "one": (5, ["user: a"], ["user: b", "assistant: B"]),
        "two": (1, ["user: a"], ["user: a"]),
        "none": (0, [], []),
        "words": (1, [], []),
    } == {
        key: (excerpt.total, script([excerpt.opening] if excerpt.opening else []), script(excerpt.latest))
        for key, excerpt in excerpts.items()
    }


def test_only_the_active_branch(tmp_path: Path) -> None:
    """What was said on branches left behind, or before a reset, is in no excerpt, nor is it counted."""

    async def scenario() -> None:
        store = await SqliteStore.open(tmp_path / "s.db")
        try:
            await told(store, "k", *TALK)
            await told(store, "k", user("c"), fork_at=3)
            await told(store, "fresh", user("old"), user("older"))
            await store.reset("fresh")
            await told(store, "fresh", user("new"))
            excerpts = await store.excerpts(["k", "fresh"], latest=2, max_bytes=1_000, opening=True)
        finally:
            await store.close()
        assert (4, ["assistant: A", "user: c"]) == (excerpts["k"].total, script(excerpts["k"].latest))
        assert (1, ["user: new"]) == (excerpts["fresh"].total, script(excerpts["fresh"].latest))

    asyncio.run(scenario())


def test_one_query_for_all(tmp_path: Path) -> None:
    """However many sessions; and no text is read that isn't asked for."""

    async def scenario() -> None:
        store = await SqliteStore.open(tmp_path / "s.db")
        statements: list[str] = []
        try:
            for number in range(20):
                await told(store, f"k{number}", *TALK)
            sql_event.listen(
                store._engine.sync_engine, "before_cursor_execute", lambda *about: statements.append(about[2])
            )
            excerpts = await store.excerpts([f"k{number}" for number in range(20)], latest=1, max_bytes=1_000)
        finally:
            await store.close()
        assert (20, 1) == (len(excerpts), len(statements))
        assert {("assistant: B",)} == {tuple(script(excerpt.latest)) for excerpt in excerpts.values()}

    asyncio.run(scenario())
