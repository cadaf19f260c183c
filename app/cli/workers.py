"""Several processes behind one port: begun, watched, replaced when one dies, ended together.

Owns processes and signals. What a worker serves is for others; they share the listening socket and nothing else.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Final

from app.cli.ending import concluded
from app.cli.hangup import Hangup
from app.log import logger

EARLY_SECONDS: Final = 5.0
"""A worker that fails by itself within this time would fail again: then the whole gateway ends."""
_log = logger("zero")


class Workers:
    """So many processes that do the same.

    Args:
        number: How many.
        serve: What each of them does, until a signal ends it; gets whether it is the very first, returns its exit code.
        hangup: Knows what SIGHUP means.
        on_stop: Called when they are to end, each of them before that.
        on_end: Is told the id of each that has ended.
    """

    def __init__(
        self,
        number: int,
        serve: Callable[[bool], int],
        hangup: Hangup,
        on_stop: Callable[[], None],
        on_end: Callable[[int], None],
    ) -> None:
        self._hangup = hangup
        self._on_stop = on_stop
        self._on_end = on_end
        self._number = number
        self._serve = serve
        self._began: dict[int, float] = {}
        self._exit_code: int | None = None
        # Workers have the reading end alone: it says when the process that watches them is gone, however it went.
        self._alive, self._life = os.pipe()

    def run(self) -> int:
        """Have them serve until a signal comes, and return the exit code."""
        before = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        for one, handler in before.items():
            if handler is not signal.SIG_IGN or one is signal.SIGHUP:
                signal.signal(one, self._pass_on)
        try:
            for number in range(self._number):
                self._start(first=number == 0)
            while self._began:
                self._lost(*os.wait())
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)
            os.close(self._life)
            os.close(self._alive)
        return self._exit_code or 0

    def _start(self, *, first: bool = False) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        # A signal between the two lines would not be passed on to the new one.
        signals = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        if self._exit_code is None:
            process = os.fork()
            if not process:
                self._work(first, signals)
            self._began[process] = time.monotonic()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)

    def _work(self, first: bool, signals: set[signal.Signals]) -> None:
        code = 1
        try:
            os.close(self._life)
            for one in signals:
                if one is signal.SIGHUP:  # whoever is about to begin reads the configuration anyway
                    signal.signal(one, signal.SIG_IGN)
                elif signal.getsignal(one) is not signal.SIG_IGN:
                    signal.signal(one, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
            threading.Thread(target=self._end_with_parent, daemon=True).start()
            code = concluded(lambda: self._serve(first))
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)  # what the parent has to do on its way out is the parent's

    def _end_with_parent(self) -> None:
        os.read(self._alive, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    def _lost(self, process: int, status: int) -> None:
        began = self._began.pop(process, None)
        self._on_end(process)
        if began is None or self._exit_code is not None:
            return
        code = os.waitstatus_to_exitcode(status)
        early = time.monotonic() - began < EARLY_SECONDS
        if code > 0 and early:
            self._exit_code = code
            self._on_stop()
            self._signal(signal.SIGTERM)
            return
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        _log.error("worker %d %s; another one takes its place", process, how)
        if early:
            time.sleep(1)  # something kills them as they come: not as fast as the machine can
        self._start()

    def _pass_on(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP and not self._hangup.is_the_end():
            self._signal(number)
            return
        if self._exit_code is None:
            self._exit_code = 0 if number == signal.SIGTERM else 128 + number
            self._on_stop()
        self._signal(number)

    def _signal(self, number: int) -> None:
        for process in self._began:
            os.kill(process, number)
