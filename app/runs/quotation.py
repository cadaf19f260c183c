"""A conversation as quoted text, for a model that is to read it and not to take part in it.

Every line of what somebody said begins with ``>``, whoever said it and whatever it looks like: nothing in a message can
pass for the text around it. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from app.runs.token_count import count
from app.sessions.message import Message

_WHO: Final = {"user": "User", "assistant": "Assistant", "tool": "Result of a tool", "function": "Result of a tool"}
_FILES: Final = {"image_url": "[image]", "input_audio": "[recording]", "file": "[file]"}
_OMISSION: Final = "\n[...]\n"


def quoted(text: str) -> str:
    """Return a text with ``>`` before each of its lines."""
    return "\n".join(f"> {line}".rstrip() for line in text.splitlines())


def spoken(message: Message, tokens: int | None = None) -> str:
    """Return who says what in a message, quoted.

    Args:
        message: What is said. Images, recordings and files are only named.
        tokens: How much of its words to give, the middle left out; ``None`` for all.
    """
    fields = msgspec.json.decode(message.raw)
    text = "\n".join(part for part in (*_words(fields), *_calls(fields)) if part)
    if tokens is not None:
        text = _clipped(text, tokens)
    who = _WHO.get(message.role, "Note")
    return f"{who}:\n{quoted(text)}" if text else f"{who}: nothing."


def excerpt(history: Sequence[Message], begin: int, stop: int, room: int) -> tuple[str, int]:
    """Return as many steps of a conversation as there is room for, quoted, and where they end.

    A step is one message with the results of tools behind it. One that is too long by itself is given in part.

    Args:
        history: The conversation.
        begin: Where to begin; a step's first message.
        stop: Where to end at the latest; the same, or the conversation's end.
        room: How many tokens there is room for.
    """
    texts: list[str] = []
    at = begin
    while at < stop:
        end = next((end for end in range(at + 1, stop) if history[end].role not in ("tool", "function")), stop)
        step = [spoken(message) for message in history[at:end]]
        room -= sum(map(count, step))
        if room < 0:
            if texts:
                break
            left = room + sum(map(count, step))
            return "\n\n".join(spoken(message, left // (end - at)) for message in history[at:end]), end
        texts += step
        at = end
    return "\n\n".join(texts), at


def bounded(text: str, tokens: int) -> str:
    """Return a text, or its first sentences if it has more tokens than that."""
    if count(text) <= tokens:
        return text
    text = _first(text, tokens)
    end = max(text.rfind(mark) for mark in ("\n", ". ", "! ", "? ", "。"))
    return text[: end + 1].rstrip() if end > len(text) // 2 else text.rstrip()


def _words(fields: dict[str, Any]) -> list[str]:
    content = fields.get("content")
    parts = [content] if isinstance(content, str) else [_part(part) for part in content or ()]
    recording = fields.get("audio")
    return [*parts, fields.get("refusal") or "", "[recording]" if recording and not any(parts) else ""]


def _part(part: dict[str, Any]) -> str:
    text = part.get("text") or part.get("refusal")
    return text if isinstance(text, str) else _FILES.get(str(part.get("type")), "[something else]")


def _calls(fields: dict[str, Any]) -> list[str]:
    calls = [call.get("function") or call.get("custom") for call in fields.get("tool_calls") or ()]
    called = [call for call in (*calls, fields.get("function_call")) if isinstance(call, dict)]
    return [f"[calls the tool {call.get('name')}] {call.get('arguments', call.get('input', ''))}" for call in called]


def _clipped(text: str, tokens: int) -> str:
    if count(text) <= tokens:
        return text
    half = max(1, (tokens - count(_OMISSION)) // 2)
    return _first(text, half) + _OMISSION + _first(text[::-1], half)[::-1]


def _first(text: str, tokens: int) -> str:
    """Return the beginning of a text that has no more tokens than that."""
    text = text[: tokens * 20]  # no language has tokens that long; the rest needn't be counted
    while (had := count(text)) > tokens:
        text = text[: min(len(text) - 1, len(text) * tokens // had)]
    return text
