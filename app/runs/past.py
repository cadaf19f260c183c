"""Where a conversation's history lies in a session: what derived data about it hangs on. A pure value."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from app.sessions.message import Message, chained, digest
from app.sessions.store import StoredMessage


class Past(msgspec.Struct, frozen=True):
    """What a history is made of.

    Attributes:
        session_key: The session.
        stored: Its messages that the history begins with.
        parent: What the history's further messages, which come with the request, are to hang on.
    """

    session_key: str
    stored: Sequence[StoredMessage]
    parent: str | None

    def ids(self, history: Sequence[Message]) -> list[str]:
        """Return the id that each message of the history has in the session, or will have once it is stored."""
        ids = [stored.id for stored in self.stored]
        parent = self.parent
        for message in history[len(ids) :]:
            parent = chained(parent, digest(message))
            ids.append(parent)
        return ids
