"""What the echo engine honours and emulates."""

from __future__ import annotations

import json

import pytest

from tests.compatibility.proofs import proves
from tests.compatibility.samples import CALL, FUNCTION, HI, RESULT
from tests.engines.caller import Caller
from tests.fakes.script import Json

TEXT = {"role": "user", "content": "one two three"}
OTHER = {"type": "function", "function": {"name": "other"}}
CITY = {"city": "one two three"}
ALLOWED = {"type": "function", "function": {"name": "look"}}


def ask(caller: Caller, *messages: Json, **fields: Json) -> tuple[str | None, str]:
    """Return text and end of the only choice."""
    answer = caller.ask("echo", messages=[*messages, TEXT], **fields)
    assert 200 == answer.status, answer.body
    [choice] = answer.body["choices"]
    return choice["message"]["content"], choice["finish_reason"]


def calls(caller: Caller, **fields: Json) -> list[tuple[str, Json]]:
    """Return names and arguments of the calls in an answer, which ends because of them."""
    answer = caller.ask("echo", messages=[TEXT], **fields)
    assert 200 == answer.status, answer.body
    [choice] = answer.body["choices"]
    made = choice["message"].get("tool_calls", [])
    assert ("tool_calls" if made else "stop") == choice["finish_reason"]
    assert len({call["id"] for call in made}) == len(made)
    return [(call["function"]["name"], json.loads(call["function"]["arguments"])) for call in made]


@proves("CreateChatCompletionRequest.n", on=("echo",))
def test_choices(caller: Caller) -> None:
    """As many choices as are asked for, each with the text."""
    answer = caller.ask("echo", messages=[TEXT], n=3)
    assert ["one two three"] * 3 == [choice["message"]["content"] for choice in answer.body["choices"]]
    assert "one two three" == caller.stream("echo", messages=[TEXT], n=3).text(2)


@proves(
    "CreateChatCompletionRequest.max_tokens",
    "CreateChatCompletionRequest.max_completion_tokens",
    "CreateChatCompletionRequest.stop",
    on=("echo",),
)
@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"max_tokens": 2}, ("one two ", "length")),
        ({"max_completion_tokens": 1}, ("one ", "length")),
        ({"max_completion_tokens": 2, "max_tokens": 1}, ("one two ", "length")),
        ({"stop": ["three", "zzz"]}, ("one two ", "stop")),
    ],
)
def test_limits(caller: Caller, fields: Json, expected: tuple[str, str]) -> None:
    """It ends where it is told to."""
    assert expected == ask(caller, **fields)


@proves("ResponseFormat.text", "OutputModality.text", on=("echo",))
@pytest.mark.parametrize("fields", [{"response_format": {"type": "text"}}, {"modalities": ["text"]}])
def test_text(caller: Caller, fields: Json) -> None:
    """Text is what it answers with."""
    assert ("one two three", "stop") == ask(caller, **fields)


@proves(
    "CreateChatCompletionRequest.response_format",
    "ResponseFormat.json_schema",
    "ResponseFormat.json_object",
    "ResponseFormatJsonSchemaDefinition.schema",
    on=("echo",),
)
@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"type": "json_object"}, {"text": "one two three"}),
        (
            {
                "type": "json_schema",
                "json_schema": {"name": "city", "schema": FUNCTION["function"]["parameters"], "strict": True},
            },
            CITY,
        ),
        ({"type": "json_schema", "json_schema": {"name": "any"}}, {}),
        ({"type": "json_schema", "json_schema": {"name": "list", "schema": {"type": "array", "minItems": 2}}}, None),
    ],
)
def test_structured_answers(caller: Caller, wanted: Json, expected: Json) -> None:
    """The answer is JSON of the form that is asked for, with the text in the first place that takes one."""
    text, reason = ask(caller, response_format=wanted)
    assert ("stop", ["one two three", ""] if expected is None else expected) == (reason, json.loads(text or ""))


