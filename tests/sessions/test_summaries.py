"""What a session store promises about summaries, on each of them."""

from __future__ import annotations

import asyncio

import msgspec

from app.sessions.deferred import DeferredStore
from app.sessions.store import SessionStore
from app.sessions.summary import KEPT, Summary
from tests.sessions.place import Place
from tests.sessions.talk import KEY, append, written
from tests.unit.conversation import assistant, user


def summary(number: int, text: str = "They talked.") -> Summary:
    """Return a summary of the messages up to one; a higher number is a later one."""
    return Summary(f"sha256:{number}", text, "one/m", float(number))


def test_kept_and_read(place: Place) -> None:
    """What is kept is read, to the letter and the newest first, by that session alone and in another process too."""
    odd = summary(1, "é\u2028 'quoted'\n> x")

    async def scenario() -> None:
        async with place.opened() as store:
            for key in (KEY, "agent:main:K"):
                await append(store, user("a"), key=key)
            assert [] == await store.summaries.read(KEY)
            assert await store.summaries.keep(KEY, odd)
            assert await store.summaries.keep(KEY, summary(2))
            assert await store.summaries.keep("agent:main:K", summary(3))
        async with place.opened() as store:
            assert [summary(2), odd] == await store.summaries.read(KEY)
            assert [summary(3)] == await store.summaries.read("agent:main:K")

    asyncio.run(scenario())


def test_one_for_the_same_messages(place: Place) -> None:
    """A later summary of the same messages takes the place of the one before."""
    later = Summary(summary(1).upto, "Shorter.", "two/m", 5.0)

    async def scenario() -> None:
        async with place.opened() as store:
            await append(store, user("a"))
            for one in (summary(1), summary(2), later):
                assert await store.summaries.keep(KEY, one)
            assert [later, summary(2)] == await store.summaries.read(KEY)

    asyncio.run(scenario())


def test_a_character_that_a_database_can_not_store(place: Place) -> None:
    """Is replaced: what a model wrote is kept as far as it can be."""

    async def scenario() -> None:
        async with place.opened() as store:
            await append(store, user("a"))
            assert await store.summaries.keep(KEY, summary(1, "a\0b"))
            assert ["a\N{REPLACEMENT CHARACTER}b"] == [one.text for one in await store.summaries.read(KEY)]

    asyncio.run(scenario())


def test_the_newest_stay(place: Place) -> None:
    """However long a session goes on, it has no more of them than a few; other sessions keep theirs."""

    async def scenario() -> None:
        async with place.opened() as store:
            for key in (KEY, "agent:main:K"):
                await append(store, user("a"), key=key)
                assert await store.summaries.keep(key, summary(0))
            for number in range(1, KEPT + 4):
                assert await store.summaries.keep(KEY, summary(number))
            expected = [summary(number) for number in range(KEPT + 3, 3, -1)]
            assert expected == await store.summaries.read(KEY)
            assert [summary(0)] == await store.summaries.read("agent:main:K")

    asyncio.run(scenario())


def test_of_a_session_that_is_not_there(place: Place) -> None:
    """Nothing is kept: it would outlive the deletion of everything that was said."""

    async def scenario() -> None:
        async with place.opened() as store:
            assert not await store.summaries.keep(KEY, summary(1))
            await append(store, user("a"))
            assert [] == await store.summaries.read(KEY)

    asyncio.run(scenario())


def test_they_go_with_the_session(place: Place) -> None:
    """Deleting a session or beginning it anew deletes its summaries and no others."""

    async def scenario() -> None:
        async with place.opened() as store:
            for key in ("agent:main:deleted", "agent:main:reset", "agent:main:stays"):
                await append(store, user("a"), key=key)
                assert await store.summaries.keep(key, summary(1))
            assert await store.delete("agent:main:deleted")
            assert await store.reset("agent:main:reset") is not None
        assert [("agent:main:stays",)] == place.execute("SELECT session_key FROM summaries")

    asyncio.run(scenario())


def test_of_a_store_that_opens_itself(place: Place) -> None:
    """It hands both on."""

    async def scenario() -> None:
        async with place.opened() as store:

            async def opened() -> SessionStore:
                return store

            await append(store, user("a"))
            deferred = DeferredStore(opened)
            assert await deferred.summaries.keep(KEY, summary(1))
            assert [summary(1)] == await deferred.summaries.read(KEY)

    asyncio.run(scenario())


def test_they_are_no_part_of_the_conversation(place: Place) -> None:
    """History and hashes are what they are without them, a fork too."""

    async def scenario() -> None:
        async with place.opened() as store:
            await append(store, user("a"), assistant("A"), user("b"), assistant("B"))
            history = await store.history(KEY)
            one = msgspec.structs.replace(summary(1), upto=history[1].id)
            assert await store.summaries.keep(KEY, one)
            await append(store, user("c"), behind=history, fork_at=1)
            assert ["user: a", "user: c"] == await written(store)
            assert () == (await store.verify()).faults
            assert [one] == await store.summaries.read(KEY)

    asyncio.run(scenario())
