"""The reader of an upstream's events finds the same events wherever the network cuts them."""

from __future__ import annotations

import time

import pytest

from app.engines.upstream.sse_reader import MAX_EVENT_BYTES, SSEReader
from app.errors import EngineFailed

WIRE = "retry: 1\r\n\r\n: c\n\nevent: x\ndata: é1\nid: 3\n\n\ndata:two\r\ndata: lines\r\n\r\ndata: [DONE]\n\n".encode()
EVENTS = ["é1".encode(), b"two\nlines", b"[DONE]"]


@pytest.mark.parametrize("cut", range(1, len(WIRE)))
def test_any_cut(cut: int) -> None:
    """A cut at any byte, within a character, a line end or a word, changes nothing."""
    reader = SSEReader()
    assert EVENTS == [*reader.feed(WIRE[:cut]), *reader.feed(WIRE[cut:])]


def test_byte_by_byte() -> None:
    """Neither do cuts at every byte; and each event is there with its last byte."""
    reader = SSEReader()
    got = [reader.feed(WIRE[at : at + 1]) for at in range(len(WIRE))]
    assert EVENTS == [item for items in got for item in items]
    assert [EVENTS[-1]] == got[-1]


def test_end_without_blank_line() -> None:
    """The last event counts though nothing stands behind it; an end in good order has no such rest."""
    reader = SSEReader()
    assert [] == reader.feed(b"data: last")
    assert [b"last"] == reader.end()
    assert [] == reader.end()


def test_endless_line_is_refused() -> None:
    """A line that never ends is refused before it fills the memory, in time that grows with its length only."""
    reader = SSEReader()
    piece = b"x" * 1024
    began = time.process_time()
    for _ in range(MAX_EVENT_BYTES // len(piece)):
        assert [] == reader.feed(piece)
    with pytest.raises(EngineFailed) as failure:
        reader.feed(piece)
    assert "upstream_invalid_response" == failure.value.code
    assert time.process_time() - began < 2  # quadratic: over a minute


def test_event_of_endless_lines_is_refused() -> None:
    """So is an event of many lines."""
    reader = SSEReader()
    line = b"data: " + b"x" * 1017 + b"\n"
    for _ in range(MAX_EVENT_BYTES // 1024):
        assert [] == reader.feed(line)
    with pytest.raises(EngineFailed):
        reader.feed(line * 100)
