"""Long sessions, over HTTP: what the upstream receives stays within its model's window."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from app.runs.token_count import size
from app.sessions.message import Message
from tests.doors.client import assistant, chat, user
from tests.doors.sessions import KEY, PROMPT, agents, seen
from tests.doors.upstream import Upstream
from tests.live_gateway import LiveGateway

WORDS = "word " * 100
WINDOW = 2_000
ROOM = WINDOW - WINDOW // 10 - WINDOW // 4


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[LiveGateway]:
    """A gateway whose model has room for 2,000 tokens."""
    config = agents(upstream)
    config["models"]["providers"]["fake"]["models"] = [{"id": "any", "contextWindow": WINDOW}]
    with LiveGateway(tmp_path_factory.mktemp("narrow"), config) as gateway:
        yield gateway


def tokens(upstream: Upstream) -> int:
    """Return what the upstream was last sent, in tokens."""
    sent = upstream.last.body["messages"]
    return sum(size(Message(message["role"], msgspec.Raw(msgspec.json.encode(message)))) for message in sent)


@pytest.mark.parametrize("everything", [True, False], ids=["sends everything", "sends the last"])
def test_a_session_outgrows_its_window(
    narrow: LiveGateway, upstream: Upstream, key: dict[str, str], everything: bool
) -> None:
    """The prompt, the first turn and the newest turns are what the upstream sees, whole and in order."""
    talk: list[dict[str, Any]] = []
    for number in range(20):
        talk.append(user(f"{number} {WORDS}"))
        sent = talk if everything else talk[-1:]
        talk.append(assistant(chat(narrow, sent, headers=key, model="zero:prompted").text))
        assert tokens(upstream) <= ROOM

    whole = [(message["role"], message["content"]) for message in talk[:-1]]
    (role, prompt), *told = seen(upstream)
    assert ("system", PROMPT) == (role, prompt)
    assert whole[:2] == told[:2]
    assert len(told) > 3
    assert whole[-(len(told) - 2) :] == told[2:]
    assert tokens(upstream) > ROOM / 2


def test_nothing_is_lost(narrow: LiveGateway, upstream: Upstream, key: dict[str, str]) -> None:
    """The session keeps what the upstream no longer sees: with more room for the prompt it sees more of it."""
    for number in range(12):
        chat(narrow, f"{number} {WORDS}", headers=key)
    chat(narrow, "x", headers=key, max_tokens=2_000)
    least = len(seen(upstream))
    chat(narrow, "y", headers=key, max_tokens=1)
    assert least + 2 < len(seen(upstream)) < 20


def test_calls_and_results_stay_together(narrow: LiveGateway, upstream: Upstream, key: dict[str, str]) -> None:
    """In a turn of many steps, the user's words stay, and each call that is there has its results."""
    talk: list[dict[str, Any]] = [user("do it all")]
    for number in range(30):
        call = {"id": f"c{number}", "type": "function", "function": {"name": "step", "arguments": '{"a": 1}'}}
        talk.append({"role": "assistant", "content": None, "tool_calls": [call]})
        talk.append({"role": "tool", "tool_call_id": f"c{number}", "content": f"{number} {WORDS}"})
        assert 200 == chat(narrow, talk, headers=key).status
        sent = upstream.last.body["messages"]
        assert talk[0] == sent[0]
        assert talk[-1] == sent[-1]
        calls = [call["id"] for message in sent for call in message.get("tool_calls") or ()]
        assert calls == [message["tool_call_id"] for message in sent if message["role"] == "tool"]
        assert tokens(upstream) <= ROOM


def test_a_stateless_request_is_passed_on_whole(narrow: LiveGateway, upstream: Upstream) -> None:
    """Its client sees to its history by itself."""
    talk = [said for number in range(10) for said in (user(f"{number} {WORDS}"), assistant(WORDS))]
    chat(narrow, [*talk, user("x")])
    assert 21 == len(seen(upstream))


def test_an_agent_s_own_bound(start_gateway: Callable[..., LiveGateway], upstream: Upstream) -> None:
    """``contextTokens`` bounds a model of which nothing else is known."""
    config = agents(upstream)
    config["agents"]["list"][1]["contextTokens"] = WINDOW
    live = start_gateway(config)
    for model, bounded in (("zero:main", False), ("zero:beta", True)):
        for number in range(12):
            chat(live, f"{number} {WORDS}", headers={KEY: "k"}, model=model)
        assert bounded == (len(seen(upstream)) < 23)
