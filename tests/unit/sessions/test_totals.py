"""Running totals say what adding up each time would say, of however a list grows, and measure nothing twice."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.sessions.message import Message
from app.sessions.totals import Totals
from tests.unit.conversation import user

SIZES = st.lists(st.integers(0, 9), min_size=30, max_size=30)
ASKED = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(-2, 150)), max_size=20)


def talk(sizes: Sequence[int]) -> list[Message]:
    """Return messages of which each says how large it is."""
    return [user(f"{size}") for size in sizes]


def size(message: Message) -> int:
    """Return what a message says it is."""
    return int(bytes(message.raw).decode().rsplit('"', 2)[1])


@given(SIZES, ASKED)
def test_as_if_added_up_each_time(sizes: list[int], asked: list[tuple[int, int, int]]) -> None:
    """Whatever was asked before, and however long the list was then."""
    messages, totals = talk(sizes), Totals()
    for one, other, room in asked:
        begin, end = sorted((one, other))
        fits = [at for at in range(begin, end) if sum(sizes[at:end]) <= room]
        assert (fits[0] if fits else end) == totals.fitting(messages, begin, end, room, size)
        assert sum(sizes[begin:end]) == totals.between(messages, begin, end, size)
        assert sum(sizes[begin:end]) == totals.since(messages[:end], begin, size)
        fork = totals.up_to(one)
        assert sum(sizes[:one]) == fork.since(messages[:one], 0, size)


def test_none_is_measured_twice() -> None:
    """A turn measures what is new, though the window moves on; and of what is before the window nothing."""
    measured: list[Message] = []

    def measuring(message: Message) -> int:
        measured.append(message)
        return 10

    messages, totals = talk([1] * 1_000), Totals()
    totals.fitting(messages, 0, 500, 200, measuring)
    assert 21 == len(measured)
    for end in range(502, 1_000, 2):
        measured.clear()
        assert end - 20 == totals.fitting(messages, 0, end, 200, measuring)
        assert messages[end - 2 : end] == list(reversed(measured))


def test_what_is_too_far_behind_is_given_up() -> None:
    """Where much has come since, only what fits is measured, and what was known further back is forgotten."""
    measured: list[Message] = []

    def measuring(message: Message) -> int:
        measured.append(message)
        return 10

    messages, totals = talk([1] * 1_000), Totals()
    totals.fitting(messages, 0, 100, 200, measuring)
    measured.clear()
    assert 980 == totals.fitting(messages, 0, 1_000, 200, measuring)
    assert 21 == len(measured)


def test_what_measuring_raises_changes_nothing() -> None:
    """Where it is found to be too much work for now, what was known stays known."""

    def refusing(message: Message) -> int:
        raise TimeoutError

    messages, totals = talk([1] * 30), Totals()
    totals.fitting(messages, 10, 20, 100, size)
    for begin, end in ((10, 30), (0, 20)):
        with pytest.raises(TimeoutError):
            totals.fitting(messages, begin, end, 100, refusing)
    assert 10 == totals.fitting(messages, 10, 20, 100, refusing)
    assert 10 == totals.between(messages, 10, 20, refusing)
