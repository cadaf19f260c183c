"""Requests to one session, as clients send them: in its history they are in the order in which they came."""

from __future__ import annotations

import json
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.doors.client import CHAT, SECONDS, ask, user
from tests.doors.sessions import KEY
from tests.live_gateway import TOKEN, LiveGateway, configuration
from tests.sessions.place import Place

REQUESTS = 40


def sent(live: LiveGateway, text: str, headers: dict[str, str]) -> socket.socket:
    """Send a request on a connection of its own, and return once the gateway has read it."""
    body = json.dumps({"model": "zero", "messages": [user(text)]}).encode()
    fields = {
        "Host": "x",
        "Authorization": f"Bearer {TOKEN}",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        **headers,
    }
    client = socket.create_connection(("127.0.0.1", live.port), timeout=SECONDS)
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    client.sendall(f"POST {CHAT} HTTP/1.1\r\n{lines}\r\n".encode() + body)
    # The gateway reads sockets in one loop, in order: an answer to this proves that it has read the request.
    assert 200 == ask(live, "GET", "/healthz").status
    return client


@pytest.mark.parametrize("keyed", [range(0), range(REQUESTS), range(0, REQUESTS, 2)], ids=["no", "all", "half"])
def test_requests_are_stored_in_the_order_they_came(place: Place, tmp_path: Path, keyed: range) -> None:
    """No matter which of them have an ``Idempotency-Key``, and how long it takes to look that up."""
    config = configuration(session={"store": place.setting})
    with LiveGateway(tmp_path, config) as live, ExitStack() as stack:
        clients = []
        for number in range(REQUESTS):
            key = {"Idempotency-Key": f"key {number}"} if number in keyed else {}
            clients.append(stack.enter_context(sent(live, f"{number}", {KEY: "k", **key})))
        assert [b"HTTP/1.1 200 OK"] * REQUESTS == [client.recv(15, socket.MSG_WAITALL) for client in clients]
        stored = ask(live, "GET", "/v1/zero/sessions/agent:main:k/messages?limit=100").json["data"]
        texts = [message["body"]["content"] for message in reversed(stored) if message["role"] == "user"]
        assert [f"{number}" for number in range(REQUESTS)] == texts
