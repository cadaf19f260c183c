"""The cut-off rule: what it may never do, whatever the conversation, and what it does with some."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.config import Window
from app.runs.context_window import budget, fit
from app.sessions.message import Message
from app.sessions.totals import Totals
from tests.unit.conversation import said

# In the words below "u" is what a user says, "a" an answer, "c" a call of tools and "r" a result.
ROLES = {"u": "user", "a": "assistant", "c": "assistant", "r": "tool"}
SYSTEM = said("system", "s" * 3)


def talk(words: str, sizes: Sequence[int]) -> list[Message]:
    """Return a conversation; each message costs what its size says."""
    return [
        said(ROLES[word], f"{place}{word}".ljust(size, "."))
        for place, (word, size) in enumerate(zip(words, sizes, strict=False))
    ]


def cost(message: Message) -> int:
    """Return what a message costs: its length."""
    return len(msgspec.json.decode(message.raw)["content"])


def total(messages: Sequence[Message]) -> int:
    """Return what messages cost."""
    return sum(map(cost, messages))


def places(messages: Sequence[Message]) -> list[int]:
    """Return the places in the whole conversation that messages had, without the system message."""
    return [
        int("".join(c for c in msgspec.json.decode(one.raw)["content"] if c.isdigit()))
        for one in messages
        if one.role != "system"
    ]


TURN = st.sampled_from(["ua", "uua", "ucra", "ucrrcra", "u", "uc", "ucrcrcrcra"])
BEGINNING = st.sampled_from(["", "a", "r"])
NEW = st.sampled_from(["u", "uu", "r", "rr"])
SIZES = st.lists(st.integers(4, 40), min_size=90, max_size=90)
HISTORY = st.builds(lambda first, turns: first + "".join(turns), BEGINNING, st.lists(TURN, max_size=8))


@given(HISTORY, NEW, SIZES, st.integers(1, 600), st.integers(0, 3))
@example("ua" * 8, "u", [4] * 90, 30, 1)
@example("ucrcrcrcrc", "r", [4] * 90, 30, 1)
def test_promises(history: str, new: str, sizes: list[int], tokens: int, pinned: int) -> None:
    """Nothing is cut without need, nothing is added or moved, what may not be cut stays, and what can fit fits."""
    whole = talk(history + new, sizes)
    past, present = whole[: len(history)], whole[len(history) :]
    kept = fit([SYSTEM], past, present, tokens, pinned_turns=pinned, cost=cost)

    if total([SYSTEM, *whole]) <= tokens:
        assert (SYSTEM, *whole) == kept
    assert kept[0] == SYSTEM
    assert list(kept[-len(present) :]) == present
    at = places(kept)
    assert sorted(set(at)) == at
    _assert_no_pair_is_split(whole, at)
    least = [SYSTEM, *past[_open_step(history, new) :], *present]
    assert total(kept) <= max(tokens, total(least))
    past_kept = kept[1 : len(kept) - len(present)]
    assert kept == fit([SYSTEM], past_kept, present, tokens, pinned_turns=pinned, cost=cost)


def _open_step(history: str, new: str) -> int:
    """Return where the call is that the new results belong to."""
    if not new.startswith("r") or not history:
        return len(history)
    return len(history.rstrip("r")) - 1 if history.strip("r") else 0


def _assert_no_pair_is_split(whole: Sequence[Message], kept: Sequence[int]) -> None:
    """A result is there exactly when the message right before it is, as far as there was one."""
    for place, message in enumerate(whole):
        if message.role == "tool" and place:
            assert (place in kept) == (place - 1 in kept)


@pytest.mark.parametrize(
    ("history", "new", "tokens", "pinned", "expected"),
    [
        # Everything fits.
        ("uaua", "u", 53, 1, "uaua|u"),
        # The oldest turns go, whole; the first one is pinned.
        ("uauauaua", "u", 63, 1, "ua....ua|u"),
        ("uauauaua", "u", 63, 0, "....uaua|u"),
        # A pinned turn that would take more than half of what there is for history is no longer pinned.
        ("uauaua", "u", 43, 1, "....ua|u"),
        # A turn that doesn't fit whole ends it, whatever lies before: no gaps.
        ("uaucrcrcrua", "u", 63, 0, ".........ua|u"),
        # A last turn that is too long by itself: the words, and the last steps that fit.
        ("uaucrcrcr", "u", 63, 0, "..u..crcr|u"),
        # What is brought are the results of the last call, which stays with it; and so do the words that it began with.
        ("uaucrcrc", "r", 53, 0, "..u..crc|r"),
        ("uaucrcrcr", "r", 63, 0, "..u..crcr|r"),
        # No room for anything but the request itself.
        ("uaua", "u", 5, 1, "....|u"),
        ("uaucrcrc", "r", 5, 1, ".......c|r"),
    ],
)
def test_rule(history: str, new: str, tokens: int, pinned: int, expected: str) -> None:
    """Each message costs 10, the system message 3; a dot is a message that is left out."""
    whole = talk(history + new, [10] * 20)
    kept = places(fit([SYSTEM], whole[: len(history)], whole[len(history) :], tokens, pinned_turns=pinned, cost=cost))
    shown = "".join(word if place in kept else "." for place, word in enumerate(history))
    assert expected == f"{shown}|{new}"


def test_the_cut_stays_where_it_is_for_a_while() -> None:
    """What providers remember of a prompt is its beginning, so the cut moves seldom, and not much too far."""
    tokens, beginnings = 4_000, []
    for turns in range(40, 140):
        history = talk("ua" * turns, [50] * 2 * turns)
        kept = fit([], history, talk("u", [50]), tokens, pinned_turns=0, cost=cost)
        beginnings.append(places(kept)[0])
        assert total(kept) > tokens * 0.4 or turns < 41
    moves = len(set(beginnings))
    assert beginnings == sorted(beginnings)
    assert 2 < moves < 15


@given(HISTORY, st.lists(st.tuples(st.integers(0, 90), st.integers(1, 600)), max_size=8), SIZES, st.integers(0, 3))
def test_what_is_known_of_a_history_changes_nothing(
    history: str, asked: list[tuple[int, int]], sizes: list[int], pinned: int
) -> None:
    """Totals that are kept from turn to turn, of a window that is another one each time, cut where new ones do."""
    whole, totals = talk(history + "u", sizes), Totals()
    for length, tokens in asked:
        past = whole[: min(length, len(history))]
        kept = fit([SYSTEM], past, whole[-1:], tokens, pinned_turns=pinned, cost=cost, totals=totals)
        assert fit([SYSTEM], past, whole[-1:], tokens, pinned_turns=pinned, cost=cost) == kept


def test_no_more_is_counted_than_matters() -> None:
    """However long the history, only what fits is counted, and a message more."""
    counted: list[Message] = []

    def counting(message: Message) -> int:
        counted.append(message)
        return 10

    history = talk("ua" * 5_000, [12] * 10_000)
    fit([], history, talk("u", [12]), 200, pinned_turns=1, cost=counting)
    assert len(counted) < 70


@pytest.mark.parametrize(
    ("window", "answer", "expected"),
    [
        # A tenth for the estimate, a quarter for the answer.
        (Window(4_000), None, 2_600),
        # Of a large window no more than 4,096 for the answer.
        (Window(100_000), None, 85_904),
        # Or as much as the model can say, if that is less than a quarter.
        (Window(100_000, 1_000), None, 89_000),
        (Window(100_000, 16_000), None, 74_000),
        (Window(100_000, 99_000), None, 65_000),
        # What the client or the agent says counts, up to half the window.
        (Window(4_000), 100, 3_500),
        (Window(4_000), 4_000, 1_600),
        (Window(1), None, 1),
    ],
)
def test_budget(window: Window, answer: int | None, expected: int) -> None:
    """A prompt's room is the window's, less a tenth, less what the answer may need."""
    assert expected == budget(window, answer)
