"""The guard before every route: switch, method, secret, and what a key may call. What no rule opens stays shut.

Runs before the body is read. Source of the rules: design.md, "Endpoint and switch" and "Authentication".
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from litestar.connection import ASGIConnection
from litestar.enums import ScopeType
from litestar.handlers import BaseRouteHandler
from litestar.types import Scope

from app.config import Metrics
from app.contract.binding import HANDSHAKE, OPERATIONS, method_not_allowed, operations_at
from app.errors import AuthenticationFailed, EndpointDisabled, MetricsDisabled, PermissionDenied
from app.http.caller import note_caller
from app.http.edge import note_revision, note_route
from app.http.error_response import belongs_to_api
from app.http.request_headers import RequestHeaders
from app.security.authenticator import Authenticator
from app.security.named_key import NamedKey

METRICS: Final = "/metrics"
"""The path that has a switch of its own."""

Connection = ASGIConnection[Any, Any, Any, Any]


def guard(
    authenticator: Authenticator,
    enabled: Callable[[], bool],
    metrics: Metrics | None = None,
    revision: Callable[[], str] = str,
) -> Callable[[Connection, BaseRouteHandler], Awaitable[None]]:
    """Return the guard.

    Args:
        authenticator: Checks the secret.
        enabled: Whether the API is switched on.
        metrics: Whether ``/metrics`` is, and who may see it.
        revision: Returns the configuration's revision, for the answers to those who are let in to the API.
    """
    watched = metrics or Metrics()

    async def check(connection: Connection, handler: BaseRouteHandler) -> None:
        scope = connection.scope
        if handler.opt.get(HANDSHAKE) is True:
            return  # the WebSocket's own first request shows the secret
        if handler.opt.get(OPERATIONS) is None or scope["type"] != ScopeType.HTTP:
            raise AuthenticationFailed  # no contract, no entry
        if belongs_to_api(scope["path"]) and not enabled():
            raise EndpointDisabled
        operations = operations_at(handler.opt, scope)
        if operations is None:
            raise AuthenticationFailed
        path = next(iter(operations.values())).path
        note_route(scope, path)
        if path == METRICS and not watched.enabled:
            raise MetricsDisabled
        operation = operations.get(str(scope.get("method")))
        if operation is None:
            raise method_not_allowed(scope, operations)
        if operation.public or (path == METRICS and watched.public):
            return
        key = _let_in(authenticator, scope, revision)
        if key is not None and not operation.keys:
            raise PermissionDenied(
                f"API key {key.name!r} may not call {operation.method} {operation.path}: that is for the gateway's "
                "operator, whose secret is gateway.auth.token or gateway.auth.password.",
                code="operator_only",
            )
        note_caller(scope, key)

    return check


def _let_in(authenticator: Authenticator, scope: Scope, revision: Callable[[], str]) -> NamedKey | None:
    headers = RequestHeaders(scope["headers"])
    peer, server = scope.get("client"), scope.get("server")
    key = authenticator.check(
        headers.all(b"authorization"),
        peer=peer[0] if peer else None,
        forwarded_for=headers.joined(b"x-forwarded-for"),
        # A Unix socket has no port; who may open it is the file system's decision.
        server=server[0] if server and server[1] is not None else None,
        hosts=[value.decode("latin-1") for value in headers.all(b"host")],
    )
    if belongs_to_api(scope["path"]):
        note_revision(scope, revision())
    return key
