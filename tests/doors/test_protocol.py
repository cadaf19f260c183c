"""design.md, "Answer" (errors): headers that try to be two things, and HTTP itself."""

from __future__ import annotations

import re
import socket

import pytest

from tests.doors.client import CHAT, JSON, VALID_TEXT, ask, chat, head, parsed, raw
from tests.live_gateway import LiveGateway

pytestmark = pytest.mark.usefixtures("nothing_failed")


class TestHeaders:
    """Headers that try to be more than one thing."""

    @pytest.mark.parametrize(
        "name", ["x-zero-agent-id", "x-zero-agent", "x-zero-session-key", "content-type", "content-encoding"]
    )
    def test_two_different_values_are_400(self, gateway: LiveGateway, name: str) -> None:
        """A header that says two things is refused; which one another server believed, nobody knows."""
        fixed = [] if name == "content-type" else [("Content-Type", "application/json")]
        reply = ask(gateway, "POST", CHAT, headers=[*fixed, (name, "main"), (name, "beta")], body=VALID_TEXT)
        assert reply.summary == (400, "invalid_value", name)

    def test_the_same_value_twice_is_one(self, gateway: LiveGateway) -> None:
        """Proxies repeat headers; the same value twice is no contradiction."""
        twice = [("x-zero-agent-id", "beta"), ("x-zero-agent-id", "beta")]
        assert chat(gateway, "hello", headers=twice).header("x-zero-agent-id") == "beta"

    @pytest.mark.parametrize("name", ["x-zero-session-key", "x-request-id", "x-zero-agent-id"])
    @pytest.mark.parametrize("value", [b"a\rset-cookie: b", b"a\x00b", b"a\r\r\nset-cookie: b", b"a\nset-cookie: b"])
    def test_nothing_can_be_smuggled_into_the_answer_s_head(
        self, gateway: LiveGateway, name: str, value: bytes
    ) -> None:
        """Line breaks in a header never become a header of the answer."""
        typed = head(JSON, f"Content-Length: {len(VALID_TEXT)}")[:-2]
        received = raw(gateway, typed + name.encode() + b": " + value + b"\r\n\r\n" + VALID_TEXT)
        reply = parsed(received)
        assert reply.header("set-cookie") is None
        assert reply.status in (200, 400)

    @pytest.mark.parametrize("user_", ["a\r\nset-cookie: b", "a\nb", "a\x00", "\u010d\u010a"])
    def test_nor_through_the_body(self, gateway: LiveGateway, user_: str) -> None:
        """A ``user`` with line breaks comes back percent-encoded in the session header."""
        reply = chat(gateway, "hello", user=user_)
        assert reply.status == 200
        assert reply.header("set-cookie") is None
        assert str(reply.header("x-zero-session-key")).startswith("agent:main:openai-user:")

    @pytest.mark.parametrize("model", ["a\r\nb", "\x00", "\u2028", '"', "x" * 512])
    def test_an_odd_model_name_comes_back_as_json(self, gateway: LiveGateway, model: str) -> None:
        """The model's name is in the body only, and there it is JSON."""
        assert chat(gateway, "hello", model=model).json["model"] == model

    @pytest.mark.parametrize("value", ["-1", "0", "nan", "inf", "1e999", "ten", "", "9" * 500])
    def test_a_nonsensical_read_timeout_is_ignored(self, gateway: LiveGateway, value: str) -> None:
        """``x-stainless-read-timeout`` is advice; nonsense in it is no error."""
        assert chat(gateway, "hello", headers={"x-stainless-read-timeout": value}).text == "hello"

    def test_many_headers_are_no_trouble(self, gateway: LiveGateway) -> None:
        """Hundreds of headers, or a very long one, are read or refused, nothing else."""
        assert chat(gateway, "hello", headers=[(f"x-{number}", "v") for number in range(500)]).status == 200
        assert chat(gateway, "hello", headers={"x-long": "v" * 60_000}).status in (200, 400)


class TestProtocol:
    """HTTP itself."""

    TYPED = (JSON, f"Content-Length: {len(VALID_TEXT)}")

    def test_pipelined_requests_are_answered_in_order(self, gateway: LiveGateway) -> None:
        """Requests sent without waiting get their answers one after the other."""
        first = head(*self.TYPED, "x-request-id: first", close=False) + VALID_TEXT
        second = head(*self.TYPED, "x-request-id: second", close=False) + VALID_TEXT
        third = head(*self.TYPED, "x-request-id: third") + VALID_TEXT
        received = raw(gateway, first + second + third)
        assert received.count(b"HTTP/1.1 200 OK") == 3
        assert received.index(b"first") < received.index(b"second") < received.index(b"third")

    def test_a_refused_request_does_not_spoil_the_next(self, gateway: LiveGateway) -> None:
        """After a 400, 404 and 405 on a connection, a good request on it is answered."""
        bad = head(JSON, "Content-Length: 1", close=False) + b"{"
        lost = b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n"
        wrong = f"GET {CHAT} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        received = raw(gateway, bad + lost + wrong + head(*self.TYPED) + VALID_TEXT)
        assert re.findall(rb"HTTP/1\.1 (\d+) ", received) == [b"400", b"404", b"405", b"200"]

    def test_expect_100_continue_is_honoured(self, gateway: LiveGateway) -> None:
        """A client that asks first is told to go on, and answered."""
        received = raw(gateway, head(*self.TYPED, "Expect: 100-continue") + VALID_TEXT)
        assert received.startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert b"HTTP/1.1 200 OK" in received

    def test_http_1_0_is_answered(self, gateway: LiveGateway) -> None:
        """A client of HTTP/1.0 gets its answer, and the connection ends."""
        request = head(*self.TYPED, close=False).replace(b"HTTP/1.1", b"HTTP/1.0") + VALID_TEXT
        assert parsed(raw(gateway, request)).text == "x"

    def test_a_chunked_body_is_read(self, gateway: LiveGateway) -> None:
        """A body without announced length is read, in as many pieces as it comes."""
        pieces = b"".join(b"1\r\n%c\r\n" % byte for byte in VALID_TEXT)
        assert parsed(raw(gateway, head(JSON, "Transfer-Encoding: chunked") + pieces + b"0\r\n\r\n")).text == "x"

    @pytest.mark.parametrize(
        "request_",
        [b"nonsense\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"FOO /v1/models HTTP/1.1\r\nHost: x\r\n\r\n",
         b"GET /v1/models HTTP/1.1\r\nbad header\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
         head(JSON, "Content-Length: 5", "Content-Length: 6") + b"{}",
         head(JSON, "Content-Length: -1"), head(JSON, "Content-Length: x"),
         head(JSON, "Content-Length: 2", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
         head(JSON, "Transfer-Encoding: chunked") + b"zz\r\n"],
        ids=lambda request: str(request[-30:]),
    )  # fmt: skip
    def test_what_is_not_http_is_400_and_the_end(self, gateway: LiveGateway, request_: bytes) -> None:
        """Requests that two servers could read in two ways are refused, and the connection is closed."""
        assert raw(gateway, request_).startswith(b"HTTP/1.1 400 ")

    def test_a_client_that_hangs_up_in_the_body_harms_nobody(self, gateway: LiveGateway) -> None:
        """Half a request and then nothing leaves no trace."""
        with socket.create_connection(("127.0.0.1", gateway.port)) as client:
            client.sendall(head(JSON, "Content-Length: 1000") + b'{"model"')
        assert chat(gateway, "hello").text == "hello"
