"""What API keys have used, counted by all who share a store: the ledger's protocol.

Knows names and numbers, and nothing of secrets or requests. Implementation: ``key_ledger``.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple, Protocol


class KeyStanding(NamedTuple):
    """How a key stands.

    Attributes:
        taken: Whether what was wanted was deducted; if not, nothing was.
        requests: Seconds until the key has all of its requests again.
        tokens: Seconds until it has all of its tokens again.
        running: How many runs of it hold a place.
    """

    taken: bool
    requests: float
    tokens: float
    running: int


class KeyLedger(Protocol):
    """Counts what keys use. Every method may raise ``StoreError``."""

    async def take(
        self,
        key: str,
        run_id: str,
        *,
        requests: float,
        tokens: float,
        most: int | None,
        window_seconds: float,
        debt_seconds: float,
        lease_seconds: float,
    ) -> KeyStanding:
        """Deduct what a run wants, all of it or nothing.

        Args:
            key: The key's name.
            run_id: The run.
            requests: Seconds by which a request moves the moment at which all are there again; 0 without a limit.
            tokens: The same of its tokens.
            most: How many runs may hold a place; ``None`` for any number, and then none is held.
            window_seconds: How far ahead that moment may be.
            debt_seconds: How far ahead it may be for tokens that were taken already.
            lease_seconds: How long the place is held unless ``renew`` is called.
        """
        ...

    async def settle(self, key: str, run_id: str, *, tokens: float, debt_seconds: float) -> None:
        """Give a run's place back, and move the moment at which all tokens are there again."""
        ...

    async def renew(self, key: str, run_ids: Collection[str], *, lease_seconds: float) -> None:
        """Hold the places of runs for longer, as far as they have not been given back or lost meanwhile."""
        ...
