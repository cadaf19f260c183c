"""From an upstream's JSON to events: strict first, then forgiving about known quirks, then refused.

Strict also means that no field is unknown: a chunk by the book is decoded in one step. Only of one that says more, or
says it oddly, the rest is looked for (``beside``). Pure. The quirks are those of services in use: fields that are
missing, null, empty or of a neighbouring type.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec
from msgspec import UNSET, Raw, UnsetType

from app.contract.models import (
    ChatCompletionChunkChoice,
    ChatCompletionMessageToolCallChunk,
    ChatCompletionStreamResponseDelta,
    CompletionTokensDetails,
    CompletionUsage,
    PromptTokensDetails,
    ServiceTier,
)
from app.engines.upstream.beside import extra_of
from app.errors import EngineFailed
from app.large.aside import LARGE, aside
from app.large.shortened import Shortened, read
from app.runs.event import Event, Extra

_FINISH_REASONS: Final = frozenset({"stop", "length", "tool_calls", "content_filter", "function_call"})
_FINISH_SYNONYMS: Final = {"eos": "stop", "end_turn": "stop", "max_tokens": "length", "tool_use": "tool_calls"}
_FAILED: Final = frozenset({"error", "abort", "aborted", "cancelled", "canceled", "failed"})
_USAGE_DETAILS: Final = ("prompt_tokens_details", "completion_tokens_details")
_THOUGHTS: Final = ("reasoning_content", "reasoning")


class _Loose(Event):
    """A chunk of which more may be known than this."""

    # The event's own fields, under names that no upstream gives to one of its.
    extra: Extra | None = msgspec.field(default=None, name="zero extra")
    more: bool = msgspec.field(default=False, name="zero more")
    large: bool = msgspec.field(default=False, name="zero large")
    replayed: bool = msgspec.field(default=False, name="zero replayed")


class _ToolCall(ChatCompletionMessageToolCallChunk, forbid_unknown_fields=True):
    pass


class _Delta(ChatCompletionStreamResponseDelta, forbid_unknown_fields=True):
    tool_calls: list[_ToolCall] | UnsetType = UNSET  # type: ignore[assignment]  # narrower: only decoded into


class _Choice(ChatCompletionChunkChoice, forbid_unknown_fields=True):
    delta: _Delta
    # vLLM, SGLang and OpenRouter have these in every chunk, nearly always null: not worth a second look then.
    matched_stop: UnsetType | None = UNSET
    native_finish_reason: UnsetType | None = UNSET
    stop_reason: UnsetType | None = UNSET
    token_ids: UnsetType | None = UNSET


class _PromptDetails(PromptTokensDetails, forbid_unknown_fields=True):
    pass


class _CompletionDetails(CompletionTokensDetails, forbid_unknown_fields=True):
    pass


class _Usage(CompletionUsage, forbid_unknown_fields=True):
    prompt_tokens_details: _PromptDetails | UnsetType = UNSET
    completion_tokens_details: _CompletionDetails | UnsetType = UNSET


class _Strict(_Loose, forbid_unknown_fields=True):
    """A chunk of which this is all. Its identity is read over, and an ``error`` that isn't null is no chunk."""

    choices: list[_Choice] = msgspec.field(default_factory=list)  # type: ignore[assignment]  # narrower: as above
    usage: _Usage | None = None
    id: Raw = Raw()
    object: Raw = Raw()
    created: Raw = Raw()
    model: Raw = Raw()
    prompt_token_ids: None = None
    error: None = None


class _Message(ChatCompletionStreamResponseDelta, forbid_unknown_fields=True):
    # Whole calls look otherwise than pieces of one: an answer with calls gets a second look.
    tool_calls: UnsetType = UNSET
    function_call: UnsetType = UNSET


