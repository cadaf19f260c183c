"""Runs that are under way in a session, and runs that ended with their process: what is known of them. Pure values.

A run that was interrupted has left nothing in its session; that it was there is all that is to be told.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from app.log import logger

MAX_TOLD: Final = 20
"""So many runs are named one by one in the log; of more the number is told."""
_log = logger("zero.sessions")


class BegunRun(msgspec.Struct, frozen=True):
    """A run that has a session or waits for it; the time in seconds since 1970."""

    run_id: str
    session_key: str
    agent_id: str
    started_at: float


class InterruptedRun(msgspec.Struct, frozen=True):
    """A run whose process ended, or was out of touch for too long, before the run was over.

    Attributes:
        run_id: Its id.
        session_key: The session, which is as it was before the run.
        agent_id: The agent that was to answer.
        started_at: When it began, in seconds since 1970.
        found_at: When it was found, in the same.
    """

    run_id: str
    session_key: str
    agent_id: str
    started_at: float
    found_at: float


def tell(runs: Sequence[BegunRun]) -> None:
    """Write to the log which runs were found interrupted."""
    for run in runs[:MAX_TOLD]:
        _log.warning(
            "run %s of agent %s was interrupted: its process is gone; session %s is as it was before",
            run.run_id,
            run.agent_id,
            run.session_key,
        )
    if len(runs) > MAX_TOLD:
        _log.warning("%d more runs were interrupted; their sessions are as they were before", len(runs) - MAX_TOLD)
