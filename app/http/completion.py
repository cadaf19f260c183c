"""Answers and chunks as JSON: the contract's structs, and what engines say beside them put back in its place.

Pure, but for the clock. What the contract has a word for wins over what bears the same name beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from time import time
from typing import Any, Final

import msgspec
from msgspec import UNSET

from app.contract.models import (
    ChatCompletionChunkChoice,
    CreateChatCompletionResponse,
    CreateChatCompletionStreamResponse,
)
from app.large.aside import LARGE, aside
from app.large.written import written
from app.runs.answer import Answer
from app.runs.event import Extra, Fields
from app.runs.job import Job

_encoder: Final = msgspec.json.Encoder()

encode_choices: Final[Callable[[list[ChatCompletionChunkChoice]], bytes]] = _encoder.encode
"""Return a chunk's choices alone as JSON."""


def encode_chunk(chunk: CreateChatCompletionStreamResponse, extra: Extra | None) -> bytes:
    """Return a chunk of a stream as JSON."""
    return _encoder.encode(chunk if extra is None else _with(chunk, extra, "delta"))


def encode_large_chunk(chunk: CreateChatCompletionStreamResponse, extra: Extra | None) -> bytes:
    """Return a chunk of a stream as JSON, written in steps."""
    return written(msgspec.to_builtins(chunk) if extra is None else _with(chunk, extra, "delta"))


def encode_completion(
    completion: CreateChatCompletionResponse, extra: Extra | None, *, in_steps: bool = False
) -> bytes:
    """Return a whole answer as JSON."""
    if in_steps:
        return written(msgspec.to_builtins(completion) if extra is None else _with(completion, extra, "message"))
    return _encoder.encode(completion if extra is None else _with(completion, extra, "message"))


def completion_id(job: Job) -> str:
    """Return the id of a job's answer."""
    return f"chatcmpl-{job.run_id.removeprefix('run_')}"


def completion_of(job: Job, answer: Answer, *, large: bool) -> bytes:
    """Return a run's whole answer as JSON, written in steps if it is large."""
    assert answer.usage is not None, "a run counts or estimates"
    return encode_completion(
        CreateChatCompletionResponse(
            id=completion_id(job),
            created=int(time()),
            model=job.request.model,
            choices=answer.choices(),
            usage=answer.usage,
            service_tier=answer.service_tier if answer.service_tier is not None else UNSET,
            system_fingerprint=answer.system_fingerprint if answer.system_fingerprint is not None else UNSET,
        ),
        answer.extra,
        in_steps=large,
    )


async def written_completion(job: Job, answer: Answer) -> bytes:
    """Return a run's whole answer as JSON, written beside the event loop if it is large."""
    if answer.size > LARGE:
        return await aside(completion_of, job, answer, large=True)
    return completion_of(job, answer, large=False)


def _with(answer: msgspec.Struct, extra: Extra, words: str) -> Fields:
    # Bytes and the like don't occur in answers, so this is what JSON would say.
    body: Fields = msgspec.to_builtins(answer)
    for choice in body["choices"]:
        beside = extra.choices.get(choice["index"])
        if beside is None:
            continue
        for place, call in enumerate(choice[words].get("tool_calls", ())):
            _add(call, beside.calls.get(place, {}))
        _add(choice[words], beside.delta)
        _add(choice, beside.choice)
    if body.get("usage"):
        _add(body["usage"], extra.usage)
    _add(body, extra.chunk)
    return body


def _add(fields: Fields, others: Fields) -> None:
    """Add what isn't there yet, within objects that both have too."""
    for name, value in others.items():
        had: Any = fields.get(name)
        if isinstance(had, dict) and isinstance(value, dict):
            _add(had, value)
        else:
            fields.setdefault(name, value)
