"""The lock-out: its window, its length, its memory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.config import RateLimit
from app.security import failure_limit
from app.security.failure_limit import FailureLimit
from tests.unit.security.clock import Clock


def limit(clock: Clock, **settings: float | bool) -> FailureLimit:
    """Return a limit of three failures in ten seconds, with a lock-out of thirty."""
    return FailureLimit(
        RateLimit(
            enabled=bool(settings.get("enabled", True)), max_failures=3, window_seconds=10.0, lockout_seconds=30.0
        ),
        clock,
    )


def test_lock_out() -> None:
    """The failure that reaches the limit locks the address out, for exactly as long as configured."""
    clock = Clock()
    failures = limit(clock)
    for _ in range(2):
        failures.failed("a")
        assert failures.retry_after("a") is None
    failures.failed("a")
    assert 30.0 == failures.retry_after("a")
    clock.now += 29.5
    assert 0.5 == failures.retry_after("a")
    clock.now += 0.5
    assert failures.retry_after("a") is None


def test_addresses_are_separate() -> None:
    """One address's failures never lock another out."""
    failures = limit(Clock())
    for _ in range(3):
        failures.failed("a")
    failures.failed("b")
    assert (30.0, None, None) == tuple(failures.retry_after(address) for address in "abc")


def test_window() -> None:
    """Failures count together only within the window, which begins with the first."""
    clock = Clock()
    failures = limit(clock)
    failures.failed("a")
    clock.now += 9.0
    failures.failed("a")
    clock.now += 1.0
    failures.failed("a")
    failures.failed("a")
    assert failures.retry_after("a") is None
    failures.failed("a")
    assert 30.0 == failures.retry_after("a")


def test_count_starts_anew_after_the_lock_out() -> None:
    """Who has served the lock-out has all tries again, and is locked out again after as many."""
    clock = Clock()
    failures = limit(clock)
    for _ in range(3):
        failures.failed("a")
    clock.now += 31.0
    failures.failed("a")
    failures.failed("a")
    assert failures.retry_after("a") is None
    failures.failed("a")
    assert 30.0 == failures.retry_after("a")


def test_success_forgets() -> None:
    """The right secret wipes an address's failures out, and only that address's."""
    failures = limit(Clock())
    for address in "aabb":
        failures.failed(address)
    failures.succeeded("a")
    failures.failed("a")
    failures.failed("b")
    assert (None, 30.0) == (failures.retry_after("a"), failures.retry_after("b"))


def test_switched_off() -> None:
    """With the limit off nobody is ever locked out."""
    failures = limit(Clock(), enabled=False)
    for _ in range(100):
        failures.failed("a")
    assert failures.retry_after("a") is None


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the bound the address longest silent is forgotten; one that goes on failing is not."""
    monkeypatch.setattr(failure_limit, "_MAX_ADDRESSES", 3)
    failures = limit(Clock())
    for address in ("a", "a", "b", "c", "a", "d", "e"):
        failures.failed(address)
    assert 30.0 == failures.retry_after("a")
    assert ["a", "d", "e"] == sorted(failures._records)


@given(st.lists(st.tuples(st.floats(0.0, 50.0), st.booleans()), max_size=40))
def test_locked_out_means_three_failures(tries: list[tuple[float, bool]]) -> None:
    """Whatever comes when: a lock-out begins with the third failure within ten seconds, and only with that."""
    clock = Clock()
    failures = limit(clock)
    counted: list[float] = []
    for pause, right in tries:
        clock.now += pause
        if failures.retry_after("a") is not None:
            continue
        if right:
            failures.succeeded("a")
            counted = []
            continue
        failures.failed("a")
        counted = [*counted, clock.now] if counted and clock.now < counted[0] + 10.0 else [clock.now]
        assert (len(counted) == 3) == (failures.retry_after("a") is not None)
        if len(counted) == 3:
            counted = []
