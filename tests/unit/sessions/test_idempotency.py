"""Records of answers in memory: found while they last, and bounded in every direction."""

from __future__ import annotations

import asyncio

from app.sessions.idempotency import KeptAnswer, MemoryRecords, Record


class Clock:
    """A clock that goes when the test says so."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def answer(body: bytes | None = b"body") -> KeptAnswer:
    """Return an answer."""
    return KeptAnswer("run_1", "main", "agent:main:k", estimated=False, body=body)


def keep(records: MemoryRecords, key: str, body: bytes | None = b"body", seconds: float = 60) -> None:
    """Keep an answer under a key."""
    asyncio.run(records.keep(key, b"asked", answer(body), seconds))


def found(records: MemoryRecords, key: str) -> Record | None:
    """Look for a key."""
    return asyncio.run(records.find(key))


def test_what_is_kept_is_found() -> None:
    """With what was asked, what was answered, and until when."""
    records = MemoryRecords(Clock())
    keep(records, "k")

    assert Record(b"asked", answer(), 1_060.0) == found(records, "k")
    assert None is found(records, "K")


def test_time() -> None:
    """A record is gone when its time is up, and its bytes are free."""
    records = MemoryRecords(clock := Clock())
    keep(records, "old")
    clock.now += 30
    keep(records, "new")
    clock.now += 29.9
    assert None is not found(records, "old")
    clock.now += 0.1

    assert [True, False] == [found(records, key) is None for key in ("old", "new")]
    assert (1, 4) == records.size


def test_number() -> None:
    """Beyond the limit the oldest is forgotten."""
    records = MemoryRecords(Clock(), max_records=2)
    for key in "abc":
        keep(records, key)

    assert [True, False, False] == [found(records, key) is None for key in "abc"]
    assert (2, 8) == records.size


def test_bytes() -> None:
    """Beyond the limit the oldest answer is given up, but not that there was one."""
    records = MemoryRecords(Clock(), max_bytes=10)
    for key in "abc":
        keep(records, key)
    first = found(records, "a")

    assert first is not None
    assert (None, b"asked") == (first.answer.body, first.asked)
    assert (3, 8) == records.size


def test_an_answer_that_was_too_large() -> None:
    """Its key is remembered without it."""
    records = MemoryRecords(Clock())
    keep(records, "k", None)

    assert (1, 0) == records.size
    assert Record(b"asked", answer(None), 1_060.0) == found(records, "k")


def test_twice() -> None:
    """The same key again replaces what there was, and counts once."""
    records = MemoryRecords(Clock())
    keep(records, "k", b"long body")
    keep(records, "k", b"body")

    assert (1, 4) == records.size
