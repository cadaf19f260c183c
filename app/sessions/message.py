"""One message of a conversation: the JSON as it was sent, and the digest by which it is recognised.

Pure values. Knows the shape of OpenAI's messages only as far as two spellings of the same message must be recognised as
one. The canonical form is part of what is stored: changing it needs a new ``ALGORITHM``.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import msgspec

from app.large.aside import LARGE
from app.large.shortened import Shortened

ALGORITHM: Final = "sha256"

_IDENTIFYING: Final = ("name", "tool_call_id", "refusal")
_CACHE_MARKS: Final = frozenset({"prompt_cache_breakpoint", "cache_control"})
"""Of a part: clients move them from turn to turn."""
_MAX_ARGUMENTS: Final = 256 * 1024
_MAX_ARGUMENTS_VALUES: Final = 10_000
"""What a call's arguments may have, in characters and in JSON values, to be compared by what they say."""


class Message(msgspec.Struct, frozen=True):
    """A message as it travels: its role, and its JSON text, untouched."""

    role: str
    raw: msgspec.Raw

    @classmethod
    def of(cls, role: str, fields: Any) -> Message:
        """Return the message that ``fields`` (JSON-encodable) says."""
        return cls(role, msgspec.Raw(msgspec.json.encode(fields)))


def digest(message: Message) -> str:
    """Return what identifies a message's content, whatever its spelling, as ``sha256:<hex>``.

    Two spellings are one message when they differ in: fields that are null or absent, fields that no engine reads back
    (annotations, reasoning, ...), a text given as a string or as a single text part, blanks around a text, and the
    JSON formatting of a tool call's arguments. Clients change all of these when they resend a conversation.
    """
    if len(message.raw) > LARGE:
        return _hash(*_canonical_pieces(message))
    return _hash(msgspec.json.encode(_canonical(message.role, msgspec.json.decode(message.raw)), order="sorted"))


def chained(parent: str | None, content_digest: str) -> str:
    """Return the id of a message in a chain: a hash of its content's digest and of its parent's id."""
    return _hash(f"{parent or ''}\n{content_digest}".encode())


def size_of(messages: Iterable[Message]) -> int:
    """Return the bytes that messages have together."""
    return sum(len(message.raw) for message in messages)


def _hash(*data: bytes) -> str:
    hashed = hashlib.sha256()
    for piece in data:
        hashed.update(piece)
    return f"{ALGORITHM}:{hashed.hexdigest()}"


def _canonical_pieces(message: Message) -> Iterator[bytes]:
    """Yield what ``digest`` is of, of a message that would take long in one step."""
    short = Shortened(bytes(message.raw))
    canonical = _canonical(message.role, msgspec.json.decode(short.json), short.stripped)
    yield from short.pieces(msgspec.json.encode(canonical, order="sorted"))


def _canonical(role: str, fields: dict[str, Any], strip: Callable[[str], str] = str.strip) -> dict[str, Any]:
    canonical: dict[str, Any] = {"role": role}
    content = _canonical_content(fields.get("content"), strip)
    if content:
        canonical["content"] = content
    for name in _IDENTIFYING:
        if fields.get(name) is not None:
            canonical[name] = fields[name]
    if role != "assistant":
        return canonical  # a field of these names in another role is none of the contract's: it may hold anything
    if calls := fields.get("tool_calls"):
        canonical["tool_calls"] = [_canonical_call(call) for call in calls]
    if call := fields.get("function_call"):
        canonical["function_call"] = _canonical_function(call)
    if audio := fields.get("audio"):
        canonical["audio"] = audio.get("id")
    return canonical


def _canonical_content(content: Any, strip: Callable[[str], str]) -> Any:
    if isinstance(content, str):
        return strip(content)
    if isinstance(content, list):
        parts = [{k: v for k, v in p.items() if v is not None and k not in _CACHE_MARKS} for p in content]
        if len(parts) == 1 and parts[0].get("type") == "text":
            return strip(parts[0]["text"])
        return parts
    return None


def _canonical_call(call: dict[str, Any]) -> dict[str, Any]:
    if call.get("type") == "custom":
        return {"id": call.get("id"), "type": "custom", "custom": call.get("custom")}
    return {"id": call.get("id"), "type": "function", "function": _canonical_function(call["function"])}


def _canonical_function(function: dict[str, Any]) -> dict[str, Any]:
    arguments: Any = function.get("arguments", "")
    # Where they aren't JSON, or more than a moment's work, the text itself is what identifies them.
    with contextlib.suppress(msgspec.MsgspecError, TypeError, ValueError, RecursionError):
        if _is_soon_read(arguments):
            arguments = msgspec.json.decode(arguments)
    return {"name": function.get("name"), "arguments": arguments}


def _is_soon_read(arguments: str) -> bool:
    values = sum(map(arguments.count, "{[,"))
    return len(arguments) <= _MAX_ARGUMENTS and values <= _MAX_ARGUMENTS_VALUES
