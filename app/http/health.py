"""``getHealth`` and ``getReadiness``: whether the process lives, and whether it can do its work."""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec
from litestar.types import Receive, Scope, Send

from app.contract.models import HealthStatus, ReadinessStatus
from app.errors import StoreUnavailable
from app.http.response import send_response
from app.log import logger
from app.sessions.store import SessionStore, StoreError

READY_SECONDS: Final = 5.0
"""How long the store has to answer. Who probes waits no longer, and a store may take far longer to give up."""

_log = logger("zero.http")
_HEALTHY = msgspec.json.encode(HealthStatus())
_READY = msgspec.json.encode(ReadinessStatus())


class Health:
    """Answers the probes.

    Args:
        store: The session store that readiness is about.
    """

    def __init__(self, store: SessionStore) -> None:
        self._store = store
        self._asking: asyncio.Task[str | None] | None = None

    async def health(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer that the process lives."""
        await send_response(send, 200, _HEALTHY)

    async def readiness(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer whether the session store can be read.

        Raises:
            StoreUnavailable: If it can't.
        """
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._fault(), name="readiness")
        # Not a timeout around it: a question to a database that is silent isn't cancelled in no time either. Whoever
        # asks meanwhile waits for the same answer, so that probes don't take all the connections to the store.
        done, _ = await asyncio.wait({self._asking}, timeout=READY_SECONDS)
        fault = self._asking.result() if done else f"The session store didn't answer within {READY_SECONDS:g} s."
        if fault is not None:
            _log.error("not ready: %s", fault)
            raise StoreUnavailable
        await send_response(send, 200, _READY)

    async def _fault(self) -> str | None:
        try:
            await self._store.ping()
        except StoreError as error:
            return str(error)
        return None
