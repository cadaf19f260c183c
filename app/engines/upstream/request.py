"""The body that goes to an OpenAI-compatible service: ours where the gateway decides, the client's words elsewhere.

Pure. Nothing is left out and nothing refused here: what a service can't do, it says itself, and its 400 reaches the
client as it is (docs/compatibility.md).
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from app.runs.turn import Turn

_OURS: Final = frozenset({"model", "messages", "stream", "stream_options"})


def body_of(turn: Turn) -> bytes:
    """Return the JSON that asks a service for a turn.

    It always streams and always tells the usage, whatever the client wants: closing a stream is how the work is
    stopped. Except where a client that doesn't stream wants sound: that is streamed as bare samples only, and files
    (wav, mp3, ...) come in one piece. Every other field travels as the bytes it came in, those that our contract
    doesn't know included.
    """
    fields: dict[str, Any] = {name: value for name, value in turn.parameters.items() if name not in _OURS}
    fields["model"] = turn.model
    fields["messages"] = [message.raw for message in turn.messages]
    if not turn.request.stream and _says(turn.parameters.get("audio")):
        return msgspec.json.encode(fields)
    fields["stream"] = True
    options = turn.parameters.get("stream_options")
    known = msgspec.json.decode(msgspec.json.encode(options)) if options is not None else None
    fields["stream_options"] = {**(known or {}), "include_usage": True}
    return msgspec.json.encode(fields)


def _says(value: Any) -> bool:
    """Tell whether a parameter is there: null is as good as absent."""
    return value is not None and not (isinstance(value, msgspec.Raw) and bytes(value) == b"null")
