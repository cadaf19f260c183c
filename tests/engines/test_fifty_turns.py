"""Fifty turns into a conversation: what is sent upstream is what the conversation needs, and not a byte more."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from http.client import HTTPConnection
from typing import Any, Final

import msgspec
import pytest

from app.runs.token_count import size
from app.sessions.message import Message
from tests.engines.caller import SECONDS
from tests.fakes.configuration import upstream_configuration
from tests.fakes.script import completion, stream, whole, words
from tests.fakes.upstream import FakeUpstream
from tests.live_gateway import LiveGateway

TURNS: Final = 50
WINDOW: Final = 2_000
ROOM: Final = WINDOW - WINDOW // 10 - WINDOW // 4
"""Tokens that a prompt may have there: docs/sessions.md, "Long sessions"."""

Said = dict[str, str]
HABITS: Final[dict[str, Callable[[Sequence[Said]], Sequence[Said]]]] = {
    "last only": lambda talk: talk[-1:],
    "everything": lambda talk: talk,
    "a window of seven": lambda talk: talk[-7:],
}


@pytest.fixture(scope="module")
def gateway(service: FakeUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    """A gateway with an agent whose model's window is known, and one whose model's isn't."""
    config = upstream_configuration(service)
    config["agents"]["list"].append({"id": "bounded", "model": "fake/bounded", "contextTokens": WINDOW})
    with LiveGateway(tmp_path_factory.mktemp("fifty"), config) as live:
        yield live


def compact(value: Any) -> bytes:
    """Return JSON without a byte that it could do without."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def ask(connection: HTTPConnection, gateway: LiveGateway, agent: str, key: str, **fields: Any) -> None:
    """Send a request as small as can be, and read its answer."""
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {gateway.token}"}
    body = compact({"model": f"zero:{agent}", **fields})
    connection.request("POST", "/v1/chat/completions", body, {**headers, "x-zero-session-key": key})
    with connection.getresponse() as response:
        answer = response.read()
        assert response.status == 200, answer


def talked(
    gateway: LiveGateway, upstream: FakeUpstream, agent: str, habit: str, *, streamed: bool = False
) -> tuple[list[Said], list[bytes]]:
    """Talk for fifty turns and one; return the conversation up to the last question, and the bodies sent upstream."""
    answers = [f"Answer {number}: é and as many words as it takes." for number in range(TURNS + 1)]
    if streamed:
        upstream.play(*(stream(*words(answer)) for answer in answers))
    else:
        upstream.play(*(whole(200, completion(answer)) for answer in answers))
    talk: list[Said] = []
    connection = HTTPConnection("127.0.0.1", gateway.port, timeout=SECONDS)
    try:
        for number, answer in enumerate(answers):
            talk.append({"role": "user", "content": f"Question {number}, ü, of some more words than the answer has?"})
            fields = {"stream": True} if streamed else {}
            key = f"{agent}-{habit}-{streamed}"
            ask(connection, gateway, agent, key, messages=HABITS[habit](talk), **fields)
            talk.append({"role": "assistant", "content": answer})
    finally:
        connection.close()
    bodies = [exchange.body for exchange in upstream.exchanges]
    assert TURNS + 1 == len(bodies)
    return talk[:-1], bodies


@pytest.mark.parametrize("habit", HABITS)
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_nothing_more(gateway: LiveGateway, upstream: FakeUpstream, habit: str, streamed: bool) -> None:
    """Each message once, in order, in as many bytes as the smallest request that says the same."""
    talk, bodies = talked(gateway, upstream, "main", habit, streamed=streamed)

    least: dict[str, Any] = {"model": "main", "messages": talk}
    if streamed:
        least |= {"stream": True, "stream_options": {"include_usage": True}}
    assert least == json.loads(bodies[-1])
    assert len(compact(least)) == len(bodies[-1])


@pytest.mark.parametrize("habit", HABITS)
def test_no_more_than_there_is_room_for(gateway: LiveGateway, upstream: FakeUpstream, habit: str) -> None:
    """Where the window is known: the first turn and the newest, each message once, and requests stop growing."""
    talk, bodies = talked(gateway, upstream, "bounded", habit)

    sent = json.loads(bodies[-1])["messages"]
    assert talk[:2] + talk[-(len(sent) - 2) :] == sent
    assert len(compact({"model": "bounded", "messages": sent})) == len(bodies[-1])
    tokens = [sum(map(tokens_of, json.loads(body)["messages"])) for body in bodies]
    assert ROOM / 2 < tokens[-1] <= max(tokens) <= ROOM
    assert len(sent) < len(talk) - 10


def tokens_of(message: Said) -> int:
    """Count a message's tokens as the gateway does."""
    return size(Message(message["role"], msgspec.Raw(compact(message))))
