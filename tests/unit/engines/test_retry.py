"""How long is waited before a request is sent once more."""

from __future__ import annotations

import pytest

from app.config import Retry
from app.engines.upstream.retry import pause_before

RETRY = Retry(attempts=3, max_seconds=5)


@pytest.mark.parametrize(("attempt", "least", "most"), [(0, 0.125, 0.25), (1, 0.25, 0.5), (2, 0.5, 1.0)])
def test_longer_each_time_with_jitter(attempt: int, least: float, most: float) -> None:
    """The pause doubles, and the dice decide over half of it."""
    assert (least, most) == tuple(pause_before(RETRY, attempt, 0, dice=dice) for dice in (0, 1))


def test_dice_are_thrown() -> None:
    """No two pauses are the same."""
    assert len({pause_before(RETRY, 0, 0) for _ in range(20)}) > 10


def test_the_upstreams_wish_is_the_least() -> None:
    """Nobody comes back before the time that was asked for."""
    assert (2.0, 2.25) == tuple(pause_before(RETRY, 0, 0, 2.0, dice=dice) for dice in (0, 1))


def test_no_more_attempts_than_allowed() -> None:
    """0 means none."""
    assert None is pause_before(RETRY, 3, 0)
    assert None is pause_before(Retry(attempts=0), 0, 0)


@pytest.mark.parametrize(("elapsed", "retry_after"), [(4.9, None), (5.0, None), (0.0, 5.1), (4.0, 1.1)])
def test_no_longer_than_allowed(elapsed: float, retry_after: float | None) -> None:
    """A pause that would end too late isn't begun."""
    assert None is pause_before(RETRY, 0, elapsed, retry_after, dice=0.9)
