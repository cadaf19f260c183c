"""docs/security.md, "Untrusted text": no words of anybody become a header, of ours or of a request to an upstream."""

from __future__ import annotations

import pytest

from tests.doors.client import CHAT, chat, raw
from tests.fakes.script import Script, Send, completion, error, stream, whole, words
from tests.fakes.upstream import FakeUpstream
from tests.live_gateway import TOKEN, LiveGateway

MARK = "x-injected"
BREAKS = [
    f"a\r\n{MARK}: 1",
    f"a\n{MARK}: 1",
    f"a\r{MARK}: 1",
    f"a\0{MARK}: 1",
    f"a\u010d\u010a{MARK}: 1",
    "a\r\n\r\n<p>",
]
"""The last but one becomes a line end where somebody keeps only the lower bytes of characters."""
OWN = {
    "content-type", "content-length", "transfer-encoding", "date", "server", "cache-control", "x-accel-buffering",
    "x-request-id", "openai-processing-ms", "x-should-retry", "retry-after", "x-zero-usage",
    "x-zero-agent-id", "x-zero-session-key", "x-zero-run-id", "x-zero-config-revision",
}  # fmt: skip


@pytest.mark.parametrize("text", BREAKS, ids=ascii)
def test_into_an_answer_from_the_body(served: LiveGateway, upstream: FakeUpstream, text: str) -> None:
    """The user becomes a session's key, and that a header; the model's name goes into the answer."""
    upstream.play(whole(200, completion("hi")))
    reply = chat(served, text, model=text, user=text, metadata={"k": text})

    assert 200 == reply.status
    assert {name for name, _ in reply.headers} <= OWN
    key = reply.header("x-zero-session-key")
    assert key is not None
    assert key.isascii()
    assert key.isprintable()
    assert not any(character in key for character in "\r\n\0")


@pytest.mark.parametrize("name", ["x-request-id", "x-zero-session-key", "x-zero-agent-id", "Idempotency-Key"])
@pytest.mark.parametrize("text", BREAKS, ids=ascii)
def test_into_an_answer_from_a_header(served: LiveGateway, upstream: FakeUpstream, name: str, text: str) -> None:
    """A header that the gateway sends back is sent back in order or not at all."""
    upstream.play(whole(200, completion("hi")))
    body = b'{"model": "zero", "messages": [{"role": "user", "content": "x"}]}'
    head = (
        f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {TOKEN}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n{name}: "
    )
    answer = raw(served, head.encode() + text.encode() + b"\r\n\r\n" + body)
    # What HTTP takes for the end of the headers is the end of them; bytes behind that are not this request's.
    fields = answer.partition(b"\r\n\r\n")[0].lower()

    assert MARK.encode() not in fields
    assert not set(fields) & {0, *range(1, 10), 11, 12, *range(14, 32)}
    assert fields.count(b"\r") == fields.count(b"\n") == fields.count(b"\r\n")


def upstreams(text: str) -> list[Script]:
    """Return answers with line ends wherever a service can put them."""
    return [
        whole(200, completion("hi", id=text, model=text, system_fingerprint=text, service_tier=text)),
        stream(*words(text)),
        error(429, {"message": text, "code": text}, {"retry-after": "1"}),
        error(503, {"message": text}, {"retry-after": text.replace("\r", "").replace("\n", "").replace("\0", "")}),
        [Send(b"HTTP/1.1 503 X\r\nRetry-After: 1\r\n " + MARK.encode() + b": 1\r\nContent-Length: 2\r\n\r\n{}")],
        whole(
            200, completion("hi"), headers={MARK: "1", "set-cookie": "a=b", "x-zero-run-id": "x", "x-request-id": "x"}
        ),
    ]


@pytest.mark.parametrize("which", range(len(upstreams(""))))
@pytest.mark.parametrize("streamed", [False, True])
def test_into_an_answer_from_an_upstream(
    served: LiveGateway, upstream: FakeUpstream, which: int, streamed: bool
) -> None:
    """Nothing that a service says becomes a header, and none of its headers goes on but how long to wait."""
    for text in BREAKS:
        upstream.play(upstreams(text)[which])
        reply = chat(served, "x", stream=streamed)

        assert {name for name, _ in reply.headers} <= OWN
        assert "x" != reply.header("x-request-id")
        assert (reply.header("retry-after") or "1").isdigit()


@pytest.mark.parametrize("text", BREAKS, ids=ascii)
def test_into_a_request_to_an_upstream(served: LiveGateway, upstream: FakeUpstream, text: str) -> None:
    """A service gets the configured headers and none of a client's, be it a header or a part of the body."""
    upstream.play(whole(200, completion("hi")))
    mine = {MARK: "1", "Cookie": "a=b", "X-Forwarded-For": "192.0.2.1", "X-Organisation": "theirs"}
    assert 200 == chat(served, text, model=text, user=text, headers=mine).status
    sent = upstream.last

    assert "ours" == sent.headers["x-organisation"]
    assert "/v1/chat/completions" == sent.path
    assert {"host", "content-type", "accept", "x-organisation", "authorization", "accept-encoding", "user-agent",
            "content-length"} == set(sent.headers)  # fmt: skip
