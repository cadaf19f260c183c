"""Who has come to a session and isn't in its queue yet, so that the queue has the order in which they came.

Between coming and queueing up there may be a database to ask: whether a key was used before, say. Those questions go
on at the same time, and it is only the step into the queue that waits for whoever came before. In memory, per process;
knows nothing of what is asked. Source of the rule: docs/sessions.md, "Order, failure, cancellation".
"""

from __future__ import annotations

import asyncio


class Arrivals:
    """Runs on their way into the queues of their sessions."""

    def __init__(self) -> None:
        self._sessions: dict[str, dict[str, asyncio.Event | None]] = {}

    def note(self, session_key: str, run_id: str) -> None:
        """Have it that a run has come to a session, behind those who are noted. A run that is noted keeps its place."""
        self._sessions.setdefault(session_key, {}).setdefault(run_id)

    async def go(self, session_key: str, run_id: str) -> None:
        """Wait until everybody who came before has gone or left, and go.

        There is nothing to wait for between the end of this and the caller's next step: whoever is behind comes later.
        """
        arrived = self._sessions.get(session_key, {})
        if run_id in arrived and next(iter(arrived)) != run_id:
            first = arrived[run_id] = asyncio.Event()
            await first.wait()
        self.leave(session_key, run_id)

    def leave(self, session_key: str, run_id: str) -> None:
        """Let a run be no longer on its way, if it is: it is there, or isn't coming."""
        arrived = self._sessions.get(session_key)
        if arrived is None or run_id not in arrived:
            return
        del arrived[run_id]
        if not arrived:
            del self._sessions[session_key]
        elif (first := arrived[next(iter(arrived))]) is not None:
            first.set()

    def __len__(self) -> int:
        """How many are on their way."""
        return sum(map(len, self._sessions.values()))
