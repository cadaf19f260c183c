"""design.md, "The run": the doors lead into one room. The same case through each of them comes to the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

from app.runs.reset_confirmation import CONFIRMATION
from tests.doors.client import chat
from tests.fakes.script import Script, error, event, stream, words
from tests.fakes.upstream import FakeUpstream
from tests.live_gateway import LiveGateway
from tests.official import Json
from tests.parity.door import DOORS, FRESH, KEY_PARAM, Outcome, Turn
from tests.ws.answers import LATE
from tests.ws.client import Client, Refused, new_key, said

USAGE = (11, 7, 18)
SAID = "Hello, wörld"


class Case(NamedTuple):
    """A turn, and what comes of it through every door.

    Attributes:
        turn: ``{key}`` in its session key is another for every door.
        outcome: The same in its session key; the message is the beginning of what the doors say.
        scripts: What the provider answers, by model.
        history: What the session has in the end.
        asked: What the provider was asked last, as far as it matters; nothing if it never was.
        own_words: Whether the doors need only begin with the same words.
    """

    turn: Turn
    outcome: Outcome
    scripts: Mapping[str, Script] = MappingProxyType({})
    history: Sequence[tuple[str, str]] = ()
    asked: Mapping[str, Json] = MappingProxyType({})
    own_words: bool = False


BROKEN = stream(*words("Hel", "lo")[:2], event({"error": {"message": "broken", "type": "server_error"}}))
OVERLOADED = error(429, {"message": "too much", "code": "rate_limit_exceeded"})
TERSE = [{"role": "system", "content": "You are terse."}, {"role": "user", "content": "hi"}]

CASES = {
    "default agent, stateless": Case(
        Turn("hi"),
        Outcome("ok", "main", FRESH, SAID, USAGE),
        asked={"model": "main", "messages": [{"role": "user", "content": "hi"}]},
    ),
    "an agent, a bare key": Case(
        Turn("olá", "careful", "{key}"),
        Outcome("ok", "careful", "agent:careful:{key}", SAID, USAGE),
        history=[("user", "olá"), ("assistant", SAID)],
        asked={"model": "careful", "messages": [{"role": "user", "content": "olá"}]},
    ),
    "a full key chooses the agent": Case(
        Turn("/status", "", "AGENT:Echo:{key}"),
        Outcome("ok", "echo", "agent:echo:{key}", "/status", (1, 1, 2)),
        history=[("user", "/status"), ("assistant", "/status")],
    ),
    "a session begun anew": Case(
        Turn("/reset", "main", "{key}"), Outcome("ok", "main", "agent:main:{key}", CONFIRMATION, (0, 0, 0))
    ),
    "a session begun anew with a message": Case(
        Turn("/new  hi", "main", "{key}"),
        Outcome("ok", "main", "agent:main:{key}", SAID, USAGE),
        history=[("user", "hi"), ("assistant", SAID)],
        asked={"messages": [{"role": "user", "content": "hi"}]},
    ),
    "an agent with prompt and parameters": Case(
        Turn("hi", "prompted", "{key}"),
        Outcome("ok", "prompted", "agent:prompted:{key}", SAID, USAGE),
        history=[("user", "hi"), ("assistant", SAID)],
        asked={"messages": TERSE, "temperature": 0.1, "top_k": 5, "max_tokens": 50},
    ),
    "the fallback answers": Case(
        Turn("hi", "Chained", "{key}"),
        Outcome("ok", "chained", "agent:chained:{key}", "from the third", USAGE),
        {"first": error(500, {"message": "no"}), "third": stream(*words("from ", "the third"))},
        [("user", "hi"), ("assistant", "from the third")],
        {"model": "third"},
    ),
    "a provider that doesn't count": Case(
        Turn("one two", "main", "{key}"),
        Outcome("ok", "main", "agent:main:{key}", "three four", (6, 2, 8)),
        {"main": stream(*words("three", " four", usage=None))},
        [("user", "one two"), ("assistant", "three four")],
    ),
    "an unknown agent": Case(Turn("hi", "nobody", "{key}"), Outcome("error", message="There is no agent 'nobody'.")),
    "an unknown agent's key": Case(
        Turn("hi", "", "agent:nobody:{key}"), Outcome("error", message="There is no agent 'nobody'.")
    ),
    "another agent's key": Case(
        Turn("hi", "echo", "agent:main:{key}"),
        Outcome("error", message=f"The session key in {KEY_PARAM} belongs to agent 'main', "),
        own_words=True,
    ),
    "a reserved key": Case(
        Turn("hi", "", "cron:{key}"), Outcome("error", message=f"The session key in {KEY_PARAM} lies in a")
    ),
    "the provider fails": Case(
        Turn("hi", "main", "{key}"),
        Outcome("error", "main", "agent:main:{key}", message="The provider 'fake'"),
        {"main": error(500, {"message": "no"})},
    ),
    "the provider is overloaded": Case(
        Turn("hi", "main", "{key}"),
        Outcome("error", "main", "agent:main:{key}", message="The provider 'fake'"),
        {"main": OVERLOADED},
    ),
    "the provider breaks off": Case(
        Turn("hi", "main", "{key}"),
        Outcome("error", "main", "agent:main:{key}", message="The provider 'fake'"),
        {"main": BROKEN},
    ),
    "nobody is there": Case(
        Turn("hi", "lost", "{key}"), Outcome("error", "lost", "agent:lost:{key}", message="The provider 'lost'")
    ),
    "time runs out": Case(
        Turn("hi", "hasty", "{key}"),
        Outcome("timeout", "hasty", "agent:hasty:{key}", message="The run was not done within 0.5 s"),
        {"hasty": LATE},
    ),
}  # fmt: skip


def through(case: Case, name: str, live: LiveGateway, upstream: FakeUpstream) -> tuple[Outcome, str, Json]:
    """Take a case through a door, in a session of its own.

    Returns:
        What came of it, what took the place of ``{key}``, and what the provider was asked last.
    """
    upstream.reset()
    for model, script in case.scripts.items():
        upstream.play(script, model=model)
    key = new_key()
    found = DOORS[name](live, case.turn._replace(session_key=case.turn.session_key.replace("{key}", key)))
    asked = upstream.last.json if upstream.exchanges else {}
    # Whether it streams is the client's own matter: only plain HTTP doesn't.
    asked.pop("stream_options", None)
    asked.pop("stream", None)
    return found, key, asked


@pytest.mark.parametrize("name", DOORS)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_the_same_case_comes_to_the_same(
    case: Case, name: str, live: LiveGateway, upstream: FakeUpstream, watcher: Client
) -> None:
    """Agent, session, answer, usage, failure and its words; what the provider was asked; what the session keeps."""
    if name == "ws-chat" and not case.turn.session_key:
        with pytest.raises(Refused, match="sessionKey"):
            watcher.call("chat.send", {"message": "hi", "idempotencyKey": new_key()})
        return
    over_http, _, asked_over_http = through(case, "http", live, upstream)
    found, key, asked = through(case, name, live, upstream)
    session = case.outcome.session_key and case.outcome.session_key.replace("{key}", key)

    assert case.outcome._replace(session_key=session, message="") == found._replace(message="")
    assert found.message.startswith(case.outcome.message)
    assert case.own_words or over_http.message == found.message
    if asked or case.outcome.end != "timeout":  # a process of its own may be out of time before it gets to asking
        assert asked.items() >= case.asked.items()
        assert asked_over_http == asked
    if session not in (None, FRESH):
        history = watcher.call("chat.history", {"sessionKey": session})["messages"]
        assert list(case.history) == [said(message) for message in history]


@pytest.mark.parametrize("name", sorted(DOORS.keys() - {"zero-agent-local"}))
def test_every_door_s_run_can_be_aborted(name: str, live: LiveGateway, upstream: FakeUpstream, watcher: Client) -> None:
    """``chat.abort`` ends a run whichever way it came in; but for the one in another process, which it doesn't see."""
    upstream.play(LATE)
    key = f"agent:main:aborted-{name}"
    with ThreadPoolExecutor(1) as pool:
        outcome = pool.submit(DOORS[name], live, Turn("hi", "main", key))
        upstream.wait()
        assert 1 == len(watcher.call("chat.abort", {"sessionKey": key})["runIds"])
        found = outcome.result()

    assert ("aborted", "main", key, "", None) == found[:-1]
    assert [] == watcher.call("chat.history", {"sessionKey": key})["messages"]


