"""A limit per minute: evenly filled, never overdrawn, and put right afterwards."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import StoreUnavailable
from app.security import shared_key_uses
from app.security.key_uses import OwnKeyUses, Standing, Wish
from app.security.shared_key_uses import SharedKeyUses
from tests.unit.security.clock import Clock


def wish(run: str = "r", *, requests: float = 0.0, tokens: float = 0.0, most: int | None = None) -> Wish:
    """Return what a run of key ``k`` wants."""
    return Wish("k", run, requests, tokens, most)


def took(uses: OwnKeyUses | SharedKeyUses, want: Wish) -> bool:
    """Tell whether it was granted."""
    return asyncio.run(uses.take(want)).taken


@given(st.integers(1, 5000), st.lists(st.floats(0, 90), max_size=30))
def test_never_more_than_has_flowed_in(limit: int, pauses: list[float]) -> None:
    """At most the limit at once, and beyond that what has flowed in, after whatever pauses."""
    clock = Clock()
    uses = OwnKeyUses(clock)
    granted = 0
    began = clock.now
    for pause in pauses:
        clock.now += pause
        batch = sum(took(uses, wish(requests=60 / limit)) for _ in range(min(limit + 1, 40)))
        granted += batch
        assert batch <= limit
    assert granted <= limit + (clock.now - began) * limit / 60 + 1e-3


def test_exactly_the_limit_fits() -> None:
    """Sums of fractions notwithstanding: of each limit all, and then one more each time one has flowed in."""
    for limit in (1, 3, 7, 60, 997):
        clock = Clock()
        uses = OwnKeyUses(clock)
        assert [True] * limit + [False] == [took(uses, wish(requests=60 / limit)) for _ in range(limit + 1)]
        clock.now += 60 / limit
        assert [True, False] == [took(uses, wish(requests=60 / limit)) for _ in range(2)]


def test_a_refusal_takes_nothing_of_anything() -> None:
    """If one limit is in the way, the others are as they were; keys know nothing of each other."""
    uses = OwnKeyUses(Clock())
    assert took(uses, wish("a", requests=30, tokens=30, most=1))
    assert Standing(False, 30, 30, 1) == asyncio.run(uses.take(wish("b", requests=30, tokens=30, most=1)))
    assert Standing(False, 30, 30, 1) == asyncio.run(uses.take(wish("b", requests=31, tokens=1, most=2)))
    assert Standing(False, 30, 30, 1) == asyncio.run(uses.take(wish("b", requests=1, tokens=31, most=2)))
    assert took(uses, Wish("other", "b", 60, 60, 1))


def test_tokens_are_put_right() -> None:
    """What wasn't used is there again; what was used beyond it is a debt, of an hour at most."""
    clock = Clock()
    uses = OwnKeyUses(clock)

    def settled(tokens: float) -> float:
        asyncio.run(uses.settle(wish("r", tokens=1), tokens))
        return asyncio.run(uses.take(wish("x"))).tokens

    assert took(uses, wish(tokens=60))
    assert 10 == settled(-50)
    assert 310 == settled(300)
    assert not took(uses, wish(tokens=1))
    clock.now += 300
    assert took(uses, wish(tokens=1))
    assert 3600 == settled(99_999)
    assert 0 == settled(-99_999)
    assert took(uses, wish(tokens=60)), "and never more than a minute's worth"


def test_places() -> None:
    """So many; each is given back once, and by its own run."""
    uses = OwnKeyUses(Clock())
    assert [True, True, False] == [took(uses, wish(run, most=2)) for run in "abc"]
    for _ in range(2):
        asyncio.run(uses.settle(wish("a", most=2), 0))
    assert [True, False] == [took(uses, wish(run, most=2)) for run in "cd"]


class Ledger:
    """A ledger that grants everything, unless it is away."""

    def __init__(self) -> None:
        self.away = False
        self.told: list[tuple[object, ...]] = []
        self.renewed = asyncio.Event()

    async def take(self, key: str, run_id: str, **_: object) -> tuple[bool, float, float, int]:
        """Grant it."""
        self._note("take", key, run_id)
        return True, 1.0, 2.0, 3

    async def settle(self, key: str, run_id: str, *, tokens: float, debt_seconds: float) -> None:
        """Note it."""
        self._note("settle", key, run_id, tokens)

    async def renew(self, key: str, run_ids: object, *, lease_seconds: float) -> None:
        """Note it."""
        self.renewed.set()
        self._note("renew", key, run_ids)

    def _note(self, *what: object) -> None:
        if self.away:
            raise StoreUnavailable
        self.told.append(what)


def test_the_ledger_decides_and_is_told() -> None:
    """As long as it is there nobody counts here."""
    ledger = Ledger()
    uses = SharedKeyUses(ledger, Clock())
    assert Standing(True, 1.0, 2.0, 3) == asyncio.run(uses.take(wish(requests=60)))
    assert took(uses, wish(requests=60))
    asyncio.run(uses.settle(wish(), -4))

    assert [("take", "k", "r"), ("take", "k", "r"), ("settle", "k", "r", -4)] == ledger.told


def test_without_the_ledger_the_process_counts(caplog: pytest.LogCaptureFixture) -> None:
    """For a while, in which it isn't asked; it is said once. What was taken apart is settled apart."""
    clock, ledger = Clock(), Ledger()
    uses = SharedKeyUses(ledger, clock)
    ledger.away = True
    assert [True, False] == [took(uses, wish(run, requests=40, most=5)) for run in "ab"]
    ledger.away = False
    assert not took(uses, wish("c", requests=40)), "it is left alone"
    asyncio.run(uses.settle(wish("a", most=5), 0))
    assert [] == ledger.told
    clock.now += shared_key_uses.PATIENCE_SECONDS
    assert took(uses, wish("d", requests=40))
    assert [("take", "k", "d")] == ledger.told
    assert 1 == sum("by each process for itself" in record.message for record in caplog.records)


def test_a_ledger_that_is_gone_at_the_end_does_no_harm() -> None:
    """The run is over all the same; its place falls free by itself."""
    ledger = Ledger()
    uses = SharedKeyUses(ledger, Clock())
    assert took(uses, wish(most=1))
    ledger.away = True
    asyncio.run(uses.settle(wish(most=1), 5))


def test_runs_under_way_are_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those with a place, until they are over."""
    monkeypatch.setattr(shared_key_uses, "BEAT_SECONDS", 0.001)

    async def main() -> None:
        ledger = Ledger()
        uses = SharedKeyUses(ledger)
        await uses.take(wish("without"))
        await uses.take(wish("with", most=2))
        task = asyncio.create_task(uses.renew())
        await ledger.renewed.wait()
        await uses.settle(wish("with", most=2), 0)
        told = len(ledger.told)
        await asyncio.sleep(0.01)
        task.cancel()
        assert ("renew", "k", ("with",)) in ledger.told
        assert told == len(ledger.told), "nothing more once it is over"

    asyncio.run(main())
