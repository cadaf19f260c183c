"""The fold over a run's events: one pass that gives the cleaned stream, the whole answer and the transcript entry.

Pure: no I/O, no clock. What it guarantees for every engine, however sloppy its upstream: choices begin in order, the
first delta of each carries the role and no other does, each choice ends with exactly one ``finish_reason``, nothing
follows it, and an answer that doesn't get that far is a failure. ``choice`` sees to the calls in it, ``extra`` to what
the contract has no words for. Source of the rules: design.md, "Answer".
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET

from app.config import ModelRef
from app.contract.models import (
    ChatCompletionChoice,
    ChatCompletionChunkChoice,
    ChatCompletionStreamResponseDelta,
    CompletionUsage,
    CreateChatCompletionRequest,
    ServiceTier,
)
from app.errors import EngineFailed
from app.large.aside import LARGE
from app.large.written import written
from app.runs.choice import Choice
from app.runs.event import Event, Extra
from app.runs.extra import ExtraFold, citations
from app.sessions.message import Message

_THOUGHTS = ("reasoning_content", "reasoning", "reasoning_details")


class Answer:
    """An answer as it grows.

    Args:
        choices: How many choices were asked for (``n``).
        seed: What the ids of calls are made from where the engine has none: the run's id.
        legacy: See ``Choice``.
    """

    def __init__(self, choices: int, seed: str = "", *, legacy: bool | None = None) -> None:
        self._expected = choices
        self._seed = seed
        self._legacy = legacy
        self._choices: dict[int, Choice] = {}
        self._silent: list[ChatCompletionChunkChoice] = []
        self._beside: ExtraFold | None = None
        self._open = choices
        self._held: list[Event] = []
        self.usage: CompletionUsage | None = None
        """The engine's own count, or ``None`` as long as it reported nothing (or nothing but zeros)."""
        self.estimated = False
        """Whether ``usage`` is, in the end, wholly or in part an estimate."""
        self.replayed = False
        """Whether it is one that was given before."""
        self.spent: CompletionUsage | None = None
        """What models counted that were asked before this one: to sum up what it has no room for, or in vain."""
        self.service_tier: ServiceTier | None = None
        self.system_fingerprint: str | None = None
        self.model: ModelRef | None = None
        """The model that gave it, a fallback perhaps; known when it is complete."""

    @classmethod
    def to(cls, request: CreateChatCompletionRequest, run_id: str) -> Answer:
        """Return the answer to a request, not yet begun. Calls come in the form in which the client offered tools."""
        legacy = bool(request.functions) if bool(request.functions) != bool(request.tools) else None
        return cls(request.n or 1, run_id, legacy=legacy)

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
        self._note(event)
        was_open = self._open
        if event.extra is not None:
            self._take_all(event, event.extra)
        elif len(event.choices) != 1:
            event.choices = [chunk for chunk in event.choices if self._take(chunk)]
        elif not self._take(event.choices[0]):  # nearly every event has one
            event.choices = []
        if not event.choices:
            return None
        if self.service_tier is not None or self.system_fingerprint is not None:
            self._identify(event)
        if self._silent:
            event.choices[:0] = self._silent
            self._silent.clear()
        if self._beside is not None:
            event.extra = self._beside.with_held(event.extra)
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
        if self._beside is not None and self._held:
            self._held[-1].extra = self._beside.with_held(self._held[-1].extra)
        if self._held:
            self._identify(self._held[-1])
        return self._held

    def choices(self) -> list[ChatCompletionChoice]:
        """Return the whole choices of a completed answer, in order."""
        recordings = self._beside.recordings if self._beside is not None else {}
        return [
            ChatCompletionChoice(
                index=index,
                message=choice.message(recordings.get(index)),
                logprobs=choice.logprobs,
                finish_reason=choice.finish_reason,  # type: ignore[arg-type]  # each has one: the answer is complete
            )
            for index, choice in sorted(self._choices.items())
        ]

    @property
    def extra(self) -> Extra | None:
        """What belongs to a completed answer beside the contract's words, with messages in the place of deltas."""
        if self._beside is None:
            return None
        whole = self._beside.whole
        for choice in whole.choices.values():
            if "annotations" in choice.delta:
                choice.delta["annotations"] = citations(choice.delta["annotations"])
        return whole

    def texts(self) -> list[str]:
        """Return every piece of text that the model wrote, a text per choice, for counting tokens."""
        recordings = self._beside.recordings if self._beside is not None else {}
        return [
            choice.words() + (recordings[index].transcript if index in recordings else "")
            for index, choice in self._choices.items()
        ]

    @property
    def size(self) -> int:
        """The characters of it, about."""
        recordings = self._beside.recordings.values() if self._beside is not None else ()
        return sum(choice.size for choice in self._choices.values()) + sum(one.size for one in recordings)

    def transcript(self) -> Message:
        """Return what the session remembers of the answer: the first choice, as a client would send it back.

        What the model thought is remembered beside a tool call only, where some engines want it back; elsewhere none
        needs it, and several refuse it.
        """
        extra = self._beside.whole.choices.get(0) if self._beside is not None else None
        recording = self._beside.recordings.get(0) if self._beside is not None else None
        message = self._choices[0].message(recording)
        fields: dict[str, Any] = {"role": "assistant", "content": message.content}
        if message.refusal is not None:
            fields["refusal"] = message.refusal
        if message.tool_calls:
            calls = msgspec.to_builtins(message.tool_calls)
            thoughts = msgspec.to_builtins(message)
            if extra is not None:
                thoughts = {**extra.delta, **thoughts}
                calls = [{**extra.calls.get(place, {}), **call} for place, call in enumerate(calls)]
            fields["tool_calls"] = calls
            fields |= {name: thoughts[name] for name in _THOUGHTS if name in thoughts}
        if message.function_call:
            fields["function_call"] = message.function_call
        if recording is not None and recording.id:
            fields["audio"] = {"id": recording.id}
        elif recording is not None:
            fields["content"] = message.content or recording.transcript
        if self.size > LARGE:
            return Message("assistant", msgspec.Raw(written(fields)))
        return Message.of("assistant", fields)

    def _note(self, event: Event) -> None:
        """Take in what an event says of the answer as a whole."""
        if event.usage is not None:
            if counts(event.usage):
                self.usage = event.usage
            event.usage = None
        if event.service_tier is not None:
            self.service_tier = event.service_tier
        if event.system_fingerprint is not None:
            self.system_fingerprint = event.system_fingerprint

    def _take_all(self, event: Event, extra: Extra) -> None:
        """Take the choices of an event that says something beside them."""
        if self._beside is None:
            self._beside = ExtraFold()
        for index in [index for index in extra.choices if self._ended(index)]:
            del extra.choices[index]
        self._beside.add(extra)
        kept = []
        for chunk in event.choices:
            if self._take(chunk) or (chunk.index in extra.choices and not self._ended(chunk.index)):
                kept.append(chunk)
            if chunk.index in extra.choices:
                calls = chunk.delta.tool_calls or ()
                for position, fields in extra.choices[chunk.index].calls.items():
                    if position < len(calls):  # an event may name a choice twice, and has the extras of one of the two
                        self._beside.add_call(chunk.index, calls[position].index, fields)
        event.choices = kept
        if not kept:
            self._beside.hold(extra)

    def _identify(self, event: Event) -> None:
        """Have an event say what a former one said that had nothing else to say, and so wasn't passed on."""
        if event.service_tier is None:
            event.service_tier = self.service_tier
        if event.system_fingerprint is None:
            event.system_fingerprint = self.system_fingerprint

    def _ended(self, index: int) -> bool:
        choice = self._choices.get(index)
        return choice is not None and choice.finish_reason is not None

    def _take(self, chunk: ChatCompletionChunkChoice) -> bool:
        """Take a chunk in, and return whether there is something in it to pass on."""
        choice = self._choices.get(chunk.index)
        delta = chunk.delta
        if choice is None:
            choice = self._begin(chunk.index)
            if chunk.logprobs and chunk.index:
                # openai-python's stream helper counts those of a further choice's first chunk twice.
                self._open_silently(chunk.index)
                delta.role = UNSET
            else:
                delta.role = "assistant"
        elif choice.finish_reason is not None:
            return False
        else:
            delta.role = UNSET
        choice.add(chunk)
        if chunk.finish_reason is not None:
            self._open -= 1
            return True
        return bool(delta.content) or not _is_empty(delta) or bool(chunk.logprobs)

    def _begin(self, index: int) -> Choice:
        """Begin a choice, and silently those before it: openai-python's stream helper takes them in order only."""
        if not 0 <= index < self._expected:
            raise EngineFailed(f"The model answered with a choice {index} that nobody asked for.")
        for each in range(len(self._choices), index + 1):
            self._choices[each] = Choice(f"{self._seed}/{each}", self._legacy)
            if each < index:
                self._open_silently(each)
        return self._choices[index]

    def _open_silently(self, index: int) -> None:
        delta = ChatCompletionStreamResponseDelta(role="assistant")
        self._silent.append(ChatCompletionChunkChoice(index=index, delta=delta, finish_reason=None))


def counts(usage: CompletionUsage) -> bool:
    """Tell whether a report of usage says anything: all zeros say nothing."""
    return bool(usage.total_tokens or usage.prompt_tokens or usage.completion_tokens)


def _is_empty(delta: ChatCompletionStreamResponseDelta) -> bool:
    return not (
        delta.content
        or delta.refusal
        or delta.tool_calls
        or delta.function_call
        or delta.reasoning_content
        or delta.reasoning
        or delta.role
    )
