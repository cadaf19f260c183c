"""What a request takes of its key's allowance, and the words when it can't have it."""

from __future__ import annotations

import asyncio

import pytest

from app.errors import KeyBusy, KeyLimitReached, RateLimited
from app.security.allowance import Allowance, Allowances
from app.security.key_uses import OwnKeyUses, Standing, Wish
from app.security.named_key import Limits, NamedKey
from tests.unit.security.clock import Clock


def key(requests: int | None = None, tokens: int | None = None, concurrent: int | None = None) -> NamedKey:
    """Return a key with limits."""
    return NamedKey("k", None, "k", True, None, Limits(requests, tokens, concurrent))


def take(allowances: Allowances, of: NamedKey, tokens: int = 1, run: str = "r") -> Allowance:
    """Take something of a key's allowance."""
    allowance = allowances.of(of)
    assert allowance is not None
    asyncio.run(allowance.take(run, tokens))
    return allowance


def refusal(allowances: Allowances, of: NamedKey, tokens: int = 1) -> RateLimited:
    """Return why something can't be taken."""
    with pytest.raises(RateLimited) as failure:
        take(allowances, of, tokens)
    return failure.value


def test_who_has_no_limit_has_no_allowance() -> None:
    """The operator, and keys without limits: nothing is counted for them."""
    allowances = Allowances(OwnKeyUses())

    assert allowances.of(None) is None
    assert allowances.of(NamedKey("k", None, "k", True, None, None)) is None


def test_what_is_left() -> None:
    """Before anything was taken nothing is known; then how many there are, and in how long there are all."""
    allowances, limited = Allowances(OwnKeyUses(Clock())), key(requests=6, tokens=600)
    fresh = allowances.of(limited)
    assert fresh is not None
    assert (None, None) == (fresh.requests, fresh.tokens)
    taken = take(allowances, limited, 100)
    assert taken.requests is not None
    assert taken.tokens is not None
    assert (6, 5, 10) == (taken.requests.limit, taken.requests.remaining, round(taken.requests.reset_seconds))
    assert (600, 500, 10) == (taken.tokens.limit, taken.tokens.remaining, round(taken.tokens.reset_seconds))
    assert take(allowances, key(requests=6)).tokens is None


def test_refusals_say_what_and_how_long() -> None:
    """OpenAI's type and code; SDKs try again by themselves only where that is soon."""
    clock = Clock()
    allowances = Allowances(OwnKeyUses(clock))
    take(allowances, key(requests=1))
    late = refusal(allowances, key(requests=1))
    assert ("requests", "rate_limit_exceeded", 429) == (late.type, late.code, late.status)
    assert [("retry-after", "60"), ("x-should-retry", "false")] == late.headers
    clock.now += 57
    assert [("retry-after", "3")] == refusal(allowances, key(requests=1)).headers

    allowances = Allowances(OwnKeyUses(clock))
    take(allowances, key(tokens=100), 90)
    words = refusal(allowances, key(tokens=100), 20)
    assert ("tokens", "rate_limit_exceeded") == (words.type, words.code)
    assert "limit 100, left 10, requested 20. Try again in 6 s." in words.message
    assert isinstance(words, KeyLimitReached)

    too_large = refusal(allowances, key(tokens=100), 101)
    assert ("tokens", ("x-should-retry", "false")) == (too_large.type, too_large.headers[1])

    take(allowances, key(concurrent=1))
    assert isinstance(refusal(allowances, key(concurrent=1)), KeyBusy)


def test_the_limit_that_holds_longest_is_named() -> None:
    """Where several are in the way."""
    allowances, limited = Allowances(OwnKeyUses(Clock())), key(requests=2, tokens=100, concurrent=1)
    take(allowances, limited, 100)

    assert "tokens" == refusal(allowances, limited, 100).type
    assert "rate_limit_error" == refusal(allowances, limited, 0).type


def test_it_is_settled_once() -> None:
    """With what was used, or as estimated where nobody knows; a request that took nothing gives nothing back."""

    class Uses:
        def __init__(self) -> None:
            self.settled: list[float] = []

        async def take(self, wish: Wish) -> Standing:
            """Grant it."""
            return Standing(True, wish.requests, wish.tokens, 1)

        async def settle(self, wish: Wish, tokens: float) -> None:
            """Note it."""
            self.settled.append(tokens)

    async def main() -> list[float]:
        uses = Uses()
        for limits, used in ((Limits(None, 60, None), 15), (Limits(None, 60, 1), None), (Limits(5, None, None), 15)):
            allowance = Allowance("k", limits, uses, set())
            await allowance.settle(7)
            await allowance.take("r", 10)
            for _ in range(2):
                await allowance.settle(used)
        return uses.settled

    assert [5.0, 0.0] == asyncio.run(main())
