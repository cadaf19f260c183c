"""The words with which a user begins a session anew: found in a request, and what counts behind them. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from app.large.aside import LARGE
from app.large.shortened import Shortened, read
from app.sessions.message import Message


class _Spoken(msgspec.Struct):
    content: Any = None


_decoder = msgspec.json.Decoder(_Spoken)


def behind_command(messages: Sequence[Message], commands: Collection[str]) -> tuple[Message, ...] | None:
    """Return what counts of a request behind the last command in it, or ``None`` if there is none.

    A command is a user's message that is nothing but one of the words, or begins with it and a blank; upper and lower
    case are the same. What follows the word is the first message of the new session then. What the assistant said to a
    word alone was a confirmation, and doesn't count.

    Args:
        messages: The request's messages, oldest first, without system messages.
        commands: The words.

    Returns:
        The messages, aligned with the end of ``messages``; none where the word alone is what is said now.
    """
    words = {word.lower() for word in commands}
    for at in reversed(range(len(messages))):
        if not words or messages[at].role != "user":
            continue
        word, text = _first_word(messages[at])
        if word.lower() not in words:
            continue
        behind = messages[at + 1 :]
        if text:
            fields: dict[str, Any] = read(messages[at].raw)
            if len(messages[at].raw) > LARGE:
                text = _split(fields["content"])[1]
            return (Message.of("user", {**fields, "content": text}), *behind)
        answers = next((place for place, one in enumerate(behind) if one.role != "assistant"), len(behind))
        return tuple(behind[answers:])
    return None


def _first_word(message: Message) -> tuple[str, str]:
    """Return the first word of a message that is one text, and what follows; of a large one its beginning."""
    large = len(message.raw) > LARGE
    return _split(_decoder.decode(Shortened(bytes(message.raw)).json if large else message.raw).content)


def _split(content: Any) -> tuple[str, str]:
    if isinstance(content, list):
        # A part may have fields that the contract doesn't know for its kind, and they hold anything.
        content = content[0].get("text") if len(content) == 1 and content[0].get("type") == "text" else None
    word, *rest = (content or "").split(None, 1) or [""]
    return word, rest[0].strip() if rest else ""
