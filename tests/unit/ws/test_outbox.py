"""The outbox: order, numbers, and a bound that nothing gets past."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest

from app.contract.frames import ResponseFrame, TickEvent
from app.ws import outbox as module
from app.ws.outbox import Outbox


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
    """Past the limit it says so, once, and takes nothing more; what a character is doesn't matter."""
    limit = 10_000
    monkeypatch.setattr(module, "MAX_BUFFERED_BYTES", limit)

    async def scenario(box: Outbox, reader: Reader) -> None:
        reader.reads.clear()
        for _ in range(1000):
            box.response(ResponseFrame(id="a", ok=True, payload=letter * 100))
            await asyncio.sleep(0)
        reader.reads.set()
        await settled()
        size = len(reader.got[0].encode())
        assert limit // size + 1 == len(reader.got)

    assert 1 == play(scenario)


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
