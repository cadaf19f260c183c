"""What is fuzzed: how bytes become an exchange, and what must be true of its answer whatever they were."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from app.contract.models import CreateChatCompletionResponse, CreateChatCompletionStreamResponse, ErrorResponse
from tests.fuzzing.exchange import Answered, Exchange

HEADERS: Final = (
    b"x-zero-agent-id",
    b"x-zero-session-key",
    b"x-zero-history",
    b"x-request-id",
    b"x-stainless-read-timeout",
)
"""The headers that the first line of a request's bytes brings, in this order, a tab between two."""
REFUSALS: Final = frozenset({400, 404, 413, 415})
FAILURES: Final = frozenset({400, 429, 502, 503, 504})
DEFECTS: Final = frozenset({"engine_error", None})
"""Codes that a failure has only where something was raised that nobody foresaw; it must not be without one either."""
STATUSES: Final = (200, 200, 200, 200, 400, 401, 404, 413, 429, 500, 503, 302)
FIRST: Final = 512
MANY: Final = 1 << 20
ASKED: Final = {"model": "zero:played", "messages": [{"role": "user", "content": "x"}]}

_completion = msgspec.json.Decoder(CreateChatCompletionResponse)
_chunk = msgspec.json.Decoder(CreateChatCompletionStreamResponse)
_error = msgspec.json.Decoder(ErrorResponse)


def request(exchange: Exchange, data: bytes) -> None:
    """Take bytes for a request: a line of headers, then the body. The echo engine answers."""
    line, _, body = data.partition(b"\n")
    # What httptools lets through as a header's value.
    pairs = [
        (name, value.strip(b" \r"))
        for name, value in zip(HEADERS, line.split(b"\t"), strict=False)
        if value and b"\0" not in value
    ]
    answer = exchange.ask(body, pairs)
    if answer.status == 200:
        _complete(answer)
        return
    assert answer.status in REFUSALS, answer
    _refusal(answer)


def upstream(exchange: Exchange, data: bytes) -> None:
    """Take bytes for an upstream's answer: one that says how it comes, then its body."""
    how, body = (data[0], data[1:]) if data else (0, b"")
    played = exchange.upstream
    played.whole = bool(how & 1)
    played.status = STATUSES[how >> 4 if how >> 4 < len(STATUSES) else 0]
    size = (1, 7, 64, MANY)[how >> 2 & 3]
    # What small reads could break is broken at the beginning, or not at all.
    pieces = [body[at : at + size] for at in range(0, min(len(body), FIRST), size)] if size < MANY else [body]
    played.pieces = [piece for piece in (*pieces, body[sum(map(len, pieces)) :]) if piece]
    streamed = {"stream": True, "stream_options": {"include_usage": True}} if how & 2 else {}
    answer = exchange.ask(json.dumps({**ASKED, **streamed}).encode())
    if answer.status == 200:
        _complete(answer)
        return
    assert answer.status in FAILURES, answer
    code = _refusal(answer)
    assert code not in DEFECTS or answer.status == 400, answer


def _complete(answer: Answered) -> None:
    if answer.headers[b"content-type"] == b"application/json":
        _completion.decode(answer.body)
        json.loads(answer.body)  # Python's own parser has the last word: broken UTF-8, bare NaN
        return
    assert b"text/event-stream" == answer.headers[b"content-type"]
    *events, last, nothing = answer.body.decode().split("\n\n")
    assert ("data: [DONE]", "") == (last, nothing), answer
    finished = failed = False
    for text in events:
        assert text.startswith("data: "), answer
        assert 1 == len(text.splitlines()), answer
        data = text.removeprefix("data: ").encode()
        assert not failed, answer
        if data.startswith(b'{"error"'):
            assert _error.decode(data).error.code not in DEFECTS, answer
            failed = True
            continue
        finished = finished or any(choice.finish_reason for choice in _chunk.decode(data).choices)
        json.loads(data)
    assert finished != failed, answer


def _refusal(answer: Answered) -> str | None:
    assert b"application/json" == answer.headers[b"content-type"], answer
    json.loads(answer.body)
    error = _error.decode(answer.body).error
    assert error.message, answer
    assert all((value.isascii() and value.isalnum()) or b"\n" not in value for value in answer.headers.values()), answer
    return error.code


TARGETS: Final[Mapping[str, Callable[[Exchange, bytes], None]]] = {"request": request, "upstream": upstream}
