"""What the local model is asked: which calls are forced, with which schema, and what is left out of the request."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from app.engines.local.task import Task, task_of
from app.errors import InvalidRequest, UnsupportedParameter
from app.runs.turn import Turn
from app.sessions.message import Message
from tests.unit.conversation import said, script, user
from tests.unit.runs.jobs import agent, request

WEATHER = {
    "name": "weather",
    "description": "The  weather.\n",
    "parameters": {"properties": {"city": {"type": "string"}}},
}
ARGUMENTS = {"type": "object", "properties": {"city": {"type": "string"}}}
PING = {"name": "ping"}
TOOLS = [{"type": "function", "function": function} for function in (WEATHER, PING)]


def asked(*messages: Message, **parameters: Any) -> Task:
    """Return what becomes of a request with these parameters."""
    raw = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in parameters.items()}
    spoken = messages or (said("system", "You are ZERO."), user("hi"))
    return task_of(
        Turn(run_id="run_1", agent=agent(), model="smollm2", messages=spoken, request=request(), parameters=raw)
    )


def named(name: str) -> dict[str, Any]:
    """Return the choice of a function."""
    return {"type": "function", "function": {"name": name}}


def allowed(mode: str, *names: str) -> dict[str, Any]:
    """Return a choice among some of the functions."""
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": [named(name) for name in names]}}


def schema_of(task: Task) -> Any:
    """Return the schema that llama.cpp gets."""
    return task.turn.parameters["response_format"]["json_schema"]["schema"]


def call(name: str, arguments: object) -> dict[str, Any]:
    """Return the schema of a call."""
    return {
        "type": "object",
        "properties": {"name": {"const": name}, "arguments": arguments},
        "required": ["name", "arguments"],
    }


@pytest.mark.parametrize("choice", [None, "auto", "none", allowed("auto", "ping")])
def test_left_to_the_model_tools_are_left_out(choice: object) -> None:
    """It gets the conversation and the rest of the request, and answers with text."""
    task = asked(tools=TOOLS, tool_choice=choice, parallel_tool_calls=True, stop=["x"], seed=1)

    assert (False, False, {"stop", "seed"}) == (task.calls, task.document, set(task.turn.parameters))
    assert ["system: You are ZERO.", "user: hi"] == script(task.turn.messages)


@pytest.mark.parametrize("choice", ["required", allowed("required", "ping", "weather")])
def test_one_of_several_tools(choice: object) -> None:
    """The model writes name and arguments; the tools stand in the system message."""
    task = asked(tools=TOOLS, tool_choice=choice)

    assert (True, None, "tools") == (task.calls, task.name, task.param)
    assert {"anyOf": [call("weather", ARGUMENTS), call("ping", {"const": {}})]} == schema_of(task)
    assert [
        (
            "system: You are ZERO.\n\nYou can:\n"
            'The weather. {"name": "weather", "arguments": {"city": "..."}}\n'
            'ping {"name": "ping", "arguments": {}}\n'
            "Answer with the JSON of what the user needs."
        ),
        "user: hi",
    ] == script(task.turn.messages)


@pytest.mark.parametrize("choice", [named("weather"), allowed("required", "weather")])
def test_a_tool_by_its_name(choice: object) -> None:
    """The model writes the arguments only."""
    task = asked(tools=TOOLS, tool_choice=choice)

    assert (True, "weather", "tools[0].function.parameters") == (task.calls, task.name, task.param)
    assert ARGUMENTS == schema_of(task)


def test_a_name_that_two_tools_have() -> None:
    """It is one tool with either of the parameters."""
    task = asked(tools=[TOOLS[0], {"type": "function", "function": {"name": "weather"}}], tool_choice="required")

    assert ("weather", {"anyOf": [ARGUMENTS, {"const": {}}]}) == (task.name, schema_of(task))


def test_a_call_takes_nothing_from_what_is_said_of_texts() -> None:
    """Stop sequences, probabilities and the form of a text don't apply to a call; the rest does."""
    document = {"type": "json_object"}
    task = asked(
        tools=TOOLS, tool_choice="required", stop="}", logprobs=True, top_logprobs=2, response_format=document, seed=1
    )

    assert {"seed", "response_format"} == set(task.turn.parameters)
    assert "json_schema" == task.turn.parameters["response_format"]["type"]


