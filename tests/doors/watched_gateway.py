"""The gateway as uvicorn runs it, with a detector on its own event loop: how long nobody was served at the longest.

``tests.doors.watched_gateway:application`` is what uvicorn loads. ``GET /held-up`` answers with the longest time since
the last such question, in milliseconds: by the clock, or of the whole process's CPU, whichever is less. So other
processes that take the machine away don't count, and a thread that keeps the interpreter's lock from the loop does.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

from litestar.enums import ScopeType
from litestar.types import Receive, Scope, Send

import app as product

PATH: Final = "/held-up"
_TICK_SECONDS: Final = 0.001


class _Detector:
    def __init__(self) -> None:
        self.longest = 0.0
        self._last = (0.0, 0.0)
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._last = _now()
            self._loop.call_later(_TICK_SECONDS, self._tick, self._loop)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        now = _now()
        self.longest = max(self.longest, min(now[0] - self._last[0], now[1] - self._last[1]))
        self._last = now
        loop.call_later(_TICK_SECONDS, self._tick, loop)


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


_detector = _Detector()


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve the detector's finding, and all else as the gateway does."""
    _detector.start()
    if scope["type"] != ScopeType.HTTP or scope["path"] != PATH:
        await product.gateway(scope, receive, send)
        return
    longest, _detector.longest = _detector.longest, 0.0
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"%.3f" % (longest * 1000), "more_body": False})
