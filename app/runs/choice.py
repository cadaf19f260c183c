"""One choice of an answer as it grows: its words, its calls, its end. Puts right what upstreams do to calls.

Pure. What clients may rely on, whatever the upstream does: a call's pieces have the next free index from 0 on, its
first piece has its id, its type and arguments, however empty, and no later one repeats id or name. The SDKs' stream
helpers raise where one of these is missing.
"""

from __future__ import annotations

import hashlib

import msgspec
from msgspec import UNSET

from app.contract.models import (
    ChatCompletionAudio,
    ChatCompletionChunkChoice,
    ChatCompletionFunctionCallDelta,
    ChatCompletionLogprobs,
    ChatCompletionMessageCustomCall,
    ChatCompletionMessageCustomToolCall,
    ChatCompletionMessageFunctionCall,
    ChatCompletionMessageToolCall,
    ChatCompletionMessageToolCallChunk,
    ChatCompletionResponseMessage,
    ChatCompletionStreamResponseDelta,
    FinishReason,
)
from app.runs.recording import Recording

_CALLING = frozenset({"stop", "tool_calls", "function_call"})
_MANY = 4096


class _Pieces(list[str]):
    """A text as it comes. Many pieces become one every now and then: to join millions would take long."""

    _joined = 0  # no __init__: there are four of these in every choice, and hardly one is ever joined

    def add(self, piece: str) -> None:
        self.append(piece)
        if len(self) - self._joined == _MANY:
            self[self._joined :] = ["".join(self[self._joined :])]
            self._joined += 1


class _Call:
    __slots__ = ("custom", "id", "name", "sent_id", "words")

    def __init__(self, custom: bool) -> None:
        self.custom = custom
        self.id = ""
        self.sent_id = ""
        self.name = ""
        self.words = _Pieces()

    @property
    def text(self) -> str:
        return "".join(self.words)

    @property
    def complete(self) -> bool:
        """Whether nothing can follow: the words are all that a call of a function needs."""
        if self.custom:
            return bool(self.words)
        try:
            msgspec.json.decode(self.text)
        except (msgspec.DecodeError, RecursionError):
            return False
        return True

    def add(self, name: str | msgspec.UnsetType, words: str | msgspec.UnsetType) -> None:
        if name:
            self.name += name
        if words:
            self.words.add(words)

    def function(self) -> ChatCompletionMessageFunctionCall:
        return ChatCompletionMessageFunctionCall(name=self.name, arguments=self.text)

    def whole(self) -> ChatCompletionMessageToolCall | ChatCompletionMessageCustomToolCall:
        if self.custom:
            call = ChatCompletionMessageCustomCall(name=self.name, input=self.text)
            return ChatCompletionMessageCustomToolCall(id=self.id, custom=call)
        return ChatCompletionMessageToolCall(id=self.id, function=self.function())


