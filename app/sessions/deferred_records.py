"""What a store keeps besides sessions, while it may not be open yet."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping

from app.errors import StoreUnavailable
from app.sessions.failures import Standing
from app.sessions.idempotency import Claimant, Found, KeptAnswer
from app.sessions.key_uses import KeyLedger, KeyStanding
from app.sessions.store import SessionStore, StoreError

_Opened = Callable[[], Awaitable[SessionStore]]


class DeferredRecords:
    """The records of a store; see ``IdempotencyRecords``.

    Args:
        opened: Returns the store once it is open.
    """

    def __init__(self, opened: _Opened) -> None:
        self._opened = opened

    async def claim(self, key: str, asked: bytes, claimant: Claimant, seconds: float) -> Found:
        """See ``IdempotencyRecords``."""
        return await (await self._opened()).records.claim(key, asked, claimant, seconds)

    async def follow(self, key: str, run_id: str) -> bytes | None:
        """See ``IdempotencyRecords``."""
        return await (await self._opened()).records.follow(key, run_id)

    async def keep(self, key: str, answer: KeptAnswer, seconds: float) -> None:
        """See ``IdempotencyRecords``."""
        await (await self._opened()).records.keep(key, answer, seconds)

    async def free(self, key: str, run_id: str, failure: bytes | None = None) -> None:
        """See ``IdempotencyRecords``."""
        await (await self._opened()).records.free(key, run_id, failure)


class DeferredFailureLedger:
    """The ledger of a store, as ``app.security.shared_failures`` wants it.

    Args:
        opened: Returns the store once it is open.
    """

    def __init__(self, opened: _Opened) -> None:
        self._opened = opened

    async def exchange(
        self,
        failures: Mapping[str, int],
        forgiven: Collection[str],
        *,
        most: int,
        window_seconds: float,
        lockout_seconds: float,
    ) -> list[Standing]:
        """See ``FailureLedger``.

        Raises:
            StoreUnavailable: If the store can't be reached.
        """
        try:
            ledger = (await self._opened()).failures
            return await ledger.exchange(
                failures, forgiven, most=most, window_seconds=window_seconds, lockout_seconds=lockout_seconds
            )
        except StoreError as error:
            raise StoreUnavailable from error


class DeferredKeyLedger:
    """What a store knows of API keys, as ``app.security.shared_key_uses`` wants it.

    Every method may raise ``StoreUnavailable``.

    Args:
        opened: Returns the store once it is open; it has a ledger of keys.
    """

    def __init__(self, opened: _Opened) -> None:
        self._opened = opened

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
        """See ``KeyLedger``."""
        try:
            return await (await self._ledger()).take(
                key,
                run_id,
                requests=requests,
                tokens=tokens,
                most=most,
                window_seconds=window_seconds,
                debt_seconds=debt_seconds,
                lease_seconds=lease_seconds,
            )
        except StoreError as error:
            raise StoreUnavailable from error

    async def settle(self, key: str, run_id: str, *, tokens: float, debt_seconds: float) -> None:
        """See ``KeyLedger``."""
        try:
            await (await self._ledger()).settle(key, run_id, tokens=tokens, debt_seconds=debt_seconds)
        except StoreError as error:
            raise StoreUnavailable from error

    async def renew(self, key: str, run_ids: Collection[str], *, lease_seconds: float) -> None:
        """See ``KeyLedger``."""
        try:
            await (await self._ledger()).renew(key, run_ids, lease_seconds=lease_seconds)
        except StoreError as error:
            raise StoreUnavailable from error

    async def _ledger(self) -> KeyLedger:
        ledger = (await self._opened()).key_uses
        assert ledger is not None, "a store that several share has one"
        return ledger
