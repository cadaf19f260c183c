"""Runs that outlive the call that began them: started once per idempotency key, awaited by whoever asks.

What a WebSocket client starts goes on when its connection breaks, and can be waited for from another one. In memory,
per process: a key is remembered while its run lasts and for a while after.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from time import monotonic

from app.errors import GatewayError, InternalError
from app.runs.answer import Answer
from app.runs.job import Job
from app.runs.run import Listener, Runs

REMEMBERED_SECONDS = 600.0
"""How long a finished run can still be asked for."""
MAX_REMEMBERED = 1_000
"""Finished runs remembered at most; the oldest is forgotten first."""


class BackgroundRun:
    """A run of its own: its job, and in the end its answer or its error."""

    __slots__ = ("_task", "ended_at", "job")

    def __init__(self, job: Job, task: asyncio.Task[Answer]) -> None:
        self.job = job
        self.ended_at: float | None = None
        self._task = task
        task.add_done_callback(self._ended)

    @property
    def done(self) -> bool:
        """Whether it is over."""
        return self._task.done()

    async def outcome(self) -> Answer | GatewayError:
        """Wait for the end. Cancelling the wait leaves the run alone."""
        await asyncio.wait({self._task})
        if self._task.cancelled():
            raise asyncio.CancelledError
        error = self._task.exception()
        if error is None:
            return self._task.result()
        return error if isinstance(error, GatewayError) else InternalError(self.job.run_id)

    def cancel(self) -> asyncio.Task[Answer]:
        """Stop it because the process ends; return the task to wait for."""
        self._task.cancel()
        return self._task

    def _ended(self, _task: asyncio.Task[Answer]) -> None:
        self.ended_at = monotonic()


class BackgroundRuns:
    """Starts runs in tasks of their own.

    Args:
        runs: Executes them.
    """

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._by_id: OrderedDict[str, BackgroundRun] = OrderedDict()

    def start(self, job: Job, listener: Listener | None) -> BackgroundRun:
        """Start a job, whose run id nobody has used before."""
        self._forget()
        task = asyncio.create_task(self._runs.execute(job, listener), name=job.run_id)
        run = self._by_id[job.run_id] = BackgroundRun(job, task)
        return run

    def get(self, run_id: str) -> BackgroundRun | None:
        """Return the run of that id, under way or remembered."""
        return self._by_id.get(run_id)

    async def close(self) -> None:
        """Stop every run and wait for its clean-up."""
        tasks = {run.cancel() for run in self._by_id.values() if not run.done}
        if tasks:
            await asyncio.wait(tasks)
        self._by_id.clear()

    def _forget(self) -> None:
        limit = monotonic() - REMEMBERED_SECONDS
        ended = [run_id for run_id, run in self._by_id.items() if run.ended_at is not None]
        surplus = len(ended) - MAX_REMEMBERED
        for position, run_id in enumerate(ended):
            ended_at = self._by_id[run_id].ended_at
            if position < surplus or (ended_at is not None and ended_at < limit):
                del self._by_id[run_id]
