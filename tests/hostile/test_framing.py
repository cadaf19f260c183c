"""docs/security.md, "Clients": requests that two servers could read in two ways, and those that are no requests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

from tests.doors.client import CHAT
from tests.fakes.script import Pause, stream, words
from tests.fakes.upstream import FakeUpstream
from tests.hostile.wire import BODY, PROBE, Wire, asking, replies, request, sent_and_read
from tests.live_gateway import TOKEN, LiveGateway

CHUNKS: Final = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)


def chunked(*lines: str, chunks: bytes = CHUNKS) -> bytes:
    """Return a request with further header lines and a body in chunks."""
    return request(b"", "Transfer-Encoding: chunked", *lines, length=False) + chunks


def plain(*lines: str) -> bytes:
    """Return a request with further header lines that may say how long its body is."""
    return request(b"", *lines, length=False) + BODY


def headed(line: bytes) -> bytes:
    """Return a request with another header line, of any bytes."""
    return request().replace(b"Host: x\r\n", b"Host: x\r\n" + line)


AMBIGUOUS: Final = {
    "CL.TE": request(CHUNKS, "Transfer-Encoding: chunked"),
    "TE.CL": chunked("Content-Length: 4"),
    "TE.TE": chunked("Transfer-Encoding: identity"),
    "TE twice": chunked("Transfer-Encoding: chunked"),
    "TE list": request(b"", "Transfer-Encoding: chunked, identity", length=False) + CHUNKS,
    "TE unknown before": request(b"", "Transfer-Encoding: gzip, chunked", length=False) + CHUNKS,
    "TE unknown": request(b"", "Transfer-Encoding: xchunked", length=False) + CHUNKS,
    "TE identity": request(b"", "Transfer-Encoding: identity", length=False) + CHUNKS,
    "TE tab": request(b"", "Transfer-Encoding:\x0bchunked", length=False) + CHUNKS,
    "TE blank before colon": request(b"", "Transfer-Encoding : chunked", length=False) + CHUNKS,
    "TE in HTTP/1.0": chunked().replace(b"HTTP/1.1", b"HTTP/1.0"),
    "CL twice": plain(f"Content-Length: {len(BODY)}", "Content-Length: 1"),
    "CL twice the same": plain(f"Content-Length: {len(BODY)}", f"Content-Length: {len(BODY)}"),
    "CL list": plain(f"Content-Length: {len(BODY)}, {len(BODY)}"),
    "CL plus": plain(f"Content-Length: +{len(BODY)}"),
    "CL minus": plain(f"Content-Length: -{len(BODY)}"),
    "CL hex": plain(f"Content-Length: 0x{len(BODY):x}"),
    "CL blank inside": plain("Content-Length: 6 9"),
    "CL empty": plain("Content-Length: "),
    "CL overflow": plain("Content-Length: 18446744073709551617"),
    "bare LF": request().replace(b"\r\n", b"\n"),
    "one bare LF": request().replace(b"Host: x\r\n", b"Host: x\n"),
    "bare CR": headed(b"x-a: b\rx-b: c\r\n"),
    "NUL in a value": headed(b"x-a: b\x00c\r\n"),
    "NUL in a name": headed(b"x-a\x00: b\r\n"),
    "obs-fold": headed(b"x-a: b\r\n c\r\n"),
    "obs-fold of TE": request(b"", "Transfer-Encoding:\r\n chunked", length=False) + CHUNKS,
    "blank before colon": headed(b"x-a : b\r\n"),
    "no colon": headed(b"x-a\r\n"),
    "no name": headed(b": b\r\n"),
    "no Host": request().replace(b"Host: x\r\n", b""),
    "two Hosts": headed(b"Host: y\r\n"),
    "HTTP/0.9": b"GET /healthz HTTP/0.9\r\nHost: x\r\n\r\n",
    "HTTP/1.2": PROBE.replace(b"1.1", b"1.2"),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "blank in the URL": PROBE.replace(b"/healthz", b"/health z"),
    "other than ASCII in the URL": PROBE.replace(b"/healthz", b"/health\xff"),
    "unknown method": PROBE.replace(b"GET", b"GETS"),
    "method in lower case": PROBE.replace(b"GET", b"get"),
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
    "chunk size signed": chunked(chunks=b"+45\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "chunk size hex prefix": chunked(chunks=b"0x45\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "chunk size overflow": chunked(chunks=b"FFFFFFFFFFFFFFFFF\r\n" + BODY),
    "chunk size missing": chunked(chunks=b"\r\n" + BODY),
    "chunk too long": chunked(chunks=b"2\r\n{}}\r\n0\r\n\r\n"),
    "chunk with bare LF": chunked(chunks=b"2\n{}\n0\n\n"),
    "WebSocket with a body": headed(
        b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    ),
}


@pytest.mark.parametrize("data", AMBIGUOUS.values(), ids=AMBIGUOUS)
@pytest.mark.parametrize("bytewise", [False, True], ids=["at once", "byte by byte"])
def test_what_can_be_read_in_two_ways_is_refused_once(gateway: LiveGateway, data: bytes, bytewise: bool) -> None:
    """One 400 in OpenAI's shape and the end: a request hidden behind it is not answered."""
    before = len(gateway.log)
    with Wire(gateway) as wire:
        try:
            wire.send(*([data[at : at + 1] for at in range(len(data))] if bytewise else [data]), PROBE)
        except (ConnectionError, BrokenPipeError):
            assert bytewise  # refused before it was all sent
        answered = replies(wire.rest())

    assert [(400, "invalid_http", None)] == [reply.summary for reply in answered]
    assert "close" == answered[0].header("connection")
    assert "Traceback" not in gateway.log[before:]


