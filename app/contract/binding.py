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
from litestar.types import ASGIApp, ExceptionHandlersMap, Receive, Scope, Send

from app.contract.document import Operation
from app.contract.path_group import PathGroup, Place, grouped
from app.errors import MethodNotAllowed, UnknownURL

Handler = Callable[[Scope, Receive, Send], Awaitable[None]]

OPERATIONS = "operations"
"""Key of a route's ``opt`` under which ``operations_at`` finds the path's operations."""


HANDSHAKE = "handshake"
"""Key of a route's ``opt`` that says: this route authenticates its clients itself, in their first frame."""


class ContractMismatchError(RuntimeError):
    """Raised when the contract has an operation without a handler, or the code a handler without an operation."""


class _Route(ASGIRouteHandler):
    """A route that does once what Litestar does anew for each request, lest somebody change it."""

    _handlers: ExceptionHandlersMap | None = None

    def __copy__(self) -> Self:
        return self

    def resolve_exception_handlers(self) -> ExceptionHandlersMap:
        """See ``BaseRouteHandler``, which says that it remembers them, and doesn't."""
        if self._handlers is None:
            self._handlers = super().resolve_exception_handlers()
        return self._handlers


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
    groups = grouped(by_path, (path for path in by_path if path.endswith(":path}")))
    inside = {path for paths in groups.values() for path in paths}
    return [
        *(_route(path, of_path, handlers) for path, of_path in by_path.items() if path not in inside),
        *(_group(stem, {path: by_path[path] for path in paths}, handlers) for stem, paths in groups.items()),
    ]


def operations_at(opt: Mapping[str, object], scope: Scope) -> Mapping[str, Operation] | None:
    """Return the operations, by method, of the path that a request has come to; ``None`` if the contract has none.

    Args:
        opt: The route's ``opt``.
        scope: The request's.

    Raises:
        UnknownURL: If the route stands for many paths, and this is none of them.
    """
    operations = opt.get(OPERATIONS)
    if isinstance(operations, PathGroup):
        return _place(operations, scope).operations
    return cast("Mapping[str, Operation] | None", operations)


def _place(group: PathGroup, scope: Scope) -> Place:
    place = group.find(scope["raw_path"])
    if place is None:
        raise UnknownURL(str(scope.get("method", "WEBSOCKET")), scope["path"][:200])
    return place


def _group(
    stem: str, paths: Mapping[str, Mapping[str, Operation]], handlers: Mapping[str, Handler]
) -> HTTPRouteHandler:
    """Return one route for all paths that begin alike: which of them is meant, only the URL's own bytes can tell."""
    group = PathGroup(paths)

    async def dispatch(scope: Scope, receive: Receive, send: Send) -> None:
        place = _place(group, scope)
        operation = place.operations.get(str(scope.get("method")))
        if operation is None:
            raise method_not_allowed(scope, place.operations)
        scope["path_params"] = dict(place.parameters)
        await handlers[operation.id](scope, receive, send)

    async def respond() -> ASGIApp:
        return dispatch

    # Whatever the method, the guard has to say which of them the path has.
    return HTTPRouteHandler(f"{stem}{{rest:path}}", http_method=list(HttpMethod), opt={OPERATIONS: group})(respond)


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
    for name in operation.multi_segment:
        path = path.replace(f"{{{name}}}", f"{{{name}:path}}")
    return path
