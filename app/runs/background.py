"""Runs that outlive the call that began them: started once per idempotency key, awaited by whoever asks.

What a WebSocket client starts goes on when its connection breaks, and can be waited for from another one. In memory,
per process: a key is remembered while its run lasts and for a while after.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from time import time
from typing import Any

from app.errors import GatewayError, InternalError, RunAborted
from app.runs.answer import Answer
from app.runs.job import Job
from app.runs.run import Listener, Runs

OnEnd = Callable[[Answer | GatewayError], None]

_log = logging.getLogger("zero.runs")

REMEMBERED_SECONDS = 600.0
"""How long a finished run can still be asked for."""
MAX_REMEMBERED = 1_000
"""Finished runs remembered at most; the oldest is forgotten first."""


class BackgroundRun:
    """A run of its own: its job, and in the end its answer or its error.

    Attributes:
        job: What is run.
        began_at: Milliseconds since 1970.
        ended_at: The same, once it is over.
    """

    __slots__ = ("_ended", "_on_end", "_outcome", "_task", "began_at", "ended_at", "job")

    def __init__(self, job: Job, work: Coroutine[Any, Any, Answer], on_end: OnEnd | None) -> None:
        self.job = job
        self.began_at = int(time() * 1000)
        self.ended_at: int | None = None
        self._on_end = on_end
        self._outcome: Answer | GatewayError | None = None
        self._ended = asyncio.Event()
        self._task = asyncio.create_task(work, name=job.run_id)
        # Not a coroutine around it: one that is stopped before its first step would neither begin the work nor end.
        self._task.add_done_callback(self._done)

    @property
    def done(self) -> bool:
        """Whether it is over."""
        return self._outcome is not None

    @property
    def duration_ms(self) -> int:
        """Milliseconds from its beginning to its end, or until now."""
        return (self.ended_at or int(time() * 1000)) - self.began_at

    async def outcome(self) -> Answer | GatewayError:
        """Wait for the end. Cancelling the wait leaves the run alone."""
        await self._ended.wait()
        assert self._outcome is not None, "what has ended has an outcome"
        return self._outcome

    def stop(self) -> asyncio.Task[Answer]:
        """Stop it because the process ends; return the task to wait for."""
        self._task.cancel()
        return self._task

    def _done(self, task: asyncio.Task[Answer]) -> None:
        error = RunAborted("the gateway is stopping") if task.cancelled() else task.exception()
        if error is None:
            self._outcome = task.result()
        elif isinstance(error, GatewayError):
            self._outcome = error
        else:
            _log.error("run %s failed", self.job.run_id, exc_info=error)
            self._outcome = InternalError(self.job.run_id)
        self.ended_at = int(time() * 1000)
        self._ended.set()
        if self._on_end is not None:
            self._on_end(self._outcome)


class BackgroundRuns:
    """Starts runs in tasks of their own.

    Args:
        runs: Executes them.
    """

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._by_id: dict[str, BackgroundRun] = {}

    def start(self, job: Job, listener: Listener | None, on_end: OnEnd | None = None) -> BackgroundRun:
        """Start a job, whose run id nobody has used before.

        Args:
            job: What to run.
            listener: Gets its events.
            on_end: Called with the outcome, also when nobody waits for it.
        """
        self._forget()
        run = self._by_id[job.run_id] = BackgroundRun(job, self._runs.execute(job, listener), on_end)
        return run

    def get(self, run_id: str) -> BackgroundRun | None:
        """Return the run of that id, under way or remembered."""
        return self._by_id.get(run_id)

    async def drained(self, seconds: float) -> None:
        """Wait until none of the present ones is under way any more, or the time is up."""
        ends = [asyncio.ensure_future(run.outcome()) for run in self._by_id.values() if not run.done]
        if ends:
            _, waiting = await asyncio.wait(ends, timeout=seconds)
            for end in waiting:
                end.cancel()

    async def close(self) -> None:
        """Stop every run and wait for its clean-up."""
        tasks = {run.stop() for run in self._by_id.values() if not run.done}
        if tasks:
            await asyncio.wait(tasks)
        self._by_id.clear()

    def _forget(self) -> None:
        """Forget what ended long ago, and the oldest of too many."""
        limit = (time() - REMEMBERED_SECONDS) * 1000
        ended = [run for run in self._by_id.values() if run.ended_at is not None]
        surplus = len(ended) - MAX_REMEMBERED
        for position, run in enumerate(ended):
            if position < surplus or (run.ended_at is not None and run.ended_at < limit):
                del self._by_id[run.job.run_id]
