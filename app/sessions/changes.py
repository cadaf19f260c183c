"""Telling whoever wants to know that a session has changed. In memory, per process; keeps nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

Reason = Literal["update", "reset", "delete"]
Subscriber = Callable[[str, str, Reason], None]
"""Called with the session's key, its agent's id and what happened; must return at once and not raise."""


class Changes:
    """A list of subscribers."""

    def __init__(self) -> None:
        self._subscribers: list[Subscriber] = []

    def subscribe(self, subscriber: Subscriber) -> None:
        """Have ``subscriber`` called at every change from now on."""
        self._subscribers.append(subscriber)

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Stop that."""
        self._subscribers.remove(subscriber)

    def publish(self, session_key: str, agent_id: str, reason: Reason) -> None:
        """Tell everybody."""
        for subscriber in tuple(self._subscribers):
            subscriber(session_key, agent_id, reason)
