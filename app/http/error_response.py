"""Every failure as an HTTP response in OpenAI's error shape, whoever raised it: a handler, Litestar, nobody we know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException

from app.contract.models import Error, ErrorResponse
from app.errors import EndpointDisabled, GatewayError, InternalError, InvalidRequest, MethodNotAllowed, UnknownURL
from app.http.edge import request_id_of
from app.log import logger

HTTPRequest = Request[Any, Any, Any]

_log = logger("zero.http")


def error_body(error: GatewayError) -> bytes:
    """Return OpenAI's error object as JSON, all four keys present."""
    return msgspec.json.encode(
        ErrorResponse(error=Error(message=error.message, type=error.type, param=error.param, code=error.code))
    )


def render(error: GatewayError) -> Response[bytes]:
    """Return the response that says ``error``."""
    return Response(
        error_body(error), status_code=error.status, media_type="application/json", headers=dict(error.headers)
    )


def on_gateway_error(_request: HTTPRequest, error: GatewayError) -> Response[bytes]:
    """Answer a failure that has a name."""
    return render(error)


def http_exception_handler(
    enabled: Callable[[], bool],
) -> Callable[[HTTPRequest, HTTPException], Response[bytes]]:
    """Return the handler for what Litestar itself refuses.

    Args:
        enabled: Whether the API is switched on: if not, everything under ``/v1`` is 404 and says why.
    """

    def on_http_exception(request: HTTPRequest, error: HTTPException) -> Response[bytes]:
        path = request.scope["path"]
        if error.status_code == 404:
            if belongs_to_api(path) and not enabled():
                return render(EndpointDisabled())
            return render(UnknownURL(request.scope["method"], path[:200]))
        if error.status_code == 405:
            if belongs_to_api(path) and not enabled():
                return render(EndpointDisabled())
            # OPTIONS is bound where Litestar wants it (app.contract.binding), but no operation has it.
            bound = (error.headers or {}).get("allow", "").split(", ")
            allowed = ", ".join(sorted(method for method in bound if method != "OPTIONS"))
            return render(MethodNotAllowed(request.scope["method"], path[:200], allowed))
        if 400 <= error.status_code < 500:
            return render(InvalidRequest(error.detail or "The request is not valid HTTP.", code="invalid_request"))
        return on_crash(request, error)

    return on_http_exception


def on_crash(request: HTTPRequest, error: Exception) -> Response[bytes]:
    """Answer a failure that nobody foresaw, and log it."""
    return render(crash(request.scope, error))


def crash(scope: Any, error: Exception) -> InternalError:
    """Log a failure that nobody foresaw, and return what its client is told."""
    request_id = request_id_of(scope)
    _log.error("request %s failed", request_id, exc_info=error)
    return InternalError(request_id)


def belongs_to_api(path: str) -> bool:
    """Tell whether a path, with however many slashes, lies under the switch ``chatCompletions.enabled``."""
    return next(filter(None, path.split("/")), "") == "v1"
