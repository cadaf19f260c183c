"""The first request of a connection: version, secret, scopes. Pure but for the lock-out it asks.

Source of the rules: contracts/asyncapi.yaml, ``connect``; the codes are those that the protocol's own clients know.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from msgspec import UNSET

from app.config import Auth
from app.contract.frames import ConnectErrorCode, ConnectErrorDetails, ConnectParams
from app.errors import AuthenticationFailed, KeyExpired, PermissionDenied, TooManyAuthenticationFailures
from app.security.authenticator import Authenticator
from app.security.client_address import is_local_origin
from app.security.named_key import NamedKey
from app.ws.failure import MethodFailed

PROTOCOLS: Final = (4, 3)
"""The versions spoken, the preferred one first."""
SCOPES: Final = ("operator.admin", "operator.read", "operator.write")
KEY_SCOPES: Final = ("operator.read", "operator.write")
"""What an API key opens at most, and of that only the methods that the contract has for keys."""
ROLE: Final = "operator"

_IMPLIED: Final = {
    "operator.read": ("operator.read", "operator.write", "operator.admin"),
    "operator.write": ("operator.write", "operator.admin"),
    "operator.admin": ("operator.admin",),
}


class Peer(NamedTuple):
    """Who is at the other end, as the connection shows it."""

    address: str | None
    forwarded_for: str | None
    server: str | None
    origin: str | None = None
    """The web page that opens the connection, if one does."""


class HandshakeFailed(Exception):
    """Raised when the connection is answered and then closed.

    Args:
        failure: The answer.
        close_code: How it is closed.
    """

    def __init__(self, failure: MethodFailed, close_code: int = 1008) -> None:
        super().__init__(str(failure))
        self.failure = failure
        self.close_code = close_code


class Admission(NamedTuple):
    """What was agreed.

    Attributes:
        protocol: The version spoken.
        scopes: What the client may do.
        key: The API key that it has shown; ``None`` for the operator.
    """

    protocol: int
    scopes: tuple[str, ...]
    key: NamedKey | None = None

    def allows(self, scope: str) -> bool:
        """Tell whether a method that wants ``scope`` may be called."""
        return any(granted in self.scopes for granted in _IMPLIED[scope])


def admit(params: ConnectParams, peer: Peer, auth: Auth, authenticator: Authenticator) -> Admission:
    """Let a client in.

    Raises:
        HandshakeFailed: If the versions don't meet, the secret is missing or wrong, the address is locked out, or the
            client wants to be something else than an operator.
    """
    protocol = next((one for one in PROTOCOLS if params.min_protocol <= one <= params.max_protocol), None)
    if protocol is None:
        details = ConnectErrorDetails(code="PROTOCOL_MISMATCH", expected_protocol=PROTOCOLS[0])
        message = f"protocol mismatch: the gateway speaks {PROTOCOLS[0]} and {PROTOCOLS[1]}"
        raise HandshakeFailed(MethodFailed("INVALID_REQUEST", message, details), 1002)
    if params.role is not UNSET and params.role != ROLE:
        raise HandshakeFailed(MethodFailed("INVALID_REQUEST", f"invalid role: this gateway knows {ROLE!r} only"))
    key = _authenticate(params, peer, auth, authenticator)
    open_ = SCOPES if key is None else KEY_SCOPES
    wanted = params.scopes or open_
    return Admission(protocol, tuple(scope for scope in open_ if scope in wanted), key)


def _authenticate(params: ConnectParams, peer: Peer, auth: Auth, authenticator: Authenticator) -> NamedKey | None:
    if auth.mode == "none" and peer.origin is not None and not is_local_origin(peer.origin):
        # Browsers let any page open a WebSocket anywhere; without a secret only the page's own place can tell.
        message = "gateway.auth.mode is 'none', which serves web pages of this machine only. Set a token or password."
        raise HandshakeFailed(MethodFailed("FORBIDDEN", message))
    secret = ""
    if params.auth:
        # Both may carry the one secret; where both are there, the one that the mode is named after counts.
        both = (params.auth.token or "", params.auth.password or "")
        own, other = reversed(both) if auth.mode == "password" else both
        secret = own if own.strip() else other
    try:
        return authenticator.check(
            [b"Bearer " + secret.encode()] if secret.strip() else [],
            peer=peer.address,
            forwarded_for=peer.forwarded_for,
            server=peer.server,
        )
    except TooManyAuthenticationFailures as error:
        details = ConnectErrorDetails(code="AUTH_RATE_LIMITED", recommended_next_step="wait_then_retry")
        failure = MethodFailed("UNAVAILABLE", error.message, details, retry_after=error.retry_after)
        raise HandshakeFailed(failure) from None
    except PermissionDenied as error:
        raise HandshakeFailed(MethodFailed("FORBIDDEN", error.message)) from None
    except KeyExpired as error:
        details = ConnectErrorDetails(code="AUTH_TOKEN_MISMATCH", recommended_next_step="update_auth_credentials")
        raise HandshakeFailed(MethodFailed("INVALID_REQUEST", error.message, details)) from None
    except AuthenticationFailed:
        raise HandshakeFailed(_unauthorized(auth, missing=not secret.strip())) from None


def _unauthorized(auth: Auth, *, missing: bool) -> MethodFailed:
    code: ConnectErrorCode
    if auth.mode == "password":
        code = "AUTH_PASSWORD_MISSING" if missing else "AUTH_PASSWORD_MISMATCH"
    else:
        code = "AUTH_TOKEN_MISSING" if missing else "AUTH_TOKEN_MISMATCH"
    details = ConnectErrorDetails(
        code=code,
        can_retry_with_device_token=False,
        recommended_next_step="update_auth_configuration" if missing else "update_auth_credentials",
    )
    what = "missing" if missing else "mismatch"
    message = f"unauthorized: {auth.mode} {what} (connect with auth.{auth.mode}, the secret of gateway.auth)"
    return MethodFailed("INVALID_REQUEST", message, details)
