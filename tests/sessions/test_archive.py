"""Looking after sessions, on each store: listed, shown, taken in, restored, found old."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from app.sessions.archive import ArchivedSession, Selection, branches_of, every
from app.sessions.jsonl import NotASession, read, written
from app.sessions.reset import mark
from app.sessions.sql import SqlStore
from app.sessions.store import SessionRecord, StoreError
from tests.sessions.place import Place
from tests.sessions.talk import KEY, append
from tests.sessions.talk import written as said
from tests.unit.conversation import assistant, user


async def forked(store: SqlStore, key: str = KEY) -> None:
    """Write a session with two branches behind a common turn, and one behind a reset, on which it goes on."""
    await append(store, user("a"), assistant("A"), user("b"), assistant("B"), key=key)
    await append(store, user("c"), assistant("C"), behind=await store.history(key), fork_at=2, key=key)
    history = await store.history(key)
    await store.append(
        key,
        key.split(":")[1],
        "run_2",
        expected_head=history[-1].id,
        parent=mark([one.digest for one in history]),
        messages=[user("d"), assistant("D")],
    )


async def lines(store: SqlStore, key: str = KEY) -> bytes:
    """Write a session down."""
    return b"".join([piece async for piece in written(store.archive, key)])


def only(data: bytes) -> ArchivedSession:
    """Read the one session back that lines have."""
    (found,) = read(data.split(b"\n"))
    return found.session


def test_listing(place: Place) -> None:
    """Sessions come newest first, page by page, and can be chosen by agent, by user and by words of their keys."""

    async def scenario() -> None:
        async with place.opened() as store:
            keys = [
                "agent:main:one",
                "agent:main:openai-user:maria",
                "agent:beta:openai-user:maria",
                "agent:beta:openai-user:maria/2",
                "agent:beta:Other",
            ]
            for key in keys:
                await append(store, user("a"), key=key)
            place.execute("UPDATE sessions SET created_at = 5 WHERE key LIKE '%maria%'")

            async def listed(selection: Selection, limit: int = 10) -> list[str]:
                return [one.key for one in await store.archive.listing(selection, limit=limit)]

            newest = [keys[4], keys[0], keys[2], keys[3], keys[1]]  # those of one moment by their keys
            assert newest == await listed(Selection())
            assert newest == [one.key async for one in every(store.archive, Selection())]
            found: list[SessionRecord] = []
            while page := await store.archive.listing(Selection(), limit=2, after=found[-1] if found else None):
                found += page
            assert newest == [one.key for one in found]
            assert [keys[4], keys[2], keys[3]] == await listed(Selection(agent_id="beta"))
            assert [keys[2], keys[1]] == await listed(Selection(rest="openai-user:maria"))
            assert [keys[2]] == await listed(Selection(agent_id="beta", rest="openai-user:maria"))
            assert [keys[4]] == await listed(Selection(search="OTHER"))
            assert [] == await listed(Selection(search="\0"))

    asyncio.run(scenario())


def test_branches(place: Place) -> None:
    """Every end that nothing hangs on is a branch, of so many messages; the active one comes first."""

    async def scenario() -> None:
        async with place.opened() as store:
            assert await store.archive.outline(KEY) is None
            await forked(store)
            outline = await store.archive.outline(KEY)
            assert outline is not None
            found = branches_of(outline)
            assert [(True, 2), (False, 4), (False, 4)] == [(one.active, one.messages) for one in found]
            assert [one.id for one in found[:1]] == [(await store.history(KEY))[-1].id]
            ids = [link.id for link in outline.links]
            assert 8 == len(ids) == len(set(ids))
            for at, link in enumerate(outline.links):
                assert link.parent is None or link.parent.startswith("reset:") or link.parent in ids[:at]
            await store.reset(KEY)
            emptied = await store.archive.outline(KEY)
            assert emptied is not None
            assert (None, [False] * 3) == (emptied.head, [one.active for one in branches_of(emptied)])

    asyncio.run(scenario())


def test_the_active_branch_may_end_where_another_goes_on(place: Place) -> None:
    """An answer made anew that is the old one word for word leaves a longer branch behind itself."""

    async def scenario() -> None:
        async with place.opened() as store:
            await append(store, user("a"), assistant("A"), user("b"), assistant("B"))
            await append(store, assistant("A"), behind=await store.history(KEY), fork_at=1)
            outline = await store.archive.outline(KEY)
            assert outline is not None
            active, older = branches_of(outline)
            assert [(True, 2), (False, 4)] == [(one.active, one.messages) for one in (active, older)]
            assert await store.archive.restore(KEY, older.id)
            assert ["user: a", "assistant: A", "user: b", "assistant: B"] == await said(store)
            assert await store.archive.restore(KEY, active.id) is None  # it is no end any more

    asyncio.run(scenario())


def test_pages(place: Place) -> None:
    """A branch comes newest first, in pages bounded by number and bytes, each of one message at least."""

    async def scenario() -> None:
        async with place.opened() as store:
            await forked(store)
            outline = await store.archive.outline(KEY)
            assert outline is not None
            other = branches_of(outline)[1]

            async def texts(branch: str | None, limit: int, max_bytes: int = 10_000) -> list[list[str]]:
                pages: list[list[str]] = []
                after: str | None = None
                while True:
                    page = await store.archive.page(KEY, branch=branch, after=after, limit=limit, max_bytes=max_bytes)
                    pages.append([msgspec.json.decode(one.body)["content"] for one in page.messages])
                    if not page.more:
                        return pages
                    after = page.messages[-1].id

            assert [["D", "d"]] == await texts(None, 10)
            assert [["D"], ["d"]] == await texts(None, 1)
            whole = [word for page in await texts(other.id, 10) for word in page]
            assert ["A", "a"] == whole[2:]
            assert whole[:2] in (["B", "b"], ["C", "c"])
            assert [whole[:3], whole[3:]] == await texts(other.id, 3)
            assert [[one] for one in whole] == await texts(other.id, 10, max_bytes=1)
            for wrong in ({"branch": "sha256:0"}, {"after": "sha256:0"}):
                with pytest.raises(LookupError):
                    await store.archive.page(KEY, **wrong, limit=1, max_bytes=1)
            await store.reset(KEY)
            assert [[]] == await texts(None, 10)

    asyncio.run(scenario())


def test_restore(place: Place) -> None:
    """The session goes on from the branch, what it went on from is a branch, and nothing is lost."""

    async def scenario() -> None:
        async with place.opened() as store:
            await forked(store)
            outline = await store.archive.outline(KEY)
            assert outline is not None
            active, *others = branches_of(outline)
            for branch in others:
                before = await store.session(KEY)
                restored = await store.archive.restore(KEY, branch.id)
                assert before is not None
                assert restored is not None
                assert restored.updated_at >= before.updated_at
                assert branch.id == (await store.history(KEY))[-1].id
            await append(store, user("e"), behind=await store.history(KEY))
            assert "user: e" == (await said(store))[-1]
            assert await store.archive.restore(KEY, active.id)
            assert ["user: d", "assistant: D"] == await said(store)
            inner = next(link for link in outline.links if link.parent is None)
            for unknown in (inner.id, "sha256:0"):
                assert await store.archive.restore(KEY, unknown) is None
            assert await store.archive.restore("agent:main:nobody", active.id) is None
            assert () == (await store.verify()).faults

    asyncio.run(scenario())


def test_export_and_import(place: Place) -> None:
    """What was written down and taken in by an empty store is the same session, to the letter, and verifies."""

    async def scenario() -> None:
        async with place.opened() as store:
            await forked(store)
            data = await lines(store)
            history, record = await store.history(KEY), await store.session(KEY)
            assert 9 == len(data.splitlines())
            await store.delete(KEY)
            assert b"" == await lines(store)
            taken = await store.archive.take_in(only(data))
            assert ("created", 8) == (taken.outcome, taken.added)
            assert (data, history, record) == (await lines(store), await store.history(KEY), await store.session(KEY))
            found = await store.verify()
            assert (1, 8, ()) == (found.sessions, found.messages, found.faults)
            again = await store.archive.take_in(only(data))
            assert ("unchanged", 0) == (again.outcome, again.added)
            assert data == await lines(store)

    asyncio.run(scenario())


def test_import_into_a_session_that_is_there(place: Place) -> None:
    """A later export takes the session further, an earlier one changes nothing, another branch stays one."""

    async def scenario() -> None:
        async with place.opened() as store:
            await append(store, user("a"), assistant("A"))
            early = await lines(store)
            await append(store, user("b"), assistant("B"), behind=await store.history(KEY))
            late = await lines(store)
            await append(store, user("c"), assistant("C"), behind=await store.history(KEY), fork_at=2)
            forked = await lines(store)

            async def take(data: bytes) -> tuple[str, int, str]:
                taken = await store.archive.take_in(only(data))
                return taken.outcome, taken.added, (await said(store))[-1]

            assert ("unchanged", 0, "assistant: C") == await take(early)
            assert ("unchanged", 0, "assistant: C") == await take(late)
            await store.delete(KEY)
            assert ("created", 2, "assistant: A") == await take(early)
            assert ("continued", 2, "assistant: B") == await take(late)
            assert ("merged", 2, "assistant: B") == await take(forked)
            await store.reset(KEY)
            assert ("continued", 0, "assistant: C") == await take(forked)
            assert () == (await store.verify()).faults

    asyncio.run(scenario())


def test_a_session_deleted_in_the_middle_of_its_export(place: Place) -> None:
    """Is an error, and not an export that is shorter than it says."""

    async def scenario() -> None:
        async with place.opened() as store:
            await forked(store)
            pieces = written(store.archive, KEY)
            await anext(pieces)
            await store.delete(KEY)
            with pytest.raises(StoreError, match="deleted while"):
                await anext(pieces)

    asyncio.run(scenario())


def test_unchanged(place: Place) -> None:
    """Old sessions are found batch by batch, the oldest first, and only deleted if they haven't changed meanwhile."""

    async def scenario() -> None:
        async with place.opened() as store:
            for at, name in enumerate("dbca"):
                await append(store, user("a"), key=f"agent:main:{name}")
                place.execute(f"UPDATE sessions SET updated_at = {at // 2} WHERE key = 'agent:main:{name}'")
            await append(store, user("a"), key="agent:main:new")
            found: list[SessionRecord] = []
            while batch := await store.archive.unchanged(10, limit=2, after=found[-1] if found else None):
                found += batch
            assert ["b", "d", "a", "c"] == [one.key[-1] for one in found]
            assert not await store.delete("agent:main:a", unchanged_since=1)
            assert await store.delete("agent:main:a", unchanged_since=1.5)
            assert not await store.delete("agent:main:new", unchanged_since=10)
        assert [(4,)] == place.execute("SELECT count(*) FROM messages")

    asyncio.run(scenario())