@pytest.mark.parametrize("parameters", [None, {}, {"type": "object"}, {"type": "object", "properties": {}}])
def test_no_parameters_are_no_arguments(parameters: object) -> None:
    """The arguments are an empty object, and not what the model makes up."""
    function = {"name": "f", "parameters": parameters} if parameters is not None else {"name": "f"}
    task = asked(tools=[{"type": "function", "function": function}], tool_choice="required")

    assert {"const": {}} == schema_of(task)


@pytest.mark.parametrize(
    ("parameters", "strict", "kind"),
    [
        ({"type": "string"}, False, InvalidRequest),
        ({"type": "object", "properties": {"a": {"$ref": "https://example.com"}}}, False, UnsupportedParameter),
        ({"type": "object", "properties": {"a": {"pattern": "^(?=a)$"}}}, True, UnsupportedParameter),
    ],
)
def test_parameters_that_cant_be_written_are_refused_by_name(
    parameters: object, strict: bool, kind: type[InvalidRequest]
) -> None:
    """The tool that is meant is named, the second here."""
    function = {"name": "f", "parameters": parameters, "strict": strict}
    with pytest.raises(kind) as refusal:
        asked(tools=[TOOLS[0], {"type": "function", "function": function}], tool_choice="required")

    assert "tools[1].function.parameters" == refusal.value.param


def test_definitions_of_parameters_lie_at_the_root() -> None:
    """References of a tool's schema lead to the whole schema's definitions."""
    parameters = {"properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"const": 1}}}
    task = asked(
        tools=[TOOLS[1], {"type": "function", "function": {"name": "f", "parameters": parameters}}],
        tool_choice="required",
    )

    schema = schema_of(task)
    assert {"d0": {"enum": [1]}} == schema["$defs"]
    assert {"$ref": "#/$defs/d0"} == schema["anyOf"][1]["properties"]["arguments"]["properties"]["a"]


def test_many_tools_have_short_descriptions() -> None:
    """The model reads slowly: the more tools, the less of each description it gets."""
    tools = [{"type": "function", "function": {"name": f"f{at}", "description": "x" * 500}} for at in range(40)]
    few, many = (
        len(script(asked(tools=some, tool_choice="required").turn.messages)[0]) / len(some)
        for some in (tools[:2], tools)
    )

    assert few > 200
    assert many < 90


def test_documents() -> None:
    """A schema is put into the grammar's words; without one any JSON document will do."""
    schema = {"type": "object", "properties": {"a": {"const": 1}}}
    task = asked(response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}})
    free = asked(response_format={"type": "json_schema", "json_schema": {"name": "x"}})
    text = asked(response_format={"type": "text"})

    assert (True, {"type": "object", "properties": {"a": {"enum": [1]}}}) == (task.document, schema_of(task))
    assert (True, {"type": "json_object"}) == (free.document, free.turn.parameters["response_format"])
    assert text.document is False


@pytest.mark.parametrize(
    ("parameters", "param"),
    [
        ({"json_schema": {"type": "string", "minLength": 2, "maxLength": 1}}, "json_schema"),
        ({"tools": [], "tool_choice": "required"}, "tool_choice"),
        ({"tools": "none"}, None),
    ],
)
def test_what_else_is_refused(parameters: dict[str, Any], param: str | None) -> None:
    """A schema past the checks, a demand without tools, and what an agent's ``params`` got wrong."""
    with pytest.raises(InvalidRequest) as refusal:
        asked(**parameters)

    assert param == refusal.value.param
