"""What a session store promises, on each of them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from app.sessions.message import Message, chained, digest
from app.sessions.store import Excerpt, SessionConflict, StoreError
from tests.sessions.place import Place
from tests.sessions.talk import KEY, append, written
from tests.unit.conversation import assistant, said, user


def test_append_and_history(place: Place) -> None:
    """What was appended is the history: in order, to the letter, with digests and chained ids."""
    odd = Message("user", said("user", "é\u2028\x00").raw)

    async def scenario() -> None:
        async with place.opened() as store:
            assert [] == await store.history(KEY)
            await append(store, user("a"), assistant("A"))
            await append(store, odd, assistant("B"), behind=await store.history(KEY))
            history = await store.history(KEY)
        assert [user("a"), assistant("A"), odd, assistant("B")] == [stored.message for stored in history]
        assert [digest(stored.message) for stored in history] == [stored.digest for stored in history]
        parents = [None, *(stored.id for stored in history)]
        assert [chained(p, s.digest) for p, s in zip(parents, history, strict=False)] == [s.id for s in history]

    asyncio.run(scenario())


def test_sessions_are_separate(place: Place) -> None:
    """The same words in two sessions are two conversations, and keys differ in case."""

    async def scenario() -> None:
        async with place.opened() as store:
            for key in ("agent:main:k", "agent:main:K"):
                await append(store, user("a"), assistant(key), key=key)
            assert ["user: a", "assistant: agent:main:k"] == await written(store, "agent:main:k")
            assert ["user: a", "assistant: agent:main:K"] == await written(store, "agent:main:K")
            assert [] == await written(store, "agent:main:other")

    asyncio.run(scenario())


def test_fork(place: Place) -> None:
    """Appending behind an earlier message makes that branch the active one, and a fork at the root starts over."""

    async def scenario() -> None:
        async with place.opened() as store:
            await append(store, user("a"), assistant("A"), user("b"), assistant("B"))
            await append(store, user("c"), assistant("C"), behind=await store.history(KEY), fork_at=2)
            assert ["user: a", "assistant: A", "user: c", "assistant: C"] == await written(store)
            await append(store, user("x"), assistant("X"), behind=await store.history(KEY), fork_at=0)
            assert ["user: x", "assistant: X"] == await written(store)
        assert [(8,)] == place.execute("SELECT count(*) FROM messages")  # no branch is lost

    asyncio.run(scenario())


def test_same_answer_again(place: Place) -> None:
    """An answer that is word for word the old one when asked for anew is there already, and nothing goes wrong."""

    async def scenario() -> None:
        async with place.opened() as store:
            await append(store, user("a"), assistant("A"), user("b"), assistant("B"))
            for answer in ("B", "C", "B"):
                await append(store, assistant(answer), behind=await store.history(KEY), fork_at=3)
                assert ["user: a", "assistant: A", "user: b", f"assistant: {answer}"] == await written(store)

    asyncio.run(scenario())


def test_repeated_words(place: Place) -> None:
    """The same words said again are messages of their own: what identifies them is all that was said before, too."""

    async def scenario() -> None:
        async with place.opened() as store:
            for _ in range(3):
                await append(store, user("yes"), assistant("yes"), behind=await store.history(KEY))
            assert ["user: yes", "assistant: yes"] * 3 == await written(store)

    asyncio.run(scenario())


@pytest.mark.parametrize("expected", ["nothing", "an older head", "a stranger"])
def test_conflict(place: Place, expected: str) -> None:
    """A session that has moved on since it was read isn't written to, not even in part."""

    async def scenario() -> None:
        async with place.opened() as store:
            await append(store, user("a"), assistant("A"))
            older = await store.history(KEY)
            await append(store, user("b"), assistant("B"), behind=older)
            before = await store.history(KEY)
            head = {"nothing": None, "an older head": older[-1].id, "a stranger": "sha256:0"}[expected]
            with pytest.raises(SessionConflict):
                await store.append(KEY, "main", "run_2", expected_head=head, parent=head, messages=[user("c")])
            assert before == await store.history(KEY)
        assert [(0,)] == place.execute("SELECT count(*) FROM messages WHERE run_id = 'run_2'")

    asyncio.run(scenario())


def test_conflict_over_a_new_session(place: Place) -> None:
    """Who expects messages in a session that has none doesn't create it."""

    async def scenario() -> None:
        async with place.opened() as store:
            with pytest.raises(SessionConflict):
                await store.append(KEY, "main", "r", expected_head="sha256:0", parent=None, messages=[user("a")])
            assert await store.session(KEY) is None
            assert [] == await store.history(KEY)
            await append(store, user("a"))
            assert ["user: a"] == await written(store)

    asyncio.run(scenario())


