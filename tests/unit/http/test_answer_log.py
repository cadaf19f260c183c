"""A stream for any number of readers: whole for each of them, and bounded in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from app.http.answer_log import AnswerLog, LogReader, Room

LIMIT = 1_000
FAR = 300 * 1024
"""More than a reader may be behind."""


def run(scenario: Callable[[AnswerLog, Room], Awaitable[None]]) -> None:
    """Run a scenario under a deadline."""

    async def main() -> None:
        room = Room(limit=10 * FAR)
        async with asyncio.timeout(10):
            await scenario(AnswerLog(room, LIMIT), room)

    asyncio.run(main())


async def say(log: AnswerLog, data: bytes, *, more: bool = True) -> None:
    """Write a piece."""
    await log.send({"type": "http.response.body", "body": data, "more_body": more})


async def rest(reader: LogReader) -> bytes:
    """Read to the end."""
    read = b""
    while data := await reader.next():
        read += data
    return read


def test_each_reader_gets_everything() -> None:
    """From the beginning, whenever it comes; the head of the answer is nobody's business here."""

    async def scenario(log: AnswerLog, _room: Room) -> None:
        await log.send({"type": "http.response.start", "status": 200, "headers": []})
        with log.reader() as early:
            await say(log, b"one ")
            assert b"one " == await early.next()
            waiting = asyncio.create_task(rest(early))
            await asyncio.sleep(0)
            with log.reader() as late:
                await say(log, b"two ")
                await say(log, b"three", more=False)
                assert b"one two three" == await rest(late)
            assert b"two three" == await waiting
        with log.reader() as last:
            assert b"one two three" == await rest(last)
        assert b"one two three" == log.content()

    run(scenario)


def test_a_cancelled_read_takes_nothing() -> None:
    """What comes then is read the next time."""

    async def scenario(log: AnswerLog, _room: Room) -> None:
        with log.reader() as reader:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.next(), 0.001)
            await say(log, b"one")
            assert b"one" == await reader.next()

    run(scenario)


def test_beyond_the_limit_nobody_can_begin() -> None:
    """What is held is only what a present reader hasn't read; who reads gets all of it."""

    async def scenario(log: AnswerLog, room: Room) -> None:
        with log.reader() as reader:
            await say(log, b"x" * LIMIT)
            assert log.whole
            await say(log, b"y")
            assert (False, None, LIMIT + 1) == (log.whole, log.content(), room.taken)
            assert b"x" * LIMIT + b"y" == await reader.next()
            assert 0 == room.taken
            await say(log, b"z", more=False)
            assert b"z" == await rest(reader)

    run(scenario)


def test_the_room_is_shared() -> None:
    """A log that is small for itself is cut off when all together hold too much."""

    async def scenario(log: AnswerLog, room: Room) -> None:
        room.taken = room.limit
        await say(log, b"x")
        assert (False, room.limit) == (log.whole, room.taken)

    run(scenario)


def test_a_slow_reader_holds_the_writer() -> None:
    """Beyond the limit, as a slow client holds any other run; leaving lets it go on."""

    async def scenario(log: AnswerLog, room: Room) -> None:
        reader = log.reader()
        with reader:
            writing = asyncio.create_task(say(log, b"x" * FAR))
            for _ in range(5):
                await asyncio.sleep(0)
            assert not writing.done()
            assert FAR == len(await reader.next())
            await writing
            writing = asyncio.create_task(say(log, b"x" * FAR))
            for _ in range(5):
                await asyncio.sleep(0)
            assert not writing.done()
        await writing
        assert 0 == room.taken

    run(scenario)


def test_without_a_reader_nothing_is_held() -> None:
    """The run goes on, for the sake of what it does."""

    async def scenario(log: AnswerLog, room: Room) -> None:
        for _ in range(3):
            await say(log, b"x" * FAR)
        assert 0 == room.taken

    run(scenario)


def test_the_end_frees_the_room() -> None:
    """A log that is over counts no longer, though a slow reader may still read it."""

    async def scenario(log: AnswerLog, room: Room) -> None:
        with log.reader() as reader:
            await say(log, b"one")
            log.end()
            assert 0 == room.taken
            assert b"one" == await rest(reader)
        assert 0 == room.taken

    run(scenario)
