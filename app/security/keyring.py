"""The keys of ``gateway.auth.keys``, found by what is shown: as fast among a thousand as among two."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from hashlib import sha256

from app.config import ApiKey
from app.security.named_key import NamedKey, digest_in


class Keyring:
    """Knows the keys.

    Args:
        keys: Those of a checked configuration.
    """

    def __init__(self, keys: Iterable[ApiKey]) -> None:
        self._keys = {digest: (digest, NamedKey.of(key)) for key in keys for digest in (digest_in(key.hash),)}

    def find(self, candidate: bytes) -> NamedKey | None:
        """Return the key whose secret this is, expired or not; ``None`` if it is none's.

        How long looking a digest up takes may say how much of it some key's digest has in common with it. That helps
        nobody: which secret would have a digest with more in common, only trying can tell.
        """
        if not self._keys:
            return None
        digest = sha256(candidate).digest()
        found = self._keys.get(digest)
        return found[1] if found is not None and hmac.compare_digest(found[0], digest) else None

    def has(self, key: NamedKey) -> bool:
        """Tell whether a key that was found before is still one, with all that it allows."""
        return any(one == key for _, one in self._keys.values())
