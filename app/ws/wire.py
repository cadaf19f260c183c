"""What a connection asks of the server beneath it that ASGI has no word for.

A server that can do it says so in the scope's extensions, under ``EXTENSION``. Others serve all the same, with less:
docs/websocket.md, "Limits".
"""

from __future__ import annotations

from typing import Final, Protocol, cast

from litestar.types import Scope

EXTENSION: Final = "zero.wire"
MAX_HANDSHAKE_BYTES: Final = 64 * 1024
"""The largest frame of a client that hasn't shown the secret."""


class Wire(Protocol):
    """The socket of one connection."""

    def admit(self) -> None:
        """Read frames as large as the server allows; before this, as ``MAX_HANDSHAKE_BYTES`` says."""
        ...

    def unsent(self) -> int:
        """Return how many bytes wait for the client to read."""
        ...

    def abort(self) -> None:
        """Close the socket at once; what was not sent yet is lost, and its memory free."""
        ...


def wire_of(scope: Scope) -> Wire | None:
    """Return the socket beneath a connection, or ``None`` if the server doesn't give it away."""
    extensions = scope.get("extensions") or {}
    return cast("Wire | None", extensions.get(EXTENSION))
