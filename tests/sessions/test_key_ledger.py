"""What API keys use, counted in a database: atomic over all gateways, with places that dead processes lose."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from app.sessions.key_uses import KeyLedger, KeyStanding
from tests.sessions.place import PostgresqlPlace, SqlitePlace

WINDOW = 60.0
DEBT = 3600.0


async def take(
    ledger: KeyLedger,
    run: str = "r",
    key: str = "k",
    *,
    requests: float = 0.0,
    tokens: float = 0.0,
    most: int | None = None,
    lease: float = 30.0,
) -> KeyStanding:
    """Want something of a key's minute."""
    return await ledger.take(
        key,
        run,
        requests=requests,
        tokens=tokens,
        most=most,
        window_seconds=WINDOW,
        debt_seconds=DEBT,
        lease_seconds=lease,
    )


@asynccontextmanager
async def two(database: PostgresqlPlace) -> AsyncIterator[tuple[KeyLedger, KeyLedger]]:
    """Open two stores, as two processes would."""
    async with AsyncExitStack() as stores:
        one, other = [await stores.enter_async_context(database.opened()) for _ in range(2)]
        assert one.key_uses is not None
        assert other.key_uses is not None
        yield one.key_uses, other.key_uses


def play(database: PostgresqlPlace, scenario: Callable[[KeyLedger, KeyLedger], Awaitable[None]]) -> None:
    """Play a scenario with two processes."""

    async def main() -> None:
        async with two(database) as (one, other):
            await scenario(one, other)

    asyncio.run(main())


def test_a_minute_is_shared(database: PostgresqlPlace) -> None:
    """What one process takes the other hasn't got; a refusal takes nothing; other keys have their own."""

    async def scenario(one: KeyLedger, other: KeyLedger) -> None:
        first = await take(one, requests=20, tokens=1)
        assert (True, 20, 1) == (first.taken, round(first.requests), round(first.tokens))
        assert (await take(other, requests=20)).taken
        assert (await take(one, requests=19)).taken
        refused = await take(other, requests=20, tokens=5)
        assert (False, 59, 1) == (refused.taken, round(refused.requests), round(refused.tokens))
        assert not (await take(one, requests=20)).taken
        assert (await take(one, key="another", requests=20)).taken

    play(database, scenario)


def test_of_a_burst_as_many_get_in_as_there_is_room(database: PostgresqlPlace) -> None:
    """Fifty at once, at two processes: never one too many, whether requests are limited or places."""

    async def scenario(one: KeyLedger, other: KeyLedger) -> None:
        both = (one, other)
        requests = [take(both[n % 2], f"run{n}", requests=6) for n in range(50)]
        assert 10 == sum(standing.taken for standing in await asyncio.gather(*requests))
        places = [take(both[n % 2], f"run{n}", "another", most=10) for n in range(50)]
        assert 10 == sum(standing.taken for standing in await asyncio.gather(*places))

    play(database, scenario)


def test_tokens_are_put_right(database: PostgresqlPlace) -> None:
    """Less than was deducted gives some back, more makes a debt, and neither goes beyond what there can be."""

    async def scenario(one: KeyLedger, other: KeyLedger) -> None:
        await take(one, tokens=60)
        assert not (await take(other, tokens=1)).taken
        await other.settle("k", "r", tokens=-50, debt_seconds=DEBT)
        standing = await take(one, tokens=1)
        assert (True, 11) == (standing.taken, round(standing.tokens))
        await one.settle("k", "r", tokens=100, debt_seconds=DEBT)
        assert 111 == round((await take(one, tokens=1)).tokens)
        await one.settle("k", "r", tokens=-1000, debt_seconds=DEBT)
        standing = await take(one, tokens=60)
        assert (True, 60) == (standing.taken, round(standing.tokens))

    play(database, scenario)


def test_places_are_given_back_and_lost(database: PostgresqlPlace) -> None:
    """By who had them; and by processes that no longer tell of their runs. Renewing brings no place back."""

    async def scenario(one: KeyLedger, other: KeyLedger) -> None:
        assert (await take(one, "a", most=2)).taken
        assert (await take(other, "b", most=2, lease=0.2)).taken
        assert not (await take(one, "c", most=2)).taken
        await one.settle("k", "a", tokens=0, debt_seconds=DEBT)
        await one.renew("k", ["a", "b"], lease_seconds=30)
        assert (await take(one, "c", most=2)).taken
        assert not (await take(one, "d", most=2)).taken
        await other.renew("k", ["b"], lease_seconds=-1)
        standing = await take(one, "d", most=2)
        assert (True, 2) == (standing.taken, standing.running)
        assert not (await take(one, "e", most=2)).taken

    play(database, scenario)


def test_a_clock_that_was_put_back_locks_nobody_out(database: PostgresqlPlace) -> None:
    """What lies further ahead than it can is not believed."""

    async def scenario(one: KeyLedger, _: KeyLedger) -> None:
        await take(one, requests=1, tokens=1)
        database.execute("UPDATE zero.key_uses SET requests_until = requests_until + 86400 RETURNING name")
        assert 60 == round((await take(one, requests=1)).requests)

    play(database, scenario)


def test_a_file_has_none(file: SqlitePlace) -> None:
    """One process has it, and counts in memory."""

    async def main() -> None:
        async with file.opened() as store:
            assert store.key_uses is None

    asyncio.run(main())
