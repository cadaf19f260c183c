"""The scripted upstream keeps to its script, and sees what it is asked and when its client leaves."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from tests.fakes.script import (
    DONE,
    Close,
    Json,
    Pause,
    Repeat,
    Reset,
    Script,
    chunk,
    completion,
    error,
    event,
    stream,
    words,
)
from tests.fakes.upstream import HELLO, PATH, FakeUpstream


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    """A fake of the test's own."""
    with FakeUpstream() as fake:
        yield fake


@contextmanager
def ask(
    upstream: FakeUpstream, model: str = "m", path: str = PATH, **fields: Json
) -> Iterator[http.client.HTTPResponse]:
    """Send a request and yield its response, unread."""
    with closing(http.client.HTTPConnection("127.0.0.1", upstream.port, timeout=5)) as connection:
        connection.request("POST", path, json.dumps({"model": model, **fields}), {"X-Mine": "yes"})
        yield connection.getresponse()


def status(upstream: FakeUpstream, model: str = "m", path: str = PATH) -> int:
    """Send a request and return its status."""
    with ask(upstream, model, path) as response:
        return response.status


def dial(upstream: FakeUpstream) -> socket.socket:
    """Send a request by hand and return the socket."""
    client = socket.create_connection(("127.0.0.1", upstream.port), timeout=5)
    client.sendall(b'POST %s HTTP/1.1\r\nContent-Length: 13\r\n\r\n{"model":"m"}' % PATH.encode())
    return client


def test_answers_well_until_told_otherwise(upstream: FakeUpstream) -> None:
    """Without a script it gives a complete answer, streamed if it was asked to."""
    with ask(upstream, stream=True) as response:
        assert (200, "text/event-stream") == (response.status, response.headers["content-type"])
        assert b"".join(words("Hello,", " wörld")) == response.read()
    with ask(upstream) as response:
        assert (200, "application/json") == (response.status, response.headers["content-type"])
        assert completion(HELLO) == json.load(response)


def test_records_requests(upstream: FakeUpstream) -> None:
    """Method, path, headers and body of every request can be looked at, in order, until they are forgotten."""
    for model in ("one", "two"):
        assert 200 == status(upstream, model)
    first, second = upstream.exchanges
    assert ("POST", PATH, "yes") == (first.method, first.path, first.headers["x-mine"])
    assert [{"model": "one"}, {"model": "two"}] == [first.json, second.json]
    assert second is upstream.last
    upstream.reset()
    assert [] == upstream.exchanges


def test_plays_scripts_in_order_and_by_model(upstream: FakeUpstream) -> None:
    """Scripts of one model are played one after the other, the last again and again; others have theirs."""
    upstream.play(error(429, {}), error(500, {}), model="sick")
    upstream.play(error(503, {}))
    assert [429, 500, 500, 503] == [status(upstream, model) for model in ("sick", "sick", "sick", "well")]


def test_other_paths_are_not_found(upstream: FakeUpstream) -> None:
    """A request to a wrong path is not answered as if it were right."""
    assert 404 == status(upstream, path="/chat/completions")


def test_answers_several_requests_per_connection(upstream: FakeUpstream) -> None:
    """A connection is kept for the next request."""
    connection = http.client.HTTPConnection("127.0.0.1", upstream.port, timeout=5)
    for _ in range(2):
        connection.request("POST", PATH, '{"model": "m"}')
        assert HELLO == json.load(connection.getresponse())["choices"][0]["message"]["content"]
    connection.close()
    assert 1 == upstream.accepted
    assert upstream.last.wait_closed() > 0
    assert not upstream.exchanges[0].closed.is_set()


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        pytest.param(stream(b"one", Close(), b"two"), http.client.IncompleteRead, id="close"),
        pytest.param(stream(b"one", Pause(), Reset(), b"two"), ConnectionResetError, id="reset"),
    ],
)
def test_breaks_off(upstream: FakeUpstream, script: Script, expected: type[Exception]) -> None:
    """A closed and a reset connection look different to the client; neither counts as closed by the client."""
    upstream.play(script)
    with ask(upstream) as response:
        assert b"one" == response.read(3)
        upstream.last.release()
        with pytest.raises(expected):
            response.read()
    assert not upstream.last.closed.is_set()


def test_pauses_until_released(upstream: FakeUpstream) -> None:
    """Nothing comes behind a pause before the test says so."""
    upstream.play(stream(b"one", Pause(), b"two"))
    with ask(upstream) as response:
        assert b"one" == response.read(3)
        sent = upstream.last.sent
        upstream.last.release()
        assert b"two" == response.read()
    assert upstream.last.sent > sent


@pytest.mark.parametrize(
    "script", [[Pause()], stream(b"one", Pause()), stream(Repeat(b"x"))], ids=["head", "mid", "endless"]
)
def test_tells_when_its_client_left(upstream: FakeUpstream, script: Script) -> None:
    """The moment the client closes is noted, whatever the script was doing."""
    upstream.play(script)
    client = dial(upstream)
    exchange = upstream.wait()
    assert not exchange.closed.is_set()
    before = time.monotonic()
    client.close()
    assert before <= exchange.wait_closed() <= time.monotonic()


def test_endless_stream_stops_with_a_client_that_does_not_read(upstream: FakeUpstream) -> None:
    """What is counted as sent was taken by the system: it stops growing when nobody reads."""
    upstream.play(stream(Repeat(b"x" * 1000)))
    client = dial(upstream)
    exchange = upstream.wait()
    deadline = time.monotonic() + 10
    while time.monotonic() - exchange.progress_at < 0.2:
        assert time.monotonic() < deadline, "it never stopped"
    assert 0 < exchange.sent < 32 * 1024 * 1024
    client.close()
    exchange.wait_closed()


def test_builds_what_openai_sends() -> None:
    """The builders make chunks, errors and whole answers in OpenAI's shape."""
    assert {"index": 1, "delta": {"content": "é"}, "finish_reason": "stop", "logprobs": None} == chunk(
        {"content": "é"}, index=1, finish_reason="stop", logprobs=None
    )["choices"][0]
    assert 'data: {"a": "é"}\n\n'.encode() == event({"a": "é"})
    assert "flex" == completion("text", service_tier="flex")["service_tier"]
    assert DONE == words()[-1]