@proves(
    "CreateChatCompletionRequest.tools",
    "CreateChatCompletionRequest.tool_choice",
    "ChatCompletionToolDefinition.function",
    "FunctionObject.name",
    "FunctionObject.parameters",
    "ToolChoiceMode.none",
    "ToolChoiceMode.auto",
    "ToolChoiceMode.required",
    "ChatCompletionToolChoiceObject.function",
    "ChatCompletionToolChoiceObject.allowed_tools",
    on=("echo",),
)
@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, []),
        ("none", []),
        ("auto", []),
        ("required", [("other", {})]),
        (ALLOWED, [("look", CITY)]),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [ALLOWED]}}, []),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [ALLOWED]}}, [("look", CITY)]),
    ],
)
def test_tool_choices(caller: Caller, choice: Json, expected: list[tuple[str, Json]]) -> None:
    """It calls a tool when it has to: the one that is named, the first allowed, or the first of all."""
    fields = {} if choice is None else {"tool_choice": choice}
    assert expected == calls(caller, tools=[OTHER, FUNCTION], **fields)


def test_streamed_calls(caller: Caller) -> None:
    """A streamed call begins with its id and name, and its arguments come in fragments."""
    streamed = caller.stream("echo", messages=[TEXT], tools=[FUNCTION], tool_choice="required", n=2)
    for index in (0, 1):
        parts = [
            part
            for choice in streamed.choices
            if choice["index"] == index
            for part in choice["delta"].get("tool_calls", ())
        ]
        assert ("function", "look") == (parts[0]["type"], parts[0]["function"]["name"])
        assert parts[0]["id"]
        assert len(parts) > 2
        assert not [part for part in parts[1:] if "id" in part or "name" in part["function"]]
        assert CITY == json.loads("".join(part["function"]["arguments"] for part in parts))
        assert "tool_calls" == streamed.finish(index)


def test_a_loop_with_tools(caller: Caller) -> None:
    """A client that runs the tool and sends the result gets an answer about it."""
    first = caller.ask("echo", messages=[TEXT], tools=[FUNCTION], tool_choice="required").body["choices"][0]["message"]
    result = {"role": "tool", "tool_call_id": first["tool_calls"][0]["id"], "content": "21 degrees"}
    answer = caller.ask("echo", messages=[TEXT, first, result], tools=[FUNCTION])
    assert "21 degrees" == answer.text


def test_a_limit_cuts_a_call_off(caller: Caller) -> None:
    """At the limit of tokens a call ends unfinished, and says why."""
    [choice] = caller.ask("echo", messages=[TEXT], tools=[FUNCTION], tool_choice="required", max_tokens=1).body[
        "choices"
    ]
    assert "length" == choice["finish_reason"]
    assert CITY != choice["message"]["tool_calls"][0]["function"]["arguments"]


@proves(
    "ChatCompletionRequestMessage.developer",
    "ChatCompletionRequestMessage.system",
    "ChatCompletionRequestMessage.user",
    "ChatCompletionRequestMessage.assistant",
    "ChatCompletionRequestMessage.tool",
    "ChatCompletionRequestDeveloperMessage.role",
    "ChatCompletionRequestSystemMessage.role",
    "ChatCompletionRequestUserMessage.role",
    "ChatCompletionRequestUserMessage.content",
    "ChatCompletionRequestAssistantMessage.role",
    "ChatCompletionRequestToolMessage.role",
    "ChatCompletionRequestToolMessage.content",
    "ChatCompletionTextOnlyPart.type",
    "ChatCompletionTextOnlyPart.text",
    "TextPartType.text",
    "ChatCompletionRequestUserMessageContentPart.text",
    "ChatCompletionRequestMessageContentPartText.type",
    "ChatCompletionRequestMessageContentPartText.text",
    on=("echo",),
)
@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([HI, {"role": "assistant", "content": "Hello."}, {"role": "user", "content": "a b"}], ("a b", 4)),
        ([{"role": "developer", "content": "Be brief."}, HI], ("hi", 3)),
        ([{"role": "system", "content": [{"type": "text", "text": "Be brief."}]}, HI], ("hi", 3)),
        ([HI, CALL, RESULT], ("It is red.", 4)),
        ([HI, CALL, {**RESULT, "content": [{"type": "text", "text": "red"}]}], ("red", 2)),
        ([{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b c"}]}], ("a b c", 3)),
    ],
)
def test_messages(caller: Caller, messages: Json, expected: tuple[str, int]) -> None:
    """It repeats the last user or tool message, and counts the words of all."""
    answer = caller.ask("echo", messages=messages)
    assert expected == (answer.text, answer.body["usage"]["prompt_tokens"])
