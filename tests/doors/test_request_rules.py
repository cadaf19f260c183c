"""Fields that have to do with each other, and conversations with tools: what is refused, and under which name.

design.md, "Answer" (errors): 400 with the field as `param`; docs/compatibility.md, "Rules between fields".
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.doors.client import assistant, chat, system, user
from tests.doors.sessions import KEY
from tests.live_gateway import LiveGateway

TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
CUSTOM = {"type": "custom", "custom": {"name": "sql"}}
NAMED = {"type": "function", "function": {"name": "look"}}
OTHER = {"type": "function", "function": {"name": "other"}}
OLD = {"name": "look", "parameters": {"type": "object"}}


def calling(*ids: str) -> dict[str, Any]:
    """Return an assistant's message with tool calls."""
    calls = [{"id": call, "type": "function", "function": {"name": "look", "arguments": "{}"}} for call in ids]
    return {"role": "assistant", "content": None, "tool_calls": calls}


def result(call: str, text: str = "red") -> dict[str, Any]:
    """Return the result of a tool call."""
    return {"role": "tool", "tool_call_id": call, "content": text}


def allowed(*tools: Any, mode: str = "auto") -> dict[str, Any]:
    """Return a choice among some tools."""
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": list(tools)}}


def strict(schema: Any) -> dict[str, Any]:
    """Return a request for an answer of a schema, to be followed exactly."""
    return {"type": "json_schema", "json_schema": {"name": "n", "strict": True, "schema": schema}}


ANSWER = "response_format.json_schema.schema"
CLOSED = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}


class TestChoices:
    """What may be chosen."""

    @pytest.mark.parametrize(
        ("fields", "param"),
        [
            ({"tool_choice": "auto"}, "tool_choice"),
            ({"tool_choice": "required", "tools": []}, "tool_choice"),
            ({"tool_choice": NAMED, "functions": [OLD]}, "tool_choice"),
            ({"tool_choice": OTHER, "tools": [TOOL]}, "tool_choice.function.name"),
            (
                {"tool_choice": {"type": "custom", "custom": {"name": "look"}}, "tools": [TOOL]},
                "tool_choice.custom.name",
            ),
            ({"tool_choice": allowed(NAMED, OTHER), "tools": [TOOL]}, "tool_choice.allowed_tools.tools[1]"),
            ({"tool_choice": allowed(CUSTOM), "tools": [TOOL]}, "tool_choice.allowed_tools.tools[0]"),
            ({"tool_choice": allowed({"name": "look"}), "tools": [TOOL]}, "tool_choice.allowed_tools.tools[0]"),
            ({"tool_choice": allowed({"type": ["x"]}), "tools": [TOOL]}, "tool_choice.allowed_tools.tools[0]"),
            ({"tool_choice": allowed(mode="required"), "tools": [TOOL]}, "tool_choice.allowed_tools.tools"),
            ({"function_call": "auto"}, "function_call"),
            ({"function_call": {"name": "look"}, "tools": [TOOL]}, "function_call"),
            ({"function_call": {"name": "other"}, "functions": [OLD]}, "function_call.name"),
            ({"functions": [OLD], "tools": [TOOL]}, "functions"),
            ({"top_logprobs": 1}, "top_logprobs"),
            ({"top_logprobs": 1, "logprobs": False}, "top_logprobs"),
        ],
    )
    def test_refused(self, gateway: LiveGateway, fields: dict[str, Any], param: str) -> None:
        """A choice without something to choose from, or of something that isn't there, is 400 with its place."""
        assert (400, "invalid_value", param) == chat(gateway, **fields).summary

    @pytest.mark.parametrize(
        "fields",
        [
            {"tool_choice": "none", "tools": [TOOL]},
            {"tool_choice": NAMED, "tools": [TOOL]},
            {"tool_choice": allowed(NAMED), "tools": [TOOL, OTHER]},
            {"tool_choice": allowed(), "tools": [TOOL]},
            {"functions": [OLD], "tools": []},
            {"function_call": "none", "functions": [OLD]},
            {"top_logprobs": 0},
            {"top_logprobs": None, "tools": []},
        ],
    )
    def test_fine(self, gateway: LiveGateway, fields: dict[str, Any]) -> None:
        """What is there can be chosen."""
        assert 200 == chat(gateway, **fields).status


class TestSchemas:
    """Schemas of tools and of answers."""

    @pytest.mark.parametrize(
        ("fields", "param"),
        [
            (
                {"tools": [TOOL, {"type": "function", "function": {"name": "f", "parameters": {"type": "objekt"}}}]},
                "tools[1].function.parameters",
            ),
            ({"functions": [{"name": "f", "parameters": {"required": "a"}}]}, "functions[0].parameters"),
            ({"response_format": strict({**CLOSED, "type": "array"})}, ANSWER),
            ({"response_format": strict({**CLOSED, "required": []})}, ANSWER),
            ({"response_format": strict({**CLOSED, "additionalProperties": True})}, ANSWER),
            ({"response_format": strict({"properties": 5})}, ANSWER),
        ],
    )
    def test_refused(self, gateway: LiveGateway, fields: dict[str, Any], param: str) -> None:
        """What is no JSON Schema is 400 with its place, and so is a strict one that isn't closed."""
        reply = chat(gateway, **fields)
        assert (400, "invalid_json_schema", param) == reply.summary
        assert reply.error["message"].startswith("Invalid schema for ")

    def test_fine(self, gateway: LiveGateway) -> None:
        """A strict schema that is closed, and a loose one that isn't, are taken."""
        assert 200 == chat(gateway, response_format=strict(CLOSED)).status
        loose = {"type": "json_schema", "json_schema": {"name": "n", "schema": {**CLOSED, "required": []}}}
        assert 200 == chat(gateway, response_format=loose).status


