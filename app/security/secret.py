"""The operator's secret: where it comes from and how a candidate is compared with it.

Source of the rules: design.md, "Authentication".
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from hashlib import sha256
from typing import Final

from app.config import Auth, ConfigError

ENVIRONMENT: Final = {"token": "ZERO_GATEWAY_TOKEN", "password": "ZERO_GATEWAY_PASSWORD"}


class Secret:
    """A secret that compares in constant time and never shows itself."""

    __slots__ = ("_digest",)

    def __init__(self, value: str) -> None:
        # Bytes of an environment variable that aren't UTF-8 come as surrogates, and become those bytes again.
        self._digest = sha256(value.encode(errors="surrogateescape")).digest()

    def matches(self, candidate: bytes) -> bool:
        """Tell whether ``candidate`` is the secret, in a time that says nothing of where or how they differ."""
        return hmac.compare_digest(self._digest, sha256(candidate).digest())

    def __repr__(self) -> str:
        return "Secret(...)"


def resolve_secret(auth: Auth, environ: Mapping[str, str]) -> Secret | None:
    """Return the secret that the configuration or the environment sets; the configuration wins.

    Returns:
        The secret, or ``None`` in mode ``none`` (which the configuration allows on loopback only).

    Raises:
        ConfigError: If the mode's secret is set nowhere. The gateway must not start then.
    """
    if auth.mode == "none":
        return None
    variable = ENVIRONMENT[auth.mode]
    configured = auth.token if auth.mode == "token" else auth.password
    # Blanks around it are trimmed as they are on the wire, or a secret with a trailing newline could never match.
    value = (configured if configured is not None else environ.get(variable, "")).strip()
    if not value:
        raise ConfigError(
            f"the mode is {auth.mode!r}, but its secret is set nowhere, and the gateway doesn't start without one",
            f"Set gateway.auth.{auth.mode} in the configuration or {variable} in the environment; "
            "`zero init` writes a configuration with a generated token.",
            path=f"gateway.auth.{auth.mode}",
        )
    return Secret(value)
