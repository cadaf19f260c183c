"""OpenAI's official Node SDK works with the gateway as with OpenAI: answers, helpers, tools, errors, leaving."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import pytest

from tests.fakes.script import Json, Pause, Reset, chunk, error, event, stream, words
from tests.fakes.upstream import FakeUpstream
from tests.live_gateway import LiveGateway
from tests.npm import OPENAI, run_module

HELLO: Final = event(chunk({"content": "Hello,"}))
CLOSED_WITHIN: Final = 1.0
CALL: Final[Json] = {"id": "call_a", "type": "function", "function": {"name": "look", "arguments": '{"at": "é"}'}}

Speak: TypeAlias = Callable[[str], Any]


@pytest.fixture(params=OPENAI)
def speak(request: pytest.FixtureRequest, live: LiveGateway, upstream: FakeUpstream) -> Speak:
    """Play one scenario of ``openai_node.mjs`` with one of the SDK's major versions."""
    return lambda scenario: run_module("clients/openai_node.mjs", request.param, scenario, f"{live.url}/v1", live.token)


def asking_for_a_tool() -> list[bytes]:
    """Return an answer that calls a tool, its arguments in pieces."""
    first = {"index": 0, **CALL, "function": {"name": "look", "arguments": ""}}
    pieces = [{"index": 0, "function": {"arguments": piece}} for piece in ('{"at":', ' "é"}')]
    deltas = [event(chunk({"tool_calls": [part]})) for part in (first, *pieces)]
    return [*deltas, event(chunk({}, finish_reason="tool_calls")), *words()[-2:]]


class TestAnswers:
    """What a program gets from the SDK."""

    def test_models(self, speak: Speak) -> None:
        """The agents are listed, the default one first, and each can be asked for."""
        found = speak("models")
        assert "zero" == found["ids"][0]
        assert "zero:echo" in found["ids"]
        assert "zero:echo" == found["one"]

    def test_create(self, speak: Speak) -> None:
        """A completion, with its usage and its request id."""
        found = speak("create")
        assert ("hi there", "stop") == (found["text"], found["finish"])
        assert found["usage"] > 0
        assert found["header"] == found["request_id"]

    def test_stream(self, speak: Speak, upstream: FakeUpstream) -> None:
        """A stream's chunks: a role, words, one end, the usage, under one id."""
        upstream.play(stream(*words("Hello,", " you")))
        chunks = speak("stream")
        deltas = [choice for item in chunks for choice in item["choices"]]
        assert "assistant" == deltas[0]["delta"]["role"]
        assert "Hello, you" == "".join(choice["delta"].get("content") or "" for choice in deltas)
        assert ["stop"] == [choice["finish_reason"] for choice in deltas if choice["finish_reason"]]
        assert 18 == chunks[-1]["usage"]["total_tokens"]
        assert 1 == len({item["id"] for item in chunks})

    def test_helper(self, speak: Speak, upstream: FakeUpstream) -> None:
        """The streaming helper puts words, tool calls and usage together."""
        upstream.play(stream(HELLO, event(chunk({"content": " you"})), *asking_for_a_tool()))
        found = speak("helper")
        assert ["Hello,", " you"] == found["words"]
        assert "Hello, you" == found["message"]["content"]
        [call] = found["message"]["tool_calls"]
        assert CALL == {name: call[name] for name in CALL} | {"function": _plain(call["function"])}
        assert ("tool_calls", 18) == (found["finish"], found["usage"]["total_tokens"])

    @pytest.mark.parametrize("scenario", ["parse", "parse_stream"])
    def test_structured_output(self, speak: Speak, upstream: FakeUpstream, scenario: str) -> None:
        """A zod schema goes to the upstream, and the answer comes back as its value."""
        upstream.play(stream(*words('{"name": ', '"Köln"}')))
        assert {"name": "Köln"} == speak(scenario)
        assert "place" == upstream.last.json["response_format"]["json_schema"]["name"]

    @pytest.mark.parametrize("scenario", ["tools", "tools_stream"])
    def test_tools_loop(self, speak: Speak, upstream: FakeUpstream, scenario: str) -> None:
        """The SDK's own loop runs the tool with what the model asked, and brings its result."""
        upstream.play(stream(*asking_for_a_tool()), stream(*words("It is red.")))
        assert {"text": "It is red.", "seen": [{"at": "é"}]} == speak(scenario)
        last = upstream.last.json["messages"][-1]
        assert ("tool", "call_a", "red") == (last["role"], last["tool_call_id"], last["content"])

    def test_session(self, speak: Speak, upstream: FakeUpstream) -> None:
        """A header makes a session: the second call continues the first."""
        upstream.play(stream(*words("Hello.")))
        speak("session")
        assert ["I'm Ann.", "Hello.", "Who am I?"] == [message["content"] for message in upstream.last.json["messages"]]