class TestTrailers:
    """What comes behind a chunked body and looks like a header is none."""

    def test_they_do_not_authenticate(self, gateway: LiveGateway) -> None:
        """A secret there is no secret."""
        bare = chunked("Connection: close", chunks=b"").replace(f"Authorization: Bearer {TOKEN}\r\n".encode(), b"")
        trailed = CHUNKS[:-2] + f"Authorization: Bearer {TOKEN}\r\n\r\n".encode()

        assert [401] == [reply.status for reply in sent_and_read(gateway, bare + trailed)]

    def test_they_choose_neither_agent_nor_session(self, gateway: LiveGateway) -> None:
        """The proxy before the gateway has filtered the head and not them."""
        body = BODY.replace(b"zero:echo", b"zero")
        trailers = b"x-zero-agent-id: beta\r\nx-zero-session-key: smuggled\r\n\r\n"
        chunks = b"%x\r\n%b\r\n0\r\n" % (len(body), body) + trailers
        (reply,) = sent_and_read(gateway, chunked("Connection: close", chunks=chunks))

        assert (200, "main") == (reply.status, reply.header("x-zero-agent-id"))
        assert "smuggled" not in str(reply.header("x-zero-session-key"))


class TestPipelining:
    """Requests that come before earlier ones are answered."""

    def test_an_error_waits_for_its_turn(self, limited: Callable[..., LiveGateway], upstream: FakeUpstream) -> None:
        """The answer to the first comes first, whole, and then the refusal of the second; a third is not read."""
        live = limited()
        upstream.play(stream(Pause(), *words("first")))
        with Wire(live) as wire:
            wire.send(asking("main", stream=True) + b"nonsense\r\n\r\n" + PROBE)
            upstream.wait().release()
            first, second = replies(wire.rest())

        assert b"first" in first.body
        assert first.body.endswith(b"data: [DONE]\n\n")
        assert (400, "invalid_http", None) == second.summary

    def test_a_broken_body_ends_only_its_own_request(
        self, limited: Callable[..., LiveGateway], upstream: FakeUpstream
    ) -> None:
        """What came before it is answered."""
        live = limited()
        upstream.play(stream(Pause(), *words("first")))
        with Wire(live) as wire:
            wire.send(asking("main", stream=True) + chunked(chunks=b"zz\r\n") + PROBE)
            upstream.wait().release()
            first, second = replies(wire.rest())

        assert b"first" in first.body
        assert (400, "invalid_http", None) == second.summary
        assert 1 == len(upstream.exchanges)

    def test_they_are_bounded(self, limited: Callable[..., LiveGateway], upstream: FakeUpstream) -> None:
        """16 may wait; behind them one is refused, and that is the end."""
        live = limited()
        upstream.play(stream(Pause(), *words("first")))
        with Wire(live) as wire:
            wire.send(asking("main", stream=True) + PROBE * 1000)
            upstream.wait().release()
            answered = replies(wire.rest())

        assert [200] * 17 + [400] == [reply.status for reply in answered]

    def test_a_large_body_ahead_is_refused(self, limited: Callable[..., LiveGateway], upstream: FakeUpstream) -> None:
        """It would have to be kept until its turn."""
        live = limited()
        upstream.play(stream(Pause(), *words("first")))
        with Wire(live) as wire:
            wire.send(asking("main", stream=True) + request(b" " * 1_000_000))
            upstream.wait().release()
            first, second = replies(wire.rest())

        assert b"first" in first.body
        assert (400, "invalid_http", None) == second.summary

    def test_what_follows_connection_close_is_not_answered(self, gateway: LiveGateway) -> None:
        """The client has said that there is nothing more."""
        assert 1 == len(sent_and_read(gateway, request(BODY, "Connection: close") + request()))


