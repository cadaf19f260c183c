"""Failed authentications that all who share a store count together: the ledger's protocol.

Knows addresses and numbers, and nothing of secrets or requests. Implementation: ``failure_ledger``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple, Protocol


class Standing(NamedTuple):
    """How an address stands.

    Attributes:
        address: The address.
        failures: How many failures count at the moment.
        locked_for: Seconds for which it is still locked out; 0 if it isn't.
    """

    address: str
    failures: int
    locked_for: float


class FailureLedger(Protocol):
    """Counts failures for all. Every method may raise ``StoreError``."""

    async def exchange(
        self,
        failures: Mapping[str, int],
        forgiven: Collection[str],
        *,
        most: int,
        window_seconds: float,
        lockout_seconds: float,
    ) -> list[Standing]:
        """Write what happened here, and read what holds for all.

        Args:
            failures: New failures, by address.
            forgiven: Addresses that have shown the right secret.
            most: So many failures within the window lock an address out.
            window_seconds: The window's length; it begins with the first failure.
            lockout_seconds: For how long. The count starts anew after it.

        Returns:
            The addresses of which there is something to say.
        """
        ...
