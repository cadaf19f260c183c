"""Sessions that begin anew, over HTTP: what the agent sees, and what the client gets."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from app.runs.reset_confirmation import CONFIRMATION
from tests.doors.client import assistant, chat, user
from tests.doors.sessions import ONE, SENT_ONE, agents, seen
from tests.doors.upstream import Upstream
from tests.live_gateway import LiveGateway
from tests.official import validator

NEW = [user("/new"), assistant(CONFIRMATION)]


def test_a_command_alone_is_answered_without_the_agent(
    live: LiveGateway, upstream: Upstream, key: dict[str, str]
) -> None:
    """The client gets a completion like any other, and the upstream is not called."""
    chat(live, "one", headers=key)
    before = len(upstream.calls)
    reply = chat(live, "/new", headers=key)

    validator("CreateChatCompletionResponse").validate(reply.json)
    assert CONFIRMATION == reply.text
    assert "stop" == reply.json["choices"][0]["finish_reason"]
    assert {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}.items() <= reply.json["usage"].items()
    assert reply.header("x-zero-usage") is None
    assert before == len(upstream.calls)
    chat(live, "two", headers=key)
    assert [("user", "two")] == seen(upstream)


def test_a_command_alone_streamed(live: LiveGateway, key: dict[str, str]) -> None:
    """The confirmation comes as a stream where the client asks for one."""
    reply = chat(live, "/reset", headers=key, stream=True, stream_options={"include_usage": True})
    *events, done = [line.removeprefix("data: ") for line in reply.body.decode().split("\n\n") if line]
    chunks = [json.loads(event) for event in events]

    assert "[DONE]" == done
    for chunk in chunks:
        validator("CreateChatCompletionStreamResponse").validate(chunk)
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    assert CONFIRMATION == "".join(choice["delta"].get("content") or "" for choice in choices)
    assert ["stop"] == [choice["finish_reason"] for choice in choices if choice["finish_reason"]]
    assert 0 == chunks[-1]["usage"]["total_tokens"]


@pytest.mark.parametrize("everything", [True, False], ids=["sends everything", "sends the last"])
def test_resent_turns_don_t_come_back(
    live: LiveGateway, upstream: Upstream, key: dict[str, str], everything: bool
) -> None:
    """A client that resends the whole conversation, command and confirmation too, gets a new session all the same."""
    talk: list[dict[str, Any]] = []
    for text in ("one", "/new", "two", "three", "/reset  four", "five"):
        talk.append(user(text))
        talk.append(assistant(chat(live, talk if everything else talk[-1:], headers=key).text))
        if text == "three":
            assert [("user", "two"), ("assistant", "re: two"), ("user", "three")] == seen(upstream)
    assert [("user", "four"), ("assistant", "re: four"), ("user", "five")] == seen(upstream)


def test_without_a_session_a_command_is_a_text(live: LiveGateway, upstream: Upstream) -> None:
    """There is nothing to begin anew, so the agent gets it."""
    assert "re: /new" == chat(live, "/new").text


@pytest.mark.parametrize("text", ["/newest", "what does /new do?", "/ new"])
def test_what_is_no_command(live: LiveGateway, upstream: Upstream, key: dict[str, str], text: str) -> None:
    """The word stands at the beginning, and alone or before a blank."""
    chat(live, [*SENT_ONE, user("x")], headers=key)
    chat(live, text, headers=key)
    assert [*ONE, ("user", "x"), ("assistant", "re: x"), ("user", text)] == seen(upstream)


def test_the_words_are_a_setting(start_gateway: Callable[..., LiveGateway], upstream: Upstream) -> None:
    """Other words, or none."""
    live = start_gateway(agents(upstream, session={"resetTriggers": ["/novo"]}))
    key = {"x-zero-session-key": "k"}
    for text in ("one", "/new", "/NOVO", "two"):
        chat(live, text, headers=key)
    assert [("user", "two")] == seen(upstream)
    assert [*ONE, ("user", "/new")] == upstream.calls[-2].conversation