def test_restart(place: Place) -> None:
    """What was written is there after closing and opening again, and closing twice is no fault."""

    async def scenario() -> None:
        async with place.opened() as store:
            await append(store, user("a"), assistant("A"))
        async with place.opened() as store:
            assert ["user: a", "assistant: A"] == await written(store)
            await append(store, user("b"), behind=await store.history(KEY))
            await store.close()
        async with place.opened() as store:
            assert ["user: a", "assistant: A", "user: b"] == await written(store)

    asyncio.run(scenario())


def test_of_two_processes_one_wins(place: Place) -> None:
    """Two processes' stores see each other's sessions, and of appends to one head exactly one succeeds, every time."""

    async def scenario() -> None:
        async with place.opened() as one, place.opened() as other:
            for turn in range(8):
                head = await other.history(KEY)
                assert head == await one.history(KEY)
                outcomes = await asyncio.gather(
                    *(append(store, user(f"{turn}.{n}"), behind=head) for n, store in enumerate((one, other) * 3)),
                    return_exceptions=True,
                )
                assert ["NoneType"] + ["SessionConflict"] * 5 == sorted(type(outcome).__name__ for outcome in outcomes)
            assert await written(one) == await written(other)
            assert 8 == len(await written(one))

    asyncio.run(scenario())


def test_many_sessions_at_once(place: Place) -> None:
    """Appends to different sessions at the same time all succeed, however few connections there are."""

    async def scenario() -> None:
        async with place.opened() as one, place.opened() as other:
            keys = [f"agent:main:{n}" for n in range(40)]
            await asyncio.gather(*(append((one, other)[n % 2], user(key), key=key) for n, key in enumerate(keys)))
            assert [[f"user: {key}"] for key in keys] == [await written(one, key) for key in keys]

    asyncio.run(scenario())


def test_list_of_sessions(place: Place) -> None:
    """Sessions are listed last change first, in pages, by agent, time and text; a text is no pattern."""

    async def scenario() -> None:
        async with place.opened() as store:
            for key in ("agent:main:a", "agent:beta:b_c", "agent:main:bxc", "agent:main:%"):
                await append(store, user("a"), key=key)
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
            assert (["beta:b_c"], 1) == await keys(search="BETA")
            assert (["main:%"], 1) == await keys(search="%")
            assert ([], 0) == await keys(search="nothing")
            assert ([], 0) == await keys(search="main\0")
            last = (await store.sessions(limit=1))[0][0].updated_at
            assert (["main:a"], 1) == await keys(since=last)

    asyncio.run(scenario())


def test_keys_are_in_the_order_of_their_bytes(place: Place) -> None:
    """Sessions changed at the same moment come in the same order from every database, whatever its language."""
    keys = [f"agent:main:{rest}" for rest in ("B", "_", "a", "a-b", "aB", "ab")]

    async def scenario() -> None:
        async with place.opened() as store:
            for key in reversed(keys):
                await append(store, user("a"), key=key)
            place.execute("UPDATE sessions SET updated_at = 1")
            assert keys == [record.key for record in (await store.sessions(limit=10))[0]]

    asyncio.run(scenario())


def test_record(place: Place) -> None:
    """A session's record says whose it is, when it began and when it changed last."""

    async def scenario() -> None:
        async with place.opened() as store:
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


def test_excerpts(place: Place) -> None:
    """The two ends of several sessions come in one answer, within what is asked for."""
    talk = (assistant("x"), user("a"), assistant("A"), user("b"), assistant("B"))
    size = len(bytes(talk[-1].raw))

    async def scenario() -> None:
        async with place.opened() as store:
            await append(store, *talk)
            await append(store, user("z"), key="agent:main:reset")
            await store.reset("agent:main:reset")
            keys = [KEY, "agent:main:reset", "agent:main:none"]
            assert {KEY: Excerpt(5, user("a"), talk[-2:]), "agent:main:reset": Excerpt(0, None, ())} == (
                await store.excerpts(keys, latest=2, max_bytes=1_000, opening=True)
            )
            assert {KEY: Excerpt(5, None, talk[1:3])} == await store.excerpts([KEY], latest=2, skip=2, max_bytes=1_000)
            assert {KEY: Excerpt(5, None, talk[-1:])} == await store.excerpts([KEY], latest=5, max_bytes=size)
            assert {KEY: Excerpt(5, None, ())} == await store.excerpts([KEY], latest=5, max_bytes=size - 1)

    asyncio.run(scenario())


def test_reset(place: Place) -> None:
    """A session begun anew has no messages, may say the same again, and a run under way can't add to it."""

    async def scenario() -> None:
        async with place.opened() as store:
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


