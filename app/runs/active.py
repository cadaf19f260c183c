"""The runs under way: who they are, how they end, and the one way to stop one from outside, whichever its door."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from time import time
from types import TracebackType
from typing import Final

from app.errors import GatewayError, InternalError, RunAborted, RunsFull
from app.runs.ending import Ending
from app.runs.job import Job

GONE: Final = "whoever wanted it has gone"
"""Why a run ends whose task was cancelled by other means than ``abort``: its client left, or the process ends."""


class ActiveRun:
    """A run under way.

    Attributes:
        run_id: Its id.
        agent_id: The agent that answers.
        session_key: The session it belongs to.
        stateful: Whether that session outlives the run; where it doesn't, nobody else can have named it.
        started_at: Seconds since 1970.
        aborted: Why it was stopped, once it was.
    """

    __slots__ = (
        "_end",
        "_ending",
        "_task",
        "aborted",
        "agent_id",
        "run_id",
        "session_key",
        "started_at",
        "stateful",
    )

    def __init__(self, job: Job) -> None:
        self.run_id = job.run_id
        self.agent_id = job.target.agent.id
        self.session_key = job.target.session_key
        self.stateful = job.target.stateful
        self.started_at = time()
        self.aborted: str | None = None
        self._task: asyncio.Task[object] | None = None
        self._ending: Ending | None = None
        self._end: asyncio.Event | None = None  # made for the first who waits: hardly any run is waited for

    def abort(self, why: str) -> None:
        """Stop the run: its door gets ``RunAborted``, its session stays as it was."""
        if self.aborted is None:
            self.aborted = why
            if self._task is not None:
                self._task.cancel()

    async def ended(self) -> Ending:
        """Wait for the end. Cancelling the wait leaves the run alone."""
        if self._ending is None:
            if self._end is None:
                self._end = asyncio.Event()
            await self._end.wait()
        assert self._ending is not None, "set before the event"
        return self._ending

    def begin(self, task: asyncio.Task[object]) -> None:
        """Say which task runs it.

        Raises:
            RunAborted: If it has been stopped already.
        """
        self._task = task
        if self.aborted is not None:
            raise RunAborted(self.aborted)

    def finish(self, ending: Ending) -> None:
        """Say that it is over."""
        self._task = None
        self._ending = ending
        if self._end is not None:
            self._end.set()


class ActiveRuns:
    """Knows every run of this process from its beginning to its end.

    Args:
        most: How many there may be; ``None`` for any number.
    """

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self._runs: dict[str, ActiveRun] = {}

    def expect(self, job: Job) -> ActiveRun:
        """Count a job's run from now on, though the task that will run it has not come to its first step.

        So it can be found and stopped at once. Whoever calls this sees to it that ``dismiss`` is called in the end.

        Raises:
            RunsFull: If there are as many as there may be.
        """
        if self._most is not None and len(self._runs) >= self._most:
            raise RunsFull(self._most)
        run = self._runs[job.run_id] = ActiveRun(job)
        return run

    def dismiss(self, run: ActiveRun) -> None:
        """Count an expected run no longer, if its task has been stopped before its first step."""
        self._leave(run, Ending.of(RunAborted(run.aborted or GONE), time()))

    def entered(self, job: Job) -> AbstractContextManager[ActiveRun]:
        """Count the calling task as the job's run while the block lasts.

        Raises:
            RunsFull: If there are as many as there may be.
            RunAborted: If ``abort`` stopped the run.
        """
        return _Entered(self._runs.get(job.run_id) or self.expect(job), self._leave)

    def get(self, run_id: str) -> ActiveRun | None:
        """Return the run of that id, if it is under way."""
        return self._runs.get(run_id)

    def of_session(self, session_key: str) -> list[ActiveRun]:
        """Return the runs of a session, in the order they came: the first works, the others wait."""
        return [run for run in self._runs.values() if run.session_key == session_key]

    def abort_all(self, why: str) -> None:
        """Stop every run."""
        for run in tuple(self._runs.values()):
            run.abort(why)

    def __len__(self) -> int:
        return len(self._runs)

    def _leave(self, run: ActiveRun, ending: Ending) -> None:
        if self._runs.get(run.run_id) is run:
            del self._runs[run.run_id]
            run.finish(ending)


class _Entered(AbstractContextManager[ActiveRun]):
    """While it lasts the calling task is the run's. A class, since a generator takes each run three times as long."""

    __slots__ = ("_leave", "_run")

    def __init__(self, run: ActiveRun, leave: Callable[[ActiveRun, Ending], None]) -> None:
        self._run = run
        self._leave = leave

    def __enter__(self) -> ActiveRun:
        task = asyncio.current_task()
        assert task is not None, "called from a coroutine"
        try:
            self._run.begin(task)
        except RunAborted as error:
            self._leave(self._run, Ending.of(error, time()))
            raise
        return self._run

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        run, now = self._run, time()
        if error is None:
            self._leave(run, Ending("done", now))
        elif isinstance(error, GatewayError):
            self._leave(run, Ending.of(error, now))
        elif not isinstance(error, asyncio.CancelledError):
            self._leave(run, Ending.of(InternalError(run.run_id), now))
        elif run.aborted is None:
            self._leave(run, Ending.of(RunAborted(GONE), now))
        else:
            task = asyncio.current_task()
            assert task is not None, "as it was entered"
            task.uncancel()
            self._leave(run, Ending.of(RunAborted(run.aborted), now))
            raise RunAborted(run.aborted) from None
