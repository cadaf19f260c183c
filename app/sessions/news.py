"""What gateways that share a database tell each other through it (NOTIFY), heard by one connection while it is wanted.

News make things quicker and are nothing to rely on: behind some poolers none arrive. Knows nothing of what they mean.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, Protocol

from app.log import logger

FREE: Final = "zero_turns"
"""The channel on which it is said that somebody has left a session; the session's key is the message."""
REVOKED: Final = "zero_revoked"
"""The channel on which it is said that runs of a session are to stop; the session's key is the message."""
LISTEN_SECONDS: Final = 60.0
"""How long the connection stays that listens, once nobody wants it any more."""
RETRY_SECONDS: Final = 1.0

_log = logger("zero.sessions")


class Hearer(Protocol):
    """Whom the news are for."""

    def listening(self) -> bool:
        """Tell whether news are wanted."""
        ...

    def hear(self, channel: str, message: str) -> None:
        """Take in what was said."""
        ...

    def catch_up(self) -> None:
        """Look by oneself: of what was said before, nothing was heard."""
        ...


class News:
    """Listens while its hearer wants it.

    Args:
        connect: Opens a connection of psycopg's.
        hearer: Who is told.
    """

    def __init__(self, connect: Callable[[], Awaitable[Any]], hearer: Hearer) -> None:
        self._connect = connect
        self._hearer = hearer
        self._ear: asyncio.Task[None] | None = None

    def want(self) -> None:
        """Begin to listen, unless that has begun."""
        if self._ear is None or self._ear.done():
            self._ear = asyncio.create_task(self._listen(), name="session-turns-listener")

    async def close(self) -> None:
        """Stop listening."""
        if self._ear is not None:
            self._ear.cancel()
            with suppress(asyncio.CancelledError):
                await self._ear

    async def _listen(self) -> None:
        while self._hearer.listening():
            try:
                connection = await self._connect()
                try:
                    await connection.set_autocommit(True)
                    await connection.execute(f"LISTEN {REVOKED}")
                    await connection.execute(f"LISTEN {FREE}")
                    self._hearer.catch_up()
                    while self._hearer.listening():
                        async for notice in connection.notifies(timeout=LISTEN_SECONDS):
                            self._hearer.hear(notice.channel, notice.payload)
                finally:
                    await connection.close()
            except asyncio.CancelledError:
                raise
            except Exception as error:  # a driver's, of which there are many; everybody looks by himself then
                _log.warning("news of the session store don't arrive: %s", str(error).partition("\n")[0])
                await asyncio.sleep(RETRY_SECONDS)
