"""A clock that stands still until it is told otherwise."""

from __future__ import annotations


class Clock:
    """Monotonic seconds under a test's control."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now
