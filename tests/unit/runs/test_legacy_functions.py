"""The older form of tools, made the newer one."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from app.contract.models import ChatCompletionNamedToolChoice, ChatCompletionTool
from app.runs.legacy_functions import with_tools
from app.runs.turn import Turn
from app.sessions.message import Message
from tests.unit.conversation import assistant, said, user
from tests.unit.runs.jobs import agent, request


def turn(*messages: Message, parameters: dict[str, Any] | None = None, **fields: object) -> Turn:
    """Return a turn whose request and parameters say the same, and agent's parameters."""
    raw = {name: msgspec.Raw(json.dumps(value).encode()) for name, value in fields.items()}
    return Turn(
        run_id="run_1",
        agent=agent(),
        model="m",
        messages=messages or (user("hi"),),
        request=request(**fields),
        parameters={**(parameters or {}), **raw},
    )


def call(name: str) -> Message:
    """Return an assistant's function call."""
    return said("assistant", None, function_call={"name": name, "arguments": "{}"})


def result(name: str, content: str | None = "21") -> Message:
    """Return a function's result."""
    return said("function", content, name=name)


def script(found: Turn) -> list[str]:
    """Return the messages of a turn in short: roles, and ids of calls."""
    lines = []
    for message in found.messages:
        fields = msgspec.json.decode(message.raw)
        assert message.role == fields["role"]
        ids = [one["id"] for one in fields.get("tool_calls", ())] or [fields.get("tool_call_id", "")]
        lines.append(f"{message.role} {' '.join(ids)}".strip())
    return lines


def test_a_turn_without_functions_is_left_alone() -> None:
    """Whoever uses tools, or none, pays nothing and gets the very same turn."""
    plain = turn(user("a"), assistant("about function_calls"), user("b"), tools=[], temperature=1)
    assert with_tools(plain).parameters is plain.parameters
    assert plain.messages == with_tools(plain).messages
    assert turn() == with_tools(turn())


def test_parameters() -> None:
    """Functions and their choice become tools and a tool choice, and one call is asked for."""
    found = with_tools(turn(functions=[{"name": "f", "parameters": {"x": 1.50}}], function_call={"name": "f"}, n=2))
    assert {
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"x": 1.5}}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "parallel_tool_calls": False,
        "n": 2,
    } == json.loads(msgspec.json.encode(found.parameters))


def test_request() -> None:
    """An engine that looks at the decoded request sees tools there as well."""
    found = with_tools(turn(functions=[{"name": "f", "description": "d"}], function_call={"name": "f"})).request
    assert isinstance(found.tools, list)
    [tool] = found.tools
    assert isinstance(tool, ChatCompletionTool)
    assert isinstance(found.tool_choice, ChatCompletionNamedToolChoice)
    assert ("f", "d", "f") == (tool.function.name, tool.function.description, found.tool_choice.function.name)
    assert not found.functions
    assert not found.function_call


def test_functions_of_the_agents_own() -> None:
    """What stands in the agent's parameters is no exception."""
    found = with_tools(turn(parameters={"functions": [{"name": "f"}], "function_call": "auto"}))
    assert ("auto", False) == (found.parameters["tool_choice"], found.parameters["parallel_tool_calls"])
    assert "functions" not in found.parameters


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        (
            [user("a"), call("f"), result("f"), user("b")],
            ["user", "assistant call_function_1", "tool call_function_1", "user"],
        ),
        (
            [user("a"), call("f"), result("f"), call("f"), result("f")],
            [
                "user",
                "assistant call_function_1",
                "tool call_function_1",
                "assistant call_function_2",
                "tool call_function_2",
            ],
        ),
        ([user("a"), call("f"), user("b")], ["user", "assistant", "user"]),
        ([user("a"), call("f"), user("b"), result("f")], ["user", "assistant", "user", "function"]),
        ([user("a"), call("f"), result("g")], ["user", "assistant", "function"]),
        ([result("f")], ["function"]),
        (
            [call("f"), user("b"), call("f"), result("f")],
            ["assistant", "user", "assistant call_function_2", "tool call_function_2"],
        ),
        ([call("f"), result("f"), result("f")], ["assistant call_function_1", "tool call_function_1", "function"]),
    ],
)
def test_messages(messages: list[Message], expected: list[str]) -> None:
    """A call and the result that follows it are paired under a stable id; one without the other travels as it is."""
    assert expected == script(with_tools(turn(*messages)))


def test_what_else_a_message_says_stays() -> None:
    """Words beside a call are kept, and a result of null is an empty one, since tools have no null."""
    found = with_tools(
        turn(said("assistant", "Hm.", function_call={"name": "f", "arguments": "{"}, x=1), result("f", None))
    )
    first, second = (msgspec.json.decode(message.raw) for message in found.messages)
    assert ("Hm.", 1, "{") == (first["content"], first["x"], first["tool_calls"][0]["function"]["arguments"])
    assert "function_call" not in first
    assert {"role": "tool", "tool_call_id": "call_function_1", "content": ""} == second
