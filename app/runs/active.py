"""The runs under way: who they are, and the one way to stop one from outside, whichever door it came in by."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from time import time

from app.errors import RunAborted
from app.runs.job import Job


class ActiveRun:
    """A run under way.

    Attributes:
        run_id: Its id.
        agent_id: The agent that answers.
        session_key: The session it belongs to.
        started_at: Seconds since 1970.
        aborted: Why it was stopped, once it was.
    """

    __slots__ = ("_task", "aborted", "agent_id", "run_id", "session_key", "started_at")

    def __init__(self, job: Job, task: asyncio.Task[object]) -> None:
        self.run_id = job.run_id
        self.agent_id = job.target.agent.id
        self.session_key = job.target.session_key
        self.started_at = time()
        self._task = task
        self.aborted: str | None = None

    def abort(self, why: str) -> None:
        """Stop the run: its door gets ``RunAborted``, its session stays as it was."""
        if self.aborted is None:
            self.aborted = why
            self._task.cancel()


class ActiveRuns:
    """Knows every run of this process from its beginning to its end."""

    def __init__(self) -> None:
        self._runs: dict[str, ActiveRun] = {}

    @contextmanager
    def entered(self, job: Job) -> Iterator[ActiveRun]:
        """Count the calling task as the job's run while the block lasts.

        Raises:
            RunAborted: If ``abort`` stopped the run.
        """
        task = asyncio.current_task()
        assert task is not None, "called from a coroutine"
        run = self._runs[job.run_id] = ActiveRun(job, task)
        try:
            yield run
        except asyncio.CancelledError:
            if run.aborted is None:
                raise
            task.uncancel()
            raise RunAborted(run.aborted) from None
        finally:
            del self._runs[job.run_id]

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
