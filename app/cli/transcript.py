"""A session's messages as people read them."""

from __future__ import annotations

import click

from app.cli.table import printable
from app.contract.frames import ChatContent, ChatHistoryResult, ChatMessage

_COLOURS = {"user": "cyan", "assistant": "green"}


def printed(history: ChatHistoryResult) -> str:
    """Return the messages, oldest first, each under the name of who said it."""
    parts = ["(earlier messages are left out)"] if history.has_more else []
    return "\n\n".join([*parts, *map(_message, history.messages)])


def _message(message: ChatMessage) -> str:
    who = click.style(message.role, fg=_COLOURS.get(message.role, "yellow"), bold=True)
    return f"{who}\n{printable(''.join(map(_part, message.content)))}"


def _part(part: ChatContent) -> str:
    if part.type == "text":
        return part.text or ""
    return f"[calls {part.name}({part.arguments})]" if part.type == "toolCall" else "[not a text]"
