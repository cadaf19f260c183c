"""What a scripted upstream does on the wire, step by step, and the answers that are built from such steps.

Pure values: bytes and pauses. Knows HTTP/1.1 framing and OpenAI's chunks; ``upstream`` performs them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

# A JSON value: what is scripted may be as wrong as a test likes.
Json: TypeAlias = Any


class Send(NamedTuple):
    """Write bytes."""

    data: bytes


class Pause(NamedTuple):
    """Say nothing until the test releases the exchange, or the client leaves."""


class Repeat(NamedTuple):
    """Write the same bytes again and again until the client leaves."""

    data: bytes


class Reset(NamedTuple):
    """Break the connection off: the other end sees a reset."""


class Close(NamedTuple):
    """Close the connection in good order, whatever was promised before."""


Step: TypeAlias = Send | Pause | Repeat | Reset | Close
Script: TypeAlias = Sequence[Step]

DONE: Final = b"data: [DONE]\n\n"
USAGE: Final = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}

_REASONS: Final = {200: "OK", 400: "Bad Request", 429: "Too Many Requests", 500: "Internal Server Error"}


def whole(
    status: int, body: bytes | Json, *, content_type: str = "application/json", headers: Mapping[str, str] | None = None
) -> Script:
    """Return an answer in one piece.

    Args:
        status: Its HTTP status.
        body: Bytes as they are, anything else as JSON.
        content_type: Its media type.
        headers: Further headers.
    """
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = {"content-type": content_type, "content-length": str(len(data)), **(headers or {})}
    return [Send(_head(status, fields) + data)]


def stream(*parts: bytes | Step, content_type: str = "text/event-stream") -> Script:
    """Return a chunked answer whose parts are written one by one, and ended in good order if it gets that far."""
    head = _head(200, {"content-type": content_type, "transfer-encoding": "chunked"})
    steps: list[Step] = [Send(head)]
    for part in parts:
        match part:
            case bytes():
                steps.append(Send(_http_chunk(part)))
            case Repeat(data):
                steps.append(Repeat(_http_chunk(data)))
            case _:
                steps.append(part)
    return [*steps, Send(b"0\r\n\r\n")]


def error(status: int, fields: Json, headers: Mapping[str, str] | None = None) -> Script:
    """Return an HTTP error with an error object in OpenAI's shape."""
    return whole(status, {"error": fields}, headers=headers)


def words(*texts: str, usage: Json = USAGE) -> list[bytes]:
    """Return the events of a complete, well-behaved answer that says ``texts``; no usage for ``None``."""
    events = [event(chunk({"role": "assistant", "content": ""}))]
    events += [event(chunk({"content": text})) for text in texts]
    events.append(event(chunk({}, finish_reason="stop")))
    if usage is not None:
        events.append(event({**chunk(), "choices": [], "usage": usage}))
    return [*events, DONE]


def event(payload: Json) -> bytes:
    """Return one server-sent event with a JSON payload, escaping nothing beyond ASCII."""
    return b"data: %s\n\n" % json.dumps(payload, ensure_ascii=False).encode()


def chunk(delta: Json = None, *, index: int = 0, finish_reason: str | None = None, **choice: Json) -> dict[str, Json]:
    """Return a chunk with one choice.

    Args:
        delta: What is new in it.
        index: The choice it belongs to.
        finish_reason: Why the choice ends here, or ``None``.
        choice: Further fields of the choice.
    """
    return {
        "id": "chatcmpl-upstream",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": "upstream-name",
        "choices": [{"index": index, "delta": delta or {}, "finish_reason": finish_reason, **choice}],
    }


def completion(text: str, **fields: Json) -> dict[str, Json]:
    """Return a whole answer that says ``text``, with further or other top-level fields."""
    message = {"role": "assistant", "content": text, "refusal": None}
    return {
        "id": "chatcmpl-upstream",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "upstream-name",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": USAGE,
        **fields,
    }


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Status')}", *(f"{name}: {headers[name]}" for name in headers)]
    return "\r\n".join([*lines, "", ""]).encode()


def _http_chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)
