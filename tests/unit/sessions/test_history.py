"""A history is a value: whatever is made of it, it stays as it is, and what it shares with others shows nowhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.sessions.history import History, Spoken
from app.sessions.store import StoredMessage
from tests.unit.conversation import assistant, user


def stored(number: int) -> StoredMessage:
    """Return a message of which no two are the same."""
    text = "x" * (number % 7) + f"{number}"
    message = assistant(f"function_call {text}") if number % 5 == 0 else user(f"function_call {text}")
    return StoredMessage(f"id {number}", f"digest {number}", message)


STEPS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 12), st.integers(0, 3)), max_size=25)


@given(STEPS)
def test_any_growth(steps: list[tuple[int, int, int]]) -> None:
    """However histories are cut and extended from one another, each has what a list of its own would have."""
    histories, lists = [History()], [list[StoredMessage]()]
    number = 0
    for which, count, added in steps:
        which %= len(histories)
        new = [stored(number + at) for at in range(added)]
        number += added
        histories.append(histories[which].first(count).extended(new))
        lists.append([*lists[which][:count], *new])
        for history, expected in zip(histories, lists, strict=True):
            assert expected == history
            assert [one.message for one in expected] == history.messages
            sizes = [sum(len(bytes(one.message.raw)) for one in expected[:at]) for at in range(len(expected) + 1)]
            assert sizes == [history.bytes_before(at) for at in range(len(expected) + 1)]
            assert sum(len(bytes(one.message.raw)) for one in expected) < history.held or not expected
            callers = [one for one in expected if one.message.role == "assistant"]
            assert bool(callers) is history.may_call_functions is history.messages.may_call_functions
            # Asked of one in three, so that what they share is known up to different places.
            if (len(expected) + which) % 3 == 0:
                messages = history.messages
                assert sizes[-1] == messages.totals("bytes").since(messages, 0, lambda message: len(bytes(message.raw)))


@given(st.integers(0, 6), st.slices(6))
def test_like_a_list(length: int, part: slice) -> None:
    """Length, places from either end, slices and equality are those of a list; no place beyond is found."""
    expected = [stored(number) for number in range(length)]
    history = History.of([*expected, stored(7)]).first(length)
    assert expected[part] == history[part]
    assert [one.message for one in expected][part] == history.messages[part]
    assert expected == list(history)
    assert list(reversed(expected)) == list(reversed(history))
    assert [expected[at] for at in range(-length, length)] == [history[at] for at in range(-length, length)]
    assert (history == expected, history == tuple(expected), history == expected[1:]) == (True, True, not expected)
    for beyond in (length, -length - 1):
        with pytest.raises(IndexError):
            history[beyond]
        with pytest.raises(IndexError):
            history.messages[beyond]


def test_up_to() -> None:
    """A history is cut behind a message by its id, and only if it is in it."""
    history = History.of([stored(0), stored(1), stored(2)])
    assert [stored(0), stored(1)] == history.up_to("id 1")
    assert history.first(2).up_to("id 2") is None
    assert history.up_to("digest 1") is None


def test_growing_copies_nothing() -> None:
    """What is added to the newest history goes into the list that the older ones have, too; a fork gets its own."""
    old = History.of([stored(0), stored(1)])
    grown = old.extended([stored(2)])
    fork = old.extended([stored(4), stored(5)])
    assert grown.held == old.held < fork.held
    assert (2, 3, 4) == (len(old), len(grown), len(fork))
    assert old.first(2) is old


def test_messages_without_a_session() -> None:
    """Messages that are stored nowhere know how large their beginnings are, too."""
    spoken = Spoken.of([user("a"), user("bc")])
    assert [user("a"), user("bc")] == spoken
    first = len(bytes(user("a").raw))
    assert [0, first, 2 * first + 1] == [spoken.bytes_before(at) for at in range(3)]
