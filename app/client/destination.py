"""Which gateway a command speaks to, and the secret it shows there.

Owns the precedence: flags, ``gateway.remote``, the gateway that the same configuration would serve. Reads nothing but
what it is given. Rules: docs/cli.md, "Which gateway".
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from msgspec import Struct

from app.config import Config, bind_host, port

TOKEN_VARIABLE = "ZERO_GATEWAY_TOKEN"  # noqa: S105 - a variable's name
PASSWORD_VARIABLE = "ZERO_GATEWAY_PASSWORD"  # noqa: S105 - a variable's name


class Destination(Struct, frozen=True, kw_only=True):
    """An address, what to show there, and what to tell people about both; ``repr`` hides the secrets.

    Attributes:
        url: ``ws://`` or ``wss://``.
        token: Sent as the token, if there is one.
        password: Sent as the password, if there is one.
        start: What to do when nothing answers, a whole sentence.
        secret: What to set when the secret is missing or wrong, a whole sentence.
    """

    url: str
    token: str | None = None
    password: str | None = None
    start: str = ""
    secret: str = ""

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine, so that no proxy is asked."""
        host = urlsplit(self.url).hostname or ""
        try:
            return host == "localhost" or ip_address(host).is_loopback
        except ValueError:
            return False

    def __repr__(self) -> str:
        return f"Destination({self.url!r})"


def flagged(url: str, token: str | None, environ: Mapping[str, str]) -> Destination:
    """Return the gateway that flags name. What the configuration keeps secret is not sent to such an address.

    Args:
        url: Its address.
        token: Its secret, if that was given as a flag, too.
        environ: Environment variables.
    """
    return Destination(
        url=url,
        token=_or_none(token or environ.get(TOKEN_VARIABLE)),
        password=_or_none(token or environ.get(PASSWORD_VARIABLE)),
        start="Check --url, and that a gateway runs there.",
        secret=f"Give its secret with {TOKEN_VARIABLE}, {PASSWORD_VARIABLE} or --token.",
    )


def configured(config: Config, environ: Mapping[str, str], token: str | None = None) -> Destination:
    """Return the gateway that a configuration names: ``gateway.remote``, else the one it would be itself.

    Args:
        config: A checked configuration.
        environ: Environment variables.
        token: A secret that goes before any other.

    Raises:
        ConfigError: ``ZERO_GATEWAY_PORT`` isn't a port.
    """
    remote = config.gateway.remote
    if remote is not None:
        own = remote.token is not None or remote.password is not None
        return Destination(
            url=remote.url,
            token=_or_none(token or (remote.token if own else environ.get(TOKEN_VARIABLE))),
            password=_or_none(token or (remote.password if own else environ.get(PASSWORD_VARIABLE))),
            start="Check gateway.remote.url in the configuration, and that a gateway runs there.",
            secret=(
                "Set gateway.remote.token (or gateway.remote.password) in the configuration, "
                f"or {TOKEN_VARIABLE} (or {PASSWORD_VARIABLE})."
            ),
        )
    auth = config.gateway.auth
    variable = PASSWORD_VARIABLE if auth.mode == "password" else TOKEN_VARIABLE
    configured_secret = auth.password if auth.mode == "password" else auth.token
    secret = _or_none(token or (configured_secret if configured_secret is not None else environ.get(variable)))
    return Destination(
        url=f"ws://{_host(config)}:{port(config, environ)}",
        token=secret if auth.mode == "token" or token else None,
        password=secret if auth.mode == "password" or token else None,
        start="Start it with: zero gateway",
        secret=(
            f"The secret is taken from gateway.auth.{auth.mode} in the configuration, else from {variable}: "
            "one of them has to be what the running gateway was started with."
            if auth.mode != "none"
            else f"The configuration says that there is none (gateway.auth.mode); give one with {variable} or --token."
        ),
    )


def _host(config: Config) -> str:
    """Return where a gateway that listens as configured can be reached from its own machine."""
    address = ip_address(bind_host(config))
    if address.is_unspecified:
        return "127.0.0.1" if address.version == 4 else "[::1]"
    return str(address) if address.version == 4 else f"[{address}]"


def _or_none(secret: str | None) -> str | None:
    # As the gateway reads it: blanks around it don't count.
    return (secret or "").strip() or None
