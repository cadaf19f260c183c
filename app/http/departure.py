"""Hearing that a request's client has gone, from the server itself: ASGI alone lets a task wait for the word.

A server that can say it puts a ``Departure`` into the scope's extensions, under ``EXTENSION``; ``UvicornWire`` does.
Under others a task waits; see ``disconnect``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, cast

from litestar.types import Scope

EXTENSION: Final = "zero.departure"


class Departure:
    """The end of one connection, which is served one request at a time.

    Args:
        listen: Has the server read from the connection, without which it doesn't see an end.
    """

    __slots__ = ("_gone", "_listen", "_tell")

    def __init__(self, listen: Callable[[], None]) -> None:
        self._listen = listen
        self._tell: Callable[[], None] | None = None
        self._gone = False

    def expect(self, tell: Callable[[], None]) -> None:
        """Have ``tell`` called once the client has gone; at once if it has already."""
        if self._gone:
            tell()
            return
        self._tell = tell
        self._listen()

    def forget(self) -> None:
        """Tell nobody any more."""
        self._tell = None

    def happened(self) -> None:
        """Say that the client has gone."""
        self._gone = True
        tell, self._tell = self._tell, None
        if tell is not None:
            tell()


def departure_of(scope: Scope) -> Departure | None:
    """Return the end to come of a request's connection, or ``None`` if the server doesn't tell of it."""
    extensions = scope.get("extensions") or {}
    return cast("Departure | None", extensions.get(EXTENSION))
