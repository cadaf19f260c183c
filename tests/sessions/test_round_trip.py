"""Whatever was said in a session, its export makes the same session elsewhere: random forks, resets, restores."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from app.sessions.archive import branches_of
from app.sessions.jsonl import read, written
from app.sessions.message import Message
from app.sessions.reset import mark
from app.sessions.sql import SqlStore
from tests.sessions.place import SqlitePlace
from tests.sessions.talk import KEY
from tests.unit.conversation import said

TEXTS = st.text(alphabet='ab\n\r\u2028\u0000"\\é', max_size=6)
MESSAGES = st.builds(said, st.sampled_from(["user", "assistant", "tool"]), TEXTS)
PRETTY = MESSAGES.map(lambda one: Message(one.role, type(one.raw)(bytes(one.raw).replace(b":", b" :\r\n "))))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("go on"), st.lists(MESSAGES | PRETTY, min_size=1, max_size=3)),
        st.tuples(st.just("fork"), st.lists(MESSAGES, min_size=1, max_size=3), st.integers(0, 5)),
        st.tuples(st.just("begin anew"), st.lists(MESSAGES, min_size=1, max_size=2)),
        st.tuples(st.just("reset")),
        st.tuples(st.just("restore"), st.integers(0, 5)),
        st.tuples(st.just("copy")),
    ),
    max_size=8,
)


async def taken(store: SqlStore, step: tuple[object, ...]) -> None:
    """Have a session go through a step."""
    kind, *what = step
    history = await store.history(KEY)
    outline = await store.archive.outline(KEY)
    if kind == "reset":
        await store.reset(KEY)
        return
    if kind == "restore":
        branches = branches_of(outline) if outline is not None else []
        if branches and isinstance(what[0], int):
            await store.archive.restore(KEY, branches[what[0] % len(branches)].id)
        return
    assert isinstance(what[0], list)
    kept = len(history)
    if kind == "fork" and isinstance(what[1], int):
        kept = min(what[1], kept)
    parent = history[kept - 1].id if kept else None
    if kind == "begin anew" and history:
        parent = mark([one.digest for one in history])
    await store.append(
        KEY, "main", "run_1", expected_head=history[-1].id if history else None, parent=parent, messages=what[0]
    )


async def lines(store: SqlStore) -> bytes:
    """Write the session down."""
    return b"".join([piece async for piece in written(store.archive, KEY)])


@given(STEPS)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_round_trip(steps: list[tuple[object, ...]]) -> None:
    """An export taken in by an empty store is exported as the same; so is one that early copies were merged into."""

    async def scenario(folder: Path) -> None:
        copies: list[bytes] = []
        async with SqlitePlace(folder / "first").opened() as first:
            for step in steps:
                if step == ("copy",):
                    copies.append(await lines(first))
                else:
                    await taken(first, step)
            last = await lines(first)
        for number, some in enumerate(([last], [*copies, last])):
            async with SqlitePlace(folder / f"copy{number}").opened() as copy:
                for data in some:
                    for found in read(data.split(b"\n")):
                        await copy.archive.take_in(found.session)
                assert () == (await copy.verify()).faults
                # Where the session went back, merged copies stay where they were; they have the same all the same.
                again = await lines(copy)
                assert sorted(last.split(b"\n")[1:]) == sorted(again.split(b"\n")[1:])
                if number == 0:
                    assert last == again
                assert last == b"" or 1 == len((await copy.sessions(limit=10))[0])

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(scenario(Path(folder)))
