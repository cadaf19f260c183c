"""The cut-off rule with a summary: what it may never do, whatever the conversation, and what it does with some."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.runs.compaction_cut import CompactionRule, Cut, places
from app.sessions.message import Message
from tests.unit.runs.test_context_window import HISTORY, NEW, SIZES, SYSTEM, cost, talk, total
from tests.unit.runs.test_context_window import places as numbers


def rule(past: Sequence[Message], present: Sequence[Message], room: int, largest: int, pinned: int) -> CompactionRule:
    """Return the rule for a conversation."""
    return CompactionRule([SYSTEM], past, present, room, largest, pinned_turns=pinned, cost=cost)


def is_sound(whole: Sequence[Message], past: Sequence[Message], cut: Cut) -> bool:
    """Tell whether what stays is in order and once, pairs are whole, and what is left out is before the tail."""
    at = numbers(cut.kept(past))
    left_out = set(range(len(past))) - set(at)
    pairs = all(
        (place in at) == (place - 1 in at)
        for place, message in enumerate(whole[: len(past)])
        if message.role == "tool" and place
    )
    return sorted(set(at)) == at and pairs and all(place < cut.tail for place in left_out)


@given(HISTORY.filter(bool), NEW, SIZES, st.integers(60, 900), st.integers(0, 3))
def test_promises(history: str, new: str, sizes: list[int], room: int, pinned: int) -> None:
    """With a new summary or an old one, the whole fits; and where there was need, a summary is wanted that helps."""
    whole = talk(history + new, sizes)
    past, present = whole[: len(history)], whole[len(history) :]
    largest = room // 4
    if total([SYSTEM, *whole]) <= room:
        return
    sized = rule(past, present, room, largest, pinned)
    cut = sized.anew()
    if cut is not None:
        assert is_sound(whole, past, cut)
        assert 0 < cut.tail <= len(past)
        assert total([SYSTEM, *cut.kept(past), *present]) + largest <= room
        # It is of use at once, with all it may have and with less.
        for tokens in (largest, largest // 2):
            found = sized.with_one_of([(cut.tail, tokens)])
            assert found is not None
            assert (0, cut.tail) == (found[0], found[1].tail)
    for told in range(1, len(past) + 1):
        found = sized.with_one_of([(told, largest)])
        if found is not None:
            assert total([SYSTEM, *found[1].kept(past), *present]) + largest <= room


# In the words below each message costs 10, the system message 3, a summary 20; a dot is a message that is left out.
@pytest.mark.parametrize(
    ("history", "new", "room", "pinned", "expected"),
    [
        # 113 less 13 for prompt and question, 20 for what is pinned, 20 for the summary: the newest turns have half.
        ("uauauauaua", "u", 113, 1, "ua......ua|u"),
        ("uauauauaua", "u", 133, 1, "ua....uaua|u"),
        ("uauauauaua", "u", 113, 0, "......uaua|u"),
        # A turn that is more than half may have all of it, before it is parted.
        ("uauaucrcra", "u", 103, 0, "....ucrcra|u"),
        # One that is too long by itself: its words, and the last steps that fit.
        ("uaucrcrcrcr", "u", 83, 0, "..u......cr|u"),
        # The calls that results are brought for stay, and so do the words that they began with.
        ("uauaucrcrc", "r", 83, 0, "....u..crc|r"),
        # Nothing can be left out.
        ("c", "r", 20, 1, None),
        # There is no room for a summary.
        ("uaua", "u", 30, 1, None),
    ],
)
def test_a_new_summary(history: str, new: str, room: int, pinned: int, expected: str | None) -> None:
    """The newest turns stay, and the turns to come have as much room again."""
    whole = talk(history + new, [10] * 20)
    cut = rule(whole[: len(history)], whole[len(history) :], room, 20, pinned).anew()
    if cut is None or expected is None:
        assert (cut is None) == (expected is None)
        return
    at = numbers(cut.kept(whole[: len(history)]))
    assert expected == "".join(word if place in at else "." for place, word in enumerate(history)) + f"|{new}"


def test_the_summary_that_leaves_most() -> None:
    """Of several that will do, the one that tells of the fewest messages; of none that tells too little or too much."""
    whole = talk("uauauauauau", [10] * 20)
    sized = rule(whole[:-1], whole[-1:], 113, 20, 1)
    # 113 - 3 - 10 - 20 pinned = 80, of which a summary has 20, so that six messages may stay.
    assert (1, 4) == _chosen(sized, [(8, 20), (4, 20), (6, 20)])
    assert (0, 6) == _chosen(sized, [(6, 20), (4, 30)])
    assert None is sized.with_one_of([(2, 20), (11, 20)])
    assert None is sized.with_one_of([])


def _chosen(sized: CompactionRule, summaries: Sequence[tuple[int, int]]) -> tuple[int, int]:
    found = sized.with_one_of(summaries)
    assert found is not None
    return found[0], found[1].tail


def test_a_summary_serves_for_a_while() -> None:
    """Turn after turn, the cut moves far more seldom than the plain rule's would, though that one is slow as well."""
    room, largest = 4_000, 1_000
    told, made = 0, 0
    for turns in range(40, 240):
        history, new = talk("ua" * turns, [50] * 2 * turns), talk("u", [50])
        sized = rule(history, new, room, largest, 1)
        if sized.with_one_of([(told, largest)] if told else []) is None:
            cut = sized.anew()
            assert cut is not None
            made, told = made + 1, cut.tail
    assert 5 < made < 25


def test_places() -> None:
    """Which of those wanted there are, and how many come up to each."""
    assert [(0, 3), (2, 1)] == list(places(["a", "b", "c"], ["c", "x", "a"]))
