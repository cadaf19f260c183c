"""Failures of what is asked for: it isn't there, is switched off, or has no such method."""

from __future__ import annotations

from app.errors.failure import ErrorType, GatewayError


class UnknownURL(GatewayError):
    """Raised when no operation of the contract lives at the path."""

    status = 404
    type: ErrorType = "invalid_request_error"
    default_code = "unknown_url"

    def __init__(self, method: str, path: str) -> None:
        super().__init__(f"Unknown URL: {method} {path}. The gateway's operations are listed at /openapi.json.")


class EndpointDisabled(UnknownURL):
    """Raised for everything under ``/v1`` while the endpoint is switched off."""

    def __init__(self) -> None:
        GatewayError.__init__(
            self,
            "The OpenAI-compatible API of this gateway is switched off. To switch it on, set "
            "gateway.http.endpoints.chatCompletions.enabled to true in the gateway's configuration and restart it.",
        )


class MetricsDisabled(UnknownURL):
    """Raised for ``/metrics`` while it is switched off."""

    def __init__(self) -> None:
        GatewayError.__init__(
            self,
            "The metrics of this gateway are switched off. To switch them on, set gateway.metrics.enabled to true in "
            "the gateway's configuration and restart it.",
        )


class ModelNotFound(GatewayError):
    """Raised when a request names an agent that the configuration doesn't have."""

    status = 404
    type: ErrorType = "invalid_request_error"
    default_code = "model_not_found"


class SessionNotFound(GatewayError):
    """Raised when a request is about a session that the store doesn't have."""

    status = 404
    type: ErrorType = "invalid_request_error"
    default_code = "session_not_found"

    def __init__(self, key: str, param: str = "key") -> None:
        super().__init__(
            f"There is no session {key[:200]!r}. GET /v1/zero/sessions lists those there are.", param=param
        )


class BranchNotFound(GatewayError):
    """Raised when a request names a branch that its session doesn't have."""

    status = 404
    type: ErrorType = "invalid_request_error"
    default_code = "branch_not_found"

    def __init__(self, branch: str, param: str = "branch") -> None:
        super().__init__(
            f"The session has no branch {branch[:100]!r}. GET /v1/zero/sessions/{{key}}/branches lists those it has.",
            param=param,
        )


class MessageNotFound(GatewayError):
    """Raised when a request names a message that its session doesn't have."""

    status = 404
    type: ErrorType = "invalid_request_error"
    default_code = "message_not_found"

    def __init__(self, message: str, param: str) -> None:
        super().__init__(f"The session has no message {message[:100]!r}.", param=param)


class MethodNotAllowed(GatewayError):
    """Raised when the path exists but not with this method."""

    status = 405
    type: ErrorType = "invalid_request_error"
    default_code = "method_not_supported"

    def __init__(self, method: str, path: str, allowed: str) -> None:
        super().__init__(f"{method} is not allowed on {path}. Use {allowed}.")
        self.allowed = allowed

    @property
    def headers(self) -> list[tuple[str, str]]:
        return [*super().headers, ("allow", self.allowed)]
