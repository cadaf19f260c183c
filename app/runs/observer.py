"""What a run tells whoever watches the gateway: that it waits, whom it asks, how it ends. Protocols, and no watcher.

Owns when something is told; what becomes of it (metrics, traces, a line in a file) is not known here. Without an
observer nothing is told, and it costs nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Final, Protocol, TypeVar

from app.config import ModelRef
from app.runs.answer import Answer
from app.runs.job import Job
from app.runs.turn import Turn

T = TypeVar("T")


class EngineWatch(Protocol):
    """Watches an engine answer once."""

    def listens(self) -> None:
        """Take note that the engine is waited for."""
        ...

    def heard(self) -> None:
        """Take note that it has said something, or that all is said. If it fails instead, ``failed`` is told."""
        ...

    def done(self, answer: Answer) -> None:
        """Take note that the engine has said everything."""
        ...

    def failed(self, error: BaseException) -> None:
        """Take note that it hasn't, or that nobody wants to hear it any more. The error must not be kept."""
        ...


class _Unwatched:
    """Watches nothing."""

    __slots__ = ()

    def listens(self) -> None:
        pass

    def heard(self) -> None:
        pass

    def done(self, answer: Answer) -> None:
        pass

    def failed(self, error: BaseException) -> None:
        pass


UNWATCHED: Final[EngineWatch] = _Unwatched()
"""Stands where nobody wants to know."""


class RunWatch(Protocol):
    """Watches a run."""

    async def queue(self, waiting: Awaitable[T]) -> T:
        """Wait for a place in a queue."""
        ...

    def asks(self, turn: Turn, model: ModelRef) -> EngineWatch:
        """Take note that an engine is asked."""
        ...

    def done(self, answer: Answer) -> None:
        """Take note that the run came to its end."""
        ...

    def failed(self, error: BaseException) -> None:
        """Take note that it didn't. The error must not be kept."""
        ...


class RunObserver(Protocol):
    """Wants to know of runs."""

    def run_began(self, job: Job) -> RunWatch:
        """Take note that a run begins, in the task that runs it."""
        ...


watching: ContextVar[RunWatch | None] = ContextVar("watching", default=None)
"""Who watches the run of the present task."""


async def observed(observer: RunObserver, job: Job, run: Callable[[], Awaitable[Answer]]) -> Answer:
    """Run a job, and tell an observer of it.

    Args:
        observer: Who wants to know.
        job: The job.
        run: Runs it.
    """
    watch = observer.run_began(job)
    watching.set(watch)
    try:
        answer = await run()
    except BaseException as error:
        watch.failed(error)
        raise
    else:
        watch.done(answer)
        return answer
    finally:
        watching.set(None)
