"""``getHealth`` and ``getReadiness``: whether the process lives, and whether it can do its work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec
from litestar.types import Receive, Scope, Send

from app.contract.models import HealthStatus, ReadinessStatus
from app.errors import GatewayError, StoreUnavailable
from app.http.response import send_response
from app.log import logger
from app.sessions.store import SessionStore, StoreError

READY_SECONDS: Final = 5.0
"""How long the store has to answer. Who probes waits no longer, and a store may take far longer to give up."""

_log = logger("zero.http")
_HEALTHY = msgspec.json.encode(HealthStatus())
_READY = msgspec.json.encode(ReadinessStatus())


class Stopping(GatewayError):
    """Raised when a probe asks whether requests may come to a gateway that is about to end."""

    status = 503
    default_code = "gateway_stopping"

    def __init__(self) -> None:
        super().__init__("The gateway is stopping: it ends what is under way, and takes nothing new.")


class Health:
    """Answers the probes.

    Args:
        store: The session store that readiness is about.
        draining: Returns whether the gateway is about to end.
    """

    def __init__(self, store: SessionStore, draining: Callable[[], bool]) -> None:
        self._store = store
        self._draining = draining
        self._asking: asyncio.Task[str | None] | None = None

    async def health(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer that the process lives."""
        await send_response(send, 200, _HEALTHY)

    async def readiness(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer whether requests may come: the session store can be read, and the gateway isn't about to end.

        Raises:
            Stopping: If it is.
            StoreUnavailable: If the store can't be read.
        """
        if self._draining():
            raise Stopping
        asking = self._asking
        if asking is None or asking.done():
            asking = self._asking = asyncio.create_task(self._fault(), name="readiness")
        # Not a timeout around it: a question to a database that is silent isn't cancelled in no time either. Whoever
        # asks meanwhile waits for the same answer, so that probes don't take all the connections to the store.
        done, _ = await asyncio.wait({asking}, timeout=READY_SECONDS)
        fault = asking.result() if done else f"The session store didn't answer within {READY_SECONDS:g} s."
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
