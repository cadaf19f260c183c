"""What the tests of sessions share: the agents, what the upstream saw, and clients that leave.

Knows the fake upstream and the plain client; no rule of sessions.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from tests.doors.client import CHAT, SECONDS, ask, assistant, user
from tests.doors.upstream import Upstream
from tests.live_gateway import TOKEN, LiveGateway, configuration

KEY = "x-zero-session-key"
AGENT = "x-zero-agent-id"
PROMPT = "You are terse."

ONE = [("user", "one"), ("assistant", "re: one")]
TWO = [("user", "two"), ("assistant", "re: two")]
SENT_ONE = [user("one"), assistant("re: one")]
SENT_TWO = [user("two"), assistant("re: two")]


def provider(upstream: Upstream) -> dict[str, Any]:
    """Return the configuration section that makes ``fake/...`` models be answered by ``upstream``."""
    return {"providers": {"fake": {"baseUrl": upstream.url, "apiKey": "upstream-key"}}}


def agents(upstream: Upstream, **overrides: Any) -> dict[str, Any]:
    """Return a configuration with the agents ``main``, ``beta`` and ``prompted`` in front of ``upstream``."""
    config = configuration(models=provider(upstream), **overrides)
    config["agents"] = {
        "defaults": {"model": "fake/any"},
        "list": [{"id": "main"}, {"id": "beta"}, {"id": "prompted", "systemPrompt": PROMPT}],
    }
    return config


def seen(upstream: Upstream) -> list[tuple[str, Any]]:
    """Return the conversation that the upstream was last asked to continue."""
    return upstream.last.conversation


@contextmanager
def leaving_client(live: LiveGateway, text: str, key: dict[str, str], *, stream: bool) -> Iterator[socket.socket]:
    """Send a chat request, and hang up at the end of the block."""
    body = json.dumps({"model": "zero", "messages": [user(text)], "stream": stream}).encode()
    head = (
        f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n"
        f"{KEY}: {key[KEY]}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", live.port), timeout=SECONDS) as client:
        client.sendall(head.encode() + body)
        yield client


@contextmanager
def leaving_clients(live: LiveGateway, texts: list[str], key: dict[str, str]) -> Iterator[list[socket.socket]]:
    """Send chat requests, each after the gateway has taken the one before in; hang up at the end of the block."""
    with ExitStack() as stack:
        clients: list[socket.socket] = []
        for text in texts:
            clients.append(stack.enter_context(leaving_client(live, text, key, stream=False)))
            # The gateway reads sockets in one loop, in order: an answer to this proves that it has read the request.
            ask(live, "GET", "/healthz")
        yield clients
