"""Binding operations to handlers: the contract's paths become Litestar routes, or the start fails.

Knows operations and the shape of a handler, not what any handler does. ASGI handlers where possible, because
Litestar's typed ones cost twice as much per request and the contract has decided the types already.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Self, cast

from litestar.enums import HttpMethod, ScopeType
from litestar.handlers import ASGIRouteHandler, HTTPRouteHandler
from litestar.types import ASGIApp, Receive, Scope, Send

from app.contract.document import Operation
from app.errors import MethodNotAllowed

Handler = Callable[[Scope, Receive, Send], Awaitable[None]]

OPERATIONS = "operations"
"""Key of a route's ``opt`` under which the guard finds the path's operations, by method."""


HANDSHAKE = "handshake"
"""Key of a route's ``opt`` that says: this route authenticates its clients itself, in their first frame."""


class ContractMismatchError(RuntimeError):
    """Raised when the contract has an operation without a handler, or the code a handler without an operation."""


class _Route(ASGIRouteHandler):
    """A route whose guards get it as it is: Litestar copies it anew for each request, lest they change it."""

    def __copy__(self) -> Self:
        return self


def bind(operations: Iterable[Operation], handlers: Mapping[str, Handler]) -> list[ASGIRouteHandler | HTTPRouteHandler]:
    """Return a route for every path of the contract.

    Args:
        operations: The contract's operations.
        handlers: What answers them, by ``operationId``.

    Raises:
        ContractMismatchError: If they don't match one to one.
    """
    by_path: dict[str, dict[str, Operation]] = defaultdict(dict)
    for operation in operations:
        by_path[_litestar_path(operation)][operation.method] = operation
    described = {operation.id for of_path in by_path.values() for operation in of_path.values()}
    if described != handlers.keys():
        raise ContractMismatchError(
            f"contract and code don't match: no handler for {sorted(described - handlers.keys())}, "
            f"no operation for {sorted(handlers.keys() - described)}"
        )
    return [_route(path, of_path, handlers) for path, of_path in by_path.items()]


def _route(
    path: str, operations: Mapping[str, Operation], handlers: Mapping[str, Handler]
) -> ASGIRouteHandler | HTTPRouteHandler:
    by_method = {method: handlers[operation.id] for method, operation in operations.items()}
    opt = {OPERATIONS: operations}

    async def dispatch(scope: Scope, receive: Receive, send: Send) -> None:
        handler = by_method.get(str(scope.get("method"))) if scope["type"] == ScopeType.HTTP else None
        if handler is None:
            raise method_not_allowed(scope, operations)
        await handler(scope, receive, send)

    if "{" not in path:
        return _Route(path, opt=opt, copy_scope=False)(dispatch)

    # Litestar 2.25 fails to route to an ASGI handler whose path has parameters (a KeyError on the method's name in
    # parse_path_to_route); an HTTP handler may answer with an ASGI application instead.
    async def respond() -> ASGIApp:
        return dispatch

    # OPTIONS too, or Litestar would add a handler of its own for it, which the contract doesn't know; the guard says
    # 405 to it.
    methods = cast("list[HttpMethod]", sorted({*operations, "OPTIONS"}))
    return HTTPRouteHandler(path, http_method=methods, opt=opt)(respond)


def method_not_allowed(scope: Scope, operations: Mapping[str, Operation]) -> MethodNotAllowed:
    """Return the error for a method that a path doesn't have."""
    return MethodNotAllowed(str(scope.get("method", "WEBSOCKET")), scope["path"], ", ".join(sorted(operations)))


def _litestar_path(operation: Operation) -> str:
    path = operation.path
    for segment in operation.path.split("/"):
        if segment.startswith("{"):
            name = segment[1:-1]
            kind = "path" if name in operation.multi_segment else "str"
            path = path.replace(segment, f"{{{name}:{kind}}}")
    return path
