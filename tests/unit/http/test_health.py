"""Probes that come at the same time, or one right behind the other, share a question to the store or ask another."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

from app.http.health import Health
from app.sessions.store import SessionStore


def asked(
    ping: Callable[[], Awaitable[None]], probes: Callable[[Callable[[], Awaitable[int]]], Awaitable[None]]
) -> None:
    """Let probes ask for readiness."""

    async def main() -> None:
        health = Health(cast("SessionStore", SimpleNamespace(ping=ping)), lambda: False)

        async def probe() -> int:
            statuses: list[int] = []

            async def send(message: Any) -> None:
                if message["type"] == "http.response.start":
                    statuses.append(message["status"])

            await health.readiness(cast("Any", {}), cast("Any", None), send)
            return statuses[0]

        await probes(probe)

    asyncio.run(main())


def test_one_question_for_all() -> None:
    """Who asks while the store is being asked waits for that answer."""
    pings: list[None] = []

    async def ping() -> None:
        pings.append(None)
        await asyncio.sleep(0)

    async def probes(probe: Callable[[], Awaitable[int]]) -> None:
        assert [200] * 10 == await asyncio.gather(*(probe() for _ in range(10)))

    asked(ping, probes)
    assert 1 == len(pings)


def test_a_new_question_takes_nobody_s_answer() -> None:
    """Whoever asks again at once, before all have got their answer, gets one of its own, and so does everybody."""

    async def ping() -> None:
        await asyncio.sleep(0)

    async def probes(probe: Callable[[], Awaitable[int]]) -> None:
        async def again() -> list[int]:
            return [await probe() for _ in range(20)]

        assert [[200] * 20] * 20 == await asyncio.gather(*(again() for _ in range(20)))

    asked(ping, probes)
