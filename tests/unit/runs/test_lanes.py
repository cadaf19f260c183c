"""Lanes: order, width, and that nobody's leaving, however early, costs anybody a place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import RateLimited
from app.runs.lanes import MAX_WAITING, Lanes, LaneStatistics

EMPTY = LaneStatistics(lanes=0, waiting=0)


async def settle() -> None:
    """Let every task go as far as it gets without anything happening."""
    for _ in range(10):
        await asyncio.sleep(0)


class Yard:
    """Runs that stay in a lane until they are told to leave."""

    def __init__(self) -> None:
        self.lanes = Lanes("session")
        self.inside: list[str] = []
        self.order: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self._exits: dict[str, asyncio.Event] = {}

    def arrive(self, *names: str, key: str = "k", width: int = 1) -> None:
        """Have runs enter a lane, in this order."""
        for name in names:
            self._exits[name] = asyncio.Event()
            self.tasks[name] = asyncio.create_task(self._run(name, key, width))

    async def _run(self, name: str, key: str, width: int) -> None:
        async with self.lanes.enter(key, width=width):
            self.inside.append(name)
            self.order.append(name)
            try:
                await self._exits[name].wait()
            finally:
                self.inside.remove(name)

    def leave(self, *names: str) -> None:
        """Have runs come to their end."""
        for name in names:
            self._exits[name].set()

    def cancel(self, *names: str) -> None:
        """Cancel runs, wherever they are."""
        for name in names:
            self.tasks[name].cancel()


@asynccontextmanager
async def yard() -> AsyncIterator[Yard]:
    """Give a yard, and see in the end that all lanes are gone once everybody has left."""
    subject = Yard()
    yield subject
    subject.leave(*subject.tasks)
    await asyncio.gather(*subject.tasks.values(), return_exceptions=True)
    assert EMPTY == subject.lanes.statistics()


Scenario = Callable[[Yard], Coroutine[None, None, None]]


def play(scenario: Scenario) -> None:
    """Run a scenario in a yard."""

    async def main() -> None:
        async with yard() as subject:
            await scenario(subject)

    asyncio.run(main())


def test_first_in_first_out() -> None:
    """Runs of one lane go one at a time, in the order of their arrival."""

    async def scenario(subject: Yard) -> None:
        subject.arrive(*"abcd")
        for position, name in enumerate("abcd"):
            await settle()
            assert ([name], 3 - position) == (subject.inside, subject.lanes.statistics().waiting)
            subject.leave(name)
        await settle()
        assert list("abcd") == subject.order

    play(scenario)


def test_lanes_are_parallel() -> None:
    """Runs of different lanes don't wait for each other, and an empty lane is forgotten."""

    async def scenario(subject: Yard) -> None:
        for name in "abc":
            subject.arrive(name, key=name)
        await settle()
        assert (list("abc"), LaneStatistics(3, 0)) == (subject.inside, subject.lanes.statistics())
        subject.leave("a", "b", "c")
        await settle()
        assert EMPTY == subject.lanes.statistics()

    play(scenario)


def test_nobody_overtakes() -> None:
    """Who comes in the very moment when a place gets free waits behind those who wait already."""

    async def scenario(subject: Yard) -> None:
        subject.arrive("a", "b")
        await settle()
        subject.leave("a")
        subject.arrive("c")
        await settle()
        assert (["b"], ["a", "b"]) == (subject.inside, subject.order)

    play(scenario)


@pytest.mark.parametrize("cancelled", ["b", "c", "d", "bc", "cb", "bcd"])
def test_cancelled_while_waiting(cancelled: str) -> None:
    """Who is cancelled in the queue leaves it, and the others keep their order."""

    async def scenario(subject: Yard) -> None:
        subject.arrive(*"abcde")
        await settle()
        subject.cancel(*cancelled)
        await settle()
        assert 4 - len(cancelled) == subject.lanes.statistics().waiting
        subject.leave(*"abcde")
        await settle()
        assert [name for name in "abcde" if name not in cancelled] == subject.order
        assert all(subject.tasks[name].cancelled() for name in cancelled)

    play(scenario)


def test_cancelled_before_the_start() -> None:
    """A task cancelled before its first step never enters."""

    async def scenario(subject: Yard) -> None:
        subject.arrive("a", "b")
        subject.cancel("a")
        await settle()
        assert ["b"] == subject.order

    play(scenario)


def test_cancelled_while_inside() -> None:
    """A cancelled run makes room for the next as one that ends."""

    async def scenario(subject: Yard) -> None:
        subject.arrive("a", "b")
        await settle()
        subject.cancel("a")
        await settle()
        assert ["b"] == subject.inside

    play(scenario)


