"""The outbox: order, numbers, and a bound that nothing gets past."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest

from app.contract.frames import ResponseFrame, TickEvent
from app.ws import outbox as module
from app.ws.outbox import FrameTooLargeError, Outbox


class Reader:
    """A client: notes what it gets, and stops reading when it is told to."""

    def __init__(self) -> None:
        self.got: list[str] = []
        self.reads = asyncio.Event()
        self.reads.set()

    async def take(self, text: str) -> None:
        """Be sent a frame."""
        await self.reads.wait()
        self.got.append(text)


def play(scenario: Callable[[Outbox, Reader], Awaitable[None]]) -> int:
    """Play a scenario with an outbox that is being drained; return how often it overflowed."""
    overflows: list[None] = []

    async def main() -> None:
        box, reader = Outbox(lambda: overflows.append(None)), Reader()
        drain = asyncio.create_task(box.drain(reader.take))
        async with asyncio.timeout(5):
            await scenario(box, reader)
        drain.cancel()
        await asyncio.wait([drain])

    asyncio.run(main())
    return len(overflows)


async def settled() -> None:
    """Let every task go as far as it can."""
    for _ in range(50):
        await asyncio.sleep(0)


def test_frames_go_in_order_and_events_are_numbered() -> None:
    """From 1, responses not counted."""

    async def scenario(box: Outbox, reader: Reader) -> None:
        box.event("tick", TickEvent(ts=1))
        box.response(ResponseFrame(id="a", ok=True))
        await settled()
        box.event("tick", TickEvent(ts=2))
        await settled()
        frames = [json.loads(text) for text in reader.got]
        assert [("event", 1), ("res", None), ("event", 2)] == [(f["type"], f.get("seq")) for f in frames]

    assert 0 == play(scenario)


@pytest.mark.parametrize("letter", ["x", "é", "𝄞"])
def test_what_waits_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch, letter: str) -> None:
    """What would go past the limit is the end, once: nothing more is taken, and what waited is forgotten."""
    limit = 10_000
    monkeypatch.setattr(module, "MAX_BUFFERED_BYTES", limit)

    async def scenario(box: Outbox, reader: Reader) -> None:
        reader.reads.clear()
        waited = 0
        for _ in range(1000):
            box.response(ResponseFrame(id="a", ok=True, payload=letter * 100))
            await asyncio.sleep(0)
            waited = max(waited, len(box._frames))
        assert 0 == len(box._frames)
        reader.reads.set()
        await settled()
        assert 1 == len(reader.got)
        assert limit // len(reader.got[0].encode()) - 1 == waited

    assert 1 == play(scenario)


def test_one_large_answer_is_never_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    """However much more than the limit it has, and whatever small frames come behind it. The next waits for it."""
    monkeypatch.setattr(module, "MAX_BUFFERED_BYTES", 1000)
    monkeypatch.setattr(module, "HIGH_WATER_BYTES", 500)

    async def scenario(box: Outbox, reader: Reader) -> None:
        reader.reads.clear()
        box.response(ResponseFrame(id="a", ok=True, payload="x" * 5000))
        box.event("tick", TickEvent(ts=1))
        room = asyncio.create_task(box.room())
        await settled()
        assert not room.done()
        reader.reads.set()
        await room
        box.response(ResponseFrame(id="b", ok=True, payload="x" * 5000))
        await settled()
        assert 3 == len(reader.got)

    assert 0 == play(scenario)


def test_a_frame_has_a_limit_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond it an answer isn't queued, and whoever gave it is told its size."""
    monkeypatch.setattr(module, "MAX_FRAME_BYTES", 100)

    async def scenario(box: Outbox, reader: Reader) -> None:
        with pytest.raises(FrameTooLargeError) as failure:
            box.response(ResponseFrame(id="a", ok=True, payload="x" * 100))
        assert failure.value.size > 100
        await settled()
        assert [] == reader.got

    assert 0 == play(scenario)


@pytest.mark.parametrize(("slower", "overflows"), [(True, 0), (False, 1)])
def test_patience_is_for_those_who_take_something(
    monkeypatch: pytest.MonkeyPatch, slower: bool, overflows: int
) -> None:
    """A client that takes nothing is dropped when none is left; one that takes a large frame slowly isn't."""
    monkeypatch.setattr(module, "HIGH_WATER_BYTES", 100)
    unsent, asked, dropped = [1000], [0], [0]

    async def main() -> None:
        def left() -> int:
            asked[0] += 1
            unsent[0] -= 1 if slower else 0
            if asked[0] == 20:
                box.close()
            return unsent[0]

        def drop() -> None:
            dropped[0] += 1

        box = Outbox(drop, left)
        box.response(ResponseFrame(id="a", ok=True, payload="x" * 1000))
        await box.room(patience=0.001)

    asyncio.run(main())
    assert overflows == dropped[0]
    assert slower == (asked[0] >= 20)


def test_whoever_waits_for_room_finds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many that wait at once don't all go in at once: each finds what the one before it has put in."""
    monkeypatch.setattr(module, "HIGH_WATER_BYTES", 500)
    monkeypatch.setattr(module, "MAX_BUFFERED_BYTES", 1500)

    async def scenario(box: Outbox, reader: Reader) -> None:
        async def put(number: int) -> None:
            await box.room()
            box.event("tick", TickEvent(ts=10**400 + number))

        reader.reads.clear()
        tasks = [asyncio.create_task(put(number)) for number in range(30)]
        await settled()
        reader.reads.set()
        await asyncio.gather(*tasks)
        await settled()
        assert 30 == len(reader.got)

    assert 0 == play(scenario)


def test_a_client_that_reads_is_never_too_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what waits counts, not what has been sent."""
    monkeypatch.setattr(module, "MAX_BUFFERED_BYTES", 1000)

    async def scenario(box: Outbox, reader: Reader) -> None:
        for number in range(200):
            box.event("tick", TickEvent(ts=number))
            await settled()
        assert 200 == len(reader.got)

    assert 0 == play(scenario)


def test_a_frame_counts_until_it_is_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that the client is slow to take isn't forgotten meanwhile."""
    monkeypatch.setattr(module, "MAX_BUFFERED_BYTES", 1000)

    async def scenario(box: Outbox, reader: Reader) -> None:
        reader.reads.clear()
        box.response(ResponseFrame(id="a", ok=True, payload="x" * 900))
        await settled()
        box.response(ResponseFrame(id="b", ok=True, payload="x" * 100))

    assert 1 == play(scenario)


def test_a_closed_one_takes_nothing() -> None:
    """Runs may go on telling; nobody listens."""

    async def scenario(box: Outbox, reader: Reader) -> None:
        reader.reads.clear()
        box.event("tick", TickEvent(ts=1))
        box.event("tick", TickEvent(ts=2))
        box.close()
        box.event("tick", TickEvent(ts=3))
        box.response(ResponseFrame(id="a", ok=True))
        assert 0 == len(box._frames)

    assert 0 == play(scenario)


def test_flush_sends_what_is_there() -> None:
    """Before there is anybody to drain it."""

    async def main() -> None:
        box, reader = Outbox(lambda: None), Reader()
        box.event("tick", TickEvent(ts=1))
        box.event("tick", TickEvent(ts=2))
        await box.flush(reader.take)
        assert [1, 2] == [json.loads(text)["seq"] for text in reader.got]
        await box.flush(reader.take)
        assert 2 == len(reader.got)

    asyncio.run(main())
