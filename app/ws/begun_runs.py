"""The runs under way that one connection has begun: never very many, nor very large ones.

They go on without the request that began them, so a bound on requests doesn't bound them.
"""

from __future__ import annotations

from typing import Final

from app.ws.failure import MethodFailed

MAX_RUNS: Final = 256
"""Runs of one connection that may be under way."""
MAX_RUN_BYTES: Final = 32 * 1024 * 1024
"""What they were asked may take up together: each keeps it to its end. One alone may take more."""


class BegunRuns:
    """Counts them, by their ids."""

    def __init__(self) -> None:
        self._sizes: dict[str, int] = {}

    def begin(self, run_id: str, size: int) -> None:
        """Count a run in, before it begins; ``end`` has to follow.

        Args:
            run_id: Its id.
            size: What it is asked, in bytes of memory.

        Raises:
            MethodFailed: If the connection has begun too many that are not over.
        """
        waiting = sum(self._sizes.values())
        if len(self._sizes) >= MAX_RUNS or (waiting and waiting + size > MAX_RUN_BYTES):
            what = (
                f"{len(self._sizes)} runs that this connection has begun are under way, and were asked {waiting} bytes"
            )
            raise MethodFailed("UNAVAILABLE", what, retry_after=1)
        self._sizes[run_id] = size

    def end(self, run_id: str) -> None:
        """Count a run out: it is over."""
        self._sizes.pop(run_id, None)
