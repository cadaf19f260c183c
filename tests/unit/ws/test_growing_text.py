"""The text of an answer in events that repeat it: complete, in time, and at a cost in proportion to its length."""

from __future__ import annotations

import asyncio
import random

import pytest

from app.ws import growing_text as module
from app.ws.growing_text import FREE_CHARS, MORE_CHARS, REPEATED_CHARS, SHARE, GrowingText


class Told(list[tuple[str, str | None]]):
    """What was told: each piece, and all of it until then."""

    def __call__(self, delta: str, whole: str | None) -> None:
        """Be told."""
        self.append((delta, whole))

    @property
    def cost(self) -> int:
        """The characters of all of it."""
        return sum(len(delta) + len(whole or "") for delta, whole in self)


def grow(told: Told, *deltas: str, more: bool = False) -> None:
    """Tell an answer to its end."""

    async def main() -> None:
        text = GrowingText(told)
        for delta in deltas:
            await text.add(delta, more=more)
        await text.settle()

    asyncio.run(main())


@pytest.mark.parametrize("size", [1, 5, 100, 20_000])
@pytest.mark.parametrize("more", [True, False])
def test_the_pieces_are_the_text(size: int, more: bool) -> None:
    """Put together they are all of it, and what each event repeats is all until then. The cost is in proportion."""
    number, letters = min(1_500_000 // size, 30_000), random.Random(7)
    told, deltas = Told(), [letters.choice("abé𝄞") * size for _ in range(number)]
    grow(told, *deltas, more=more)
    so_far = ""
    for delta, whole in told:
        so_far += delta
        assert (so_far if len(so_far) <= REPEATED_CHARS else None) == whole

    assert "".join(deltas) == so_far
    # The last event comes whatever it costs.
    assert told.cost <= FREE_CHARS + (SHARE + 2) * len(so_far)


def test_a_short_answer_is_told_word_by_word() -> None:
    """As long as that costs little."""
    told = Told()
    grow(told, *["word "] * 300)

    assert 300 == len(told)


def test_a_long_one_is_told_in_larger_steps() -> None:
    """The longer it is, the larger they are."""
    told = Told()
    grow(told, *["word "] * 20_000)

    assert 300 < len(told) < 1000
    assert len(told[-2][0]) > 100_000 // SHARE - 10


def test_what_is_announced_is_waited_for() -> None:
    """But not for ever."""
    told = Told()
    grow(told, *["x" * 1000] * 33, more=True)

    assert [17_000, 16_000] == [len(delta) for delta, _ in told]
    assert 17_000 >= MORE_CHARS


def test_one_enormous_piece_is_told_in_several() -> None:
    """No event is larger than others may be."""
    told = Told()
    grow(told, "x" * (2 * REPEATED_CHARS + 1))

    assert [(REPEATED_CHARS, None), (REPEATED_CHARS, None), (1, None)] == [(len(delta), whole) for delta, whole in told]


def test_a_pause_tells_what_was_kept_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody sees an answer stand still that has gone on."""
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.0)
    told = Told()

    async def main() -> None:
        text, heard = GrowingText(told), asyncio.Event()
        await text.add("a", more=True)
        assert [] == told
        asyncio.get_running_loop().call_later(0.05, heard.set)
        await heard.wait()
        assert [("a", "a")] == told
        await text.flush()
        await text.settle()

    asyncio.run(main())
    assert 1 == len(told)


def test_flush_tells_what_is_due() -> None:
    """More was announced, and what came said nothing."""
    told = Told()

    async def main() -> None:
        text = GrowingText(told)
        await text.add("a", more=True)
        await text.flush()
        await text.flush()

    asyncio.run(main())
    assert [("a", "a")] == told


def test_nothing_is_told_before_there_is_room() -> None:
    """The run waits, and so does what it says; its end doesn't."""
    told = Told()

    async def main() -> None:
        gate = asyncio.Event()

        async def room() -> None:
            await gate.wait()

        text = GrowingText(told, room)
        adding = asyncio.create_task(text.add("a", more=False))
        await asyncio.sleep(0)
        assert [] == told
        gate.set()
        await adding
        assert [("a", "a")] == told
        gate.clear()
        text.finish()

    asyncio.run(main())
    assert 1 == len(told)