class TestImages:
    """Addresses of images."""

    @pytest.mark.parametrize(
        "url",
        [
            "file:///etc/passwd",
            "ftp://example.com/a.png",
            "a.png",
            "",
            "https://",
            "http://exa mple.com/",
            "data:image/png;base64,",
            "data:image/png,AAAA",
            "data:image/png;base64,!!!!",
            "data:image/png;base64,AA AA",
            "javascript:alert(1)",
        ],
    )
    @pytest.mark.parametrize("kind", ["image_url", "input_image"])
    def test_refused(self, gateway: LiveGateway, url: str, kind: str) -> None:
        """An address of another kind is 400 with its place, whatever engine would see it."""
        part = {"type": kind, "image_url": {"url": url} if kind == "image_url" else url}
        reply = chat(gateway, [{"role": "user", "content": [{"type": "text", "text": "a"}, part]}])
        place = "messages[0].content[1].image_url"
        assert (400, "invalid_value", place if kind == "input_image" else f"{place}.url") == reply.summary
        assert "data:image/png;base64" in reply.error["message"]


class TestToolMessages:
    """Calls and their results in one request."""

    @pytest.mark.parametrize(
        ("messages", "param"),
        [
            ([user("a"), result("call_1")], "messages[1].tool_call_id"),
            ([system("s"), user("a"), calling("call_1"), result("call_2")], "messages[3].tool_call_id"),
            ([user("a"), calling("call_1"), result("call_1"), result("call_1")], "messages[3].tool_call_id"),
            ([user("a"), calling("c"), result("c"), assistant("b"), result("c")], "messages[4].tool_call_id"),
            ([user("a"), calling("call_1"), user("b")], "messages[1].tool_calls"),
            ([user("a"), calling("call_1")], "messages[1].tool_calls"),
            ([system("s"), user("a"), calling("call_1", "call_2"), result("call_2")], "messages[2].tool_calls"),
            ([user("a"), calling("call_1"), assistant("b"), user("c")], "messages[1].tool_calls"),
        ],
    )
    def test_refused(self, gateway: LiveGateway, messages: list[Any], param: str) -> None:
        """A result that answers nothing and a call that nothing answers are 400 with their places, streamed or not."""
        assert (400, "invalid_value", param) == chat(gateway, messages).summary
        assert (400, "invalid_value", param) == chat(gateway, messages, stream=True).summary

    @pytest.mark.parametrize(
        "messages",
        [
            [user("a"), calling("call_1", "call_2"), result("call_2"), result("call_1", "x")],
            [user("a"), calling("call_1"), system("between"), result("call_1", "x")],
            [user("a"), calling("c"), result("c"), calling("c"), result("c", "x")],
            [user("a"), {"role": "assistant", "content": "b", "tool_calls": []}, user("x")],
        ],
    )
    def test_fine(self, gateway: LiveGateway, messages: list[Any]) -> None:
        """Results in any order, ids that are used again for another call, and no calls at all are fine."""
        assert "x" == chat(gateway, messages).text


class TestToolMessagesInSessions:
    """Results of calls that only the session knows."""

    def called(self, gateway: LiveGateway, key: dict[str, str]) -> str:
        """Have a tool called in a new session and return the call's id."""
        reply = chat(gateway, "look", headers=key, tools=[TOOL], tool_choice="required")
        call: str = reply.json["choices"][0]["message"]["tool_calls"][0]["id"]
        return call

    def test_the_result_alone(self, gateway: LiveGateway, key: dict[str, str]) -> None:
        """A client may send the tool message alone: the session has the call."""
        call = self.called(gateway, key)
        assert (400, "invalid_value", "messages[0].tool_call_id") == chat(
            gateway, [result("other")], headers=key
        ).summary
        assert "red" == chat(gateway, [result(call)], headers=key).text
        assert (400, "invalid_value", "messages[0].tool_call_id") == chat(gateway, [result(call)], headers=key).summary

    def test_everything_again(self, gateway: LiveGateway, key: dict[str, str]) -> None:
        """A client that resends the conversation is served as well, and what was checked isn't checked again."""
        call = self.called(gateway, key)
        said = [user("look"), {**calling(call)}, result(call)]
        assert "red" == chat(gateway, said, headers=key).text
        assert "more" == chat(gateway, [*said, assistant("red"), user("more")], headers=key).text

    def test_a_call_that_stays_unanswered(self, gateway: LiveGateway, key: dict[str, str]) -> None:
        """The session can go on without it, but then the result comes too late."""
        call = self.called(gateway, key)
        assert "never mind" == chat(gateway, "never mind", headers=key).text
        assert (400, "invalid_value", "messages[0].tool_call_id") == chat(gateway, [result(call)], headers=key).summary

    def test_one_of_two(self, gateway: LiveGateway, key: dict[str, str]) -> None:
        """A client that answers calls of the session answers all of them."""
        said = [user("a"), calling("call_1", "call_2"), result("call_1"), result("call_2")]
        assert 200 == chat(gateway, said, headers=key).status
        more = [*said, assistant("red"), user("b"), calling("call_3", "call_4")]
        assert (400, "invalid_value", "messages[6].tool_calls") == chat(
            gateway, [*more, result("call_3")], headers=key
        ).summary

    def test_a_refused_turn_leaves_no_trace(self, gateway: LiveGateway, key: dict[str, str]) -> None:
        """What was refused is not in the session."""
        assert 400 == chat(gateway, [user("a"), result("x")], headers=key).status
        reply = chat(gateway, "b", headers=key)
        assert 1 == reply.json["usage"]["prompt_tokens"]

    def test_a_key_is_a_session(self, key: dict[str, str]) -> None:
        """What these tests rely on."""
        assert [KEY] == list(key)