def test_a_conversation_through_every_door(live: LiveGateway, upstream: FakeUpstream, watcher: Client) -> None:
    """A session begun at one door goes on at the next, there and back: each turn sees all those before it."""
    order = [*DOORS, *reversed(DOORS)]
    told: list[tuple[str, str]] = []
    for number, name in enumerate(order):
        upstream.play(stream(*words(f"answer {number}")))
        found = DOORS[name](live, Turn(f"question {number}", "", "agent:main:all-doors"))
        told.append(("user", f"question {number}"))
        assert told == [(message["role"], message["content"]) for message in upstream.last.json["messages"]]
        told.append(("assistant", f"answer {number}"))
        assert f"answer {number}" == found.text

    history = watcher.call("chat.history", {"sessionKey": "agent:main:all-doors"})["messages"]
    assert told == [said(message) for message in history]


@pytest.mark.parametrize("name", DOORS)
def test_every_door_begins_a_session_anew(name: str, live: LiveGateway, upstream: FakeUpstream) -> None:
    """After the command the provider is shown nothing of what was said before, and is not asked for it."""
    key = f"agent:main:anew-{name}"
    for message in ("one", "/new", "two"):
        DOORS[name](live, Turn(message, "", key))

    asked = [[message["content"] for message in exchange.json["messages"]] for exchange in upstream.exchanges]
    assert [["one"], ["two"]] == asked


