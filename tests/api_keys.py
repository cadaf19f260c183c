"""API keys for gateways of tests: their entries in a configuration, and their secrets."""

from __future__ import annotations

from typing import Any

from app.security.named_key import hash_of


def secret(name: str) -> str:
    """Return the secret of a key; not a random one, so that it needn't be kept."""
    return f"zero-secret-of-{name}"


def entry(name: str, **more: Any) -> dict[str, Any]:
    """Return a key's entry in ``gateway.auth.keys``."""
    return {"name": name, "hash": hash_of(secret(name)), **more}
