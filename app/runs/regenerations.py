"""Answers that somebody has asked to have made anew, so that an SDK's retry of that doesn't get the old one again.

In this process's memory: a retry comes soon, and where another gateway had the first attempt, the rule of
``repetition`` decides alone.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from app.runs.job import Job
from app.runs.repetition import asks_anew, is_repetition
from app.sessions.merge import Merge, Sent
from app.sessions.store import StoredMessage

MOST: Final = 1_000
"""Sessions that are remembered; those in which somebody asked longest ago go first."""


class Regenerations:
    """Remembers of each session which answer was to be made anew last."""

    def __init__(self) -> None:
        self._answers: OrderedDict[str, str] = OrderedDict()

    def repeats(self, job: Job, history: Sequence[StoredMessage], sent: Sequence[Sent], merged: Merge) -> bool:
        """Tell whether a request is a retry of the one that a session's last turn comes from.

        Args:
            job: What the request asks for.
            history: The session's active branch.
            sent: Those of the request's messages that the session doesn't know.
            merged: How ``merge`` would continue the session with all of them.
        """
        key = job.target.session_key
        if job.retried:
            return is_repetition(history, sent, merged) and self._answers.get(key) != history[-1].id
        if asks_anew(history, sent, merged):
            self._answers[key] = history[-1].id
            self._answers.move_to_end(key)
            if len(self._answers) > MOST:
                self._answers.popitem(last=False)
        return False

    def made(self, session_key: str) -> None:
        """Take note that a session has a new answer: it may have the old one's words, and so its id."""
        self._answers.pop(session_key, None)
