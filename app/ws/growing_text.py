"""The text of an answer on its way into events, each of which repeats all of it, at a cost that its length bounds.

Owns when an event is due, not what it looks like.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

Room = Callable[[], Awaitable[None]]
"""Returns when there is room for more; a run waits for it."""
Tell = Callable[[str, str | None], None]
"""Takes what is new, and all of it until now, or ``None`` where that is too long to be repeated. Returns at once."""

SHARE: Final = 64
"""The events of an answer repeat it so many times: one is due whenever the text has grown by such a part of it ..."""
FREE_CHARS: Final = 256 * 1024
"""... and this much more, so that answers of a few hundred words are told word by word."""
REPEATED_CHARS: Final = 512 * 1024
"""A longer text isn't repeated: even an event has its limits."""
MORE_CHARS: Final = 16 * 1024
"""What is kept back at most for more that is announced."""
PAUSE_SECONDS: Final = 0.2
"""What is kept back is told after this time, whatever it costs ..."""
CHARS_PER_SECOND: Final = 128 * 1024
"""... and after so much more time as keeps that cost below this rate."""


class GrowingText:
    """Collects an answer's text and tells it.

    Args:
        tell: Gets the text, event by event.
        room: Awaited before that, where there is somebody to wait for.
    """

    def __init__(self, tell: Tell, room: Room | None = None) -> None:
        self._tell = tell
        self._room = room
        self._whole: list[str] = []
        self._kept: list[str] = []
        self._length = 0
        self._kept_length = 0
        self._cost = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def repeated(self) -> str | None:
        """All of it until now; ``None`` if that is too long to be repeated."""
        if self._length > REPEATED_CHARS:
            return None
        self._whole = ["".join(self._whole)]
        return self._whole[0]

    async def add(self, delta: str, *, more: bool) -> None:
        """Add what is new; ``more`` announces that there is more at once."""
        self._whole.append(delta)
        self._kept.append(delta)
        self._length += len(delta)
        self._kept_length += len(delta)
        if self._kept_length >= MORE_CHARS if more else self._due():
            await self.settle()
        elif self._timer is None:
            seconds = PAUSE_SECONDS + self._length / CHARS_PER_SECOND
            self._timer = asyncio.get_running_loop().call_later(seconds, self.finish)

    async def flush(self) -> None:
        """Tell what was kept back for more that didn't come."""
        if self._kept and self._due():
            await self.settle()

    async def settle(self) -> None:
        """Tell all that was kept back, as soon as there is room."""
        self._stop_timer()
        while self._kept:
            if self._room is not None:
                await self._room()
            self._tell_some()

    def finish(self) -> None:
        """Tell all that was kept back, at once."""
        self._stop_timer()
        while self._kept:
            self._tell_some()

    def forget(self) -> None:
        """Let go of the text and of who hears of it: who tells of it, holds it, so it would wait for the collector."""
        self._stop_timer()
        self._whole, self._kept, self._length, self._kept_length = [], [], 0, 0
        self._tell, self._room = _to_nobody, None

    def _tell_some(self) -> None:
        """Tell what was kept back, or a part of it: what is too long to be repeated is too long for an event."""
        kept, whole = "".join(self._kept), self.repeated
        delta, rest = kept[:REPEATED_CHARS], kept[REPEATED_CHARS:]
        self._kept, self._kept_length = [rest] if rest else [], len(rest)
        self._cost += len(delta) + len(whole or "")
        if delta:
            self._tell(delta, whole)

    def _due(self) -> bool:
        cost = self._kept_length + (self._length if self._length <= REPEATED_CHARS else 0)
        return self._cost + cost <= FREE_CHARS + SHARE * self._length

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _to_nobody(_delta: str, _whole: str | None) -> None:
    """Tell nobody."""
