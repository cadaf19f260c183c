"""Arrivals: a queue has the order in which its runs came, however long each took on the way to it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from app.runs.arrivals import Arrivals


class Way:
    """The way to one session's queue, with something to be found out on it that takes as long as a test likes."""

    def __init__(self) -> None:
        self.arrivals = Arrivals()
        self.queue: list[str] = []
        self._found: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    def come(self, *names: str, key: str = "k") -> None:
        """Have runs come, in this order."""
        for name in names:
            self._found[name] = asyncio.Event()
            self.arrivals.note(key, name)
            task = self.tasks[name] = asyncio.create_task(self._walk(key, name), name=name)
            # Not a `finally` in the task: one that is stopped before its first step would never come to it.
            task.add_done_callback(lambda task: self.arrivals.leave(key, task.get_name()))

    async def _walk(self, key: str, name: str) -> None:
        await self._found[name].wait()
        await self.arrivals.go(key, name)
        self.queue.append(name)

    async def find(self, *names: str) -> None:
        """Let runs have found out what there was to be."""
        for name in names:
            self._found[name].set()
        await settle()

    async def turn_back(self, *names: str) -> None:
        """Let runs not come after all."""
        for name in names:
            self.tasks[name].cancel()
        await settle()


async def settle() -> None:
    """Let every task go as far as it gets without anything happening."""
    for _ in range(20):
        await asyncio.sleep(0)


def test_who_came_first_is_waited_for() -> None:
    """The last to come is the first to be ready, and still goes last."""

    async def scenario() -> None:
        way = Way()
        way.come("a", "b", "c")
        await way.find("c")
        assert [] == way.queue
        await way.find("b")
        assert [] == way.queue
        await way.find("a")
        assert ["a", "b", "c"] == way.queue
        assert 0 == len(way.arrivals)

    asyncio.run(scenario())


def test_nobody_waits_for_who_turns_back() -> None:
    """Whether it turns back while it finds out, or while it waits for others."""

    async def scenario() -> None:
        way = Way()
        way.come("a", "b", "c", "d")
        await way.find("b", "c", "d")
        await way.turn_back("c")
        assert [] == way.queue
        await way.turn_back("a")
        assert ["b", "d"] == way.queue
        assert 0 == len(way.arrivals)

    asyncio.run(scenario())


def test_other_sessions_are_not_held_up() -> None:
    """Only those who came to the same session wait."""

    async def scenario() -> None:
        way = Way()
        way.come("a")
        way.come("b", key="other")
        await way.find("b")
        assert ["b"] == way.queue
        await way.find("a")

    asyncio.run(scenario())


def test_who_is_not_noted_goes_at_once() -> None:
    """There is nothing to wait for; and a run that is noted twice keeps its first place."""

    async def scenario() -> None:
        way = Way()
        way.come("a", "b")
        way.arrivals.note("k", "a")
        await way.arrivals.go("k", "unknown")
        await way.find("a", "b")
        assert ["a", "b"] == way.queue

    asyncio.run(scenario())


@given(st.permutations([f"{number}" for number in range(7)]), st.sets(st.sampled_from(["1", "3", "5", "6", "0"])))
def test_any_order_of_finding_out(ready: Sequence[str], turning_back: set[str]) -> None:
    """Whatever comes first, those who come go in the order in which they came, and nobody is left waiting."""

    async def scenario() -> None:
        way = Way()
        way.come(*sorted(ready))
        for name in ready:
            await (way.turn_back(name) if name in turning_back else way.find(name))
        assert sorted(set(ready) - turning_back) == way.queue
        assert 0 == len(way.arrivals)

    asyncio.run(scenario())
