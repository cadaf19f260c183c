"""The body that goes to an OpenAI-compatible service: ours where the gateway decides, the client's words elsewhere.

Pure. Nothing is left out and nothing refused here: what a service can't do, it says itself, and its 400 reaches the
client as it is (docs/compatibility.md).
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from app.runs.turn import Turn

_OURS: Final = frozenset({"model", "messages", "stream", "stream_options"})


def body_of(turn: Turn, *, streamed: bool) -> bytes:
    """Return the JSON that asks a service for a turn.

    A stream is always to tell its usage, whatever the client wants. Every other field travels as the bytes it came in,
    those that our contract doesn't know included.

    Args:
        turn: The turn.
        streamed: Whether the answer is to come as a stream.
    """
    fields: dict[str, Any] = {name: value for name, value in turn.parameters.items() if name not in _OURS}
    fields["model"] = turn.model
    fields["messages"] = [message.raw for message in turn.messages]
    if not streamed:
        return msgspec.json.encode(fields)
    fields["stream"] = True
    options = turn.parameters.get("stream_options")
    known = msgspec.json.decode(msgspec.json.encode(options)) if options is not None else None
    fields["stream_options"] = {**(known or {}), "include_usage": True}
    return msgspec.json.encode(fields)


def wants_sound(turn: Turn) -> bool:
    """Tell whether a turn asks for sound, which is streamed as bare samples only: files come in one piece."""
    value = turn.parameters.get("audio")
    return value is not None and not (isinstance(value, msgspec.Raw) and bytes(value) == b"null")
