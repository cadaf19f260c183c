"""Reading an upstream's stream in batches: no cut of the network changes what is said, or what has been said before."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.engines.upstream.chunk import UpstreamErrorEvent
from app.engines.upstream.chunk_reader import AT_ONCE, ChunkReader
from app.errors import EngineFailed
from app.runs.event import Event


def spoken(*words: str) -> bytes:
    """Return the bytes of a chunk per word."""
    choices = ({"index": 0, "delta": {"content": word}, "finish_reason": None} for word in words)
    return b"".join(b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n" for choice in choices)


def batches(reader: ChunkReader) -> list[list[Event]]:
    """Return all that is ready."""
    ready = []
    while reader.waiting:
        ready.append(reader.batch())
    return ready


def words(events: list[Event]) -> list[object]:
    """Return what events say."""
    return [event.choices[0].delta.content for event in events]


@given(
    st.lists(st.text(max_size=5), max_size=2 * AT_ONCE + 2), st.lists(st.integers(0, 9_000), max_size=6), st.booleans()
)
def test_cuts_change_nothing(said: list[str], cuts: list[int], done: bool) -> None:
    """However the bytes come, every event is handed out once and in order, so many at once at most."""
    data = spoken(*said) + (b"data: [DONE]\n\ndata: nothing\n\n" if done else b"")
    reader = ChunkReader()
    ready: list[list[Event]] = []
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for start, end in pairwise(places):
        if start < end and not reader.over:
            reader.feed(data[start:end])
            ready += batches(reader)
    assert done == reader.done == reader.over
    if not done:
        reader.feed(b"")
        ready += batches(reader)
    assert reader.over
    assert said == [word for batch in ready for word in words(batch)]
    assert max(map(len, ready), default=0) <= AT_ONCE


def test_an_event_says_whether_the_next_is_ready() -> None:
    """So a door writes once for each read, and not for each batch."""
    reader = ChunkReader()
    reader.feed(spoken(*"a" * (AT_ONCE + 2)))

    first, second = batches(reader)

    assert [True] * AT_ONCE == [event.more for event in first]
    assert [True, False] == [event.more for event in second]


def test_the_last_event_waits_for_the_end_that_is_read_already() -> None:
    """Words with `[DONE]` right behind them are written together with the end."""
    reader = ChunkReader()
    reader.feed(spoken("a") + b"data: [DONE]\n\n")

    assert [True] == [event.more for event in reader.batch()]
    assert reader.done


@pytest.mark.parametrize(
    ("wrong", "failure"), [(b'{"error": {"message": "no"}}', UpstreamErrorEvent), (b"{nonsense", EngineFailed)]
)
def test_what_was_said_before_a_failure_comes_first(wrong: bytes, failure: type[Exception]) -> None:
    """The events before what can't be read are handed out; the failure comes when the next are asked for."""
    reader = ChunkReader()
    reader.feed(spoken("a", "b") + b"data: " + wrong + b"\n\n" + spoken("never"))

    assert ["a", "b"] == words(reader.batch())
    assert reader.waiting
    with pytest.raises(failure):
        reader.batch()


def test_an_end_without_a_blank_line() -> None:
    """A stream that ends in the middle of its last line break has still said its last event."""
    reader = ChunkReader()
    reader.feed(spoken("a").rstrip(b"\n"))
    assert not reader.waiting
    reader.feed(b"")

    assert ["a"] == words(reader.batch())
    assert (True, False) == (reader.over, reader.done)


def test_a_large_event_is_read_by_itself() -> None:
    """Those before it come first, those behind it after it, and each says that more are ready."""
    reader = ChunkReader()
    large = "x" * 200_000
    reader.feed(spoken("a", "b", large, "c"))

    at_first, before = reader.is_large, reader.batch()
    assert (False, True) == (at_first, reader.is_large)
    alone = asyncio.run(reader.large())
    behind = reader.batch()

    assert (["a", "b"], [large], ["c"]) == (words(before), words(alone), words(behind))
    assert [True, True, True, False] == [event.more for event in (*before, *alone, *behind)]
    assert [False, False, True, False] == [event.large for event in (*before, *alone, *behind)]
