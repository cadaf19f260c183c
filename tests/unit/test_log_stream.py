"""Lines and records of the log: in their order, several lines in one write, and none lost."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Callable, Mapping

import pytest

from app import log_stream
from app.log import OneLine
from app.log_stream import TOGETHER, LineFormatter, LogStream, sole_stream


class Form(LineFormatter):
    """Writes the message alone."""

    def line(self, created: float, level: int, name: str, message: str, fields: Mapping[str, object]) -> str:
        return message


class Paper(io.StringIO):
    """Counts the writes, and tells of each."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0
        self.written: asyncio.Event | None = None

    def write(self, text: str) -> int:
        self.writes += 1
        if self.written is not None:
            self.written.set()
        return super().write(text)


@pytest.fixture
def paper() -> Paper:
    """What is written on."""
    return Paper()


@pytest.fixture
def stream(paper: Paper) -> LogStream:
    """A log."""
    made = LogStream()
    made.setStream(paper)
    made.setFormatter(Form())
    made.addFilter(OneLine())
    return made


@pytest.fixture
def log(stream: LogStream) -> logging.Logger:
    """A logger, of whose records nobody else knows: pytest would listen to one that has a name for all."""
    made = logging.Logger("zero.test", logging.INFO)  # noqa: LOG001 - for that reason
    made.addFilter(OneLine())
    made.addHandler(stream)
    return made


def test_many_lines_are_few_writes(stream: LogStream, paper: Paper) -> None:
    """The first goes out in the same turn of the loop, the others together."""

    async def work() -> None:
        stream.add("first")
        await asyncio.sleep(0)
        assert "first\n" == paper.getvalue()
        for number in range(20):
            stream.add(str(number))
        stream.flush()

    asyncio.run(work())

    assert ["first", *map(str, range(20))] == paper.getvalue().splitlines()
    assert 2 == paper.writes


def test_no_line_waits_for_ever(stream: LogStream, paper: Paper) -> None:
    """The last line of all is written without anybody's asking for it."""

    async def work() -> None:
        stream.add("first")
        await asyncio.sleep(0)
        paper.written = asyncio.Event()
        stream.add("last")
        async with asyncio.timeout(10):
            await paper.written.wait()

    asyncio.run(work())

    assert "first\nlast\n" == paper.getvalue()


def test_no_more_is_kept_than_fits_into_a_pipe(stream: LogStream, paper: Paper) -> None:
    """What has become much is written before anything else is done."""

    async def work() -> None:
        stream.add("first")
        stream.add("x" * TOGETHER)
        assert TOGETHER < len(paper.getvalue())

    asyncio.run(work())


def test_a_record_comes_behind_the_lines_before_it(log: logging.Logger, stream: LogStream, paper: Paper) -> None:
    """What is written keeps its order, whichever way it came."""

    async def work() -> None:
        stream.add("one")
        log.warning("two")
        stream.add("three")
        log.warning("four")

    asyncio.run(work())

    assert ["one", "two", "three", "four"] == paper.getvalue().splitlines()


def test_a_log_that_can_t_be_written_ends_nothing(stream: LogStream, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever adds a line doesn't hear of it, as with records."""
    monkeypatch.setattr(logging, "raiseExceptions", False)
    closed = io.StringIO()
    closed.close()
    stream.setStream(closed)

    async def work() -> None:
        stream.add("x" * TOGETHER + "x")
        stream.add("y")
        await asyncio.sleep(0)

    asyncio.run(work())
    stream.setStream(io.StringIO())


def test_it_is_alone(log: logging.Logger, stream: LogStream) -> None:
    """Only then a line needs no record: the form is known with it."""
    found = sole_stream(log, logging.INFO)

    assert found is not None
    assert stream is found[0]
    assert stream.formatter is found[1]


def test_somebody_else_listens(log: logging.Logger, stream: LogStream) -> None:
    """A second handler, a filter, a form or a stream of somebody else's, a level: then records are made as ever."""
    other = logging.NullHandler()

    log.addHandler(other)
    assert sole_stream(log, logging.INFO) is None
    log.removeHandler(other)

    for filtered in (log, stream):
        keep = logging.Filter()
        filtered.addFilter(keep)
        assert sole_stream(log, logging.INFO) is None
        filtered.removeFilter(keep)

    stream.setFormatter(logging.Formatter())
    assert sole_stream(log, logging.INFO) is None
    stream.setFormatter(Form())

    stream.setLevel(logging.ERROR)
    assert sole_stream(log, logging.INFO) is None
    stream.setLevel(logging.NOTSET)

    assert sole_stream(log, logging.DEBUG) is None

    log.removeHandler(stream)
    log.addHandler(other)
    assert sole_stream(log, logging.INFO) is None
    log.removeHandler(other)
    log.addHandler(stream)
    assert sole_stream(log, logging.INFO) is not None


def test_there_is_never_more_than_one_timer(
    stream: LogStream, log: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often records come between lines, and write those: what is due then is due soon, and only once."""
    asked: list[float] = []

    class Clock:
        """A loop at whose clock it is always the same time."""

        def time(self) -> float:
            return 100.0

        def call_soon(self, tick: Callable[[], None]) -> None:
            tick()

        def call_at(self, when: float, _tick: Callable[[], None]) -> None:
            asked.append(when)

    monkeypatch.setattr(log_stream, "get_running_loop", Clock)
    for number in range(50):
        stream.add(f"line {number}")
        log.info("record %d", number)
    assert [100.0 + log_stream.APART_SECONDS] == asked
