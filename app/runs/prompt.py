"""The one system message that an engine sees: the agent's prompt first, then what the request adds.

One message at the head, because many models' chat templates refuse a second one or one in the middle. Pure.
Source of the rule: design.md, "The run".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from app.large.shortened import read
from app.large.written import written
from app.sessions.message import Message


def system_messages(agent_prompt: str, requested: Sequence[Message]) -> tuple[Message, ...]:
    """Return the system message of a turn, or none when nobody has anything to say.

    Args:
        agent_prompt: The agent's own prompt; may be empty.
        requested: The request's system and developer messages.
    """
    if not agent_prompt and len(requested) <= 1:
        return tuple(requested)  # untouched: its role, name and cache marks mean something to the upstream
    texts = [agent_prompt] if agent_prompt else []
    texts += [_text(read(message.raw)["content"]) for message in requested]
    content = "\n\n".join(text for text in texts if text)
    return (Message("system", msgspec.Raw(written({"role": "system", "content": content}))),)


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)
