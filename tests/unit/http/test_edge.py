"""The edge: every response says which request, agent, session and run it is about."""

from __future__ import annotations

import asyncio
import itertools
import re
from typing import Any

import pytest
from litestar.types import Receive, Scope, Send

from app.http.admission import Admission
from app.http.edge import Edge, identify, request_id_of
from app.http.response import send_response

OURS = rb"req_[0-9a-f]{32}"
MS = b"412"


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every answer take as long."""
    ticks = itertools.cycle([7.0, 7.4121])
    monkeypatch.setattr("app.http.edge.perf_counter", ticks.__next__)


def answered(
    *headers: tuple[bytes, bytes], identified: bool = False, type: str = "http"
) -> tuple[list[Any], list[str]]:
    """Send a request through the edge; return the messages that come out, and the ids that the application saw."""
    out: list[Any] = []
    seen: list[str] = []

    async def application(scope: Scope, _receive: Receive, send: Send) -> None:
        seen.append(request_id_of(scope))
        if identified:
            identify(scope, agent_id="beta", session_key="agent:beta:k", run_id="run_1")
        await send_response(send, 200, b"{}", headers=[("x-own", "1")])

    async def send(message: Any) -> None:
        out.append(message)

    async def receive() -> Any:
        raise AssertionError("nobody asks for the body")

    scope: Any = {"type": type, "headers": list(headers)}
    asyncio.run(Edge(application, Admission())(scope, receive, send))
    return out, seen


@pytest.mark.parametrize("id", [b"abc", b"a", b"req_1", b"x" * 128, b"!~[]{}", b"01:a/b=="])
def test_sane_id_is_kept(id: bytes) -> None:
    """A request id that the client or a proxy gives is the answer's, and the log's."""
    [start, _], seen = answered((b"x-request-id", id))
    assert [id] == [value for name, value in start["headers"] if name == b"x-request-id"]
    assert [id.decode()] == seen


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"x-request-id", b"")],
        [(b"x-request-id", b"x" * 129)],
        [(b"x-request-id", b"a b")],
        [(b"x-request-id", b"a\r\nx-evil: 1")],
        [(b"x-request-id", b"a\n")],
        [(b"x-request-id", b"\x7f")],
        [(b"x-request-id", "é".encode())],
        [(b"x-request-id", b"")] * 2,
        [(b"x-request", b"a")],
    ],
)
def test_other_ids_are_replaced(headers: list[tuple[bytes, bytes]]) -> None:
    """Without a sane id the request gets one of ours, a new one each time."""
    ids = set()
    for _ in range(2):
        [start, _], seen = answered(*headers)
        [given] = [value for name, value in start["headers"] if name == b"x-request-id"]
        assert re.fullmatch(OURS, given)
        assert [given.decode()] == seen
        ids.add(given)
    assert 2 == len(ids)


def test_identity() -> None:
    """Once they are known, agent, session and run are on the response, behind the response's own headers."""
    [start, body], _ = answered((b"x-request-id", b"r"), identified=True)
    assert [
        (b"content-type", b"application/json"),
        (b"content-length", b"2"),
        (b"x-own", b"1"),
        (b"x-request-id", b"r"),
        (b"openai-processing-ms", MS),
        (b"x-zero-agent-id", b"beta"),
        (b"x-zero-session-key", b"agent:beta:k"),
        (b"x-zero-run-id", b"run_1"),
    ] == start["headers"]
    assert {"type": "http.response.body", "body": b"{}", "more_body": False} == body


def test_no_identity() -> None:
    """As long as they aren't known, no headers are made up."""
    [start, _], _ = answered()
    names = {name for name, _ in start["headers"]}
    assert {b"content-type", b"content-length", b"x-own", b"x-request-id", b"openai-processing-ms"} == names


@pytest.mark.parametrize("type", ["websocket", "lifespan"])
def test_other_scopes_pass(type: str) -> None:
    """What isn't HTTP goes through untouched."""
    [start, _], seen = answered((b"x-request-id", b"r"), type=type)
    assert b"x-request-id" not in dict(start["headers"])
    assert ["unknown"] == seen
