"""What a method sees of the connection that called it."""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias

import msgspec

from app.security.named_key import NamedKey
from app.ws.begun_runs import BegunRuns

Payload: TypeAlias = msgspec.Struct | list[dict[str, Any]]
"""What a method answers: a struct of the contract, or a list where the protocol has one."""


class Caller(Protocol):
    """One request of one connection."""

    @property
    def key(self) -> NamedKey | None:
        """The API key that the connection has shown; ``None`` for the operator."""
        ...

    @property
    def begun(self) -> BegunRuns:
        """The runs under way that this connection has begun."""
        ...

    def accept(self, payload: msgspec.Struct) -> None:
        """Answer a first time; the method's result is the second answer under the same id."""
        ...

    def event(self, name: str, payload: msgspec.Struct) -> None:
        """Send an event to this connection."""
        ...

    async def room(self) -> None:
        """Wait until this connection has read most of what was sent: here a slow reader holds a run back."""
        ...

    def subscribe(self, subscribed: bool) -> None:
        """Have this connection told of changed sessions, or not any more."""
        ...
