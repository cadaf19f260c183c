"""How far a resent conversation is what it was the last time: found by comparing bytes, not message by message.

A client that resends everything sends the same bytes each time, and a little more. What they were found to be then is
remembered: so many of the session's messages. A message's id is a hash of all that was said before it, so that this is
still true if the session has the same id in that place. Nothing here is believed without both comparisons.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Sequence
from operator import attrgetter
from typing import Final

import msgspec

from app.sessions.message import Message, chained
from app.sessions.store import StoredMessage

MAX_BYTES: Final = 32 * 1024 * 1024
"""What all of them may take up in a process; those that were used longest ago go first."""
_SHARE: Final = 4
"""No session has more than this fraction: one that long would drive many others out."""
_OVERHEAD: Final = 512
"""Bytes that one takes up beside its text and its session's key."""
_FEW: Final = 8
"""Messages that are compared one by one as fast."""

_raw = attrgetter("raw")


class Resent(msgspec.Struct, frozen=True):
    """What a request turned out to begin with: a session's chain, from its root on.

    Attributes:
        text: The request's messages, one behind the other. Each is a JSON object, so that it is plain where one ends.
        size: How many bytes of it the session knew.
        count: How many messages those are.
        kept: How many stored ones: fewer, where a command begins the session anew among them.
        head: The id of the last of these.
        commands: The words that were commands then.
        first: The first of the messages that count, where it isn't the request's own: what stood behind a command.
    """

    text: bytes
    size: int
    count: int
    kept: int
    head: str
    commands: Collection[str]
    first: Message | None = None

    def counted(self, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        """Return those messages of a request that count, if it begins with the same."""
        at = self.count - self.kept
        return messages[at:] if self.first is None else (self.first, *messages[at + 1 :])

    def begins(self, text: bytes, history: Sequence[StoredMessage], commands: Collection[str]) -> bool:
        """Tell whether a request begins with the same messages, and the session still does.

        Args:
            text: The request's messages, as ``joined`` has them.
            history: The session's active branch.
            commands: The words that are commands now.
        """
        return (
            len(history) >= self.kept
            and history[self.kept - 1].id == self.head
            and commands == self.commands
            and text.startswith(memoryview(self.text)[: self.size])
        )


def joined(messages: Sequence[Message]) -> bytes:
    """Return the texts of messages, one behind the other; nothing of a few, which needn't be remembered."""
    return b"".join(map(_raw, messages)) if len(messages) > _FEW else b""


def resent(
    text: bytes,
    messages: Sequence[Message],
    history: Sequence[StoredMessage],
    commands: Collection[str],
    *,
    count: int,
    kept: int,
    first: Message | None = None,
    before: Resent | None = None,
) -> Resent | None:
    """Return what to remember of a request, or ``None`` where the next one had better be looked at in full.

    That is where nothing of the assistant's is among what the session knows, and where the chain begins behind a reset
    by the clock: then it depends on the rest of the request as well how far it reaches (``reset.forgotten_part``).

    Args:
        text: The request's messages, as ``joined`` has them.
        messages: The same.
        history: The session's active branch.
        commands: The words that are commands.
        count: How many of the messages the session knows, those before a command included.
        kept: How many of the session's messages these are, from its root on.
        first: The first that counts, if that isn't one of them.
        before: What the request was found to begin with.
    """
    if not text or not kept:
        return None
    if before is None:
        known = messages[count - kept : count]
        if history[0].id != chained(None, history[0].digest) or all(one.role != "assistant" for one in known):
            return None
    at, size = (0, 0) if before is None else (before.count, before.size)
    size += sum(len(message.raw) for message in messages[at:count])
    return Resent(text, size, count, kept, history[kept - 1].id, commands, first)


class ResentConversations:
    """Keeps what was resent by its session's key.

    Args:
        max_bytes: What all of it may take up.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[str, Resent] = OrderedDict()
        self.held = 0
        """Bytes that it takes up now."""

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, session_key: str) -> Resent | None:
        """Return what was resent in a session."""
        found = self._kept.get(session_key)
        if found is not None:
            self._kept.move_to_end(session_key)
        return found

    def remember(self, session_key: str, new: Resent | None) -> None:
        """Take what was resent in a session last, in the place of what was before."""
        self._forget(session_key)
        if new is None or _held(session_key, new) > self._max_bytes // _SHARE:
            return
        self._kept[session_key] = new
        self.held += _held(session_key, new)
        while self.held > self._max_bytes:
            self._forget(next(iter(self._kept)))

    def _forget(self, session_key: str) -> None:
        if (had := self._kept.pop(session_key, None)) is not None:
            self.held -= _held(session_key, had)


def _held(session_key: str, one: Resent) -> int:
    return len(one.text) + len(session_key) + _OVERHEAD
