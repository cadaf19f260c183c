"""Histories of sessions used lately, so that a turn needn't read again what all the turns before it said.

Never believed on their own: whoever uses one asks the database for the session's head, and for what lies between that
and the end of what is remembered (``branch.beyond``). A message's id is a hash of all that was said before, so a
history that ends with an id has just these messages, whoever has written meanwhile.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, NamedTuple

from app.sessions.history import History
from app.sessions.reset import is_mark
from app.sessions.store import StoredMessage

MAX_BYTES: Final = 32 * 1024 * 1024
"""What all of them may take up in a process; those that were used longest ago go first."""
_SHARE: Final = 4
"""No session has more than this fraction: one that long would drive many others out."""
MOST_OF_ONE: Final = MAX_BYTES // _SHARE
"""The bytes from which a session isn't remembered, unless told otherwise: to put it together would be for nothing."""


class Remembered(NamedTuple):
    """A history, not empty, and when its session was made: a session of the same name made later is another one."""

    created_at: float
    history: History

    @property
    def head(self) -> str:
        """The id of its last message."""
        return self.history[-1].id


class RememberedHistories:
    """Keeps histories by their session's key.

    Args:
        max_bytes: What they may take up in all.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._histories: OrderedDict[str, Remembered] = OrderedDict()
        self._held: dict[str, int] = {}
        self.held = 0
        """Bytes that they take up now."""

    def __len__(self) -> int:
        return len(self._histories)

    def get(self, session_key: str) -> Remembered | None:
        """Return what is remembered of a session."""
        found = self._histories.get(session_key)
        if found is not None:
            self._histories.move_to_end(session_key)
        return found

    def remember(self, session_key: str, created_at: float, history: History) -> None:
        """Take a history, in the place of what was remembered of the session."""
        self.forget(session_key)
        held = history.held
        if not history or held > self._max_bytes // _SHARE:
            return
        self._histories[session_key] = Remembered(created_at, history)
        self._held[session_key] = held
        self.held += held
        while self.held > self._max_bytes:
            self.forget(next(iter(self._histories)))

    def extend(self, session_key: str, created_at: float, parent: str | None, new: Sequence[StoredMessage]) -> None:
        """Take in what was just appended to a session behind one of its messages.

        Args:
            session_key: The session.
            created_at: When it was made.
            parent: The message's id; ``None`` or a reset's mark for a branch of its own.
            new: What the database has behind it now, word for word.
        """
        kept: History | None = None
        if parent is None or is_mark(parent):
            kept = History()
        elif (found := self._histories.get(session_key)) is not None and found.created_at == created_at:
            kept = found.history.up_to(parent)
        if kept is None:
            self.forget(session_key)
        else:
            self.remember(session_key, created_at, kept.extended(new))

    def forget(self, session_key: str) -> None:
        """Remember a session no longer."""
        if self._histories.pop(session_key, None) is not None:
            self.held -= self._held.pop(session_key)
