"""A run's place among those who want its session, and how the run is stopped when it has lost it.

Knows tasks and no database: ``turns`` says what has become of a place.
"""

from __future__ import annotations

import asyncio
from time import monotonic


class Tenure:
    """A place of the task that makes this.

    Attributes:
        row: Its number, which is the fence.
        session_key: The session.
        holding: Whether it has the session, and no longer waits for it.
        settled: Whether it needs the session no more: its turn is stored.
        renewed: When it was last known to be there, by ``time.monotonic()``.
    """

    __slots__ = ("_error", "_requests", "_task", "holding", "renewed", "row", "session_key", "settled")

    def __init__(self, row: int, session_key: str, renewed: float | None = None) -> None:
        task = asyncio.current_task()
        assert task is not None, "called from a coroutine"
        self.row = row
        self.session_key = session_key
        self.holding = False
        self.settled = False
        self.renewed = monotonic() if renewed is None else renewed
        self._task = task
        self._requests = task.cancelling()
        self._error: Exception | None = None

    def lose(self, error: Exception) -> None:
        """Stop the task: its block ends with this error."""
        if self._error is None and not self.settled:
            self._error = error
            self._task.cancel()

    def end(self) -> Exception | None:
        """Return why the task was stopped, if that was here, and nobody else wants it to stop. To be called once."""
        if self._error is None or self._task.uncancel() > self._requests:
            return None
        return self._error
