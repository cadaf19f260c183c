"""The decision whether a connection shows the secret: for HTTP's guard and, as it comes, the WebSocket's handshake.

Knows the secrets, the lock-out and client addresses; knows nothing of routes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import time

from app.config import ApiKey, Config
from app.errors import AuthenticationFailed, KeyExpired, PermissionDenied, TooManyAuthenticationFailures
from app.security.client_address import ClientAddresses, is_local_host, is_loopback
from app.security.failure_limit import FailureLimit
from app.security.keyring import Keyring
from app.security.named_key import NamedKey
from app.security.secret import Secret


class Authenticator:
    """Checks bearer credentials against the operator's secret and the named keys'.

    Args:
        secret: The operator's, or ``None`` in mode ``none``.
        config: The configuration whose ``gateway`` part says the limits.
        failures: Counts failures; without it, this process counts for itself.
        clock: Returns the time, in seconds since 1970.
    """

    def __init__(
        self,
        secret: Secret | None,
        config: Config,
        failures: FailureLimit | None = None,
        clock: Callable[[], float] = time,
    ) -> None:
        self._secret = secret
        self._keyring = Keyring(config.gateway.auth.keys)
        self._clock = clock
        self._addresses = ClientAddresses(config.gateway.trusted_proxies)
        self._failures = failures or FailureLimit(config.gateway.auth.rate_limit)

    def check(
        self,
        authorization: list[bytes],
        *,
        peer: str | None,
        forwarded_for: str | None,
        server: str | None,
        hosts: Iterable[str] = (),
    ) -> NamedKey | None:
        """Let a request through or raise.

        Args:
            authorization: Every ``Authorization`` header of the request.
            peer: The connection's other end.
            forwarded_for: ``X-Forwarded-For``, if any.
            server: The address the connection was accepted on; ``None`` for a Unix socket.
            hosts: Every ``Host`` header; a proper request has one.

        Returns:
            The key whose secret was shown, or ``None`` for the operator, who may do everything.

        Raises:
            TooManyAuthenticationFailures: If the address is locked out; the secret isn't even looked at then.
            AuthenticationFailed: If the secret is missing or wrong, or sent twice.
            KeyExpired: If it is a key's whose time is over.
            PermissionDenied: If there is no secret (mode ``none``) and the connection came in from outside, however
                the server was bound, or asks for a host that isn't this machine.
        """
        if self._secret is None:
            if server is not None and not is_loopback(server):
                raise PermissionDenied(
                    "gateway.auth.mode is 'none', which serves loopback connections only. Set a token or password."
                )
            # A web page whose name was made to point at 127.0.0.1 (DNS rebinding) is "same origin" to its browser, and
            # only this header tells.
            foreign = next((host for host in hosts if not is_local_host(host)), None)
            if server is not None and foreign is not None:
                raise PermissionDenied(
                    "gateway.auth.mode is 'none', which serves requests for localhost or a loopback address only, "
                    f"not for {foreign!r}. Set a token or password."
                )
            return None
        address = self._addresses.of(peer, forwarded_for)
        wait = self._failures.retry_after(address)
        if wait is not None:
            raise TooManyAuthenticationFailures(wait)
        candidate = bearer_credentials(authorization[0]) if len(authorization) == 1 else None
        if candidate is not None and self._secret.matches(candidate):
            self._failures.succeeded(address)
            return None
        key = self._keyring.find(candidate) if candidate is not None else None
        if key is not None:
            self._check_time(key)
            # It doesn't take the failures back, or whoever has a key could guess at the operator's secret for ever.
            return key
        if authorization:
            # Only a wrong secret counts: a probe without one is no guess.
            self._failures.failed(address)
        raise AuthenticationFailed

    def take_keys(self, keys: Iterable[ApiKey]) -> None:
        """Know these named keys from now on, and no others.

        Args:
            keys: Those of a checked configuration.
        """
        self._keyring = Keyring(keys)

    def knows(self, key: NamedKey) -> bool:
        """Tell whether a key is there as it was when its secret was shown, expired or not."""
        return self._keyring.has(key)

    def check_again(self, key: NamedKey) -> None:
        """Refuse a key on whose word a connection was let in, and which opens nothing any more.

        Raises:
            AuthenticationFailed: If it was taken away or changed.
            KeyExpired: If its time is over.
        """
        if not self.knows(key):
            raise AuthenticationFailed
        self._check_time(key)

    def _check_time(self, key: NamedKey) -> None:
        if key.expired(self._clock()):
            raise KeyExpired(key.name)


def bearer_credentials(value: bytes) -> bytes | None:
    """Return what follows ``Bearer`` (any case, surrounding blanks trimmed), or ``None`` for another scheme."""
    scheme, _, credentials = value.strip().partition(b" ")
    credentials = credentials.strip()
    return credentials if scheme.lower() == b"bearer" and credentials else None
