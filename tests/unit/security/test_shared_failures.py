"""The lock-out that gateways share: told and learned in the background, and each for itself where that can't be."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

import pytest

from app.config import RateLimit
from app.errors import StoreUnavailable
from app.security import shared_failures
from app.security.shared_failures import SharedFailureLimit

SETTINGS = RateLimit(max_failures=3, window_seconds=10.0, lockout_seconds=30.0)
Told = tuple[dict[str, int], set[str]]


class Ledger:
    """A ledger that notes what it is told, and says what the test wants."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self.standings: list[tuple[str, int, float]] = []
        self.away = False
        self.asked = asyncio.Event()

    async def exchange(
        self,
        failures: Mapping[str, int],
        forgiven: Collection[str],
        *,
        most: int,
        window_seconds: float,
        lockout_seconds: float,
    ) -> Sequence[tuple[str, int, float]]:
        """See ``FailureLedger``."""
        assert (3, 10.0, 30.0) == (most, window_seconds, lockout_seconds)
        self.asked.set()
        if self.away:
            raise StoreUnavailable
        self.told.append((dict(failures), set(forgiven)))
        return self.standings

    async def next(self) -> None:
        """Wait until it is asked, and has answered."""
        self.asked.clear()
        await self.asked.wait()
        await asyncio.sleep(0)


def play(
    scenario: Callable[[Ledger, SharedFailureLimit], Awaitable[None]],
    *,
    others: bool = True,
    settings: RateLimit = SETTINGS,
) -> None:
    """Play a scenario while the limit is shared, once it has been shared for the first time."""

    async def main() -> None:
        ledger = Ledger()
        limit = SharedFailureLimit(settings, ledger, others=others)
        sharing = asyncio.create_task(limit.share())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        ledger.told.clear()
        try:
            async with asyncio.timeout(10):
                await scenario(ledger, limit)
        finally:
            sharing.cancel()
            await asyncio.gather(sharing, return_exceptions=True)

    asyncio.run(main())


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Share often."""
    monkeypatch.setattr(shared_failures, "SHARE_SECONDS", 0.02)
    monkeypatch.setattr(shared_failures, "PATIENCE_SECONDS", 0.05)


def test_failures_are_told_together() -> None:
    """All that happened since the last time, once."""

    async def scenario(ledger: Ledger, limit: SharedFailureLimit) -> None:
        for address in "aab":
            limit.failed(address)
        await ledger.next()
        limit.failed("b")
        await ledger.next()
        assert [({"a": 2, "b": 1}, set()), ({"b": 1}, set())] == ledger.told

    play(scenario)


def test_the_right_secret_is_told() -> None:
    """Of an address that failed here or elsewhere, in the order in which it happened; of no other."""

    async def scenario(ledger: Ledger, limit: SharedFailureLimit) -> None:
        ledger.standings = [("elsewhere", 1, 0.0)]
        limit.failed("here")
        await ledger.next()
        for address in ("here", "elsewhere", "clean"):
            limit.succeeded(address)
        limit.failed("here")
        await ledger.next()
        assert ({"here": 1}, {"here", "elsewhere"}) == ledger.told[-1]

    play(scenario)


def test_a_lock_out_is_learned() -> None:
    """While requests come, whoever they are from."""

    async def scenario(ledger: Ledger, limit: SharedFailureLimit) -> None:
        ledger.standings = [("a", 0, 30.0), ("b", 2, 0.0)]
        while limit.retry_after("a") is None:  # noqa: ASYNC110 - asking is what has it learn
            await asyncio.sleep(0.005)
        wait = limit.retry_after("a")
        assert wait is not None
        assert 29.0 < wait <= 30.0
        assert None is limit.retry_after("b")

    play(scenario)


def test_nobody_asks_and_nobody_looks() -> None:
    """Without requests the ledger is left alone."""

    async def scenario(ledger: Ledger, _limit: SharedFailureLimit) -> None:
        await asyncio.sleep(0.2)
        assert [] == ledger.told

    play(scenario)


def test_nobody_to_share_with() -> None:
    """Requests alone don't have the ledger read; failures are told, for the time after a restart."""

    async def scenario(ledger: Ledger, limit: SharedFailureLimit) -> None:
        for _ in range(20):
            limit.retry_after("a")
            await asyncio.sleep(0.01)
        assert [] == ledger.told
        limit.failed("a")
        await ledger.next()
        assert [({"a": 1}, set())] == ledger.told

    play(scenario, others=False)


def test_a_lock_out_ends_when_it_ends_here() -> None:
    """Who shares with nobody isn't told of it again by the ledger, which has heard of it a little later."""

    async def scenario(ledger: Ledger, limit: SharedFailureLimit) -> None:
        ledger.standings = [("a", 0, 0.9)]
        limit.failed("a")
        await ledger.next()
        assert None is limit.retry_after("a")

    play(scenario, others=False)


def test_what_was_locked_out_before_a_restart() -> None:
    """It is known as soon as the ledger has been read."""

    async def main() -> None:
        ledger = Ledger()
        ledger.standings = [("a", 0, 30.0)]
        limit = SharedFailureLimit(SETTINGS, ledger, others=False)
        sharing = asyncio.create_task(limit.share())
        await ledger.next()
        assert None is not limit.retry_after("a")
        sharing.cancel()

    asyncio.run(main())


def test_without_the_ledger(caplog: pytest.LogCaptureFixture) -> None:
    """Each process counts for itself, and says so once; what it missed is not told late, but what comes after is."""

    async def scenario(ledger: Ledger, limit: SharedFailureLimit) -> None:
        ledger.away = True
        for _ in range(3):
            limit.failed("a")
            await ledger.next()
        assert None is not limit.retry_after("a")
        ledger.away = False
        limit.failed("b")
        await ledger.next()
        assert [({"b": 1}, set())] == ledger.told

    with caplog.at_level(logging.WARNING):
        play(scenario)
    assert 1 == caplog.text.count("counted by each process for itself")


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more addresses than that, only this process knows."""
    monkeypatch.setattr(shared_failures, "MAX_PENDING", 2)

    async def scenario(ledger: Ledger, limit: SharedFailureLimit) -> None:
        for address in "abcab":
            limit.failed(address)
        await ledger.next()
        assert [({"a": 2, "b": 2}, set())] == ledger.told

    play(scenario)


def test_switched_off() -> None:
    """Then nothing is told or read."""

    async def scenario(ledger: Ledger, limit: SharedFailureLimit) -> None:
        limit.failed("a")
        limit.retry_after("a")
        await asyncio.sleep(0.1)
        assert [] == ledger.told

    play(scenario, settings=RateLimit(enabled=False))
