"""What an upstream says beside the contract's words: the fields that decoding leaves behind, place by place.

Pure. They are passed on as they are. What bears a name of the contract's has been decoded and isn't looked at here,
even where it was unfit: it must not get past the contract under this flag.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

import msgspec

from app.contract.models import (
    ChatCompletionChunkChoice,
    ChatCompletionMessageToolCallChunk,
    ChatCompletionModeration,
    ChatCompletionStreamResponseDelta,
    CompletionTokensDetails,
    CompletionUsage,
    CreateChatCompletionStreamResponse,
    Metadata,
    PromptTokensDetails,
)
from app.runs.event import ChoiceExtra, Event, Extra, Fields

_JUDGED: Final[dict[str, Any]] = {"moderation": ChatCompletionModeration, "metadata": Metadata}
"""Fields that OpenAI's schema has and no event: passed on if they are what it says."""


def _names(struct: type[msgspec.Struct], *others: str) -> frozenset[str]:
    return frozenset({*struct.__struct_encode_fields__, *others})


_CHUNK: Final = _names(CreateChatCompletionStreamResponse, "error") - _JUDGED.keys()
_CHOICE: Final = _names(ChatCompletionChunkChoice, "message")
_DELTA: Final = _names(ChatCompletionStreamResponseDelta)
_CALL: Final = _names(ChatCompletionMessageToolCallChunk)
_USAGE: Final = _names(CompletionUsage)
_DETAILS: Final[Mapping[str, frozenset[str]]] = {
    "prompt_tokens_details": _names(PromptTokensDetails),
    "completion_tokens_details": _names(CompletionTokensDetails),
}


def extra_of(body: Any, event: Event, words: str) -> Extra | None:
    """Return what is said beside the event, or ``None`` for nothing.

    Args:
        body: The JSON that the event was read from.
        event: The event, with a choice for each of the body's.
        words: What a choice calls its words, ``delta`` or ``message``.
    """
    extra = Extra(chunk=_chunk(body))
    for known, choice in zip(event.choices, body.get("choices") or (), strict=True):
        found = _choice(choice, words)
        if found is not None:
            extra.choices[known.index] = found
    usage = body.get("usage")
    if isinstance(usage, dict):
        extra.usage = _usage(usage)
    return extra if extra.chunk or extra.choices or extra.usage else None


def _others(fields: Any, known: Collection[str]) -> Fields:
    if not isinstance(fields, dict):
        return {}
    return {name: value for name, value in fields.items() if value is not None and name not in known}


def _chunk(body: Any) -> Fields:
    fields = _others(body, _CHUNK)
    for name in _JUDGED.keys() & fields.keys():
        try:
            msgspec.convert(fields[name], _JUDGED[name])
        except msgspec.ValidationError:
            del fields[name]
    return fields


def _choice(choice: Any, words: str) -> ChoiceExtra | None:
    spoken = choice.get(words)
    extra = ChoiceExtra(choice=_others(choice, _CHOICE), delta=_others(spoken, _DELTA))
    if not isinstance(extra.delta.get("audio", {}), dict):
        del extra.delta["audio"]  # a whole message has it from here, and OpenAI's schema knows objects only
    calls = spoken.get("tool_calls") if isinstance(spoken, dict) else None
    for place, call in enumerate(calls or ()):
        if fields := _others(call, _CALL):
            extra.calls[place] = fields
    return extra if extra.choice or extra.delta or extra.calls else None


def _usage(usage: Fields) -> Fields:
    fields = _others(usage, _USAGE)
    for name, known in _DETAILS.items():
        if details := _others(usage.get(name), known):
            fields[name] = details
    return fields
