"""Tiny engines, and where runs find them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import msgspec

from app.engines.engine import Engine
from app.runs.event import Event, finish_event, text_event
from app.runs.turn import Turn
from tests.unit.conversation import script

Answering = Callable[[Turn], AsyncIterator[Event]]


class TinyEngine:
    """An engine that answers as the test says, and remembers what it saw.

    Args:
        answer: Answers a turn; without it the answer is "re: " and the last message's content.
    """

    def __init__(self, answer: Answering | None = None) -> None:
        self.answer = answer or repeat
        self.turns: list[Turn] = []
        self.ended: list[str] = []
        """How each run came to its end, in the order of the ends."""

    @property
    def seen(self) -> list[list[str]]:
        """The conversations it was shown."""
        return [script(turn.messages) for turn in self.turns]

    async def run(self, turn: Turn) -> AsyncIterator[Event]:
        """See ``Engine``."""
        self.turns.append(turn)
        end = "closed"
        try:
            async for event in self.answer(turn):
                yield event
            end = "done"
        except asyncio.CancelledError:
            end = "cancelled"
            raise
        except Exception:
            end = "failed"
            raise
        finally:
            self.ended.append(end)

    async def close(self) -> None:
        """See ``Engine``."""


class Shelf:
    """Engines by provider.

    Args:
        engines: What there is.
    """

    def __init__(self, engines: Mapping[str, Engine]) -> None:
        self._engines = engines

    def engine_for(self, provider: str) -> Engine:
        """See ``EngineSource``."""
        return self._engines[provider]


async def repeat(turn: Turn) -> AsyncIterator[Event]:
    """Answer "re: " and the last message's content."""
    yield text_event("re: ")
    yield text_event(msgspec.json.decode(turn.messages[-1].raw)["content"])
    yield finish_event("stop")


def saying(*events: Event) -> Answering:
    """Answer with copies of events, over and over."""
    recorded = msgspec.json.encode(events)

    async def answer(_turn: Turn) -> AsyncIterator[Event]:
        for event in msgspec.json.decode(recorded, type=list[Event]):
            yield event

    return answer


def failing(error: Exception, *events: Event) -> Answering:
    """Say some events, then raise."""

    async def answer(turn: Turn) -> AsyncIterator[Event]:
        async for event in saying(*events)(turn):
            yield event
        raise error

    return answer


def waiting(gate: asyncio.Event, *events: Event) -> Answering:
    """Say some events, wait at a gate, then repeat the last message."""

    async def answer(turn: Turn) -> AsyncIterator[Event]:
        async for event in saying(*events)(turn):
            yield event
        await gate.wait()
        async for event in repeat(turn):
            yield event

    return answer