@pytest.mark.parametrize("cancel_first", [True, False])
@pytest.mark.parametrize("behind", ["", "c"])
def test_admitted_and_cancelled_at_once(cancel_first: bool, behind: str) -> None:
    """When a place gets free in the moment in which the first in the queue is cancelled, the next one gets it."""

    async def scenario(subject: Yard) -> None:
        subject.arrive("a", "b", *behind)
        await settle()
        if cancel_first:
            subject.cancel("b")
            subject.leave("a")
        else:
            subject.leave("a")
            # The leaving run goes first and admits b, which is cancelled before it has taken a step.
            asyncio.get_running_loop().call_soon(subject.cancel, "b")
        await settle()
        assert subject.tasks["b"].cancelled()
        assert list(behind) == subject.inside
        subject.leave(*behind)
        await settle()
        assert EMPTY == subject.lanes.statistics()

    play(scenario)


def test_cancelled_inside_a_run_that_is_leaving() -> None:
    """The same with nothing in between: one step cancels the waiting run and gives the place up."""

    async def main() -> None:
        lanes = Lanes("session")
        first = lanes.enter("k")
        await first.__aenter__()
        entered: list[str] = []

        async def wait() -> None:
            async with lanes.enter("k"):
                entered.append("b")

        for order in ("cancel first", "leave first"):
            waiting = asyncio.create_task(wait())
            await settle()
            if order == "cancel first":
                waiting.cancel()
                await first.__aexit__(None, None, None)
            else:
                await first.__aexit__(None, None, None)
                waiting.cancel()
            await asyncio.wait({waiting})
            assert waiting.cancelled(), order
            assert lanes.statistics() == EMPTY, order
            first = lanes.enter("k")
            await first.__aenter__()
        await first.__aexit__(None, None, None)
        assert [] == entered

    asyncio.run(main())


def test_full_queue() -> None:
    """Who comes when too many wait already is refused at once and told when to come again; others aren't disturbed."""

    async def scenario(subject: Yard) -> None:
        subject.arrive("first", *(str(n) for n in range(MAX_WAITING)), "one too many")
        await settle()
        refused = subject.tasks["one too many"].exception()
        assert isinstance(refused, RateLimited)
        assert (429, "session_queue_full") == (refused.status, refused.code)
        assert [("retry-after", "2")] == refused.headers
        assert LaneStatistics(1, MAX_WAITING) == subject.lanes.statistics()
        subject.cancel("0")
        await settle()
        subject.arrive("in time")
        await settle()
        assert not subject.tasks["in time"].done()

    play(scenario)


def test_width() -> None:
    """A lane of width two holds two runs, and the third follows whichever leaves first."""

    async def scenario(subject: Yard) -> None:
        subject.arrive(*"abcd", width=2)
        await settle()
        assert ["a", "b"] == subject.inside
        subject.leave("b")
        await settle()
        assert ["a", "c"] == subject.inside
        subject.leave("a", "c")
        await settle()
        assert ["d"] == subject.inside

    play(scenario)


def test_wider() -> None:
    """When a lane gets wider with a new configuration, those who wait get in at once, in their order."""

    async def scenario(subject: Yard) -> None:
        subject.arrive(*"abc", width=1)
        await settle()
        subject.arrive("d", width=3)
        await settle()
        assert ["a", "b", "c"] == subject.inside
        subject.leave("b")
        await settle()
        assert ["a", "c", "d"] == subject.inside

    play(scenario)


def test_narrower() -> None:
    """When a lane gets narrower, those inside may finish, and nobody enters until there is room."""

    async def scenario(subject: Yard) -> None:
        subject.arrive(*"abc", width=3)
        await settle()
        subject.arrive("d", width=1)
        subject.leave("a", "b")
        await settle()
        assert ["c"] == subject.inside
        subject.leave("c")
        await settle()
        assert ["d"] == subject.inside

    play(scenario)


def test_failure_leaves_the_lane() -> None:
    """A run that raises makes room as well."""

    async def main() -> None:
        lanes = Lanes("agent")
        with pytest.raises(ZeroDivisionError):
            async with lanes.enter("k"):
                raise ZeroDivisionError
        assert EMPTY == lanes.statistics()

    asyncio.run(main())


STEPS = st.lists(
    st.tuples(st.sampled_from(["arrive", "leave", "cancel", "settle"]), st.integers(0, 9), st.integers(1, 3)),
    max_size=40,
)


@given(STEPS)
def test_any_coming_and_going(steps: list[tuple[str, int, int]]) -> None:
    """However runs come, leave and are cancelled: never too many inside, nobody overtakes, nothing is left behind."""

    async def scenario(subject: Yard) -> None:
        arrived: list[str] = []
        widest = 1
        for step, which, width in steps:
            if step == "arrive":
                arrived.append(str(len(arrived)))
                subject.arrive(arrived[-1], width=width)
                widest = max(widest, width)
            elif step == "settle":
                await settle()
            elif arrived:
                getattr(subject, step)(arrived[which % len(arrived)])
            assert len(subject.inside) <= widest
        await settle()
        if widest == 1:
            assert sorted(subject.order, key=int) == subject.order

    play(scenario)
