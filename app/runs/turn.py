"""What an engine is given: everything it needs to answer once, and nothing of HTTP or of sessions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from app.config import AgentProfile
from app.contract.models import CreateChatCompletionRequest
from app.sessions.message import Message


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One turn of a conversation, resolved.

    Attributes:
        run_id: The run this turn belongs to.
        agent: The agent that answers.
        model: The provider's own name of the model.
        messages: What the engine sees, in order: one system message (the agent's prompt and the request's system
            messages), the session's history, the request's own messages.
        request: The request as the contract understands it.
        parameters: Every other top-level field of the request as it was sent, fields unknown to the contract included,
            over the agent's own ``params``.
        growing: Whether somebody wants the answer while it grows; if not, it may as well come in one piece.
    """

    run_id: str
    agent: AgentProfile
    model: str
    messages: tuple[Message, ...]
    request: CreateChatCompletionRequest
    parameters: Mapping[str, Any]
    growing: bool = True

    @property
    def choices(self) -> int:
        """How many answers are asked for (``n``)."""
        return self.request.n or 1
