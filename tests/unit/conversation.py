"""Messages of a conversation, as tests write them."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from app.sessions.message import Message


def said(role: str, content: object, **fields: object) -> Message:
    """Return a message."""
    return Message.of(role, {"role": role, "content": content, **fields})


def user(text: str) -> Message:
    """Return what a user says."""
    return said("user", text)


def assistant(text: str) -> Message:
    """Return what an assistant says, as the gateway stores it."""
    return said("assistant", text)


def script(messages: Iterable[Message]) -> list[str]:
    """Write a conversation down: ``role: content`` for each message."""
    return [f"{message.role}: {msgspec.json.decode(message.raw)['content']}" for message in messages]
