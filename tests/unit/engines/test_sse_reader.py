"""The SSE reader, by properties: neither the cuts of the network nor the spelling of line ends change the events."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.engines.upstream import sse_reader
from app.engines.upstream.sse_reader import SSEReader
from app.errors import EngineFailed

FIELDS = st.sampled_from(
    [
        b"data: a",
        b"data:b",
        b"data:",
        b"data",
        b"data:  two blanks",
        b": c",
        b":",
        b"event: x",
        b"id: 1",
        b"retry: 5",
        b"",
        b"",
    ]
) | st.binary(max_size=6).map(lambda data: b"data: " + data.translate(None, b"\r\n"))
STREAMS = st.lists(st.tuples(FIELDS, st.sampled_from([b"\n", b"\r\n"])), max_size=20)


def events(*pieces: bytes) -> list[bytes]:
    """Read a whole stream that comes in pieces."""
    reader = SSEReader()
    return [*(event for piece in pieces for event in reader.feed(piece)), *reader.end()]


@given(STREAMS, st.lists(st.integers(0, 200), max_size=12))
def test_any_split(lines: list[tuple[bytes, bytes]], cuts: list[int]) -> None:
    """However the bytes are cut, empty pieces included, the events are the same."""
    stream = b"".join(line + end for line, end in lines)
    places = [0, *sorted(cuts), len(stream)]
    pieces = [stream[start:end] for start, end in pairwise(places)]
    assert events(stream) == events(*pieces)


@given(st.binary(max_size=60), st.integers(0, 60))
def test_any_bytes(stream: bytes, cut: int) -> None:
    """Bytes that are no SSE at all are read without an error, and the same however they are cut."""
    assert events(stream) == events(stream[:cut], stream[cut:])


@given(STREAMS)
def test_line_ends(lines: list[tuple[bytes, bytes]]) -> None:
    """LF, CR LF and a mixture of both are one."""
    expected = events(b"".join(line + b"\n" for line, _ in lines))
    assert expected == events(b"".join(line + end for line, end in lines))
    assert expected == events(b"".join(line + b"\r\n" for line, _ in lines))


@given(st.lists(st.binary(min_size=1, max_size=20).map(lambda data: data.translate(None, b"\r\n")), max_size=6))
def test_events_come_out_as_they_went_in(payloads: list[bytes]) -> None:
    """The data of each event is what its sender put in, byte for byte."""
    assert payloads == events(b"".join(b"data: " + payload + b"\n\n" for payload in payloads))


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"data: a\n\n", [b"a"]),
        (b"data:a\n\n", [b"a"]),
        (b"data:  a \n\n", [b" a "]),
        (b"data: a\ndata: b\n\n", [b"a\nb"]),
        (b"data:\n\n", [b""]),
        (b"event: x\nid: 1\nretry: 5\ndata: a\n: c\n\n", [b"a"]),
        (b": c\n\n\n\nevent: x\n\n", []),
        (b"data: a", [b"a"]),
        (b"data: a\r", [b"a"]),
        (b"data: a\n", [b"a"]),
        (b"datax: a\n\nDATA: a\n\n data: a\n\n", []),
        (b"", []),
        (b'data: {"a": "\xe2\x80\xa8"}\n\n', [b'{"a": "\xe2\x80\xa8"}']),
    ],
)
def test_form(stream: bytes, expected: list[bytes]) -> None:
    """What counts is the data, one blank behind the colon taken away; the other fields don't matter."""
    assert expected == events(stream)


@pytest.mark.parametrize("piece", [b"data: " + b"x" * 40, b"x" * 40, b"data: " + b"x" * 14 + b"\n"])
def test_oversized(monkeypatch: pytest.MonkeyPatch, piece: bytes) -> None:
    """An event that goes on and on is refused, in one line or in many, whether it has begun as data or not."""
    monkeypatch.setattr(sse_reader, "MAX_EVENT_BYTES", 100)
    reader = SSEReader()
    pieces = [piece] * 10
    with pytest.raises(EngineFailed) as caught:
        list(map(reader.feed, pieces))
    assert (502, "upstream_invalid_response") == (caught.value.status, caught.value.code)


def test_many_events_are_not_oversized(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound is on one event and not on the stream."""
    monkeypatch.setattr(sse_reader, "MAX_EVENT_BYTES", 100)
    reader = SSEReader()
    assert [b"x" * 80] * 50 == [event for _ in range(50) for event in reader.feed(b"data: " + b"x" * 80 + b"\n\n")]
