"""Every answer says which request it is of and how long it took, streams and errors included."""

from __future__ import annotations

import http.client
import time
from typing import Final

import pytest

from tests.engines.caller import Caller
from tests.fakes.script import Json, Pause, error, stream, words
from tests.fakes.upstream import FakeUpstream

FAILED: Final[Json] = {"message": "boom", "type": "x", "param": None, "code": None}
SLOW: Final = 0.2


def took(headers: http.client.HTTPMessage) -> int:
    """Return the milliseconds that an answer says."""
    [value] = headers.get_all("openai-processing-ms") or []
    return int(value)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("fails", [False, True], ids=["answer", "error"])
def test_time(upstream: FakeUpstream, quiet: Caller, streamed: bool, fails: bool) -> None:
    """The time to the head of the answer, whatever the answer is."""
    upstream.play([Pause(), *(error(500, FAILED) if fails else stream(*words("Hi")))])
    began = time.monotonic()
    with quiet.send(stream=streamed) as connection:
        exchange = upstream.wait()
        assert not exchange.closed.wait(SLOW)
        exchange.release()
        with connection.getresponse() as response:
            ms = took(response.headers)
            response.read()
    assert SLOW * 1000 <= ms <= (time.monotonic() - began) * 1000
    assert (502 if fails else 200) == response.status


@pytest.mark.parametrize("given", ["req-1", None, "two words", "é"])
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_request_id(upstream: FakeUpstream, quiet: Caller, given: str | None, streamed: bool) -> None:
    """A sane request id comes back, any other is replaced; there is exactly one."""
    headers = {"x-request-id": given} if given is not None else {}
    with quiet.send(headers=headers, stream=streamed) as connection, connection.getresponse() as response:
        [found] = response.headers.get_all("x-request-id") or []
        response.read()
    assert (found == given) == (given == "req-1")
    assert found.isascii()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/models", 401),
        ("GET", "/v1/chat/completions", 405),
        ("GET", "/nowhere", 404),
        ("GET", "/healthz", 200),
        ("POST", "/v1/chat/completions", 401),
    ],
)
def test_everywhere(quiet: Caller, method: str, path: str, status: int) -> None:
    """What never reaches a handler says both, too."""
    connection = http.client.HTTPConnection("127.0.0.1", quiet.port, timeout=10)
    try:
        connection.request(method, path)
        with connection.getresponse() as response:
            assert status == response.status
            assert took(response.headers) >= 0
            assert response.headers["x-request-id"]
            response.read()
    finally:
        connection.close()
