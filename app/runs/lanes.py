"""Order and width: runs of one session one after the other, runs of one agent no more than it allows.

A lane is per session key, first in, first out, and exists only while somebody is in it. In memory, per process.
Source of the rule: design.md, "Which session".
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import NamedTuple

from app.errors import RateLimited
from app.sessions.interruption import BegunRun

MAX_WAITING = 64
"""Runs that may queue behind one another in one lane; the next is refused before any work."""


class LaneStatistics(NamedTuple):
    """How full the lanes are."""

    lanes: int
    """Lanes with a run in them."""
    waiting: int
    """Runs queued in all lanes together."""


class _Lane:
    __slots__ = ("running", "waiters", "width")

    def __init__(self, width: int) -> None:
        self.width = width
        self.running = 0
        self.waiters: deque[asyncio.Future[None]] = deque()


class Lanes:
    """Named queues, each as wide as its first entrant says.

    Args:
        what: The word for a lane in error messages, such as "session".
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._lanes: dict[str, _Lane] = {}

    @asynccontextmanager
    async def enter(self, key: str, *, width: int = 1) -> AsyncIterator[None]:
        """Wait for a place in the lane, and leave it at the end. Cancelling the wait gives the place in the queue up.

        Raises:
            RateLimited: If the queue is full. Nothing has been done then, so a retry is safe.
        """
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = _Lane(width)
        if lane.width != width:
            lane.width = width
            self._admit(lane)  # a wider lane lets those in who wait already
        if lane.running < lane.width and not lane.waiters:
            lane.running += 1
        else:
            await self._wait(key, lane)
        try:
            yield
        finally:
            self._leave(key, lane)

    def held(self, session_key: str, _run: BegunRun | None = None) -> AbstractAsyncContextManager[None]:
        """Give a session out to one run at a time; see ``SessionLeases``. In one process nobody else can have it."""
        return self.enter(session_key)

    def statistics(self) -> LaneStatistics:
        """Return how full the lanes are now."""
        return LaneStatistics(len(self._lanes), sum(len(lane.waiters) for lane in self._lanes.values()))

    async def _wait(self, key: str, lane: _Lane) -> None:
        if len(lane.waiters) >= MAX_WAITING:
            raise RateLimited(
                f"{MAX_WAITING} runs of this {self._what} are waiting already. Try again later.",
                code=f"{self._what}_queue_full",
                retry_after=2,
            )
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        lane.waiters.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if not place.cancelled():
                # Admitted and cancelled in the same moment: the place goes to the next.
                self._leave(key, lane)
            elif place in lane.waiters:  # or `_admit` has passed it over already
                lane.waiters.remove(place)
            raise

    def _leave(self, key: str, lane: _Lane) -> None:
        lane.running -= 1
        self._admit(lane)
        if not lane.running and not lane.waiters:
            self._lanes.pop(key, None)

    @staticmethod
    def _admit(lane: _Lane) -> None:
        while lane.waiters and lane.running < lane.width:
            place = lane.waiters.popleft()
            if not place.done():
                lane.running += 1
                place.set_result(None)
