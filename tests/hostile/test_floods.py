"""docs/security.md, "Clients": heads, framing and documents without end."""

from __future__ import annotations

import re
from contextlib import suppress
from itertools import repeat

import pytest

from tests.hostile.wire import PROBE, Wire, replies, request
from tests.live_gateway import LiveGateway
from tests.ws.process import MIB, peak_memory

CHUNKED = request(b"", "Transfer-Encoding: chunked", length=False)
FLOODS = {
    "URL": (b"GET /", b"x" * 1000),
    "header name": (b"GET / HTTP/1.1\r\nHost: x\r\n", b"x" * 1000),
    "header value": (b"GET / HTTP/1.1\r\nHost: x\r\nx-a: ", b"x" * 1000),
    "headers": (b"GET / HTTP/1.1\r\nHost: x\r\n", b"x-a: b\r\n" * 100),
    "empty headers": (b"GET / HTTP/1.1\r\nHost: x\r\n", b"x:\r\n" * 100),
    "blank lines": (b"", b"\r\n" * 500),
    "chunk extension": (CHUNKED + b"1;", b"x" * 1000),
    "chunk extensions": (CHUNKED, b"1;" + b"x" * 1000 + b"\r\n \r\n"),
    "trailer": (CHUNKED + b"1\r\n{\r\n0\r\nx-a: ", b"x" * 1000),
    "trailers": (CHUNKED + b"1\r\n{\r\n0\r\n", b"x-a: b\r\n" * 100),
    "zeros of a chunk size": (CHUNKED, b"0" * 1000),
}


@pytest.mark.parametrize(("begin", "more"), FLOODS.values(), ids=FLOODS)
def test_what_does_not_end_is_refused(gateway: LiveGateway, begin: bytes, more: bytes) -> None:
    """At ``maxHeaderBytes``, with a 400 that the client can read, and in little memory."""
    began = peak_memory(gateway)
    with Wire(gateway) as wire:
        with suppress(ConnectionError):  # it is cut off after a while
            wire.send(begin, *repeat(more * 64, 300))
        try:
            answered = replies(wire.rest())
        except ConnectionError:
            answered = []

    assert [reply.summary[:2] for reply in answered] in ([], [(400, "headers_too_large")], [(400, "invalid_http")])
    assert peak_memory(gateway) - began < 8 * MIB


@pytest.mark.parametrize(("begin", "more"), FLOODS.values(), ids=FLOODS)
def test_just_over_the_limit_says_so(gateway: LiveGateway, begin: bytes, more: bytes) -> None:
    """A client that stops there gets the reason."""
    with Wire(gateway) as wire:
        (reply,) = replies(wire.send(begin + more * (90_000 // len(more))).rest())

    assert reply.summary[:2] in ((400, "headers_too_large"), (400, "invalid_http"))


def test_the_limit_itself_is_allowed(gateway: LiveGateway) -> None:
    """A head counts its URL and, for each header, name, value and 32 bytes."""
    room = 65_536 - len("/healthz") - len("host" + "x") - 32 - len("x-a") - 32
    with Wire(gateway) as wire:
        fits = PROBE.replace(b"\r\n\r\n", b"\r\nx-a: " + b"v" * room + b"\r\n\r\n")
        over = PROBE.replace(b"\r\n\r\n", b"\r\nx-a: " + b"v" * (room + 1) + b"\r\n\r\n")
        received = wire.send(fits).until(b"}") + wire.send(over).rest()

    assert [200, 400] == [reply.status for reply in replies(received)]


def test_a_body_in_tiny_chunks_is_read(gateway: LiveGateway) -> None:
    """A byte each, with what frames it five times as large, is no flood."""
    body = b'{"model": "zero", "messages": [{"role": "user", "content": "%b"}]}' % (b"x" * 50_000)
    pieces = b"".join(b"1\r\n%c\r\n" % byte for byte in body)
    with Wire(gateway) as wire:
        assert b"x" * 50_000 in wire.send(CHUNKED + pieces + b"0\r\n\r\n").until(b"}}")


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
@pytest.mark.parametrize(("depth", "status"), [(190, 200), (201, 400), (5_000_000, 400)])
def test_depth_is_bounded(gateway: LiveGateway, opening: bytes, depth: int, status: int) -> None:
    """200 objects and lists inside each other, in fields that nobody knows, too."""
    closing = b"]" if opening == b"[" else b"}"
    depth = min(depth, 15_000_000 // len(opening))
    deep = opening * depth + b"1" * (opening != b"[") + closing * depth
    body = b'{"model": "zero", "messages": [{"role": "user", "content": "x"}], "x_deep": %b}' % deep
    with Wire(gateway) as wire:
        received = wire.send(request(body)).until(b"}}")

    assert [str(status)] == re.findall(r"HTTP/1.1 (\d+)", received.decode())
