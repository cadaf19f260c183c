"""How much of a session's history goes into one answer: the latest messages, as many as fit.

Pure. Knows messages and their size on the wire, not where they are stored.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from app.contract.frames import ChatContent, ChatMessage
from app.sessions.message import Message
from app.ws.spoken import chat_message

PAGE_BYTES: Final = 4 * 1024 * 1024 - 64 * 1024
"""What an answer's messages may have together. With what is around them, an answer stays below 4 MiB."""
SHORTENED_CHARS: Final = 100_000
"""How much of a message remains that is too large for a page of its own."""
MAX_PARTS: Final = 1_000
"""And of how many parts."""
TOO_LARGE: Final = "[chat.history omitted: message too large]"
"""Stands where something was left out. These are the words that the protocol's own gateway uses for it."""

_encoder = msgspec.json.Encoder()


def page(messages: Iterable[Message], *, max_chars: int | None = None) -> list[ChatMessage]:
    """Return as many of the last messages as fit into one answer, as clients show them, oldest first.

    The last one is always among them, shortened if it has to be.

    Args:
        messages: What there is to show, oldest first.
        max_chars: How much of each text is wanted.
    """
    shown: list[ChatMessage] = []
    room = PAGE_BYTES
    for message in reversed(tuple(messages)):
        said = chat_message(message, max_chars=max_chars)
        room -= _size(said)
        if room < 0:
            if not shown:
                shown.append(_shortened(said))
            break
        shown.append(said)
    return shown[::-1]


def _size(message: ChatMessage) -> int:
    return len(_encoder.encode(message)) + 1  # and a comma


def _shortened(message: ChatMessage) -> ChatMessage:
    """Return the beginning of a message: its texts up to a limit, and nothing behind the place where it was cut."""
    kept: list[ChatContent] = []
    room = SHORTENED_CHARS
    for part in message.content[:MAX_PARTS]:
        if part.type == "toolCall" or room <= 0:
            break
        text = part.text or ""
        kept.append(ChatContent(type="text", text=text[:room]) if part.type == "text" else part)
        room -= len(text)
    kept.append(ChatContent(type="text", text=TOO_LARGE))
    call_id = message.tool_call_id
    return msgspec.structs.replace(
        message, content=kept, tool_call_id=call_id[:SHORTENED_CHARS] if isinstance(call_id, str) else call_id
    )
