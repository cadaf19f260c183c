"""What stands for the beginning of a session that a model has no room for: words derived from messages.

Owns the value and what a store promises about it. No summary is part of a chain: without any, nothing is lost but work.
"""

from __future__ import annotations

from typing import Final, Protocol

import msgspec

KEPT: Final = 16
"""How many summaries a session has at most; the newest stay."""


class Summary(msgspec.Struct, frozen=True):
    """A summary of everything up to a message.

    Attributes:
        upto: The message's id, so that the summary holds for just the conversations that begin in this way.
        text: What it says.
        model: Who wrote it, as ``provider/model``.
        created_at: When, in seconds since 1970.
    """

    upto: str
    text: str
    model: str
    created_at: float


class SessionSummaries(Protocol):
    """Keeps summaries. Every method may raise ``StoreError``."""

    async def read(self, session_key: str) -> list[Summary]:
        """Return a session's summaries, the newest first, of whichever branch they are."""
        ...

    async def keep(self, session_key: str, summary: Summary) -> bool:
        """Keep a summary, in the place of one of the same messages.

        Returns:
            Whether there is such a session; of one that isn't stored nothing is kept, since nobody would delete that.
        """
        ...
