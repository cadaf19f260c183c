"""The tool call that the local model writes as JSON, in OpenAI's words, piece by piece. Pure."""

from __future__ import annotations

import re
from typing import Final

import msgspec
from msgspec import UNSET

from app.contract.models import (
    ChatCompletionChunkChoice,
    ChatCompletionFunctionCallDelta,
    ChatCompletionMessageToolCallChunk,
    ChatCompletionStreamResponseDelta,
)
from app.engines.local.json_value import JsonValue
from app.runs.event import Event

_HEAD: Final = re.compile(r'\{\s*"name"\s*:\s*("(?:[^"\\]|\\.)*")\s*,\s*"arguments"\s*:\s*')


class CallReader:
    """The call of one choice.

    Args:
        call_id: Its id.
        name: The tool's name, where there is only one and the model writes nothing but its arguments. Otherwise the
            model writes ``{"name": ..., "arguments": ...}``.
    """

    def __init__(self, call_id: str, name: str | None) -> None:
        self._id = call_id
        self._name = name
        self._waiting = ""
        self._begun = False
        self._arguments = JsonValue()

    def read(self, chunk: ChatCompletionChunkChoice) -> list[Event]:
        """Make a chunk of text one of the call, in place.

        Returns:
            The event that must come before it: the call's id and name, once they are known.
        """
        text, chunk.delta.content = chunk.delta.content or "", UNSET
        first: list[Event] = []
        if not self._begun:
            name, text = self._head(text)
            if name is None:
                return []
            self._begun = True
            first.append(self._first(chunk.index, name))
        if fragment := self._arguments.feed(text):
            function = ChatCompletionFunctionCallDelta(arguments=fragment)
            chunk.delta.tool_calls = [ChatCompletionMessageToolCallChunk(index=0, function=function)]
        if chunk.finish_reason is not None and self._arguments.done:
            chunk.finish_reason = "tool_calls"  # even where only the blanks behind it were cut off
        return first

    def _head(self, text: str) -> tuple[str | None, str]:
        """Return the tool's name, once it is known, and the beginning of its arguments."""
        if self._name is not None:
            return self._name, text
        self._waiting += text
        head = _HEAD.search(self._waiting)
        if head is None:
            return None, ""
        return msgspec.json.decode(head[1], type=str), self._waiting[head.end() :]

    def _first(self, index: int, name: str) -> Event:
        function = ChatCompletionFunctionCallDelta(name=name, arguments="")
        call = ChatCompletionMessageToolCallChunk(index=0, id=self._id, type="function", function=function)
        delta = ChatCompletionStreamResponseDelta(content=None, tool_calls=[call])
        return Event(choices=[ChatCompletionChunkChoice(index=index, delta=delta, finish_reason=None)], more=True)


class JsonReader:
    """The JSON document that a choice is, without the blanks that the grammar lets the model write behind it."""

    def __init__(self) -> None:
        self._document = JsonValue()

    def read(self, chunk: ChatCompletionChunkChoice) -> list[Event]:
        """Cut the blanks off a chunk, in place. An answer that is complete wasn't cut off by a limit.

        Returns:
            Nothing: no event must come before it.
        """
        if chunk.delta.content:
            chunk.delta.content = self._document.feed(chunk.delta.content) or UNSET
        if chunk.finish_reason == "length" and self._document.done:
            chunk.finish_reason = "stop"
        return []