@pytest.fixture
def exported(place: Place) -> bytes:
    """The lines of a session with several branches."""

    async def scenario() -> bytes:
        async with place.opened() as store:
            await forked(store)
            return await lines(store)

    return asyncio.run(scenario())


def test_not_a_session(exported: bytes) -> None:
    """Whatever of an export was changed is found before anything is written, and the line is named."""
    good = exported.splitlines()
    wrong: list[tuple[int, list[bytes], str]] = [
        (1, good[1:], "not the first line"),
        (1, [good[0].replace(b'"version":1', b'"version":2'), *good[1:]], "version 2"),
        (1, [b"{", *good], "not JSON"),
        (1, [b"[]"], "Expected `object`"),
        (9, good[:-1], "8 messages were promised, and 7 are there"),
        (10, [*good, good[3]], "not the first line"),
        (1, [good[0].replace(b'"head":"sha256:', b'"head":"sha256:0'), *good[1:]], "(head)"),
        (4, [*good[:3], good[3].replace(b'"content":', b'"content":"x","c":'), *good[4:]], "digest"),
        (4, [*good[:3], good[3].replace(b'"role":"', b'"role":"x'), *good[4:]], "the role is none of"),
        (4, [*good[:3], good[2], *good[4:]], "twice"),
        (2, [good[0].replace(b'"messages":8', b'"messages":7'), *good[2:]], "parent"),
    ]
    assert 1 == len(list(read(good)))
    assert 2 == len(list(read([*good, b"", *good])))
    for line, changed, words in wrong:
        with pytest.raises(NotASession) as found:
            list(read(changed))
        assert (line, True) == (found.value.line, words in str(found.value)), str(found.value)
