"""Remembered histories, without a database: how many, how large, and what an append makes of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.sessions.history import History
from app.sessions.message import chained, digest
from app.sessions.remembered import RememberedHistories
from app.sessions.reset import mark
from app.sessions.store import StoredMessage
from tests.unit.conversation import user

MADE = 1_000.5


def chain(*texts: str, parent: str | None = None) -> list[StoredMessage]:
    """Return messages as they are stored behind another one."""
    stored: list[StoredMessage] = []
    for text in texts:
        content = digest(user(text))
        parent = chained(parent, content)
        stored.append(StoredMessage(parent, content, user(text)))
    return stored


def known(memory: RememberedHistories) -> History:
    """Return what is remembered of session ``k``."""
    found = memory.get("k")
    assert found is not None
    assert found.created_at == MADE
    return found.history


def test_as_much_as_there_is_room_for() -> None:
    """What was used longest ago goes first, and the sum is never above the bound."""
    size = History.of(chain("a" * 1_000)).held
    memory = RememberedHistories(4 * size)
    for number in range(4):
        memory.remember(f"{number}", MADE, History.of(chain("a" * 1_000)))
    assert memory.get("0") is not None
    memory.remember("4", MADE, History.of(chain("a" * 1_000)))
    assert ["0", "2", "3", "4"] == [key for key in "01234" if memory.get(key)]
    assert 4 * size == memory.held


def test_one_that_is_too_long() -> None:
    """No session has more than a quarter; one that grows beyond it is forgotten, and the others stay."""
    part = chain("a" * 1_000)
    memory = RememberedHistories(5 * History.of(part).held)
    memory.remember("other", MADE, History.of(part))
    memory.remember("k", MADE, History.of(part))
    memory.extend("k", MADE, part[-1].id, chain("b" * 1_000, parent=part[-1].id))
    assert (None, 1) == (memory.get("k"), len(memory))
    assert History.of(part).held == memory.held


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 900), st.booleans()), max_size=40))
def test_held_is_the_sum(steps: list[tuple[str, int, bool]]) -> None:
    """Whatever is remembered and forgotten in whichever order, the sum is right and within the bound."""
    memory = RememberedHistories(6_000)
    for key, length, forget in steps:
        if forget:
            memory.forget(key)
        else:
            memory.remember(key, MADE, History.of(chain("x" * length)))
        known = [memory.get(one) for one in "abc"]
        assert memory.held == sum(one.history.held for one in known if one) <= 6_000


@pytest.mark.parametrize("kept", [4, 3, 1])
def test_append(kept: int) -> None:
    """What is appended behind a message comes behind it, at the end as well as in the middle."""
    past = chain("a", "b", "c", "d")
    memory = RememberedHistories()
    memory.remember("k", MADE, History.of(past))
    new = chain("e", parent=past[kept - 1].id)
    memory.extend("k", MADE, past[kept - 1].id, new)
    assert [*past[:kept], *new] == known(memory)


@pytest.mark.parametrize("parent", [None, mark(["sha256:0"])])
def test_append_at_the_beginning(parent: str | None) -> None:
    """A chain of its own, also behind a reset, is the whole history, whatever was remembered."""
    for past in ([], chain("a", "b")):
        memory = RememberedHistories()
        memory.remember("k", MADE, History.of(past))
        memory.extend("k", MADE, parent, new := chain("e", parent=parent))
        assert new == known(memory)


@pytest.mark.parametrize("unknown", ["nothing", "another end", "another session"])
def test_append_to_what_is_not_remembered(unknown: str) -> None:
    """What hangs on something else than what is remembered leaves nothing remembered."""
    past = chain("a", "b")
    memory = RememberedHistories()
    if unknown != "nothing":
        memory.remember("k", MADE, History.of(past))
    parent = "sha256:0" if unknown == "another end" else past[-1].id
    made = MADE + 1 if unknown == "another session" else MADE
    memory.extend("k", made, parent, chain("e", parent=parent))
    assert (None, 0) == (memory.get("k"), memory.held)


def test_nothing_is_nothing() -> None:
    """An empty history is not worth a place."""
    memory = RememberedHistories()
    memory.remember("k", MADE, History())
    assert (None, 0, 0) == (memory.get("k"), memory.held, len(memory))
