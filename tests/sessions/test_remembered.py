"""Histories that a process remembers: never another one than the database has, whoever else writes to it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.sessions.history import History
from app.sessions.remembered import RememberedHistories
from app.sessions.sql import SqlStore
from tests.sessions.place import Place
from tests.sessions.talk import KEY, append, written
from tests.unit.conversation import assistant, said, user


def test_what_is_remembered_is_not_read_again(place: Place) -> None:
    """Of a session that this process has written or read, only what others have added is read."""

    async def scenario() -> None:
        async with place.opened() as writer, place.opened() as reader, place.opened() as other:
            await append(writer, user("a"), assistant("A"))
            assert ["user: a", "assistant: A"] == await written(reader)
            place.execute(_SPOIL)
            await append(other, user("b"), behind=await other.history(KEY))
            for store, first in ((writer, "a"), (reader, "a"), (other, "spoilt")):
                assert [f"user: {first}", "user: b"] == (await written(store))[::2]

    asyncio.run(scenario())


_SPOIL = """UPDATE messages SET body = '{"role": "user", "content": "spoilt"}' WHERE role = 'user'"""


@pytest.mark.parametrize("meanwhile", ["appended", "forked", "begun anew", "reset", "deleted", "made again"])
def test_another_process_writes_meanwhile(place: Place, meanwhile: str) -> None:
    """What another process has done to a session is what the next turn sees, and the turn after it."""

    async def scenario() -> None:
        async with place.opened() as store, place.opened() as other:
            await append(store, user("a"), assistant("A"), user("b"), assistant("B"))
            before = await other.history(KEY)
            if meanwhile == "appended":
                await append(other, user("c"), assistant("C"), behind=before)
            elif meanwhile == "forked":
                await append(other, user("c"), behind=before, fork_at=2)
            elif meanwhile == "begun anew":
                await append(other, user("a"), behind=before, fork_at=0)
            elif meanwhile == "reset":
                await other.reset(KEY)
            else:
                await other.delete(KEY)
            if meanwhile == "made again":
                # The same content in another spelling, so that its id is the old one.
                await append(other, said("user", "a "), assistant("A"), user("b"), assistant("B"))
            expected = {
                "appended": ["user: a", "assistant: A", "user: b", "assistant: B", "user: c", "assistant: C"],
                "forked": ["user: a", "assistant: A", "user: c"],
                "begun anew": ["user: a"],
                "made again": ["user: a ", "assistant: A", "user: b", "assistant: B"],
            }.get(meanwhile, [])
            assert expected == await written(store)
            await append(store, user("z"), behind=await store.history(KEY))
            assert [*expected, "user: z"] == await written(store) == await written(other)

    asyncio.run(scenario())


def test_a_cancelled_append(place: Place) -> None:
    """Whenever an append is cancelled, what the store says of the session afterwards is what the database has."""

    async def scenario() -> None:
        async with place.opened() as store, place.opened() as other:
            for turn in range(30):
                appending = asyncio.create_task(append(store, user(f"{turn}"), behind=await store.history(KEY)))
                for _ in range(turn % 10):
                    await asyncio.sleep(0)
                appending.cancel()
                await asyncio.gather(appending, return_exceptions=True)
                assert await store.history(KEY) == await other.history(KEY)
            await append(store, user("last"), behind=await store.history(KEY))
            said_last = (await written(other))[-1]
            assert ("user: last", ()) == (said_last, (await store.verify()).faults)

    asyncio.run(scenario())


TEXTS = st.lists(st.sampled_from(["a", "b", "a ", "c"]), min_size=1, max_size=3)
STEP = st.one_of(
    st.tuples(st.just("append"), TEXTS, st.integers(0, 8)),
    st.tuples(st.sampled_from(["append", "reset", "delete", "look"]), TEXTS, st.just(99)),
)
Steps = list[tuple[int, tuple[str, list[str], int]]]
STEPS = st.lists(st.tuples(st.integers(0, 1), STEP), max_size=12)


def test_any_history(place: Place) -> None:
    """Whatever two processes do to a session in turn, each reads what one reads that remembers nothing."""
    keys = (f"agent:main:{number}" for number in count())

    async def scenario(stores: Sequence[SqlStore], bare: SqlStore, steps: Steps) -> None:
        key = next(keys)
        for who, (what, texts, fork_at) in steps:
            store = stores[who]
            if what == "append":
                history = await store.history(key)
                await append(store, *map(user, texts), behind=history, fork_at=min(fork_at, len(history)), key=key)
            elif what == "reset":
                await store.reset(key)
            elif what == "delete":
                await store.delete(key)
            assert await bare.history(key) == await store.history(key)
        for store in stores:
            assert await bare.history(key) == await store.history(key)

    async def opened(stack: AsyncExitStack) -> list[SqlStore]:
        return [await stack.enter_async_context(place.opened()) for _ in range(3)]

    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        try:
            *stores, bare = runner.run(opened(stack))
            bare._remembered = RememberedHistories(0)

            @settings(max_examples=60, deadline=None)
            @given(STEPS)
            def check(steps: Steps) -> None:
                runner.run(scenario(stores, bare, steps))

            check()
            assert 0 == bare._remembered.held < stores[0]._remembered.held
        finally:
            runner.run(stack.aclose())


def test_a_history_stays_as_it_was(place: Place) -> None:
    """A history that somebody holds doesn't change when the session goes on, forks or ends."""

    async def scenario() -> None:
        async with place.opened() as store:
            await append(store, user("a"), assistant("A"))
            held: History = await store.history(KEY)
            copy = list(held)
            await append(store, user("b"), behind=held)
            await append(store, user("c"), behind=await store.history(KEY), fork_at=2)
            await append(store, user("d"), behind=await store.history(KEY), fork_at=1)
            assert ["user: a", "user: d"] == await written(store)
            await store.delete(KEY)
            assert copy == held

    asyncio.run(scenario())
