"""The connections on which nobody has shown the secret yet: never many, whoever opens them."""

from __future__ import annotations

from typing import Final, Protocol

from app.log import logger

MAX_STRANGERS: Final = 512

_log = logger("zero.ws")


class Stranger(Protocol):
    """A connection that has not been let in."""

    def drop(self, reason: str) -> None:
        """End it without waiting for the client."""
        ...


class Strangers:
    """Knows them from their beginning until they are let in or go.

    When there are too many, the oldest gives way and not the newest: clients that know the secret show it at once, so
    that those who only fill the places can't keep them out.
    """

    def __init__(self) -> None:
        self._waiting: dict[Stranger, None] = {}
        self._told = False

    def enter(self, stranger: Stranger) -> None:
        """Count one in."""
        if len(self._waiting) >= MAX_STRANGERS:
            oldest = next(iter(self._waiting))
            del self._waiting[oldest]
            oldest.drop("too many connections wait to be let in")
            if not self._told:
                _log.warning("%d connections wait to be let in: the oldest are dropped", MAX_STRANGERS)
                self._told = True
        self._waiting[stranger] = None

    def leave(self, stranger: Stranger) -> None:
        """Count one out: it was let in, or is gone."""
        self._waiting.pop(stranger, None)
        if not self._waiting:
            self._told = False
