"""docs/security.md, "Clients": more connections and more runs than there may be."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, suppress

import pytest

from tests.doors.client import Reply, ask, post
from tests.fakes.script import Pause, stream, words
from tests.fakes.upstream import FakeUpstream
from tests.hostile.wire import BODY, PROBE, Wire, asking, replies, request, soon
from tests.live_gateway import LiveGateway
from tests.ws.client import Client, Refused, new_key
from tests.ws.process import open_sockets
from tests.ws.raw import RawClient

Start = Callable[..., LiveGateway]
HELD = stream(Pause(), *words("late"))


def closed_with(live: LiveGateway, data: bytes) -> Reply:
    """Send on a connection of its own; return the answer, after which the gateway closes it."""
    with Wire(live) as wire:
        (reply,) = replies(wire.send(data).rest())
    return reply


class TestConnections:
    """``gateway.limits.maxConnections``."""

    def test_one_too_many_is_503_and_probes_are_answered(self, limited: Start, upstream: FakeUpstream) -> None:
        """With ``Retry-After``, as long as all the others are at work; then there is room again."""
        upstream.play(HELD)
        live = limited(maxConnections=4)
        with ExitStack() as stack:
            wires = [stack.enter_context(Wire(live)).send(asking("main", stream=True)) for _ in range(4)]
            upstream.wait(4)
            refused = closed_with(live, request())

            assert (503, "connections_full", None) == refused.summary
            assert ("2", "close") == (refused.header("retry-after"), refused.header("connection"))
            for path in ("/healthz", "/readyz", "/openapi.json"):
                assert 200 == ask(live, "GET", path).status
            assert 503 == closed_with(live, request(BODY, "Expect: 100-continue")).status
            with pytest.raises((ConnectionError, AssertionError)), RawClient(live.port) as one:
                one.admitted()
            for exchange in upstream.exchanges:
                exchange.release()
            for wire in wires:
                wire.until(b"[DONE]")
            assert b'"x"' in stack.enter_context(Wire(live)).send(request()).until(b"}}")

    def test_those_that_ask_nothing_give_way(self, limited: Start) -> None:
        """The one that has been silent longest is closed, and the new one is served."""
        live = limited(maxConnections=4)
        with ExitStack() as stack:
            idle = [stack.enter_context(Wire(live)) for _ in range(4)]
            for wire in idle:
                wire.send(PROBE).until(b"}")
            assert 200 == post(live, BODY).status
            with suppress(ConnectionResetError):
                assert b"" == idle[0].rest()
            assert b"}" in idle[3].send(PROBE).until(b"}")

    def test_those_beyond_it_are_bounded_too(self, limited: Start, upstream: FakeUpstream) -> None:
        """Hundreds of them neither pile up nor keep the probes from being answered."""
        upstream.play(HELD)
        live = limited(maxConnections=4)
        with ExitStack() as stack:
            for _ in range(4):
                stack.enter_context(Wire(live)).send(asking("main", stream=True))
            upstream.wait(4)
            for number in range(300):
                stack.enter_context(Wire(live)).send(b"GET /heal"[: number % 9])

            assert 200 == ask(live, "GET", "/healthz").status
            assert open_sockets(live) < 4 + 4 + 64 + 20


class TestRuns:
    """``gateway.limits.maxRuns``."""

    def test_one_too_many_is_503(self, limited: Start, upstream: FakeUpstream) -> None:
        """Those that wait for their turn count. Health is answered, and the refused can come again."""
        upstream.play(HELD)
        live = limited(maxRuns=2)
        with ExitStack() as stack:
            wires = [stack.enter_context(Wire(live)).send(asking("narrow", stream=True)) for _ in range(2)]
            upstream.wait()
            soon(lambda: 503 == post(live, BODY).status)
            for body in (BODY, BODY.replace(b"{", b'{"stream": true, ', 1)):
                refused = post(live, body)
                assert (503, "runs_full", None) == refused.summary
                assert ("2", None) == (refused.header("retry-after"), refused.header("x-should-retry"))
            assert [200, 200] == [ask(live, "GET", path).status for path in ("/healthz", "/readyz")]
            assert 200 == ask(live, "GET", "/v1/models").status
            for number, wire in enumerate(wires):
                upstream.wait(number + 1).release()
                wire.until(b"[DONE]")
            assert 200 == post(live, BODY).status

    def test_with_a_key_it_can_be_sent_again(self, limited: Start, upstream: FakeUpstream) -> None:
        """The refusal isn't remembered as the answer."""
        upstream.play(HELD)
        live = limited(maxRuns=1)
        with Wire(live) as wire:
            wire.send(asking("main", stream=True))
            exchange = upstream.wait()
            assert 503 == post(live, BODY, headers={"Idempotency-Key": "again"}).status
            exchange.release()
            wire.until(b"[DONE]")

        assert 200 == post(live, BODY, headers={"Idempotency-Key": "again"}).status

    def test_those_of_websockets_count_and_are_refused_too(self, limited: Start, upstream: FakeUpstream) -> None:
        """One door's runs are the other's."""
        upstream.play(HELD)
        live = limited(maxRuns=1)
        with Wire(live) as wire, Client(live).admitted() as client:
            wire.send(asking("main", stream=True))
            exchange = upstream.wait()
            with pytest.raises(Refused) as refused:
                client.call("agent", {"message": "hi", "agentId": "echo", "idempotencyKey": new_key()})

            assert ("UNAVAILABLE", "runs_full") == (refused.value.code, refused.value.details["code"])
            assert refused.value.error["retryable"]
            exchange.release()
            wire.until(b"[DONE]")
            client.run("hi", agentId="echo")
