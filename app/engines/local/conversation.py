"""A conversation in words that the local model's chat template has a place for.

Pure. The template knows system, user and assistant messages with a text each. It drops tool calls, and of a tool's
result it shows neither whose it is nor that it is one. So both are told as text: measured on a few questions, the model
answers from such a result (docs/engines.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from app.sessions.message import Message


def in_words(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Return the conversation with tool calls and their results told as text, and every content a string."""
    calls: dict[str, str] = {}
    told: list[Message] = []
    results: list[str] = []
    for message in messages:
        fields: dict[str, Any] = msgspec.json.decode(message.raw)
        if message.role in ("tool", "function"):
            call = calls.get(fields.get("tool_call_id", "")) or fields.get("name") or "the tool"
            results.append(f"Result of {call}: {_text(fields.get('content'))}")
            continue
        if results:
            told.append(_message("user", "\n".join(results)))
            results = []
        told.append(_told(message, fields, calls))
    if results:
        told.append(_message("user", "\n".join(results)))
    return tuple(told)


def with_instruction(messages: Sequence[Message], instruction: str) -> tuple[Message, ...]:
    """Return the conversation with something added to its system message, or with one."""
    if messages and messages[0].role == "system":
        said = msgspec.json.decode(messages[0].raw)["content"]
        return (_message("system", f"{said}\n\n{instruction}"), *messages[1:])
    return (_message("system", instruction), *messages)


def _told(message: Message, fields: dict[str, Any], calls: dict[str, str]) -> Message:
    text = _text(fields.get("content"))
    if message.role == "developer":
        return _message("system", text)
    if message.role != "assistant":
        return message if isinstance(fields.get("content"), str) else _message(message.role, text)
    told = [text or str(fields.get("refusal") or "")]
    for call in fields.get("tool_calls") or ():
        calls[call["id"]] = _call(call.get("function") or call.get("custom") or {})
        told.append(f"Let me use {calls[call['id']]}.")
    if fields.get("function_call"):
        told.append(f"Let me use {_call(fields['function_call'])}.")
    return _message("assistant", "\n".join(part for part in told if part))


def _call(called: dict[str, Any]) -> str:
    """Return a call as ``get_weather (city: Paris)``."""
    words: str = called.get("arguments") or called.get("input") or ""
    try:
        arguments = msgspec.json.decode(words)
    except (msgspec.DecodeError, RecursionError):
        arguments = None
    if isinstance(arguments, dict):
        words = ", ".join(f"{name}: {_value(value)}" for name, value in arguments.items())
    return f"{called.get('name', '')} ({words})" if words else str(called.get("name", ""))


def _value(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "\n".join(part.get("text") or part.get("refusal") or "" for part in content)
    return content or ""


def _message(role: str, content: str) -> Message:
    return Message.of(role, {"role": role, "content": content})
