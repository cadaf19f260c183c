"""Events as engines send them, written briefly."""

from __future__ import annotations

import msgspec

from app.runs.event import Event


def event(*choices: dict[str, object], **fields: object) -> Event:
    """Return an event of raw choices and further fields."""
    return msgspec.convert({"choices": list(choices), **fields}, Event)


def chunk(index: int = 0, finish: str | None = None, logprobs: object = None, **delta: object) -> dict[str, object]:
    """Return a choice's chunk."""
    return {"index": index, "delta": delta, "finish_reason": finish, "logprobs": logprobs}


def part(index: int = 0, id: str | None = None, name: str | None = None, arguments: str | None = None) -> object:
    """Return a tool call's part; what is None is absent."""
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    call: dict[str, object] = {"index": index, "function": function}
    if id is not None:
        call |= {"id": id, "type": "function"}
    return call


def usage(prompt: int, completion: int) -> dict[str, object]:
    """Return a usage report."""
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
