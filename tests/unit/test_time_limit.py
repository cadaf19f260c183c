"""A time limit does what ``asyncio.timeout`` does."""

from __future__ import annotations

import asyncio

import pytest

from app.time_limit import TimeLimit


def test_what_is_done_in_time_is_left_alone() -> None:
    """Neither a result nor an exception is changed, and no cancellation is left behind."""

    async def work() -> tuple[bool, int]:
        limit = TimeLimit(30)
        with pytest.raises(ValueError, match="mine"), limit:
            raise ValueError("mine")
        task = asyncio.current_task()
        assert task is not None
        return limit.expired, task.cancelling()

    assert (False, 0) == asyncio.run(work())


@pytest.mark.parametrize("seconds", [0.0, 0.001])
def test_what_takes_longer_is_cancelled(seconds: float) -> None:
    """It is a ``TimeoutError`` outside, and the task goes on afterwards."""

    async def work() -> tuple[bool, int]:
        limit = TimeLimit(seconds)
        with pytest.raises(TimeoutError), limit:
            await asyncio.Event().wait()
        task = asyncio.current_task()
        assert task is not None
        await asyncio.sleep(0)
        return limit.expired, task.cancelling()

    assert (True, 0) == asyncio.run(work())


def test_no_limit() -> None:
    """``None`` never ends."""

    async def work() -> bool:
        with TimeLimit(None) as limit:
            await asyncio.sleep(0)
        return limit.expired

    assert asyncio.run(work()) is False


def test_a_timeout_of_somebody_else_s() -> None:
    """A ``TimeoutError`` from within is passed on, and this limit isn't to blame."""

    async def work() -> bool:
        limit = TimeLimit(30)
        with pytest.raises(TimeoutError, match="another"), limit:
            raise TimeoutError("another")
        return limit.expired

    assert asyncio.run(work()) is False


def test_a_limit_within_a_limit() -> None:
    """The one whose time is up is the one that says so."""

    async def work() -> tuple[bool, bool]:
        outer, inner = TimeLimit(0.001), TimeLimit(30)
        with pytest.raises(TimeoutError), outer, inner:
            await asyncio.Event().wait()
        return outer.expired, inner.expired

    assert (True, False) == asyncio.run(work())


def test_a_cancellation_from_outside_stays_one() -> None:
    """Also when the time is up at the same moment."""

    async def work() -> None:
        task = asyncio.current_task()
        assert task is not None
        with TimeLimit(0):
            asyncio.get_running_loop().call_soon(task.cancel)
            await asyncio.Event().wait()

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(work())