@pytest.mark.parametrize("name", ["ws-agent", "zero-agent"])
def test_a_client_that_resends_everything_joins_in(name: str, live: LiveGateway, upstream: FakeUpstream) -> None:
    """What another door said is recognised when an HTTP client sends the whole conversation back."""
    key = f"agent:main:resent-{name}"
    DOORS[name](live, Turn("one", "", key))
    whole = [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": SAID},
        {"role": "user", "content": "two"},
    ]
    chat(live, whole, headers={"x-zero-session-key": key})

    assert whole == upstream.last.json["messages"]
    DOORS[name](live, Turn("three", "", key))
    assert [*whole, {"role": "assistant", "content": SAID}, {"role": "user", "content": "three"}] == (
        upstream.last.json["messages"]
    )


TOOL: Json = {"type": "function", "function": {"name": "delete_everything", "parameters": {"type": "object"}}}


class TestTools:
    """An agent's tool policy."""

    def test_a_forbidden_tool_is_forbidden(self, live: LiveGateway, upstream: FakeUpstream) -> None:
        """Over HTTP, the one door through which tools come; the provider is not asked."""
        reply = chat(live, "hi", headers={"x-zero-agent-id": "careful"}, tools=[TOOL])

        assert (403, "tool_not_allowed") == reply.summary[:2]
        assert [] == upstream.exchanges

    def test_the_other_doors_bring_none(self, watcher: Client, upstream: FakeUpstream) -> None:
        """Rather than being dropped, tools are refused there."""
        for method, more in (("agent", {}), ("chat.send", {"sessionKey": "k"})):
            params: dict[str, Any] = {"message": "hi", "idempotencyKey": new_key(), "tools": [TOOL], **more}
            with pytest.raises(Refused, match="tools"):
                watcher.call(method, params)
        assert [] == upstream.exchanges
