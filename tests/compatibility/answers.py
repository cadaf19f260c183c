"""Answers with everything in them that a service can say in OpenAI's words, whole and in pieces.

Two, because moderation says either what it found or why it couldn't look, and each place has both.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tests.fakes.script import chunk, completion, event
from tests.official import Json

MODERATED: Final[Json] = {
    "type": "moderation_results",
    "model": "omni-moderation-latest",
    "results": [
        {
            "type": "moderation_result",
            "model": "omni-moderation-latest",
            "flagged": True,
            "categories": {"violence": True},
            "category_scores": {"violence": 0.9},
            "category_applied_input_types": {"violence": ["text"]},
        }
    ],
}
UNMODERATED: Final[Json] = {"type": "error", "code": "unavailable", "message": "Not now."}
MODERATIONS: Final[tuple[Json, ...]] = (
    {"input": MODERATED, "output": UNMODERATED},
    {"input": UNMODERATED, "output": MODERATED},
)


def token(text: str) -> Json:
    """Return a token with its probability and that of another."""
    known = {"token": text, "logprob": -0.5, "bytes": list(text.encode())}
    return {**known, "top_logprobs": [{"token": "x", "logprob": -2.5, "bytes": [120]}]}


USAGE: Final[Json] = {
    "prompt_tokens": 20,
    "completion_tokens": 30,
    "total_tokens": 50,
    "prompt_tokens_details": {
        "audio_tokens": 1,
        "cached_tokens": 2,
        "cache_write_tokens": 3,
        "text_tokens": 4,
        "image_tokens": 5,
    },
    "completion_tokens_details": {
        "audio_tokens": 1,
        "reasoning_tokens": 2,
        "accepted_prediction_tokens": 3,
        "rejected_prediction_tokens": 4,
        "text_tokens": 5,
    },
}
TEXT: Final = ("It is ", "r\u00e9d.")
REFUSAL: Final = ("Or ", "not.")
THOUGHT: Final = ("Hm, ", "let me see.")
ANNOTATION: Final[Json] = {
    "type": "url_citation",
    "url_citation": {"start_index": 0, "end_index": 2, "url": "https://example.com/", "title": "A"},
}
AUDIO: Final[Json] = {"id": "audio_1", "data": "AAAA", "transcript": "red", "expires_at": 1_800_000_000}
FUNCTION_PIECES: Final[tuple[Json, ...]] = (
    {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"city":'}},
    {"index": 0, "function": {"arguments": '"x"}'}},
)
CUSTOM_PIECES: Final[tuple[Json, ...]] = (
    {"index": 1, "id": "call_2", "custom": {"name": "sql", "input": "select "}},
    {"index": 1, "custom": {"input": "1"}},
)
CALLS: Final[list[Json]] = [
    {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"city":"x"}'}},
    {"id": "call_2", "type": "custom", "custom": {"name": "sql", "input": "select 1"}},
]


def whole_answer(moderation: Json) -> Json:
    """Return the answer in one piece."""
    message = {
        "role": "assistant",
        "content": "".join(TEXT),
        "refusal": "".join(REFUSAL),
        "reasoning_content": "".join(THOUGHT),
        "reasoning": "".join(THOUGHT),
        "tool_calls": CALLS,
        "annotations": [ANNOTATION],
        "audio": AUDIO,
    }
    tokens = {"content": [token(text) for text in TEXT], "refusal": [token(text) for text in REFUSAL]}
    choice = {"index": 0, "message": message, "logprobs": tokens, "finish_reason": "tool_calls"}
    beside = {"service_tier": "flex", "system_fingerprint": "fp_1", "metadata": {"k": "v"}, "moderation": moderation}
    return completion("", choices=[choice], usage=USAGE, **beside)


def pieces(moderation: Json) -> list[Json]:
    """Return the chunks of the same answer, but for what chunks have no room for."""
    chunks = [said(delta, tokens, moderation) for delta, tokens in _deltas()]
    chunks.append({**chunk({}, finish_reason="tool_calls"), "service_tier": "flex", "system_fingerprint": "fp_1"})
    return [*chunks, {**chunk(), "choices": [], "usage": USAGE}]


def said(delta: Json, tokens: Json, moderation: Json) -> Json:
    """Return the chunk of a delta."""
    beside = {"service_tier": "flex", "system_fingerprint": "fp_1", "moderation": moderation, "obfuscation": "x9"}
    return {**chunk(delta, logprobs=tokens), **beside}


def events(moderation: Json) -> list[bytes]:
    """Return the chunks as a service writes them."""
    return [*(event(piece) for piece in pieces(moderation)), b"data: [DONE]\n\n"]


def _deltas() -> Iterator[tuple[Json, Json]]:
    yield {"role": "assistant", "content": TEXT[0]}, {"content": [token(TEXT[0])], "refusal": None}
    yield {"content": TEXT[1]}, {"content": [token(TEXT[1])], "refusal": None}
    for text in REFUSAL:
        yield {"refusal": text}, {"content": None, "refusal": [token(text)]}
    for text in THOUGHT:
        yield {"reasoning_content": text, "reasoning": text}, None
    for piece in (*FUNCTION_PIECES, *CUSTOM_PIECES):
        yield {"tool_calls": [piece]}, None
    yield {"audio": {"id": AUDIO["id"], "transcript": AUDIO["transcript"]}}, None
    yield {"audio": {"data": AUDIO["data"], "expires_at": AUDIO["expires_at"]}}, None
