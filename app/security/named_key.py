"""A key of ``gateway.auth.keys``: what whoever shows its secret may do, and how its secret is made and recognised.

Owns the form of secrets and of their hashes. Source of the rules: docs/api-keys.md.
"""

from __future__ import annotations

import secrets
from hashlib import sha256
from typing import Final, NamedTuple, Self

import msgspec

from app.config import ApiKey, moment

PREFIX: Final = "zero-"
"""How every secret begins, so that people and scanners recognise one."""
_SECRET_BYTES: Final = 32
_HASH: Final = "sha256:"


class Limits(NamedTuple):
    """How much a key may use; ``None`` is no limit."""

    requests: int | None
    """Requests per minute."""
    tokens: int | None
    """Tokens per minute."""
    concurrent: int | None
    """Runs at the same time."""


class NamedKey(msgspec.Struct, frozen=True):
    """What a key allows.

    Attributes:
        name: Its name.
        agents: Ids of the agents that it may use, its own default first if the gateway's isn't among them; ``None``
            for all.
        session_scope: Whose sessions it has: those with the same scope share them.
        may_name_sessions: Whether it may say which session a request belongs to.
        expires_at: When it ends, in seconds since 1970, if it does.
        limits: How much it may use; ``None`` where there is no limit at all.
    """

    name: str
    agents: tuple[str, ...] | None
    session_scope: str
    may_name_sessions: bool
    expires_at: float | None
    limits: Limits | None

    @classmethod
    def of(cls, key: ApiKey) -> Self:
        """Return what a key of a checked configuration allows."""
        limits = Limits(key.requests_per_minute, key.tokens_per_minute, key.max_concurrent)
        return cls(
            name=key.name,
            agents=tuple(agent.lower() for agent in key.agents) if key.agents is not None else None,
            session_scope=key.session_scope or key.name,
            may_name_sessions=key.session_key,
            expires_at=moment(key.expires).timestamp() if key.expires is not None else None,
            limits=limits if any(limit is not None for limit in limits) else None,
        )

    def expired(self, now: float) -> bool:
        """Tell whether it opens nothing any more.

        Args:
            now: Seconds since 1970.
        """
        return self.expires_at is not None and now >= self.expires_at


def new_secret() -> str:
    """Return a secret that nobody has: 256 random bits."""
    return PREFIX + secrets.token_urlsafe(_SECRET_BYTES)


def hash_of(secret: str) -> str:
    """Return what is kept of a secret.

    A slow hash with a salt is for secrets that people choose. Nobody can try out 2**256 random ones, however fast the
    hash, and every request pays for it.
    """
    return _HASH + sha256(secret.encode()).hexdigest()


def digest_in(hash_: str) -> bytes:
    """Return the digest that a checked ``hash`` says."""
    return bytes.fromhex(hash_.removeprefix(_HASH))


def who(key: NamedKey | None) -> str:
    """Return how logs call whoever has shown a key; without one, the operator."""
    return "operator" if key is None else f"key:{key.name}"
