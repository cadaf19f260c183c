"""The WebSocket door put together: methods bound to the contract, and an ASGI handler that serves a connection each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from litestar.enums import ScopeType
from litestar.types import Receive, Scope, Send

from app.config import LoadedConfig, Standing
from app.contract import frame_document
from app.contract.frames import (
    HelloAuth,
    HelloFeatures,
    HelloOk,
    HelloPolicy,
    HelloServer,
    HelloSnapshot,
    SessionDefaults,
    StateVersion,
)
from app.errors import UnknownURL
from app.runs.background import BackgroundRuns
from app.runs.run import Runs
from app.security.allowance import Allowances
from app.security.authenticator import Authenticator
from app.sessions.store import SessionStore
from app.ws.agent_methods import AgentMethods
from app.ws.connection import TICK_SECONDS, Connection
from app.ws.gateway_methods import MAIN_KEY, GatewayMethods
from app.ws.handshake import ROLE, Admission, Peer
from app.ws.hub import Hub
from app.ws.method_table import MethodTable
from app.ws.outbox import MAX_BUFFERED_BYTES, MAX_FRAME_BYTES
from app.ws.session_methods import SessionMethods
from app.ws.strangers import Strangers
from app.ws.target import permitted_to
from app.ws.wire import wire_of

FAREWELL_SECONDS: Final = 0.1
"""How long the last frames have to leave before the connections are closed."""


class Door:
    """Serves WebSockets.

    Args:
        runs: Executes runs.
        store: Where sessions are kept, and under which name for people.
        authenticator: Checks the secret, the same as HTTP's.
        current: Returns the configuration in force.
        standing: Returns what of the files is in force.
        allowances: Knows what API keys may use.

    Raises:
        ContractMismatchError: If contract and methods don't match.
        StaleContractError: If the generated frames are older than the contract.
    """

    def __init__(
        self,
        runs: Runs,
        store: tuple[SessionStore, str],
        authenticator: Authenticator,
        current: Callable[[], LoadedConfig],
        standing: Callable[[], Standing],
        allowances: Allowances,
    ) -> None:
        self.hub = Hub()
        self._strangers = Strangers()
        self._background = BackgroundRuns(runs)
        self._authenticator = authenticator
        self._current = current
        contract = frame_document.load()
        sessions = SessionMethods(store[0], runs, current, store[1])
        self._about = GatewayMethods((current, standing), runs, self.hub, sessions)
        agents = AgentMethods(runs, self._background, self.hub, current, allowances)
        self._events = [event.name for event in contract.events]
        self._table = MethodTable(
            contract.methods,
            {
                "health": self._about.health,
                "status": self._about.status,
                "agents.list": self._about.agents,
                "models.list": self._about.models,
                "commands.list": self._about.commands,
                "question.list": self._about.questions,
                "plugin.approval.list": self._about.approvals,
                "system-presence": self._about.presence,
                "sessions.list": sessions.listing,
                "sessions.describe": sessions.describe,
                "sessions.preview": sessions.preview,
                "sessions.reset": sessions.reset,
                "sessions.delete": sessions.delete,
                "sessions.subscribe": sessions.subscribe,
                "sessions.unsubscribe": sessions.unsubscribe,
                "chat.history": sessions.history,
                "chat.send": agents.send,
                "chat.abort": agents.abort,
                "agent": agents.agent,
                "agent.wait": agents.wait,
            },
        )
        runs.changes.subscribe(self.hub.session_changed)

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection.

        Raises:
            UnknownURL: If it is an HTTP request: there is no page here.
        """
        if scope["type"] != ScopeType.WEBSOCKET:
            raise UnknownURL(str(scope.get("method")), scope["path"])
        client, server = scope.get("client"), scope.get("server")
        forwarded = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
        peer = Peer(
            address=client[0] if client else None,
            forwarded_for=b",".join(forwarded).decode("latin-1") if forwarded else None,
            server=server[0] if server and server[1] is not None else None,
            origin=next((value.decode("latin-1") for name, value in scope["headers"] if name == b"origin"), None),
        )
        connection = Connection(
            receive,
            send,
            peer,
            auth=self._current().config.gateway.auth,
            authenticator=self._authenticator,
            hub=self.hub,
            table=self._table,
            hello=self._hello,
            admitted=self._strangers.leave,
            wire=wire_of(scope),
        )
        self._strangers.enter(connection)
        try:
            await connection.serve()
        finally:
            self._strangers.leave(connection)

    async def drained(self, seconds: float) -> None:
        """Wait until the runs begun here are done and told of, or the time is up."""
        await self._background.drained(seconds)
        await asyncio.sleep(FAREWELL_SECONDS)

    async def close(self) -> None:
        """Stop the runs that were begun here."""
        await self._background.close()

    def _hello(self, admission: Admission, connection_id: str) -> HelloOk:
        loaded = self._current()
        default = permitted_to(admission.key, loaded).default_agent
        return HelloOk(
            protocol=admission.protocol,
            server=HelloServer(version=self._about.version, conn_id=connection_id),
            features=HelloFeatures(methods=self._table.names_for(admission), events=self._events),
            snapshot=HelloSnapshot(
                presence=[],
                health=self._about.state(admission.key),
                state_version=StateVersion(presence=0, health=0),
                uptime_ms=self._about.uptime_ms,
                session_defaults=SessionDefaults(
                    default_agent_id=default, main_key=MAIN_KEY, main_session_key=f"agent:{default}:{MAIN_KEY}"
                ),
                auth_mode=loaded.config.gateway.auth.mode,
            ),
            auth=HelloAuth(role=ROLE, scopes=list(admission.scopes)),
            policy=HelloPolicy(
                max_payload=MAX_FRAME_BYTES,
                max_buffered_bytes=MAX_BUFFERED_BYTES,
                tick_interval_ms=int(TICK_SECONDS * 1000),
            ),
        )
