"""Conversations for the local model: tool calls and results are told in words, everything else is as it was."""

from __future__ import annotations

import json

import msgspec

from app.engines.local.conversation import in_words, with_instruction
from tests.unit.conversation import assistant, said, script, user


def call(call_id: str, name: str, arguments: str) -> dict[str, object]:
    """Return a tool call as clients send it back."""
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def test_plain_messages_are_left_alone() -> None:
    """Texts of system, user and assistant go through untouched."""
    messages = (said("system", "s"), user("u"), assistant("a"))

    assert script(messages) == script(in_words(messages))


def test_calls_and_results() -> None:
    """A call is told with its arguments, and each result with the call it answers, together in one user message."""
    calls = [call("1", "weather", json.dumps({"city": "São Paulo", "days": 2})), call("2", "now", "")]
    messages = (
        user("u"),
        said("assistant", None, tool_calls=calls),
        said("tool", '{"sky": "blue"}', tool_call_id="1"),
        said("tool", [{"type": "text", "text": "12"}, {"type": "text", "text": "30"}], tool_call_id="2"),
        user("and?"),
    )

    assert [
        "user: u",
        "assistant: Let me use weather (city: São Paulo, days: 2).\nLet me use now.",
        'user: Result of weather (city: São Paulo, days: 2): {"sky": "blue"}\nResult of now: 12\n30',
        "user: and?",
    ] == script(in_words(messages))


def test_other_calls() -> None:
    """Words beside a call stay; arguments that are no object, custom tools and the older form are told as they are."""
    messages = (
        said(
            "assistant",
            "Well.",
            tool_calls=[call("1", "f", "[1"), {"id": "2", "type": "custom", "custom": {"name": "c", "input": "x y"}}],
        ),
        said("tool", "r", tool_call_id="2"),
        said("assistant", None, function_call={"name": "g", "arguments": "{}"}),
        said("function", None, name="g"),
        said("tool", "r", tool_call_id="unknown"),
    )

    assert [
        "assistant: Well.\nLet me use f ([1).\nLet me use c (x y).",
        "user: Result of c (x y): r",
        "assistant: Let me use g.",
        "user: Result of g: \nResult of the tool: r",
    ] == script(in_words(messages))


def test_contents_become_texts() -> None:
    """Parts, refusals and missing contents are texts, and a developer's words the system's."""
    messages = (
        said("developer", [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]),
        said("user", [{"type": "input_text", "text": "c"}]),
        said("assistant", None, refusal="no"),
        said("assistant", [{"type": "refusal", "refusal": "never"}]),
        said("assistant", None),
    )

    assert ["system: a\nb", "user: c", "assistant: no", "assistant: never", "assistant: "] == script(in_words(messages))
    assert "system" == in_words(messages)[0].role
    assert {"role": "system", "content": "a\nb"} == msgspec.json.decode(in_words(messages)[0].raw)


def test_an_instruction_joins_the_system_message() -> None:
    """It stands behind what the system message says, or is one."""
    assert ["system: s\n\nDo.", "user: u"] == script(with_instruction((said("system", "s"), user("u")), "Do."))
    assert ["system: Do.", "user: u"] == script(with_instruction((user("u"),), "Do."))
