"""How many connections there may be, and who gives way when there are more: probes are answered all the same.

Knows no protocol and no socket. Shared by all connections of a process.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Final, Protocol

import msgspec

from app.config import Limits
from app.log import logger

RESERVED: Final = 64
"""Connections beyond the limit, on which only probes are answered."""
OWN_DESCRIPTORS: Final = 64
"""What a process has open besides connections, with room to spare: its store, its log, its event loop."""
FEWEST: Final = 16
"""Connections that there may be however few descriptors there are."""
MANY: Final = 1_024
"""Connections of which nobody needs to be told that there could be more."""

_log = logger("zero.http")


class Client(Protocol):
    """A connection on which nothing is asked at the moment."""

    def drop(self) -> None:
        """Close it without a word."""
        ...


class Admission:
    """Decides which connections are served.

    Args:
        limits: The configuration's ``gateway.limits``.
        probes: Paths that are answered on any connection.

    Attributes:
        draining: Whether the server is about to end: each connection is closed after its next answer.
    """

    def __init__(self, limits: Limits | None = None, probes: Iterable[str] = ()) -> None:
        self.limits = limits or Limits()
        self.probes: Final = frozenset(path.encode() for path in probes)
        self._waiting: dict[Client, None] = {}
        self._told = False
        self.draining = False

    def fit(self, descriptors: int | None) -> None:
        """Lower ``maxConnections`` to what so many file descriptors allow: each client's run may take a second one.

        Beyond that a client would be closed without a word by who accepts connections, instead of hearing 503, and
        probes with it. ``None`` of them is no limit.
        """
        if descriptors is None:
            return
        room = max(FEWEST, (descriptors - OWN_DESCRIPTORS - RESERVED) // 2)
        if room < self.limits.max_connections:
            # Thousands are many, and who has said nothing of it needn't hear at every start that there aren't more.
            wanted = self.limits.max_connections != Limits().max_connections
            _log.log(
                logging.WARNING if wanted or room < MANY else logging.DEBUG,
                "gateway.limits.maxConnections is %d, but %d file descriptors (ulimit -n) are enough for %d: that is "
                "the limit now",
                self.limits.max_connections,
                descriptors,
                room,
            )
            self.limits = msgspec.structs.replace(self.limits, max_connections=room)

    def admit(self, others: int) -> bool | None:
        """Decide about a new connection: whether it is served, or ``None`` if there is no room for it at all.

        Args:
            others: How many there are without it.
        """
        if others < self.limits.max_connections:
            self._told = False
            return True
        # One that asks nothing gives way, the longest first: who fills the places with silence keeps nobody out.
        oldest = next(iter(self._waiting), None)
        if oldest is not None:
            del self._waiting[oldest]
            oldest.drop()
            return True
        if not self._told:
            self._told = True
            _log.warning("%d connections are at work (gateway.limits.maxConnections): others are refused", others)
        return False if others < self.limits.max_connections + RESERVED else None

    def idle(self, client: Client) -> None:
        """Note that nothing is asked on a connection any more, or not yet."""
        self._waiting[client] = None

    def busy(self, client: Client) -> None:
        """Note that something is asked on it, or that it is gone."""
        self._waiting.pop(client, None)


def admission_of(app: object) -> Admission:
    """Return what the gateway within an application decides with; its defaults, if none is found there."""
    while app is not None:
        found = getattr(app, "admission", None)
        if isinstance(found, Admission):
            return found
        app = getattr(app, "app", None)  # what uvicorn wraps it with
    return Admission()
