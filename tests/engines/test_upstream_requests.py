"""What the upstream is asked: the client's request, with the agent's part in it and nothing of the gateway's door."""

from __future__ import annotations

from typing import Final

import pytest

from tests.engines.caller import Caller
from tests.fakes.configuration import API_KEY
from tests.fakes.script import Json
from tests.fakes.upstream import PATH, FakeUpstream
from tests.live_gateway import TOKEN

TOOL: Final[Json] = {
    "type": "function",
    "function": {
        "name": "look",
        "parameters": {"type": "object", "additionalProperties": False, "x-unknown": 1},
        "strict": True,
        "x_new": [1],
    },
}
PARAMETERS: Final[Json] = {
    "temperature": 0.25,
    "top_p": 1,
    "max_completion_tokens": 5,
    "stop": ["x"],
    "seed": 9007199254740993,
    "tools": [TOOL],
    "tool_choice": {"type": "function", "function": {"name": "look"}},
    "response_format": {"type": "json_object"},
    "logit_bias": {"50256": -100},
    "metadata": {"a": "b"},
    "safety_identifier": "s",
    "x_unknown": {"deep": [None, 1.50, "é", {"very": "deep"}]},
    "chat_template_kwargs": {"enable_thinking": False},
}


def send(caller: Caller, streamed: bool, **fields: Json) -> None:
    """Ask in one of the two ways."""
    if streamed:
        caller.stream(**fields)
    else:
        caller.ask(**fields)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
class TestBody:
    """The body, for streamed and unstreamed requests alike."""

    def test_parameters_as_sent(self, upstream: FakeUpstream, quiet: Caller, streamed: bool) -> None:
        """Every field of the client's arrives unchanged, also those that our contract doesn't know."""
        send(quiet, streamed, **PARAMETERS)
        body = upstream.last.json
        assert PARAMETERS == {name: body[name] for name in PARAMETERS}

    def test_ours(self, upstream: FakeUpstream, quiet: Caller, streamed: bool) -> None:
        """The model is the provider's, the answer comes as the client wants it, and a stream always tells its usage."""
        send(quiet, streamed)
        expected: Json = {"model": "main", "messages": [{"role": "user", "content": "hi"}]}
        if streamed:
            expected |= {"stream": True, "stream_options": {"include_usage": True}}
        assert expected == upstream.last.json
        assert ("text/event-stream" if streamed else "application/json") == upstream.last.headers["accept"]

    def test_messages_as_sent(self, upstream: FakeUpstream, quiet: Caller, streamed: bool) -> None:
        """Messages arrive in order with every field, unknown ones included."""
        messages: Json = [
            {"role": "system", "content": "Be kind.", "name": "s", "cache_control": {"type": "ephemeral"}},
            {"role": "user", "content": [{"type": "text", "text": "Look: é"}], "x_unknown": {"a": [1]}},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "call_a", "type": "function", "function": {"name": "look", "arguments": '{ "a":1 }'}, "x": 1}
                ],
                "reasoning_content": "Hm.",
            },
            {"role": "tool", "tool_call_id": "call_a", "content": "It is red."},
        ]
        send(quiet, streamed, messages=messages)
        assert messages == upstream.last.json["messages"]


def test_stream_options_of_the_client(upstream: FakeUpstream, quiet: Caller) -> None:
    """Other stream options of the client's are kept beside ours."""
    options = {"include_usage": False, "include_obfuscation": False, "x_new": 1}
    quiet.stream(stream_options=options)
    assert {**options, "include_usage": True} == upstream.last.json["stream_options"]


