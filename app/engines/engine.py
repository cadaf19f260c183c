"""The one protocol that everything that can answer implements. Adding an engine: docs/engines.md."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Protocol, cast

from app.runs.event import Event
from app.runs.turn import Turn


class Engine(Protocol):
    """Answers turns. One instance serves every run of its provider, concurrently."""

    def run(self, turn: Turn) -> AsyncIterator[Event]:
        """Answer a turn, event by event.

        An answer is complete when each choice has had its ``finish_reason``; an iterator that ends before is taken
        for a failure. Closing or cancelling the iterator stops the work at once.

        Raises:
            InvalidRequest: If the request can't be answered as it is (before the first event).
            UnsupportedParameter: If it asks for something this engine can't do (before the first event).
            EngineFailed: If the engine failed, at any time.
        """
        ...

    async def close(self) -> None:
        """Release what the engine holds. Idempotent; no run is under way any more."""
        ...


class Batching(Engine, Protocol):
    """An engine that often has several events at once. Each then costs a fraction of being asked for alone."""

    def batches(self, turn: Turn) -> AsyncIterator[Event | list[Event]]:
        """Answer a turn as ``run`` does, with lists of events where several are there. Asked in its place."""
        ...


def steps_of(engine: Engine, turn: Turn) -> AsyncGenerator[Event | list[Event], None]:
    """Have an engine answer a turn: in batches if it knows how, else event by event."""
    steps: AsyncIterator[Event | list[Event]] = getattr(engine, "batches", engine.run)(turn)
    # Protocol methods written as async generators are typed as iterators; closing them is what stops the work.
    return cast("AsyncGenerator[Event | list[Event], None]", steps)
