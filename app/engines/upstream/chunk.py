"""From an upstream's JSON to events: strict first, then forgiving about known quirks, then refused.

Pure. The quirks are those of services in use: fields that are missing, null, empty or of a neighbouring type.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from app.contract.models import ServiceTier
from app.errors import EngineFailed
from app.runs.event import Event

_FINISH_REASONS: Final = frozenset({"stop", "length", "tool_calls", "content_filter", "function_call"})
_FINISH_SYNONYMS: Final = {"eos": "stop", "end_turn": "stop", "max_tokens": "length", "tool_use": "tool_calls"}
_FAILED: Final = frozenset({"error", "abort", "aborted", "cancelled", "canceled", "failed"})
_USAGE_DETAILS: Final = ("prompt_tokens_details", "completion_tokens_details")


class _Head(msgspec.Struct):
    """The part of a chunk that says whether it is an error."""

    # Not `Raw | None`: in a union msgspec doesn't know Raw and would take nothing but null.
    error: msgspec.Raw = msgspec.Raw(b"null")


_event_decoder = msgspec.json.Decoder(Event)
_head_decoder = msgspec.json.Decoder(_Head)


def event_of_chunk(data: bytes) -> Event:
    """Decode one chunk of a stream.

    Raises:
        UpstreamErrorEvent: If the chunk is an error object.
        EngineFailed: If it is no chunk at all.
    """
    try:
        if b'"error"' in data:
            # The word alone proves nothing: models write it too.
            error = _head_decoder.decode(data).error
            if bytes(error) != b"null":
                raise UpstreamErrorEvent(_error_fields(msgspec.json.decode(error)))
        return _event_decoder.decode(data)
    except msgspec.ValidationError:
        return _forgiving(_json(data), "delta")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise _nonsense("isn't JSON") from problem


def event_of_completion(data: bytes) -> Event:
    """Decode a whole, unstreamed answer, as some upstreams send whatever they are asked.

    Raises:
        UpstreamErrorEvent: If it is an error object.
        EngineFailed: If it is no chat completion.
    """
    body = _json(data)
    if isinstance(body, dict) and body.get("error"):
        raise UpstreamErrorEvent(_error_fields(body["error"]))
    return _forgiving(body, "message")


class UpstreamErrorEvent(Exception):
    """Raised when the upstream reports an error inside a 200 answer; ``fields`` is the error object."""

    def __init__(self, fields: dict[str, Any]) -> None:
        super().__init__(fields.get("message"))
        self.fields = fields


def _error_fields(error: Any) -> dict[str, Any]:
    return error if isinstance(error, dict) else {"message": str(error)}


def _json(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise _nonsense("isn't JSON") from problem


def _forgiving(body: Any, words: str) -> Event:
    if not isinstance(body, dict) or not isinstance(body.get("choices", []) or [], list):
        raise _nonsense("has no list of choices")
    try:
        fields = {
            "choices": [_choice(choice, position, words) for position, choice in enumerate(body.get("choices") or [])],
            "usage": _usage(body.get("usage")),
            "service_tier": _known_tier(body.get("service_tier")),
            "system_fingerprint": body.get("system_fingerprint")
            if isinstance(body.get("system_fingerprint"), str)
            else None,
        }
        return msgspec.convert(fields, Event)
    except (msgspec.ValidationError, AttributeError, TypeError, ValueError, OverflowError) as problem:
        raise _nonsense(str(problem)) from problem


def _choice(choice: dict[str, Any], position: int, words: str) -> dict[str, Any]:
    delta = {name: value for name, value in (choice.get(words) or {}).items() if value is not None}
    # What the role is, the answer's fold decides; upstreams write "", "model", ...
    delta.pop("role", None)
    if isinstance(delta.get("content"), list):
        delta["content"] = "".join(part.get("text", "") for part in delta["content"])
    if "tool_calls" in delta:
        delta["tool_calls"] = [_tool_call(call, at) for at, call in enumerate(delta["tool_calls"])]
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


def _tool_call(call: dict[str, Any], position: int) -> dict[str, Any]:
    function = {name: value for name, value in (call.get("function") or {}).items() if value is not None}
    if "arguments" in function and not isinstance(function["arguments"], str):
        function["arguments"] = msgspec.json.encode(function["arguments"]).decode()
    fields: dict[str, Any] = {"index": int(call.get("index") or position), "function": function}
    if call.get("id"):
        fields["id"] = str(call["id"])
        fields["type"] = "function"
    return fields


def _known_tier(tier: Any) -> ServiceTier:
    try:
        known: ServiceTier = msgspec.convert(tier, ServiceTier)
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
