"""Work that Ctrl-C, SIGTERM and SIGHUP end in good order: it is cancelled and cleans up. Who asks twice doesn't wait.

Owns the process's signals while a command works. Knows nothing of the work. Rules: docs/cli.md, "Exit codes".
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Coroutine
from time import monotonic
from types import FrameType
from typing import Any, Final, Self, TypeVar

from app.cli.output import break_off

T = TypeVar("T")

SIGNALS: Final = [one for one in signal.Signals if one.name in ("SIGINT", "SIGTERM", "SIGHUP")]
ECHO_SECONDS: Final = 0.1
"""A signal that comes again so soon is the same one: ``timeout`` and shells send it to a process and to its group."""
AGAIN_SECONDS: Final = 0.2
"""How often, after a signal, a write is looked at that may have begun to wait for its reader only since."""


class Interruption:
    """Catches the signals while its block lasts. Those that the process was started to ignore (``nohup``) stay ignored.

    Attributes:
        signal: The first that came, if any.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self._at = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None
        self._before: dict[signal.Signals, Any] = {}

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run work to its end; a signal cancels it.

        Raises:
            asyncio.CancelledError: If a signal came, and whatever the work makes of that.
        """
        return asyncio.run(self._watched(work))

    async def _watched(self, work: Coroutine[Any, Any, T]) -> T:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        if self.signal is not None and self._task is not None:  # it came before there was anything to cancel
            self._task.cancel()
        try:
            return await work
        finally:
            self._task = None

    def _received(self, number: int, _frame: FrameType | None) -> None:
        if self.signal is None:
            self.signal, self._at = signal.Signals(number), monotonic()
            signal.setitimer(signal.ITIMER_REAL, AGAIN_SECONDS, AGAIN_SECONDS)
            if self._loop is not None and self._task is not None:
                self._loop.call_soon_threadsafe(self._task.cancel)
        elif signal.Signals(number).name != "SIGHUP" and monotonic() - self._at > ECHO_SECONDS:
            os._exit(128 + number)
        break_off()

    def __enter__(self) -> Self:
        for one in SIGNALS:
            before = signal.getsignal(one)
            if before is not signal.SIG_IGN:
                self._before[one] = before
                signal.signal(one, self._received)
        self._before[signal.SIGALRM] = signal.signal(signal.SIGALRM, lambda *_: break_off())
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for one, before in self._before.items():
            signal.signal(one, before)