class _WholeChoice(_Choice):
    delta: _Message = msgspec.field(name="message")  # type: ignore[assignment]  # narrower: as above

    def as_chunk(self) -> ChatCompletionChunkChoice:
        return ChatCompletionChunkChoice(
            index=self.index, delta=self.delta, logprobs=self.logprobs, finish_reason=self.finish_reason
        )


class _StrictAnswer(_Strict):
    """A whole answer of which this is all."""

    choices: list[_WholeChoice]  # type: ignore[assignment]  # narrower: as above


_T = TypeVar("_T")

_strict_decoder = msgspec.json.Decoder(_Strict)
_answer_decoder = msgspec.json.Decoder(_StrictAnswer)
_loose_decoder = msgspec.json.Decoder(_Loose)


async def event_of(data: bytes, *, whole: bool) -> Event:
    """Decode a chunk of a stream or a whole answer, beside the event loop if it is large.

    Raises:
        UpstreamErrorEvent: If it is an error object.
        EngineFailed: If it is neither.
    """
    decode = event_of_completion if whole else event_of_chunk
    if len(data) <= LARGE:
        return decode(data)
    event = await aside(decode, data)
    event.large = True
    return event


def event_of_chunk(data: bytes) -> Event:
    """Decode one chunk of a stream.

    Raises:
        UpstreamErrorEvent: If the chunk is an error object.
        EngineFailed: If it is no chunk at all.
    """
    try:
        return _decoded(_strict_decoder, data)
    except msgspec.ValidationError:
        body = _json(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise _nonsense("isn't JSON") from problem
    if isinstance(body, dict) and body.get("error") is not None:
        raise UpstreamErrorEvent(_error_fields(body["error"]))
    try:
        event: Event = _decoded(_loose_decoder, data)
    except msgspec.ValidationError:
        event = _forgiving(body, "delta")
    event.extra = extra_of(body, event, "delta")
    return event


def event_of_completion(data: bytes) -> Event:
    """Decode a whole, unstreamed answer.

    Raises:
        UpstreamErrorEvent: If it is an error object.
        EngineFailed: If it is no chat completion.
    """
    try:
        strict = _decoded(_answer_decoder, data)
    except msgspec.ValidationError:
        body = _json(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise _nonsense("isn't JSON") from problem
    else:
        strict.choices = [choice.as_chunk() for choice in strict.choices]  # type: ignore[misc]  # decoded as such
        return strict
    if isinstance(body, dict) and body.get("error"):
        raise UpstreamErrorEvent(_error_fields(body["error"]))
    event = _forgiving(body, "message")
    event.extra = extra_of(body, event, "message")
    return event


class UpstreamErrorEvent(Exception):
    """Raised when the upstream reports an error inside a 200 answer; ``fields`` is the error object."""

    def __init__(self, fields: dict[str, Any]) -> None:
        super().__init__(fields.get("message"))
        self.fields = fields


def _error_fields(error: Any) -> dict[str, Any]:
    return error if isinstance(error, dict) else {"message": str(error)}


def _decoded(decoder: msgspec.json.Decoder[_T], data: bytes) -> _T:
    if len(data) <= LARGE:
        return decoder.decode(data)
    short = Shortened(data)
    decoded: _T = short.restored(decoder.decode(short.json))
    return decoded


def _json(data: bytes) -> Any:
    try:
        return read(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise _nonsense("isn't JSON") from problem


def _forgiving(body: Any, words: str) -> Event:
    if not isinstance(body, dict) or not isinstance(body.get("choices", []) or [], list):
        raise _nonsense("has no list of choices")
    padding = body.get("obfuscation")
    try:
        fields = {
            "choices": [_choice(choice, position, words) for position, choice in enumerate(body.get("choices") or [])],
            "usage": _usage(body.get("usage")),
            "service_tier": _known_tier(body.get("service_tier")),
            "system_fingerprint": body.get("system_fingerprint")
            if isinstance(body.get("system_fingerprint"), str)
            else None,
            "obfuscation": padding if isinstance(padding, str) else None,
        }
        return msgspec.convert(fields, Event)
    except (msgspec.ValidationError, AttributeError, TypeError, ValueError, OverflowError) as problem:
        raise _nonsense(str(problem)) from problem


def _choice(choice: dict[str, Any], position: int, words: str) -> dict[str, Any]:
    delta = {name: value for name, value in (choice.get(words) or {}).items() if value is not None}
    # What the role is, the answer's fold decides; upstreams write "", "model", ...
    delta.pop("role", None)
    for name in _THOUGHTS:
        if not isinstance(delta.get(name, ""), str):
            del delta[name]
    if isinstance(delta.get("content"), list):
        _part_by_part(delta)
    if "tool_calls" in delta:
        delta["tool_calls"] = [_tool_call(call, at) for at, call in enumerate(delta["tool_calls"])]
    if "function_call" in delta:
        delta["function_call"] = _called(delta["function_call"], "arguments")
    reason = choice.get("finish_reason") or None
    if reason in _FAILED:
        raise EngineFailed(f"The upstream ended its answer with {reason!r}.", code="upstream_error")
    if reason not in _FINISH_REASONS and reason is not None:
        reason = _FINISH_SYNONYMS.get(reason, "stop")
    logprobs = choice.get("logprobs")
    if isinstance(logprobs, dict):
        logprobs = {"content": logprobs.get("content"), "refusal": logprobs.get("refusal")}
    # Probabilities in another shape than OpenAI's are none for its clients.
    logprobs = logprobs if isinstance(logprobs, dict) and any(logprobs.values()) else None
    return {
        "index": int(choice.get("index", position) or 0),
        "delta": delta,
        "finish_reason": reason,
        "logprobs": logprobs,
    }


def _part_by_part(delta: dict[str, Any]) -> None:
    """Make one text of a content that came in parts; what Mistral's models think stands among them."""
    parts = delta["content"]
    thoughts = "".join(
        inner.get("text", "") for part in parts if part.get("type") == "thinking" for inner in part.get("thinking", ())
    )
    if thoughts:
        delta.setdefault("reasoning_content", thoughts)
    delta["content"] = "".join(part.get("text", "") for part in parts)


def _tool_call(call: dict[str, Any], position: int) -> dict[str, Any]:
    index = call.get("index")
    fields: dict[str, Any] = {"index": position if index is None else int(index)}
    if call.get("custom") is not None:
        fields["custom"] = _called(call["custom"], "input")
    else:
        fields["function"] = _called(call.get("function") or {}, "arguments")
    if call.get("id"):
        fields["id"] = str(call["id"])
        if "function" in fields:
            fields["type"] = "function"
    return fields


def _called(call: dict[str, Any], words: str) -> dict[str, Any]:
    """Put in order what is called and with what words."""
    fields = {name: value for name, value in call.items() if value is not None}
    if words in fields and not isinstance(fields[words], str):
        fields[words] = msgspec.json.encode(fields[words]).decode()
    return fields


def _known_tier(tier: Any) -> ServiceTier | None:
    try:
        known: ServiceTier | None = msgspec.convert(tier, ServiceTier | None)
    except msgspec.ValidationError:
        return None  # one of the upstream's own, which OpenAI's schema has no word for
    return known


def _usage(usage: Any) -> dict[str, Any] | None:
    if not isinstance(usage, dict):
        return None
    prompt, completion = int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0)
    fields: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": int(usage.get("total_tokens") or prompt + completion),
    }
    for name in _USAGE_DETAILS:
        details = usage.get(name)
        if isinstance(details, dict):
            fields[name] = {key: int(value) for key, value in details.items() if isinstance(value, int | float)}
    return fields


def _nonsense(why: str) -> EngineFailed:
    return EngineFailed(
        f"The upstream's answer isn't a chat completion: it {why[:200]}.", code="upstream_invalid_response"
    )
