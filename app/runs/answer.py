"""The fold over a run's events: one pass that gives the cleaned stream, the whole answer and the transcript entry.

Pure: no I/O, no clock. What it guarantees for every engine, however sloppy its upstream: the first delta of a choice
carries the role and no other does, each tool call has an index of its own and its id comes once, each choice ends with
exactly one ``finish_reason``, nothing follows it, and an answer that doesn't get that far is a failure. Source of the
rules: design.md, "Answer".
"""

from __future__ import annotations

from msgspec import UNSET

from app.contract.models import (
    ChatCompletionChoice,
    ChatCompletionChunkChoice,
    ChatCompletionFunctionCallDelta,
    ChatCompletionLogprobs,
    ChatCompletionMessageFunctionCall,
    ChatCompletionMessageToolCall,
    ChatCompletionMessageToolCallChunk,
    ChatCompletionResponseMessage,
    ChatCompletionStreamResponseDelta,
    CompletionUsage,
    ServiceTier,
)
from app.errors import EngineFailed
from app.runs.event import Event
from app.sessions.message import Message


class _ToolCall:
    __slots__ = ("arguments", "id", "name")

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.arguments: list[str] = []


class _Choice:
    __slots__ = ("content", "finish_reason", "function", "logprobs", "places", "refusal", "tool_calls")

    def __init__(self) -> None:
        self.content: list[str] = []
        self.refusal: list[str] = []
        self.tool_calls: dict[int, _ToolCall] = {}
        self.places: dict[int, int] = {}
        self.function: _ToolCall | None = None
        self.logprobs: ChatCompletionLogprobs | None = None
        self.finish_reason: str | None = None

    def add(self, chunk: ChatCompletionChunkChoice) -> None:
        delta = chunk.delta
        if delta.content:
            self.content.append(delta.content)
        if delta.refusal:
            self.refusal.append(delta.refusal)
        if delta.tool_calls:
            for part in delta.tool_calls:
                self._add_call(part)
        if delta.function_call:
            if self.function is None:
                self.function = _ToolCall()
            _add_function(self.function, delta.function_call)
        if chunk.logprobs:
            self._add_logprobs(chunk.logprobs)

    def _add_call(self, part: ChatCompletionMessageToolCallChunk) -> None:
        sent = part.index
        part.index = self.places.get(sent, sent)
        call = self.tool_calls.get(part.index)
        if call is not None and call.id and part.id and part.id != call.id:
            # Some upstreams give every call the index 0: it is the id that tells them apart.
            part.index = self.places[sent] = max(self.tool_calls) + 1
            call = None
        if call is None:
            call = self.tool_calls[part.index] = _ToolCall()
        if call.id:
            # Some repeat the id in every part: clients that add the parts up would get it several times over.
            part.id = part.type = UNSET
        elif part.id:
            call.id = part.id
        if part.function:
            _add_function(call, part.function)

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

    @property
    def text(self) -> str | None:
        if self.content:
            return "".join(self.content)
        return None if self.tool_calls or self.function or self.refusal else ""

    def message(self) -> ChatCompletionResponseMessage:
        calls = [self.tool_calls[index] for index in sorted(self.tool_calls)]
        return ChatCompletionResponseMessage(
            content=self.text,
            refusal="".join(self.refusal) or None,
            tool_calls=[
                ChatCompletionMessageToolCall(
                    id=call.id,
                    function=ChatCompletionMessageFunctionCall(name=call.name, arguments="".join(call.arguments)),
                )
                for call in calls
            ]
            or UNSET,
            function_call=ChatCompletionMessageFunctionCall(
                name=self.function.name, arguments="".join(self.function.arguments)
            )
            if self.function is not None
            else UNSET,
        )


