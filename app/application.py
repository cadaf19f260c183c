"""The composition: a configuration becomes an ASGI application. The only place that knows every part."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

from litestar import Litestar
from litestar.exceptions import HTTPException
from litestar.handlers import ASGIRouteHandler
from litestar.plugins import PluginProtocol
from litestar.types import ASGIApp

from app.config import Follower, LoadedConfig, config_path, load
from app.contract import document
from app.contract.binding import HANDSHAKE, bind
from app.engines.registry import registered_engines
from app.errors import GatewayError
from app.http.admission import Admission
from app.http.chat_completions import ChatCompletions
from app.http.contract_document import ContractDocument
from app.http.cors import CrossOrigin
from app.http.edge import Edge
from app.http.error_response import belongs_to_api, http_exception_handler, on_crash, on_gateway_error
from app.http.guard import guard
from app.http.health import Health
from app.http.metrics import MetricsPage
from app.http.model_list import ModelList
from app.http.session_changes import SessionChanges
from app.http.session_list import SessionViews
from app.http.session_transfer import SessionTransfer
from app.log import logger
from app.machinery import Machinery
from app.runs.retention import Retention
from app.runs.session_care import SessionCare
from app.security.allowance import Allowances
from app.security.authenticator import Authenticator
from app.security.key_uses import OwnKeyUses
from app.security.secret import resolve_secret
from app.security.shared_failures import SharedFailureLimit
from app.security.shared_key_uses import SharedKeyUses
from app.sessions.store import StoreError
from app.telemetry.telemetry import Telemetry
from app.ws.door import Door

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

_log = logger("zero")

_COLLECT_AT: Final = (10_000, 20, 100)
"""Python's collector begins with (700, 10, 10), for programs that grow. What a request makes is nearly all gone with it
without a collection; looking every few requests whether that is so took a tenth of their processor time."""


class _Litestar(Litestar):
    """Litestar without plugins for parameters of handlers: ours have none, and its own bring pydantic along."""

    @staticmethod
    def _get_default_plugins(plugins: list[PluginProtocol]) -> list[PluginProtocol]:
        return plugins


class Gateway:
    """A gateway's parts, put together.

    Args:
        loaded: The configuration to begin with.
        environ: Environment variables, for the secret and the state directory.
        tracer_provider: Where spans go, if there are any; by default where OpenTelemetry's own variables say.

    Raises:
        ConfigError: If the configured mode's secret is set nowhere.
        ContractMismatchError: If contract and handlers don't match.
        StaleContractError: If the generated models are older than the contract.
    """

    def __init__(
        self, loaded: LoadedConfig, environ: Mapping[str, str], tracer_provider: TracerProvider | None = None
    ) -> None:
        self.loaded = loaded
        self.configuration = Follower(loaded, environ, self._apply, _log)
        self.telemetry = Telemetry(
            loaded.config.gateway, lambda: self.runs.waiting, lambda: self.configuration.standing, tracer_provider
        )
        self._machinery = Machinery(lambda: self.loaded, environ, self.telemetry.observer, self.telemetry.outgoing)
        self.engines, self.store, self.runs = self._machinery.engines, self._machinery.store, self._machinery.runs
        # gateway.* takes effect at the start only, but for its API keys, so this needs no asking anew.
        gateway = loaded.config.gateway
        self._failures = SharedFailureLimit(
            gateway.auth.rate_limit, self.store.failures, others=self.store.leases is not None
        )
        self.authenticator = Authenticator(resolve_secret(gateway.auth, environ), loaded.config, self._failures)
        ledger = self.store.key_uses
        self._shared_uses = SharedKeyUses(ledger) if ledger is not None else None
        self._allowances = Allowances(self._shared_uses or OwnKeyUses())
        self.websocket = Door(
            self.runs,
            (self.store, self.store.kind),
            self.authenticator,
            lambda: self.loaded,
            lambda: self.configuration.standing,
            self._allowances,
        )
        self.chat = ChatCompletions(self.runs, lambda: self.loaded, self.store.records, self._allowances)
        enabled = gateway.http.endpoints.chat_completions.enabled
        contract = document.load()
        probes = (operation.path for operation in contract.operations if operation.public)
        self.admission = Admission(gateway.limits, probes)
        app: ASGIApp = self._litestar(contract, enabled)
        if gateway.http.cors.origins:
            methods = {operation.method for operation in contract.operations}
            app = CrossOrigin(app, gateway.http.cors, methods, lambda path: enabled or not belongs_to_api(path))
        self.app: ASGIApp = Edge(self.telemetry.around(app), self.admission)

    def _litestar(self, contract: document.Document, enabled: bool) -> Litestar:
        models = ModelList(lambda: self.loaded, created=int(self.loaded.path.stat().st_mtime))
        health = Health(self.store, lambda: self.admission.draining)
        care = SessionCare(self.store, self.runs)
        views = SessionViews(self.store, lambda: self.loaded)
        changes = SessionChanges(care, lambda: self.loaded)
        transfer = SessionTransfer(self.store, care, lambda: self.loaded)
        served = ContractDocument(contract)
        routes = bind(
            contract.operations,
            {
                "createChatCompletion": self.chat.create,
                "listModels": models.list,
                "retrieveModel": models.retrieve,
                "listSessions": views.list,
                "deleteSessions": changes.delete_all,
                "exportSessions": transfer.export_all,
                "importSessions": transfer.take_in,
                "retrieveSession": views.retrieve,
                "deleteSession": changes.delete,
                "listSessionMessages": views.messages,
                "exportSession": transfer.export,
                "resetSession": changes.reset,
                "listSessionBranches": views.branches,
                "restoreSessionBranch": changes.restore,
                "getHealth": health.health,
                "getReadiness": health.readiness,
                "getContractJson": served.json,
                "getContractYaml": served.yaml,
                "getMetrics": MetricsPage(self.telemetry.exposition).show,
                "getReference": served.page,
            },
        )
        websocket = ASGIRouteHandler("/", opt={HANDSHAKE: True}, copy_scope=False)(self.websocket.serve)
        return _Litestar(
            route_handlers=[*routes, websocket],
            guards=[
                guard(
                    self.authenticator,
                    lambda: enabled,
                    self.loaded.config.gateway.metrics,
                    lambda: self.loaded.revision,
                )
            ],
            exception_handlers={
                GatewayError: on_gateway_error,
                HTTPException: http_exception_handler(lambda: enabled),
                Exception: on_crash,
            },
            lifespan=[self._lifespan],
            openapi_config=None,  # the contract is ours, not one that Litestar makes up
            logging_config=None,
        )

    @asynccontextmanager
    async def _lifespan(self, _app: Litestar) -> AsyncIterator[None]:
        self.store.open()
        # A worker may begin long after its configuration was read: a key that was revoked since opens nothing.
        await self.configuration.reload_if_changed(())
        watcher = asyncio.create_task(self._watch(), name="config-watcher")
        sharing = asyncio.create_task(self._share(), name="failures-sharing")
        renewing = asyncio.create_task(self._renew(), name="key-uses-renewal")
        care = SessionCare(self.store, self.runs)
        retention = Retention(self.store.archive, care, lambda: self.loaded.config.session)
        forgetting = asyncio.create_task(retention.keep(), name="session-retention")
        settling = asyncio.create_task(self._settle(), name="settling")
        measuring = asyncio.create_task(self.telemetry.keep(), name="telemetry")
        self._warm_up()
        try:
            yield
        finally:
            for task in (watcher, sharing, forgetting, settling, renewing, measuring):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            await self.chat.close()
            await self.websocket.close()
            await self._allowances.close()
            await self._machinery.close()
            await self.telemetry.close()

    async def _settle(self) -> None:
        """Have the garbage collector leave alone what is there for good.

        Its full collections look at every object; of what is imported alone there are a hundred thousand. That is some
        27 ms in which nobody is served.
        """
        gc.set_threshold(*_COLLECT_AT)
        gc.freeze()
        with suppress(StoreError):
            await self.store.opened()  # the largest part of it is imported in the background
        gc.freeze()

    async def _watch(self) -> None:
        try:
            await self.configuration.watch()
        except Exception:
            # Without the watcher the gateway works on; it just needs a restart to see edits.
            _log.exception("the configuration is no longer watched")

    async def _share(self) -> None:
        try:
            await self._failures.share()
        except Exception:
            # Without it each process counts for itself.
            _log.exception("failed authentications are no longer shared")

    async def _renew(self) -> None:
        try:
            if self._shared_uses is not None:
                await self._shared_uses.renew()
        except Exception:
            # Without it a long run of a key with maxConcurrent loses its place to another.
            _log.exception("the runs of API keys are no longer told of")

    def _apply(self, loaded: LoadedConfig) -> None:
        keys = loaded.config.gateway.auth.keys
        if keys != self.loaded.config.gateway.auth.keys:
            self.authenticator.take_keys(keys)
            self.websocket.hub.recheck()
        self.loaded = loaded
        self._warm_up()

    def _warm_up(self) -> None:
        """Have slow engines get ready if an agent will want them, so that the first answer doesn't wait for them."""
        agents = self.loaded.agents.values()
        for provider in {ref.provider for agent in agents for ref in (agent.model, *agent.fallbacks)}:
            self.engines.warm_up(provider)


def from_environment(environ: Mapping[str, str] = os.environ) -> ASGIApp:
    """Return the application that the configuration file in force describes.

    Raises:
        ConfigError: If the configuration can't be used.
    """
    return Gateway(load(config_path(environ), environ, registered_engines()), environ).app
