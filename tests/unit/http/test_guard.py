"""The guard fails closed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, cast

import msgspec
import pytest
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from app.config import Config, Metrics
from app.contract import document
from app.contract.binding import OPERATIONS
from app.errors import (
    AuthenticationFailed,
    EndpointDisabled,
    GatewayError,
    MethodNotAllowed,
    MetricsDisabled,
    PermissionDenied,
)
from app.http.guard import guard
from app.security.authenticator import Authenticator
from app.security.secret import Secret
from tests.api_keys import entry, secret

ON = Metrics(enabled=True)
BY_PATH: dict[str, dict[str, document.Operation]] = {}
for _operation in document.load().operations:
    BY_PATH.setdefault(_operation.path, {})[_operation.method] = _operation


class _Handler:
    def __init__(self, opt: dict[str, Any]) -> None:
        self.opt = opt


async def _awaited(awaitable: Awaitable[None]) -> None:
    await awaitable


def verdict(
    opt: dict[str, Any],
    *,
    path: str = "/x",
    method: str = "GET",
    type: str = "http",
    enabled: bool = True,
    metrics: Metrics = ON,
) -> type[GatewayError] | None:
    """Return what the guard raises for a request without credentials, or ``None`` when it lets it in."""
    check = guard(Authenticator(Secret("s"), Config()), lambda: enabled, metrics)
    scope: dict[str, Any] = {
        "type": type,
        "path": path,
        "method": method,
        "headers": [],
        "client": ("192.0.2.1", 1),
        "server": None,
    }
    try:
        asyncio.run(_awaited(check(ASGIConnection(cast("Any", scope)), cast("BaseRouteHandler", _Handler(opt)))))
    except GatewayError as error:
        return error.__class__
    return None


def test_a_route_without_operations_is_shut() -> None:
    """What the contract doesn't know, nobody may use."""
    assert AuthenticationFailed is verdict({})


def test_a_websocket_is_shut() -> None:
    """An HTTP operation opens nothing for a WebSocket."""
    assert AuthenticationFailed is verdict({OPERATIONS: BY_PATH["/healthz"]}, type="websocket")


@pytest.mark.parametrize("path", sorted(BY_PATH))
def test_only_what_the_contract_opens_is_open(path: str) -> None:
    """Every operation wants the secret, except those with `security: []`."""
    for method, operation in BY_PATH[path].items():
        expected = None if operation.public else AuthenticationFailed
        assert expected is verdict({OPERATIONS: BY_PATH[path]}, path=path, method=method)


def test_metrics_have_a_switch_of_their_own() -> None:
    """Off, they are 404 whatever the method; public, they want no secret."""
    opt = {OPERATIONS: BY_PATH["/metrics"]}

    assert MetricsDisabled is verdict(opt, metrics=Metrics())
    assert MetricsDisabled is verdict(opt, method="POST", metrics=Metrics(public=True))
    assert verdict(opt, metrics=Metrics(enabled=True, public=True)) is None


def test_the_public_ones_are_the_four_that_design_names() -> None:
    """Health, readiness and the contract itself; nothing else."""
    public = {operation.path for of_path in BY_PATH.values() for operation in of_path.values() if operation.public}

    assert {"/healthz", "/readyz", "/openapi.json", "/openapi.yaml", "/docs"} == public


@pytest.mark.parametrize("path", sorted(BY_PATH))
def test_a_key_may_call_what_the_contract_has_for_keys(path: str) -> None:
    """And nothing else: whatever isn't marked is the operator's."""
    config = msgspec.convert({"gateway": {"auth": {"keys": [entry("a")]}}}, Config)
    check = guard(Authenticator(Secret("s"), config), lambda: True, ON)
    for method, operation in BY_PATH[path].items():
        scope: dict[str, Any] = {"type": "http", "path": path, "method": method, "client": None, "server": None}
        scope["headers"] = [(b"authorization", b"Bearer " + secret("a").encode())]
        connection: Any = ASGIConnection(cast("Any", scope))
        handler = cast("BaseRouteHandler", _Handler({OPERATIONS: BY_PATH[path]}))
        if operation.keys or operation.public:
            asyncio.run(_awaited(check(connection, handler)))
        else:
            with pytest.raises(PermissionDenied):
                asyncio.run(_awaited(check(connection, handler)))
        assert ("zero.caller" in scope) == operation.keys


def test_keys_are_for_runs_and_agents() -> None:
    """Three operations; more of them is a decision, and belongs here, too."""
    open_to_keys = {operation.id for of_path in BY_PATH.values() for operation in of_path.values() if operation.keys}

    assert {"createChatCompletion", "listModels", "retrieveModel"} == open_to_keys


def test_off_comes_before_everything() -> None:
    """Switched off, neither method nor secret matter."""
    opt = {OPERATIONS: BY_PATH["/v1/models"]}

    assert EndpointDisabled is verdict(opt, path="/v1/models", enabled=False)
    assert EndpointDisabled is verdict(opt, path="/v1/models", method="PUT", enabled=False)
    assert verdict({OPERATIONS: BY_PATH["/healthz"]}, path="/healthz", enabled=False) is None


def test_a_method_that_is_not_there() -> None:
    """Is said before credentials are asked for: the contract is public anyway."""
    assert MethodNotAllowed is verdict({OPERATIONS: BY_PATH["/v1/models"]}, path="/v1/models", method="PUT")