class Answer:
    """An answer as it grows.

    Args:
        choices: How many choices were asked for (``n``).
    """

    def __init__(self, choices: int) -> None:
        self._expected = choices
        self._choices: dict[int, _Choice] = {}
        self._open = choices
        self._held: list[Event] = []
        self.usage: CompletionUsage | None = None
        """The engine's own count, or ``None`` as long as it reported nothing (or nothing but zeros)."""
        self.service_tier: ServiceTier = None
        self.system_fingerprint: str | None = None

    @property
    def begun(self) -> bool:
        """Whether the engine has said anything, so that another engine can't start over unnoticed."""
        return bool(self._choices)

    def feed(self, event: Event) -> Event | None:
        """Take one event of the engine's in.

        Returns:
            The event to pass on, cleaned, or ``None`` when there is nothing (yet): the event that ends the last choice
            is held back until ``complete``, so that no client sees an end that the session store hasn't seen.

        Raises:
            EngineFailed: If the event is about a choice that nobody asked for.
        """
        if event.usage is not None:
            if event.usage.total_tokens or event.usage.prompt_tokens or event.usage.completion_tokens:
                self.usage = event.usage
            event.usage = None
        if event.service_tier is not None:
            self.service_tier = event.service_tier
        if event.system_fingerprint is not None:
            self.system_fingerprint = event.system_fingerprint
        was_open = self._open
        event.choices = [chunk for chunk in event.choices if self._take(chunk)]
        if not event.choices:
            return None
        if was_open and not self._open:
            event.more = False
            self._held.append(event)
            return None
        return event

    def complete(self) -> list[Event]:
        """End the answer.

        Returns:
            The events held back: what ends the last choice.

        Raises:
            EngineFailed: If a choice that was asked for has not come to its end.
        """
        if self._open:
            done = self._expected - self._open
            what = f"{done} of {self._expected} choices" if self._expected > 1 else "its finish_reason"
            raise EngineFailed(
                f"The model's answer broke off: it ended {'after' if done else 'before'} {what}."
                if self._choices
                else "The model gave no answer.",
                code="upstream_truncated",
            )
        return self._held

    def choices(self) -> list[ChatCompletionChoice]:
        """Return the whole choices of a completed answer, in order."""
        return [
            ChatCompletionChoice(
                index=index,
                message=choice.message(),
                logprobs=choice.logprobs,
                finish_reason=choice.finish_reason,  # type: ignore[arg-type]  # a FinishReason: it came out of a chunk
            )
            for index, choice in sorted(self._choices.items())
        ]

    def texts(self) -> list[str]:
        """Return every piece of text that the model wrote, tool arguments included, for counting tokens."""
        return [
            "".join(
                (
                    *choice.content,
                    *choice.refusal,
                    *(part for call in choice.tool_calls.values() for part in (call.name, *call.arguments)),
                    *((choice.function.name, *choice.function.arguments) if choice.function else ()),
                )
            )
            for choice in self._choices.values()
        ]

    def transcript(self) -> Message:
        """Return what the session remembers of the answer: the first choice, as a client would send it back."""
        message = self._choices[0].message()
        fields: dict[str, object] = {"role": "assistant", "content": message.content}
        if message.refusal is not None:
            fields["refusal"] = message.refusal
        if message.tool_calls:
            fields["tool_calls"] = message.tool_calls
        if message.function_call:
            fields["function_call"] = message.function_call
        return Message.of("assistant", fields)

    def _take(self, chunk: ChatCompletionChunkChoice) -> bool:
        choice = self._choices.get(chunk.index)
        delta = chunk.delta
        if choice is None:
            if not 0 <= chunk.index < self._expected:
                raise EngineFailed(f"The model answered with a choice {chunk.index} that nobody asked for.")
            choice = self._choices[chunk.index] = _Choice()
            delta.role = "assistant"
        elif choice.finish_reason is not None:
            return False
        else:
            delta.role = UNSET
        choice.add(chunk)
        if chunk.finish_reason is not None:
            choice.finish_reason = chunk.finish_reason
            self._open -= 1
            return True
        return not _is_empty(delta) or bool(chunk.logprobs)


def _is_empty(delta: ChatCompletionStreamResponseDelta) -> bool:
    return not (delta.content or delta.refusal or delta.tool_calls or delta.function_call or delta.role)


def _add_function(call: _ToolCall, part: ChatCompletionFunctionCallDelta) -> None:
    if part.name:
        call.name += part.name
    if part.arguments:
        call.arguments.append(part.arguments)