class TestErrors:
    """Failures are raised as the classes that programs catch, and a run that has begun is never repeated."""

    def test_refused(self, speak: Speak, upstream: FakeUpstream) -> None:
        """What the gateway refuses names its class, status, code and param, streamed or not."""
        found = speak("refused")
        assert all(refusal.pop("request_id") for refusal in found.values())
        bad = {"kind": "BadRequestError", "status": 400, "code": "invalid_value", "param": "temperature"}
        request_error = {"type": "invalid_request_error"}
        assert {
            "wrong_key": {"kind": "AuthenticationError", "status": 401, "code": "invalid_api_key", "param": None},
            "unknown_agent": {"kind": "NotFoundError", "status": 404, "code": "model_not_found", "param": "model"},
            "bad_parameter": bad,
            "bad_parameter_streamed": bad,
        } == {name: {k: v for k, v in refusal.items() if k != "type"} for name, refusal in found.items()}
        assert all(refusal["type"] == request_error["type"] for refusal in found.values())
        assert [] == upstream.exchanges

    def test_an_upstreams_failure_is_not_repeated(self, speak: Speak, upstream: FakeUpstream) -> None:
        """The SDK's two retries would be two more runs: it is told not to."""
        upstream.play(error(500, {"message": "no"}, headers={"retry-after": "1"}))
        found = speak("failing")
        assert ("InternalServerError", 502, "upstream_error") == (found["kind"], found["status"], found["code"])
        assert 1 == len(upstream.exchanges)

    @pytest.mark.parametrize("scenario", ["broken_stream", "broken_helper"])
    def test_amid_a_stream(self, speak: Speak, upstream: FakeUpstream, scenario: str) -> None:
        """A stream that breaks off raises, with its code, and isn't taken for an answer."""
        upstream.play(stream(HELLO, Reset()))
        found = speak(scenario)
        assert "APIError" == found["kind"]
        assert "upstream_connection_lost" == found["code"]
        assert 1 == len(upstream.exchanges)


class TestLeaving:
    """A client that gives up takes its run along."""

    @pytest.mark.parametrize(("scenario", "said"), [("leave", "left"), ("abort", "APIUserAbortError")])
    def test_leaving(self, speak: Speak, upstream: FakeUpstream, scenario: str, said: str) -> None:
        """Leaving the loop, or aborting, ends the run at the upstream."""
        upstream.play(stream(HELLO, Pause()))
        assert said == speak(scenario)
        assert upstream.last.wait_closed(CLOSED_WITHIN)

    def test_timeouts_do_not_pile_up(self, speak: Speak, upstream: FakeUpstream) -> None:
        """When the SDK tries again after its timeout, its former attempt's run has ended."""
        upstream.play([Pause()])
        assert "APIConnectionTimeoutError" == speak("timeout")["kind"]
        assert all(exchange.wait_closed(CLOSED_WITHIN) for exchange in upstream.exchanges)


def _plain(function: Json) -> Json:
    """Return a function call as it goes over the wire, without what the SDK adds for its reader."""
    return {name: function[name] for name in ("name", "arguments")}
