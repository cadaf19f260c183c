"""All connections of this process: counting them and telling all of them something."""

from __future__ import annotations

from collections.abc import Iterable
from time import time
from typing import Protocol

import msgspec

from app.contract.frames import SessionsChangedEvent, ShutdownEvent
from app.sessions.changes import Reason


class Member(Protocol):
    """A connection that has been let in."""

    @property
    def subscribed(self) -> bool:
        """Whether it wants to hear of changed sessions."""
        ...

    def sees(self, session_key: str) -> bool:
        """Tell whether a session is one of those that it may know of."""
        ...

    def may(self, scope: str) -> bool:
        """Tell whether it may do what ``scope`` names."""
        ...

    def event(self, name: str, payload: msgspec.Struct | msgspec.Raw) -> None:
        """Send it an event, or its payload as JSON already."""
        ...

    def recheck(self) -> None:
        """End it if what it was let in with opens nothing any more."""
        ...


class Hub:
    """Knows every connection from its ``hello-ok`` to its end.

    Attributes:
        closing: Whether the gateway is stopping, so that nothing new is begun.
    """

    def __init__(self) -> None:
        self._members: set[Member] = set()
        self.closing = False

    def __len__(self) -> int:
        return len(self._members)

    def join(self, member: Member) -> None:
        """Count a connection in."""
        self._members.add(member)

    def leave(self, member: Member) -> None:
        """Count it out."""
        self._members.discard(member)

    def broadcast(self, name: str, payload: msgspec.Struct, session_key: str) -> None:
        """Send an event of a session to every connection that may read it."""
        _send((member for member in tuple(self._members) if _reads(member, session_key)), name, payload)

    def session_changed(self, session_key: str, agent_id: str, reason: Reason) -> None:
        """Tell those who asked for it that a session has changed."""
        payload = SessionsChangedEvent(session_key=session_key, agent_id=agent_id, reason=reason, ts=int(time() * 1000))
        members = (member for member in tuple(self._members) if member.subscribed and _reads(member, session_key))
        _send(members, "sessions.changed", payload)

    def recheck(self) -> None:
        """Part with those whose API key was revoked or changed; they may come back with what it allows now."""
        for member in tuple(self._members):
            member.recheck()

    def announce_shutdown(self) -> None:
        """Tell everybody that the gateway is stopping, and have them begin nothing more."""
        self.closing = True
        _send(tuple(self._members), "shutdown", ShutdownEvent(reason="the gateway is stopping"))


def _reads(member: Member, session_key: str) -> bool:
    return member.may("operator.read") and member.sees(session_key)


def _send(members: Iterable[Member], name: str, payload: msgspec.Struct) -> None:
    """Send an event to some, encoded once for all of them: only its number differs."""
    encoded: msgspec.Raw | None = None
    for member in members:
        if encoded is None:
            encoded = msgspec.Raw(msgspec.json.encode(payload))
        member.event(name, encoded)
