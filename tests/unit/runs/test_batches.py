"""Engines that have several events at once: asked for batches, and heard as if the events had come one by one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.errors import EngineFailed
from app.runs.event import Event, finish_event, text_event
from app.runs.turn import Turn
from tests.unit.runs.engines import TinyEngine
from tests.unit.runs.jobs import job
from tests.unit.runs.test_run import Bench, Listening, play, text_of


class Batches(TinyEngine):
    """Says lists of events, and single ones; how many it was asked for is noted."""

    def __init__(self, *steps: Event | list[Event]) -> None:
        super().__init__()
        self._steps = steps
        self.asked = 0

    async def batches(self, turn: Turn) -> AsyncIterator[Event | list[Event]]:
        """Say the steps."""
        for step in self._steps:
            self.asked += 1
            yield step


def test_batches_are_heard_event_by_event(tmp_path: Path) -> None:
    """The listener hears each event, is flushed where the last of a read says nothing, and gets the whole answer."""
    engine = Batches(
        [text_event("a", more=True), text_event("b")],
        [],
        text_event("c"),
        [text_event("d", more=True), Event()],
        [finish_event("stop")],
    )

    async def scenario(bench: Bench) -> None:
        listening = Listening()
        answer = await bench.runs.execute(job("hi"), listening)
        assert "abcd" == text_of(answer)
        assert ["a", "b", "c", "d", "flush", "flush", "stop"] == listening.heard_and_flushed

    play(tmp_path, scenario, one=engine)


def test_what_comes_before_a_mistake_is_heard(tmp_path: Path) -> None:
    """An event that the answer can't have fails the run, after those before it in its batch; nothing is read on."""
    engine = Batches([text_event("a", more=True), text_event("b", index=7), text_event("c")], [finish_event("stop")])

    async def scenario(bench: Bench) -> None:
        listening = Listening()
        with pytest.raises(EngineFailed, match="choice 7"):
            await bench.runs.execute(job("hi"), listening)
        assert ["a"] == listening.heard
        assert 1 == engine.asked

    play(tmp_path, scenario, one=engine)
