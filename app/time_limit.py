"""A time limit on what a task does: what ``asyncio.timeout`` is, without its two coroutines. Each request has several.

Knows asyncio only.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self


class TimeLimit:
    """Cancels what is done within it when the time is up, and raises ``TimeoutError`` then. Used once.

    Args:
        seconds: How long it may take; ``None`` is as long as it likes.

    Attributes:
        expired: Whether the time is up.
    """

    __slots__ = ("_cancelling", "_seconds", "_task", "_timer", "expired")

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._task: asyncio.Task[object] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._cancelling = 0
        self.expired = False

    def __enter__(self) -> Self:
        if self._seconds is not None:
            task = self._task = asyncio.current_task()
            assert task is not None, "within a task"
            self._cancelling = task.cancelling()
            self._timer = asyncio.get_running_loop().call_later(self._seconds, self._expire)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        task, self._task = self._task, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self.expired or task is None:
            return
        # As ``asyncio.timeout`` has it: somebody else's cancellation at the same time stays one.
        alone = task.uncancel() <= self._cancelling
        if alone and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def _expire(self) -> None:
        if self._task is not None:
            self.expired = True
            self._task.cancel()
