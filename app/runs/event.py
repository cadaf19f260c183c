"""What an engine says while it works, in the contract's own words.

An event is a chunk of the contract without its identity: choices with deltas, usage, fingerprint. That makes it
decodable straight from an OpenAI-compatible upstream's chunk. Pure values; knows the contract and nothing else.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from app.contract.models import (
    ChatCompletionChunkChoice,
    ChatCompletionStreamResponseDelta,
    CompletionUsage,
    ServiceTier,
)

Fields: TypeAlias = dict[str, Any]
"""Fields of a JSON object that nobody here knows the meaning of."""


class ChoiceExtra(msgspec.Struct):
    """What is said about a choice beside the contract's words: of the choice, its delta, and its tool calls.

    ``calls`` has the fields of a tool call under its place in the delta's list, and in a whole answer in the message's.
    """

    choice: Fields = {}
    delta: Fields = {}
    calls: dict[int, Fields] = {}


class Extra(msgspec.Struct):
    """What an engine says beside the contract's words, to be passed on: reasoning details, citations, costs.

    ``choices`` are by index. ``usage`` may have the known objects in it, with the unknown fields of each.
    """

    chunk: Fields = {}
    choices: dict[int, ChoiceExtra] = {}
    usage: Fields = {}


class Event(msgspec.Struct):
    """One step of an answer.

    ``choices`` carry deltas (and, once per choice, the ``finish_reason``); ``usage`` is the engine's own cumulative
    count; ``obfuscation`` is padding that belongs to this chunk.
    """

    choices: list[ChatCompletionChunkChoice] = []
    usage: CompletionUsage | None = None
    service_tier: ServiceTier | None = None
    system_fingerprint: str | None = None
    obfuscation: str | None = None
    extra: Extra | None = None
    more: bool = False
    """A hint from an engine that holds the next event in its hands already: a door may write both at once."""
    large: bool = False
    """Whether it takes long to write, so that a door does it beside the event loop."""
    replayed: bool = False
    """Whether it is of an answer that was given before."""


def text_event(text: str, *, index: int = 0, more: bool = False) -> Event:
    """Return the event of some words of choice ``index``."""
    delta = ChatCompletionStreamResponseDelta(content=text)
    return Event(choices=[ChatCompletionChunkChoice(index=index, delta=delta, finish_reason=None)], more=more)


def finish_event(reason: str, *, index: int = 0, more: bool = False) -> Event:
    """Return the event that ends choice ``index``."""
    choice = msgspec.convert({"index": index, "delta": {}, "finish_reason": reason}, type=ChatCompletionChunkChoice)
    return Event(choices=[choice], more=more)