class TestEarlyAnswers:
    """An answer to a request that hasn't come whole can be read, and doesn't get the rest taken for a request."""

    @pytest.mark.parametrize("lines", [(), ("Connection: close",)], ids=["kept", "closed"])
    @pytest.mark.parametrize(
        ("token", "size", "status"), [("wrong", 4_000_000, 401), (TOKEN, 20_000_001, 413)], ids=["401", "413"]
    )
    def test_it_is_read_by_a_client_that_sends_on(
        self, gateway: LiveGateway, token: str, size: int, status: int, lines: tuple[str, ...]
    ) -> None:
        """No reset takes it away."""
        head = request(b"", f"Content-Length: {size}", *lines, length=False).replace(TOKEN.encode(), token.encode())
        with Wire(gateway) as wire:
            wire.send(head, *[PROBE * 1000] * (size // len(PROBE * 1000)))
            wire.socket.shutdown(1)
            answered = replies(wire.rest())

        assert [status] == [reply.status for reply in answered]

    def test_whoever_does_not_end_is_cut_off(self, limited: Callable[..., LiveGateway]) -> None:
        """After 5 seconds."""
        live = limited()
        with Wire(live) as wire:
            wire.send(request(b"", "Content-Length: 999999999", length=False))
            reply = wire.until(b"}}")
            try:
                wire.drip(b"x", 0.2)
                assert b"" == wire.rest()
            except ConnectionError:
                pass  # cut off in the middle of a byte

        assert [413] == [one.status for one in replies(reply)]


def test_http_1_0_gets_a_stream_without_chunks(gateway: LiveGateway) -> None:
    """That version has none; the end of the connection is the end of the answer."""
    body = BODY.replace(b"zero:echo", b"zero").replace(b"{", b'{"stream": true, ', 1)
    with Wire(gateway) as wire:
        received = wire.send(request(body).replace(b"HTTP/1.1", b"HTTP/1.0")).rest()
    head, _, events = received.partition(b"\r\n\r\n")

    assert b"transfer-encoding" not in head
    assert b"connection: close" in head
    assert events.startswith(b"data: {")
    assert events.endswith(b"\n\ndata: [DONE]\n\n")
    assert all(line.startswith(b"data: ") for line in events.split(b"\n\n")[:-1])


@pytest.mark.parametrize("body", [False, True], ids=["GET", "POST"])
def test_an_upgrade_to_http_2_is_answered_in_http_1(gateway: LiveGateway, body: bool) -> None:
    """As Java's client asks for it. Its body is read, and so is the next request."""
    lines = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n"
    data = request(BODY.replace(b"zero:echo", b"zero")) if body else PROBE
    upgrading = data.replace(b"Host: x\r\n", b"Host: x\r\n" + lines)
    last = PROBE.replace(b"Host: x", b"Host: x\r\nConnection: close")

    for pieces in ([upgrading + last], [upgrading, last], [*(b"%c" % byte for byte in upgrading), last]):
        assert [200, 200] == [reply.status for reply in sent_and_read(gateway, *pieces)]


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "CONNECT", "PROPFIND"])
def test_other_methods_with_bodies_leave_the_connection_in_step(gateway: LiveGateway, method: str) -> None:
    """They are refused, and what their body says isn't a request."""
    data = request(PROBE).replace(b"POST", method.encode(), 1).replace(b"HTTP/1.1", b"HTTP/1.1", 1)
    with Wire(gateway) as wire:
        received = wire.send(data).until(b"\r\n\r\n")
        if method == "HEAD":
            assert received.startswith(b"HTTP/1.1 405 ")
        elif method == "CONNECT":
            assert received.split()[1] in (b"400", b"405")
        else:
            received += b"" if received.rstrip().endswith(b"}") else wire.until(b"}}")
            received += wire.send(PROBE.replace(b"Host: x", b"Host: x\r\nConnection: close")).rest()
            assert [405, 200] == [reply.status for reply in replies(received)]


def test_a_truncated_body_is_no_request(gateway: LiveGateway) -> None:
    """A client that ends in the middle of it gets no answer, and nothing is run."""
    with Wire(gateway) as wire:
        wire.send(request()[:-1])
        wire.socket.shutdown(1)

        assert b"" == wire.rest()


def test_an_over_long_body_is_the_next_request(gateway: LiveGateway) -> None:
    """What is beyond the announced length is read as one, as HTTP wants it; as it is none it is refused."""
    data = request(BODY.replace(b"zero:echo", b"zero"))
    first, second = sent_and_read(gateway, data + b'}{"model": "zero"}')

    assert (200, 400) == (first.status, second.status)
    assert CHAT not in second.error["message"]