class TestAgent:
    """What the agent adds."""

    def test_prompt_alone(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """The agent's prompt comes first."""
        quiet.ask("prompted")
        expected = [{"role": "system", "content": "You are terse."}, {"role": "user", "content": "hi"}]
        assert expected == upstream.last.json["messages"]

    def test_prompt_and_the_clients(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """The client's system and developer messages, wherever they stand, follow it in the one system message."""
        quiet.ask(
            "prompted",
            messages=[
                {"role": "developer", "content": "Be kind."},
                {"role": "user", "content": "hi"},
                {"role": "system", "content": [{"type": "text", "text": "Use "}, {"type": "text", "text": "metres."}]},
                {"role": "user", "content": "How far?"},
            ],
        )
        assert [
            {"role": "system", "content": "You are terse.\n\nBe kind.\n\nUse metres."},
            {"role": "user", "content": "hi"},
            {"role": "user", "content": "How far?"},
        ] == upstream.last.json["messages"]

    def test_several_of_the_clients(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """Without a prompt of the agent's, several system messages still become one at the head."""
        system = [{"role": "system", "content": text} for text in ("One.", "Two.")]
        quiet.ask(messages=[*system, {"role": "user", "content": "hi"}])
        assert {"role": "system", "content": "One.\n\nTwo."} == upstream.last.json["messages"][0]

    def test_parameters_beneath_the_clients(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """The agent's params apply where the client says nothing."""
        quiet.stream("prompted", temperature=0.9)
        body = upstream.last.json
        assert (0.9, 5, {"x_interval": 3, "include_usage": True}) == (
            body["temperature"],
            body["top_k"],
            body["stream_options"],
        )
        for silence in ({}, {"temperature": None}):
            quiet.ask("prompted", **silence)
            assert 0.1 == upstream.last.json["temperature"]

    def test_one_limit_under_two_names(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """The client's limit replaces the agent's, whichever of its two names either of them uses."""
        quiet.ask("prompted", max_completion_tokens=7)
        assert (7, None) == tuple(upstream.last.json.get(name) for name in ("max_completion_tokens", "max_tokens"))
        quiet.ask("prompted")
        assert 50 == upstream.last.json["max_tokens"]

    def test_a_limit_of_null_leaves_the_agents(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """Null counts as not sent, under either name."""
        for name in ("max_tokens", "max_completion_tokens"):
            quiet.ask("prompted", **{name: None})
            assert 50 == upstream.last.json["max_tokens"]

    def test_nothing_is_refused_for_the_upstream(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """Sound and custom tools go to the upstream as they are: what it can't do, it says itself."""
        fields: Json = {
            "modalities": ["text", "audio"],
            "audio": {"voice": "alloy", "format": "pcm16"},
            "tools": [{"type": "custom", "custom": {"name": "sql"}}],
            "tool_choice": {"type": "custom", "custom": {"name": "sql"}},
        }
        quiet.stream(**fields)
        assert fields == {name: upstream.last.json[name] for name in fields}

    def test_functions_of_the_agents(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """The older form becomes tools beside the agent's parameters, which stay what they are."""
        quiet.ask("prompted", functions=[{"name": "look"}], function_call="none")
        body = upstream.last.json
        assert ([{"type": "function", "function": {"name": "look"}}], "none", 5) == (
            body["tools"],
            body["tool_choice"],
            body["top_k"],
        )

    def test_forbidden_functions(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """The agent's tool policy sees functions under the name that the client gave them."""
        answer = quiet.ask("careful", functions=[{"name": "look"}, {"name": "delete_everything"}])
        assert (403, "tool_not_allowed", "functions[1].name") == (
            answer.status,
            answer.error["code"],
            answer.error["param"],
        )
        assert [] == upstream.exchanges

    def test_foreign_model_names(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """The upstream never sees what the client called the model; the client sees its own word again."""
        assert "gpt-4o" == quiet.ask(model="gpt-4o").body["model"]
        assert "main" == upstream.last.json["model"]


class TestHead:
    """The request's head."""

    def test_request_line_and_credentials(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """The provider's key and headers are sent; the client's secret never is."""
        quiet.ask()
        exchange = upstream.last
        assert ("POST", PATH) == (exchange.method, exchange.path)
        expected = {
            "authorization": f"Bearer {API_KEY}",
            "x-organisation": "ours",
            "content-type": "application/json",
        }
        assert expected == {name: exchange.headers[name] for name in expected}
        assert TOKEN not in str(exchange.headers)

    def test_nothing_of_the_clients(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """No header of the client's travels on: not the SDK's own, not ours, no cookies, no addresses."""
        sent = {
            "x-stainless-lang": "python",
            "x-stainless-retry-count": "1",
            "x-zero-agent-id": "main",
            "x-zero-session-key": "key",
            "x-forwarded-for": "10.0.0.1",
            "openai-organization": "org",
            "cookie": "a=b",
            "user-agent": "client/1",
            "x-request-id": "req_1",
        }
        quiet.ask(headers=sent)
        got = upstream.last.headers
        assert {} == {name: got[name] for name in sent if got.get(name) == sent[name]}
        assert not [name for name in got if name.startswith(("x-stainless", "x-zero", "x-forwarded"))]

    def test_connection_is_reused(self, upstream: FakeUpstream, quiet: Caller) -> None:
        """A connection whose answer was read to its end serves the next request."""
        assert "Hello, wörld" == quiet.ask().text
        before = upstream.accepted
        for _ in range(3):
            assert "Hello, wörld" == quiet.ask().text
        assert before == upstream.accepted
