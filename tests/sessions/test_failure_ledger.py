"""Failed authentications in each kind of store: counted over all processes, locked out for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from app.sessions.failures import Standing
from app.sessions.sql import SqlStore
from app.sessions.store import StoreError
from tests.sessions.place import Place, PostgresqlPlace

WINDOW = 10.0
LOCKOUT = 30.0


async def exchange(
    store: SqlStore, failures: Mapping[str, int] | None = None, forgiven: Collection[str] = ()
) -> dict[str, tuple[int, bool]]:
    """Tell a ledger; return failures, and whether it is locked out, of each address. Three failures are too many."""
    standings = await store.failures.exchange(
        failures or {}, forgiven, most=3, window_seconds=WINDOW, lockout_seconds=LOCKOUT
    )
    return {standing.address: (standing.failures, standing.locked_for > 0) for standing in standings}


@asynccontextmanager
async def two(place: Place) -> AsyncIterator[tuple[SqlStore, SqlStore]]:
    """Open two stores, as two processes would."""
    async with AsyncExitStack() as stores:
        one, other = [await stores.enter_async_context(place.opened()) for _ in range(2)]
        yield one, other


def play(place: Place, scenario: Callable[[SqlStore, SqlStore], Awaitable[None]]) -> None:
    """Play a scenario with two processes."""

    async def main() -> None:
        async with two(place) as (one, other):
            await scenario(one, other)

    asyncio.run(main())


def test_counts_over_processes(place: Place) -> None:
    """Failures of an address add up, wherever they were; those of others don't matter."""

    async def scenario(one: SqlStore, other: SqlStore) -> None:
        assert {} == await exchange(other)
        assert {"a": (1, False)} == await exchange(one, {"a": 1})
        assert {"a": (2, False), "b": (1, False)} == await exchange(other, {"a": 1, "b": 1})
        assert {"a": (0, True), "b": (1, False)} == await exchange(one, {"a": 1})
        assert {"a": (0, True), "b": (1, False)} == await exchange(other)

    play(place, scenario)


def test_lock_out(place: Place) -> None:
    """It lasts as long as configured; what was on its way then counts no more, and the count starts anew after it."""

    async def scenario(one: SqlStore, other: SqlStore) -> None:
        await exchange(one, {"a": 5})
        (standing,) = await other.failures.exchange(
            {"a": 3}, (), most=3, window_seconds=WINDOW, lockout_seconds=LOCKOUT
        )
        assert Standing("a", 0, standing.locked_for) == standing
        assert LOCKOUT - 5 < standing.locked_for <= LOCKOUT
        place.execute("UPDATE auth_failures SET locked_until = 1")
        assert {} == await exchange(one)
        assert {"a": (2, False)} == await exchange(one, {"a": 2})
        assert {"a": (0, True)} == await exchange(one, {"a": 1})

    play(place, scenario)


def test_a_clock_that_is_put_back(place: Place) -> None:
    """A lock-out that would then last longer than any is over, for all, and the count begins anew."""

    async def scenario(one: SqlStore, other: SqlStore) -> None:
        await exchange(one, {"a": 3})
        place.execute("UPDATE auth_failures SET locked_until = locked_until + 86400, window_ends = window_ends + 86400")
        assert {} == await exchange(other)
        assert {"a": (1, False)} == await exchange(other, {"a": 1})
        assert {"a": (0, True)} == await exchange(one, {"a": 2})

    play(place, scenario)


def test_window(place: Place) -> None:
    """Failures count together only within the window, and leave nothing behind."""

    async def scenario(one: SqlStore, other: SqlStore) -> None:
        await exchange(one, {"a": 2, "b": 2})
        place.execute("UPDATE auth_failures SET window_ends = 1")
        assert {} == await exchange(other)
        assert {"a": (1, False)} == await exchange(other, {"a": 1})
        assert [("a",)] == place.execute("SELECT address FROM auth_failures")

    play(place, scenario)


def test_the_right_secret(place: Place) -> None:
    """It ends the count of its address, and what failed after it counts; it doesn't end a lock-out."""

    async def scenario(one: SqlStore, other: SqlStore) -> None:
        await exchange(one, {"a": 2, "b": 2})
        assert {"a": (1, False), "b": (2, False)} == await exchange(other, {"a": 1}, ["a"])
        assert {"b": (2, False)} == await exchange(one, {}, ["a"])
        assert {"b": (0, True)} == await exchange(one, {"b": 1})
        assert {"b": (0, True)} == await exchange(other, {}, ["b"])

    play(place, scenario)


def test_very_many_at_once(place: Place) -> None:
    """Two processes with the same thousand addresses lose none and hold each other up for no long."""

    async def scenario(one: SqlStore, other: SqlStore) -> None:
        addresses = [f"10.0.{number // 250}.{number % 250}" for number in range(1_000)]
        for _ in range(3):
            forward, backward = dict.fromkeys(addresses, 1), dict.fromkeys(reversed(addresses), 1)
            await asyncio.gather(exchange(one, forward), exchange(other, backward))
        found = await exchange(one)
        assert 1_000 == len(found)
        assert all(locked for _, locked in found.values())

    play(place, scenario)


def test_a_store_that_is_away(database: PostgresqlPlace) -> None:
    """It says so."""

    async def scenario() -> None:
        async with database.opened() as store:
            database.execute("DROP TABLE auth_failures")
            with pytest.raises(StoreError):
                await exchange(store, {"a": 1})

    asyncio.run(scenario())
