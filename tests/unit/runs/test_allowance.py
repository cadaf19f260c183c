"""What runs take of an allowance: by estimate before, by usage after, and nothing where nobody counts."""

from __future__ import annotations

import asyncio

import pytest

from app.errors import EngineFailed, RateLimited
from app.runs.allowance import expected_tokens
from app.runs.run import Runs
from app.sessions.deferred import DeferredStore, open_sqlite
from tests.unit.conversation import user
from tests.unit.runs.engines import Shelf, TinyEngine, failing
from tests.unit.runs.jobs import job, request


@pytest.mark.parametrize(
    ("fields", "tokens"),
    [
        ({}, 0),
        ({"max_tokens": 7}, 7),
        ({"max_completion_tokens": 5, "max_tokens": 7}, 5),
        ({"max_completion_tokens": 5, "n": 3}, 15),
        ({"max_completion_tokens": None, "n": None}, 0),
    ],
)
def test_what_may_be_answered(fields: dict[str, object], tokens: int) -> None:
    """As much as the request allows, for each of its choices."""
    assert tokens == expected_tokens(request(**fields), ())


def test_what_is_said() -> None:
    """A token for four bytes; a file is as large as a file, however many letters it is sent in."""
    words, file = user("word " * 4000), user("data:image/png;base64," + "iVBORw0K" * 100_000)

    assert 4900 < expected_tokens(request(), [words]) < 5100
    assert 1000 < expected_tokens(request(), [file]) < 1050
    assert 5900 < expected_tokens(request(), [words, file]) < 6150


class Purse:
    """An allowance that notes what is done with it."""

    def __init__(self, *, empty: bool = False) -> None:
        self.notes: list[object] = []
        self._empty = empty

    async def take(self, run_id: str, tokens: int) -> None:
        """Note it, or refuse it."""
        if self._empty:
            raise RateLimited("nothing left")
        self.notes.append(tokens)

    async def settle(self, tokens: int | None) -> None:
        """Note it."""
        self.notes.append(tokens)


def run(engine: TinyEngine, purse: Purse) -> None:
    """Run a job without a session."""

    async def main() -> None:
        runs = Runs(Shelf({"one": engine}), DeferredStore(lambda: open_sqlite("never opened")))
        await runs.execute(job("hi", key=None, allowance=purse))

    asyncio.run(main())


def test_a_run_settles_with_what_it_took() -> None:
    """It is taken before the engine is asked, and put right when it has answered."""
    purse = Purse()
    run(TinyEngine(), purse)
    before, after = purse.notes

    assert 0 < int(str(before)) < 20
    assert int(str(after)) > 5


def test_of_a_run_that_fails_the_estimate_stands() -> None:
    """Nobody knows what it took; but it is over."""
    purse = Purse()
    with pytest.raises(EngineFailed):
        run(TinyEngine(failing(EngineFailed("no"))), purse)

    assert [None] == purse.notes[1:]


def test_what_there_is_no_allowance_for_is_not_begun() -> None:
    """No engine is asked, and nothing is settled."""
    engine, purse = TinyEngine(), Purse(empty=True)
    with pytest.raises(RateLimited):
        run(engine, purse)

    assert ([], []) == (engine.turns, purse.notes)
