"""Failures of who asks: no right secret, or none that may do this."""

from __future__ import annotations

from app.errors.failure import ErrorType, GatewayError


class AuthenticationFailed(GatewayError):
    """Raised when the bearer secret is missing or wrong. Doesn't say which."""

    status = 401
    type: ErrorType = "invalid_request_error"
    default_code = "invalid_api_key"

    def __init__(self) -> None:
        super().__init__(
            "Incorrect API key provided. Send the gateway's secret as 'Authorization: Bearer <secret>' "
            "(the configuration key gateway.auth says which one it is)."
        )

    @property
    def headers(self) -> list[tuple[str, str]]:
        return [*super().headers, ("www-authenticate", "Bearer")]


class KeyExpired(AuthenticationFailed):
    """Raised when the secret is that of a key whose time is over. Only who has the secret is told so."""

    default_code = "api_key_expired"

    def __init__(self, name: str) -> None:
        GatewayError.__init__(
            self, f"The API key {name!r} has expired. Ask the gateway's operator for another (zero keys add)."
        )


class PermissionDenied(GatewayError):
    """Raised when the caller is known but the agent's policy, or the caller's key, forbids what it asks."""

    status = 403
    type: ErrorType = "permission_error"
    default_code = "permission_denied"


class TooManyAuthenticationFailures(GatewayError):
    """Raised when one address has sent too many wrong secrets and is locked out for a while."""

    status = 429
    type: ErrorType = "invalid_request_error"
    default_code = "too_many_auth_failures"

    def __init__(self, retry_after: float) -> None:
        super().__init__(
            "Too many requests with a wrong API key came from this address. Wait and send the right one.",
            retry_after=retry_after,
            should_retry=False,
        )