class Choice:
    """A choice as it grows.

    Args:
        seed: What the ids are made from that an upstream leaves out; no other choice has the same.
        legacy: Whether the client knows ``function_call`` only (``True``) or ``tool_calls`` only (``False``); with
            ``None`` calls come as the upstream makes them.
    """

    __slots__ = (
        "_calls",
        "_content",
        "_function",
        "_legacy",
        "_places",
        "_reasoning",
        "_reasoning_content",
        "_refusal",
        "_seed",
        "finish_reason",
        "logprobs",
    )

    def __init__(self, seed: str, legacy: bool | None) -> None:
        self._seed = seed
        self._legacy = legacy
        self._content = _Pieces()
        self._refusal = _Pieces()
        self._reasoning_content = _Pieces()
        self._reasoning = _Pieces()
        self._calls: list[_Call] = []
        self._places: dict[int, int] = {}
        self._function: _Call | None = None
        self.logprobs: ChatCompletionLogprobs | None = None
        self.finish_reason: FinishReason | None = None

    def add(self, chunk: ChatCompletionChunkChoice) -> None:
        """Take in a chunk, and put right in place what is wrong with it."""
        delta = chunk.delta
        if delta.content:
            self._content.add(delta.content)
        if delta.refusal:
            self._refusal.add(delta.refusal)
        if delta.reasoning_content:
            self._reasoning_content.add(delta.reasoning_content)
        if delta.reasoning:
            self._reasoning.add(delta.reasoning)
        if delta.tool_calls or delta.function_call:
            self._add_calls(delta)
        if chunk.logprobs:
            self._add_logprobs(chunk.logprobs)
        if chunk.finish_reason is not None:
            chunk.finish_reason = self.finish_reason = self._reason(chunk.finish_reason)

    def message(self, recording: Recording | None) -> ChatCompletionResponseMessage:
        """Return the whole of it."""
        function = self._function or (self._calls[0] if self._legacy and self._calls else None)
        return ChatCompletionResponseMessage(
            content=self._text(recording),
            refusal="".join(self._refusal) or None,
            tool_calls=UNSET if self._legacy or not self._calls else [call.whole() for call in self._calls],
            function_call=function.function() if function is not None else UNSET,
            reasoning_content="".join(self._reasoning_content) or UNSET,
            reasoning="".join(self._reasoning) or UNSET,
            audio=ChatCompletionAudio(
                id=recording.id or self._made("audio", 0),
                expires_at=recording.expires_at,
                data=recording.data,
                transcript=recording.transcript,
            )
            if recording is not None
            else UNSET,
        )

    @property
    def size(self) -> int:
        """The characters of it, about."""
        size = sum(map(len, self._content)) + sum(map(len, self._refusal))
        size += sum(map(len, self._reasoning_content)) + sum(map(len, self._reasoning))
        if self._function is not None:
            size += sum(map(len, self._function.words))
        for call in self._calls:
            size += sum(map(len, call.words))
        return size

    def words(self) -> str:
        """Return every piece of text that the model wrote, for counting tokens."""
        calls = [*self._calls, *([self._function] if self._function is not None else ())]
        # Who says the same thought under both names has still thought it once.
        thoughts = self._reasoning_content or self._reasoning
        return "".join((*thoughts, *self._content, *self._refusal, *(c.name + c.text for c in calls)))

    def _text(self, recording: Recording | None) -> str | None:
        if self._content:
            return "".join(self._content)
        return None if self._calls or self._function or self._refusal or recording is not None else ""

    def _reason(self, said: FinishReason) -> FinishReason:
        """Return why the choice ended, where a call was made or wasn't: not all upstreams say so."""
        if said not in _CALLING:
            return said
        if self._function is not None or (self._legacy and self._calls):
            return "function_call"
        return "tool_calls" if self._calls else "stop"

    def _add_calls(self, delta: ChatCompletionStreamResponseDelta) -> None:
        if delta.function_call and not (delta.function_call.name or delta.function_call.arguments):
            delta.function_call = UNSET  # some upstreams send an empty one with every word
        if delta.function_call and self._legacy is False:
            delta.tool_calls = [ChatCompletionMessageToolCallChunk(index=0, function=delta.function_call)]
            delta.function_call = UNSET
        for part in delta.tool_calls or ():
            self._add_part(part)
        if self._legacy and delta.tool_calls:
            # The old form has room for one call, and for no id.
            parts = [part.function for part in delta.tool_calls if part.index == 0 and part.function]
            delta.tool_calls = UNSET
            if parts:
                delta.function_call = ChatCompletionFunctionCallDelta(
                    name="".join(part.name or "" for part in parts) or UNSET,
                    arguments="".join(part.arguments or "" for part in parts),
                )
        elif delta.function_call:
            if self._function is None:
                self._function = _Call(custom=False)
            _add_function(self._function, delta.function_call)

    def _add_part(self, part: ChatCompletionMessageToolCallChunk) -> None:
        place = self._place_of(part)
        if place == len(self._calls):
            call = _Call(custom=bool(part.custom))
            self._calls.append(call)
            call.sent_id = part.id or ""
            part.id = call.id = part.id or self._made("call", place)
            part.type = UNSET if call.custom else "function"
            if not call.custom:
                part.function = part.function or ChatCompletionFunctionCallDelta()
                part.function.arguments = part.function.arguments or ""
        else:
            call = self._calls[place]
            # Some repeat the id in every part: clients that add the parts up would get it several times over.
            call.sent_id = call.sent_id or part.id or ""
            part.id = part.type = UNSET
            if not call.custom and not part.function:
                part.function = ChatCompletionFunctionCallDelta(arguments="")
        part.index = place
        if part.custom:
            if part.custom.name == call.name:
                part.custom.name = UNSET
            call.add(part.custom.name, part.custom.input)
        elif part.function:
            _add_function(call, part.function)

    def _place_of(self, part: ChatCompletionMessageToolCallChunk) -> int:
        """Return the index of the call that a part belongs to; it is a new one for a call not yet heard of."""
        free = len(self._calls)
        if part.id:
            known = next((at for at, call in enumerate(self._calls) if call.sent_id == part.id), None)
            if known is not None:
                return known
        place = self._places.setdefault(part.index, free)
        # Some upstreams give every call the index 0: then an id, or a name behind a complete call, tells them apart.
        if place < free and (
            (part.id and self._calls[place].sent_id) or (_name_of(part) and self._calls[place].complete)
        ):
            place = self._places[part.index] = free
        return place

    def _made(self, kind: str, place: int) -> str:
        digest = hashlib.sha256(f"{self._seed}/{kind}/{place}".encode()).hexdigest()
        return f"{kind}_{digest[:24]}"

    def _add_logprobs(self, more: ChatCompletionLogprobs) -> None:
        had = self.logprobs
        if had is None:
            # A copy: the lists of an event on its way to a client must not grow.
            self.logprobs = ChatCompletionLogprobs(
                content=None if more.content is None else list(more.content),
                refusal=None if more.refusal is None else list(more.refusal),
            )
            return
        if more.content:
            had.content = had.content or []
            had.content.extend(more.content)
        if more.refusal:
            had.refusal = had.refusal or []
            had.refusal.extend(more.refusal)


def _add_function(call: _Call, part: ChatCompletionFunctionCallDelta) -> None:
    if part.name == call.name:
        part.name = UNSET  # repeated, or empty
    call.add(part.name, part.arguments)


def _name_of(part: ChatCompletionMessageToolCallChunk) -> str:
    if part.custom:
        return part.custom.name or ""
    return (part.function.name or "") if part.function else ""
