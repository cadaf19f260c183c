"""docs/security.md, "Clients": who takes too long, with what he sends or with what he reads."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from tests.doors.client import ask
from tests.fakes.script import Repeat, chunk, event, stream, words
from tests.fakes.upstream import Exchange, FakeUpstream
from tests.hostile.wire import BODY, PROBE, Wire, asking, measured, pause_until, replies, request, soon
from tests.live_gateway import LiveGateway
from tests.ws.process import MIB, memory, open_sockets

Start = Callable[..., LiveGateway]
HELD_BACK = 24 * MIB
"""Bytes that may be under way between an upstream and a client that doesn't read: mostly the kernel's, some of ours."""


class TestSlowRequest:
    """Slow loris: requests that never end."""

    @pytest.mark.parametrize("data", [b"G", b"GET /healthz HTTP/1.1\r\nHost: x\r\nx-a: b", request()[:60]])
    def test_half_a_head_is_refused(self, limited: Start, data: bytes) -> None:
        """After ``headSeconds``, and a retry is invited: nothing was done."""
        live = limited(headSeconds=0.5)
        began = time.monotonic()
        with Wire(live) as wire:
            (reply,) = replies(wire.send(data).rest())

        assert (400, "request_timeout", None) == reply.summary
        assert "true" == reply.header("x-should-retry")
        assert time.monotonic() - began >= 0.5

    def test_a_head_that_drips_is_refused(self, limited: Start) -> None:
        """Its time doesn't begin anew with each byte."""
        live = limited(headSeconds=0.5)
        began = time.monotonic()
        with Wire(live) as wire:
            wire.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\nx-a: ").drip(b"x", 0.05)
            (reply,) = replies(wire.rest())

        assert (400, "request_timeout", None) == reply.summary
        assert 0.5 <= time.monotonic() - began < 10

    @pytest.mark.parametrize("data", [b"", b"\r\n"], ids=["nothing", "a blank line"])
    def test_a_client_that_says_nothing_is_cut_off(self, limited: Start, data: bytes) -> None:
        """Without an answer: nothing was asked."""
        live = limited(headSeconds=0.5)
        with Wire(live) as wire, suppress(ConnectionResetError):
            assert b"" == wire.send(data).rest()

    def test_blank_lines_are_nothing_to_wait_for(self, limited: Start) -> None:
        """Nor do they keep a connection open."""
        live = limited(headSeconds=0.5)
        with Wire(live) as wire:
            wire.drip(b"\r\n", 0.05)
            with suppress(ConnectionResetError):
                assert b"" == wire.rest()

    @pytest.mark.parametrize(
        "data",
        [request()[:-5], request(b"", "Transfer-Encoding: chunked", length=False) + b"5\r\n{", request()[: -len(BODY)]],
        ids=["counted", "chunked", "nothing of it"],
    )
    def test_half_a_body_is_refused(self, limited: Start, data: bytes) -> None:
        """After ``bodySeconds`` without a piece of it."""
        live = limited(bodySeconds=0.5)
        with Wire(live) as wire:
            (reply,) = replies(wire.send(data).rest())

        assert (400, "request_timeout", None) == reply.summary

    def test_a_body_that_drips_is_refused(self, limited: Start) -> None:
        """After ``requestSeconds``, however many pieces come meanwhile."""
        live = limited(bodySeconds=0.5, requestSeconds=1.5)
        began = time.monotonic()
        with Wire(live) as wire:
            wire.send(request(b"", "Content-Length: 1000", length=False)).drip(b" ", 0.1)
            (reply,) = replies(wire.rest())

        assert (400, "request_timeout", None) == reply.summary
        assert 1.5 <= time.monotonic() - began < 10

    def test_extensions_of_chunks_are_no_body(self, limited: Start) -> None:
        """They don't keep a request alive."""
        live = limited(bodySeconds=0.5)
        with Wire(live) as wire:
            wire.send(request(b"", "Transfer-Encoding: chunked", length=False) + b"5;").drip(b"x", 0.1)
            (reply,) = replies(wire.rest())

        assert (400, "request_timeout", None) == reply.summary

    def test_a_slow_client_that_goes_on_is_answered(self, limited: Start) -> None:
        """The whole takes longer than ``bodySeconds``, no pause does."""
        live = limited(bodySeconds=1, requestSeconds=30)
        data = request()
        with Wire(live) as wire:
            for at in range(0, len(data), len(data) // 8 + 1):
                wire.send(data[at : at + len(data) // 8 + 1])
                pause_until(time.monotonic() + 0.2)

            assert b'"x"' in wire.until(b"}}")

    def test_an_idle_connection_is_closed(self, limited: Start) -> None:
        """After ``idleSeconds``, without a word; a request before that is answered."""
        live = limited(idleSeconds=1, headSeconds=30)
        with Wire(live) as wire:
            wire.send(PROBE).until(b"}")
            wire.send(PROBE).until(b"}")
            began = time.monotonic()

            assert b"" == wire.rest()
            assert 0.9 < time.monotonic() - began < 10

    def test_many_of_them_keep_nobody_out(self, limited: Start) -> None:
        """300 half heads on a gateway for 50 connections: all others are served; the oldest halves give way."""
        live = limited(maxConnections=50)
        crowd = [Wire(live).send(request()[:60]) for _ in range(300)]
        try:
            for _ in range(20):
                assert 200 == ask(live, "GET", "/healthz").status
                with Wire(live) as wire:
                    assert b'"x"' in wire.send(request()).until(b"}}")
            assert open_sockets(live) < 100
        finally:
            for one in crowd:
                one.close()


class TestSlowReader:
    """Clients that ask and don't read."""

    def test_the_upstream_is_held_back(self, limited: Start, upstream: FakeUpstream) -> None:
        """Its socket isn't read while the client's isn't, the gateway's memory stays flat, and both go on together."""
        upstream.play(stream(*words("so that all is loaded")), stream(Repeat(event(chunk({"content": "x" * 1000})))))
        live = limited()
        with Wire(live) as first:
            first.send(asking("main", stream=True)).until(b"[DONE]")
        wires = [Wire(live, room=4096) for _ in range(8)]
        try:
            began = memory(live)
            for wire in wires:
                wire.send(asking("main", stream=True))
            upstream.wait(1 + len(wires))
            exchanges = upstream.exchanges[1:]
            held, before, grown = at_rest(live, exchanges)
            grown -= began
            measured(
                f"upstreams sent {held / MIB:.1f} MiB, memory grew by {grown / MIB:.1f} MiB for {len(wires)} clients"
            )
            deadline = time.monotonic() + 20
            rested = exchanges[0].sent
            while all(exchange.sent <= rested for exchange in exchanges) and time.monotonic() < deadline:
                for wire in wires:
                    wire.read()

            assert max(exchange.sent for exchange in exchanges) > rested
            # What the client's kernel has taken is there twice: the run keeps its answer's text.
            assert grown < len(wires) * 8 * MIB
            assert abs(grown + began - before) < MIB
        finally:
            for wire in wires:
                wire.close()

    def test_one_that_never_reads_again_is_cut_off(self, limited: Start, upstream: FakeUpstream) -> None:
        """After ``sendSeconds``; its run ends, and the upstream is let go."""
        upstream.play(stream(Repeat(event(chunk({"content": "x" * 1000})))))
        live = limited(sendSeconds=1)
        with Wire(live, room=4096) as wire:
            wire.send(asking("main", stream=True))
            exchange = upstream.wait()
            exchange.wait_closed(20)

    @pytest.mark.parametrize("close", [False, True], ids=["kept", "closed"])
    def test_a_whole_answer_waits_no_longer(self, limited: Start, upstream: FakeUpstream, close: bool) -> None:
        """An answer in one piece, larger than any buffer, holds its socket and memory for ``sendSeconds``."""
        upstream.play(stream(*words(*["x" * 500_000] * 20)))
        live = limited(sendSeconds=1)
        with Wire(live) as wire:
            wire.send(PROBE).until(b"}")
            before = open_sockets(live)
        soon(lambda: open_sockets(live) < before)
        free = open_sockets(live)
        with Wire(live, room=4096) as wire:
            data = asking("main")
            wire.send(data.replace(b"Host: x", b"Host: x\r\nConnection: close") if close else data)
            upstream.wait()
            soon(lambda: open_sockets(live) > free)
            soon(lambda: open_sockets(live) <= free + 1)  # one may wait for the next request to the upstream
            assert 200 == ask(live, "GET", "/healthz").status

    def test_one_that_reads_slowly_gets_everything(self, limited: Start, upstream: FakeUpstream) -> None:
        """Far more slowly than the upstream speaks, but it reads."""
        upstream.play(stream(*words(*["x" * 100_000] * 20)))
        live = limited(sendSeconds=1)
        with Wire(live, room=65536) as wire:
            wire.send(asking("main", stream=True).replace(b"Host: x", b"Host: x\r\nConnection: close"))
            received = b""
            began = time.monotonic()
            while more := wire.read(16384):
                received += more
                pause_until(began + len(received) / 800_000)
            (reply,) = replies(received)

        assert 2_000_000 < len(reply.body)
        assert reply.body.endswith(b"data: [DONE]\n\n")


def at_rest(live: LiveGateway, exchanges: list[Exchange]) -> tuple[int, int, int]:
    """Wait until upstreams have been unable to write for a second.

    Returns:
        What they have written, and the gateway's memory at the beginning and at the end of that second.
    """
    deadline = time.monotonic() + 20
    while True:
        written, used = sum(exchange.sent for exchange in exchanges), memory(live)
        assert written < len(exchanges) * HELD_BACK, "the gateway takes in what nobody reads"
        assert time.monotonic() < deadline, "the upstreams did not come to rest"
        pause_until(time.monotonic() + 1)
        if written == sum(exchange.sent for exchange in exchanges):
            return written, used, memory(live)