def test_delete(place: Place) -> None:
    """A deleted session is gone from the database, every branch of it, and no other session is."""

    async def scenario() -> None:
        async with place.opened() as store:
            assert not await store.delete(KEY)
            await append(store, user("a"), assistant("A"))
            before = await store.history(KEY)
            await append(store, user("b"), behind=before, fork_at=0)
            await append(store, user("c"), key="agent:main:other")
            assert await store.delete(KEY)
            assert await store.session(KEY) is None
            assert [] == await store.history(KEY)
            with pytest.raises(SessionConflict):
                await append(store, user("late"), behind=before)
        assert [("agent:main:other",)] == place.execute("SELECT session_key FROM messages")
        assert [("agent:main:other",)] == place.execute("SELECT key FROM sessions")

    asyncio.run(scenario())


def test_delete_while_others_write(place: Place) -> None:
    """Deleting and appending at the same time leaves the session either gone or whole, never in parts."""

    async def scenario() -> None:
        async with place.opened() as one, place.opened() as other:
            for attempt in range(60):
                writing = asyncio.create_task(append(one, user("a"), assistant("A")))
                for _ in range(attempt):  # each time a little later
                    await asyncio.sleep(0)
                await other.delete(KEY)
                await writing
                found = await one.verify()
                assert () == found.faults
                assert (found.sessions, found.messages) in {(0, 0), (1, 2)}
                await one.delete(KEY)

    asyncio.run(scenario())


def test_odd_run_ids(place: Place) -> None:
    """A run's id is a client's own text with some doors, and may be anything that JSON can say."""

    async def scenario() -> None:
        async with place.opened() as store:
            await append(store, user("a"), run_id="run \0 ü")
            assert ["user: a"] == await written(store)
            assert () == (await store.verify()).faults

    asyncio.run(scenario())


def test_breaks_while_open(place: Place) -> None:
    """When the database loses its tables, every method says StoreError."""

    async def scenario() -> None:
        async with place.opened() as store:
            await store.ping()
            await append(store, user("a"))
            place.execute("DROP TABLE messages")
            place.execute("DROP TABLE sessions")
            for attempt in (
                store.ping(),
                store.history(KEY),
                store.excerpts([KEY], latest=1, max_bytes=1),
                store.sessions(limit=1),
                store.session(KEY),
                store.reset(KEY),
                store.delete(KEY),
                store.verify(),
                append(store, user("b")),
            ):
                with pytest.raises(StoreError):
                    await attempt

    asyncio.run(scenario())


def test_errors_say_nothing_of_what_was_said(place: Place) -> None:
    """What a database says of a failed statement may quote its values; what goes to the log doesn't."""

    async def scenario() -> None:
        async with place.opened() as store:
            place.execute("DROP TABLE messages")
            place.execute("CREATE TABLE messages (session_key TEXT, id TEXT, CHECK (id = 'x'))")
            with pytest.raises(StoreError) as caught:
                await append(store, user("a secret of mine"))
        for word in ("secret of mine", KEY):
            assert word not in str(caught.value)

    asyncio.run(scenario())


DAMAGE = [
    ('UPDATE messages SET body = \'{"role":"user","content":"x"}\' WHERE role = \'user\'', "its digest says"),
    ("UPDATE messages SET body = 'not JSON' WHERE role = 'user'", "not a message"),
    ("UPDATE messages SET role = 'system' WHERE role = 'user'", "its digest says"),
    ("UPDATE messages SET parent = NULL WHERE role = 'assistant'", "its place"),
    ("DELETE FROM messages WHERE role = 'user'", "the message before it is not there"),
    ("DELETE FROM messages WHERE role = 'assistant'", "the session ends with this message"),
    ("DELETE FROM sessions WHERE true", "the session that it belongs to is not there"),
]


@pytest.mark.parametrize(("damage", "problem"), DAMAGE)
def test_verify(place: Place, damage: str, problem: str) -> None:
    """Every hash is derived anew: whatever was changed behind the store's back is found, and where."""

    async def scenario() -> None:
        async with place.opened() as store:
            await append(store, user("a"), assistant("A"))
            await append(store, user("b"), assistant("B"), key="agent:main:other")
            sound = await store.verify()
            assert (2, 4, ()) == (sound.sessions, sound.messages, sound.faults)
            column = "key" if "FROM sessions" in damage else "session_key"
            place.execute(f"{damage} AND {column} = '{KEY}'")
            found = await store.verify()
        assert [KEY] == [fault.session_key for fault in found.faults]
        assert problem in found.faults[0].problem

    asyncio.run(scenario())


def test_verify_more_than_one_batch(place: Place) -> None:
    """A store of any size is verified, each message once."""

    async def scenario() -> None:
        async with place.opened() as store:
            for key in ("agent:main:1", "agent:main:2"):
                await append(store, *(user(str(n)) for n in range(600)), key=key)
            found = await store.verify()
        assert (2, 1200, ()) == (found.sessions, found.messages, found.faults)

    asyncio.run(scenario())
