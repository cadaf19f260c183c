"""``getHealth`` and ``getReadiness``: whether the process lives, and whether it can do its work."""

from __future__ import annotations

import msgspec
from litestar.types import Receive, Scope, Send

from app.contract.models import HealthStatus, ReadinessStatus
from app.errors import StoreUnavailable
from app.http.response import send_response
from app.log import logger
from app.sessions.store import SessionStore, StoreError

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

    async def health(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer that the process lives."""
        await send_response(send, 200, _HEALTHY)

    async def readiness(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer whether the session store can be read.

        Raises:
            StoreUnavailable: If it can't.
        """
        try:
            await self._store.ping()
        except StoreError as error:
            _log.error("not ready: %s", error)
            raise StoreUnavailable from error
        await send_response(send, 200, _READY)
