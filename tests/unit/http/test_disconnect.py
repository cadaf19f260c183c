"""Work that ends with its client."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from app.http.disconnect import ClientDisconnected, until_disconnect


class Client:
    """ASGI's ``receive`` of a client that has sent its body and may leave."""

    def __init__(self) -> None:
        self.left = asyncio.Event()

    async def receive(self) -> Any:
        await self.left.wait()
        return {"type": "http.disconnect"}


def run(scenario: Callable[[Client], Awaitable[Any]]) -> Any:
    """Run a scenario under a deadline."""

    async def main() -> Any:
        async with asyncio.timeout(5):
            return await scenario(Client())

    return asyncio.run(main())


def test_the_result_is_the_works() -> None:
    """A client that stays gets what the work returns."""

    async def scenario(client: Client) -> Any:
        async def work() -> int:
            return 7

        return await until_disconnect(client.receive, work())

    assert 7 == run(scenario)


def test_leaving_cancels_the_work() -> None:
    """The work is cancelled, cleans up, and the caller hears that nobody is there."""

    async def scenario(client: Client) -> Any:
        cleaned = []

        async def work() -> None:
            client.left.set()
            try:
                await asyncio.Event().wait()
            finally:
                cleaned.append(True)

        with pytest.raises(ClientDisconnected):
            await until_disconnect(client.receive, work())
        return cleaned

    assert [True] == run(scenario)


def test_leaving_at_the_last_moment_cancels_nobody_else() -> None:
    """Work that is done when the client leaves counts as done, and no cancellation is left behind for a later await."""

    async def scenario(client: Client) -> Any:
        async def work() -> int:
            client.left.set()
            # The watcher needs a moment to see it; it cancels this task just as the work returns.
            task = asyncio.current_task()
            assert task is not None
            while not task.cancelling():
                try:
                    await asyncio.sleep(0)
                except asyncio.CancelledError:
                    return 8
            return 9

        result = await until_disconnect(client.receive, work())
        await asyncio.sleep(0)
        task = asyncio.current_task()
        assert task is not None
        return result, task.cancelling()

    result, cancelling = run(scenario)

    assert result in (8, 9)
    assert 0 == cancelling


async def steps_of(number: int) -> None:
    """Let the event loop turn a number of times."""
    for _ in range(number):
        await asyncio.sleep(0)


@pytest.mark.parametrize("steps", range(6))
@pytest.mark.parametrize("leaves_after", range(8))
@pytest.mark.parametrize("ending", ["returns", "raises", "cleans up", "fails to clean up"])
def test_leaving_in_any_phase(steps: int, leaves_after: int, ending: str) -> None:
    """Whenever the client leaves, before, in, or behind the work, the work is over and no cancellation is pending."""

    over: list[str] = []

    async def work() -> int:
        try:
            await steps_of(steps)
            if ending == "raises":
                raise ZeroDivisionError
            return 7
        finally:
            try:
                if "clean" in ending:
                    await steps_of(1)
            finally:
                over.append("over")
            if ending == "fails to clean up":
                raise KeyError

    async def leave(client: Client) -> None:
        await steps_of(leaves_after)
        client.left.set()

    async def scenario(client: Client) -> Any:
        leaving = asyncio.create_task(leave(client))
        outcome: object
        try:
            outcome = await until_disconnect(client.receive, work())
        except (ClientDisconnected, ZeroDivisionError, KeyError) as error:
            outcome = type(error)
        # Whatever was left pending would arrive in one of these.
        await leaving
        await steps_of(3)
        task = asyncio.current_task()
        assert task is not None
        return outcome, task.cancelling()

    outcome, cancelling = run(scenario)

    finished = {"returns": 7, "cleans up": 7, "raises": ZeroDivisionError, "fails to clean up": KeyError}[ending]
    assert outcome in (finished, ClientDisconnected)
    assert ["over"] == over
    assert 0 == cancelling


def test_an_error_of_the_work_is_the_callers() -> None:
    """Failures pass through."""

    async def scenario(client: Client) -> Any:
        async def work() -> None:
            raise LookupError

        with pytest.raises(LookupError):
            await until_disconnect(client.receive, work())

    run(scenario)


def test_a_cancellation_from_elsewhere_stays_one() -> None:
    """The server shutting down is not the client leaving."""

    async def scenario(client: Client) -> Any:
        begun = asyncio.Event()

        async def work() -> None:
            begun.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(until_disconnect(client.receive, work()))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return task.cancelled()

    assert run(scenario) is True
