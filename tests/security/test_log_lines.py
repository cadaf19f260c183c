"""docs/security.md, "Untrusted text": no words of a client or an upstream forge a line of the log."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.cli.command import eventually
from tests.doors.client import ask, chat, raw
from tests.fakes.configuration import upstream_configuration
from tests.fakes.script import Close, Script, Send, error, event, stream, whole
from tests.fakes.upstream import FakeUpstream
from tests.live_gateway import LiveGateway
from tests.security.served import ServedGateway
from tests.ws.client import Client, Refused, new_key

FORGED = "2026-01-01 00:00:00,000 INFO    zero  forged"
HOSTILE = [
    f"a\n{FORGED}",
    f"a\r{FORGED}",
    f"a\r\n{FORGED}\n",
    f"a\v{FORGED}",
    f"a\x85{FORGED}",
    f"a\u2028{FORGED}",
    "a\x1b[2J\x1b[31mred",
    "a\x9b31mred",
    "a\u202egnorw",
    "a\0b\x08\x7f",
]
RECORD = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (DEBUG|INFO|WARNING|ERROR|CRITICAL) +[\w.]+  \S")
UNSAFE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]")


def written(gateway: LiveGateway, since: int) -> str:
    """Return what the log got since it had so many characters; every line of it is a record or belongs to one."""
    new = gateway.log[since:]
    assert not UNSAFE.search(new), new
    for line in new.splitlines():
        assert RECORD.match(line) or line.startswith("    "), line
        assert not line.startswith(FORGED), line
    return new


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_a_client_s_words(served: LiveGateway, upstream: FakeUpstream, text: str) -> None:
    """In the model's name, the user, a message, a path, at the WebSocket: what is logged of them stays on its line."""
    upstream.play(whole(500, {"error": {"message": "sorry"}}))
    since = len(served.log)
    assert 502 == chat(served, text, model=text, user=text).status
    assert 404 == chat(served, text, model=f"zero:{text}").status
    path = "".join(f"%{byte:02x}" for byte in text.encode())
    assert 404 == ask(served, "GET", f"/v1/models/{path}").status
    assert 404 == ask(served, "GET", f"/{path}").status
    with Client(served).admitted(client={"id": "test", "version": text, "platform": text, "mode": "test"}) as client:
        with pytest.raises(Refused):
            client.call(text)
        with pytest.raises(Refused):
            client.run(text, agentId=text, idempotencyKey=new_key())
        client.send(json.dumps({"type": "req", "id": text, "method": "agent", "params": {"message": text}}))
        with pytest.raises(Refused):
            client.result(text)

    assert "fake/main failed" in written(served, since)


@pytest.mark.parametrize(
    "header", ["x-request-id", "x-zero-session-key", "x-zero-agent-id", "idempotency-key", "user-agent"]
)
@pytest.mark.parametrize("value", [b"a\x1b[31m", b"a\x9b31m", b"a\t2026", b"a\xe2\x80\xa8b", b"a\x7fb"])
def test_a_client_s_headers(served: LiveGateway, upstream: FakeUpstream, header: str, value: bytes) -> None:
    """What HTTP lets a header hold is no line either, nor does it steer a terminal."""
    upstream.play(whole(500, {"error": {"message": "sorry"}}))
    since = len(served.log)
    assert chat(served, "x", headers=[(header, value)]).status in (400, 502)

    written(served, since)


def upstreams(text: str) -> list[Script]:
    """Return the places where a service can put a text that the gateway speaks of."""
    raw_text = text.encode(errors="surrogatepass")
    return [
        error(500, {"message": text, "code": text, "type": text}),
        error(400, {"message": text, "code": text, "param": text}),
        error(429, {"message": text}, {"retry-after": "1"}),
        whole(503, raw_text, content_type="text/plain"),
        stream(event({"error": {"message": text, "code": text}})),
        stream(event({"choices": text})),
        stream(b"data: " + raw_text + b"\n\n"),
        [Send(b"HTTP/1.1 " + raw_text + b"\r\n\r\n"), Close()],
        [Send(b"HTTP/1.1 200 OK\r\nX-A: " + raw_text + b"\r\nContent-Length: zz\r\n\r\n"), Close()],
        whole(200, b"{}", content_type="text/html; " + "x" * 10),
    ]


@pytest.mark.parametrize("which", range(len(upstreams(""))))
def test_an_upstream_s_words(served: LiveGateway, upstream: FakeUpstream, which: int) -> None:
    """In error objects, in events, in what is no HTTP at all: a failure of an upstream is one record."""
    for text in HOSTILE:
        upstream.play(upstreams(text)[which])
        since = len(served.log)
        assert chat(served, "x").status >= 400

        written(served, since)


def test_bytes_that_are_no_http(served: LiveGateway) -> None:
    """A connection that speaks something else says nothing in the log."""
    since = len(served.log)
    for text in HOSTILE:
        raw(served, text.encode() + b"\r\n\r\n")

    assert FORGED not in written(served, since)


def test_a_configuration_s_words(tmp_path: Path, upstream: FakeUpstream) -> None:
    """What is wrong with an edited configuration is told in one record, whatever its keys are called."""
    config = upstream_configuration(upstream, gateway={"logs": {"format": "console"}})
    with ServedGateway(tmp_path, config) as gateway:
        since = len(gateway.log)
        gateway.config_file.write_text(json.dumps({**config, HOSTILE[0] + "\x1b[31m": 1}))
        eventually(lambda: "not applied" in gateway.log)

        assert FORGED in written(gateway, since)


@pytest.mark.parametrize("app", ["app:gateway", "tests.security.broken:gateway"])
def test_uvicorn_by_itself(tmp_path: Path, upstream: FakeUpstream, app: str) -> None:
    """Served by uvicorn, whose logging is not the gateway's, what the gateway says is as safe, tracebacks included."""
    with LiveGateway(tmp_path, upstream_configuration(upstream), app=app) as gateway:
        since = len(gateway.log)
        upstream.play(error(500, {"message": HOSTILE[0] + "\x1b[31m"}))
        assert chat(gateway, "x").status >= 500
        new = gateway.log[since:]

    assert "forged" in new
    assert not UNSAFE.search(new)
    assert not [line for line in new.splitlines() if line.startswith(FORGED)]
    assert ("Traceback" in new) == (app != "app:gateway")
