"""The gateway as uvicorn runs it, with a detector on its own event loop: how long nobody was served at the longest.

``tests.doors.watched_gateway:application`` is what uvicorn loads. ``GET /held-up`` answers with the longest time
between two steps of the loop since the last such question, and how much of it the loop's own thread worked, in
milliseconds.

What counts is time that the gateway itself took: the loop's own callbacks, or its wait for another thread of the
process that has the interpreter's lock. It is the time by the clock without what the loop's thread waited for a
processor, or the whole process's CPU time, whichever is less. So other processes on the machine make nothing longer.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import Final, NamedTuple

from litestar.enums import ScopeType
from litestar.types import Receive, Scope, Send

import app as product

PATH: Final = "/held-up"
_TICK_SECONDS: Final = 0.001


class _Clocks(NamedTuple):
    """Seconds: by the clock, of which the loop's thread could run; of the process's CPU; of the loop's thread's."""

    wall: float
    process: float
    thread: float


class _Detector:
    def __init__(self) -> None:
        self.longest = self.own = 0.0
        self._last = _Clocks(0.0, 0.0, 0.0)
        self._waits: int | None = None
        self._running = False

    def start(self) -> None:
        if self._running:
            return
        self._running = True
        try:
            self._waits = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
        except OSError:  # not Linux, or a kernel that doesn't count: the process's CPU time is the only correction
            self._waits = None
        self._last = self._now()
        self._next(asyncio.get_running_loop())

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.call_later(_TICK_SECONDS, self._tick, loop)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        now, last = self._now(), self._last
        held_up = min(now.wall - last.wall, now.process - last.process)
        if held_up > self.longest:
            self.longest, self.own = held_up, now.thread - last.thread
        self._last = now
        self._next(loop)

    def _now(self) -> _Clocks:
        waited = int(os.pread(self._waits, 100, 0).split()[1]) / 1e9 if self._waits is not None else 0.0
        return _Clocks(time.perf_counter() - waited, time.process_time(), time.thread_time())


_detector = _Detector()


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve the detector's finding, and all else as the gateway does."""
    _detector.start()
    if scope["type"] != ScopeType.HTTP or scope["path"] != PATH:
        await product.gateway(scope, receive, send)
        return
    found = b"%.3f %.3f" % (_detector.longest * 1000, _detector.own * 1000)
    _detector.longest = _detector.own = 0.0
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": found, "more_body": False})
