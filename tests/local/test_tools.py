"""Tools and structured answers with the real model, through a real gateway and OpenAI's own client.

Nobody promises what the model says, so only the form is asserted: whose call, valid for which schema, what ends it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import json5
import openai
import pydantic
import pytest
from jsonschema_rs import validator_for
from openai import OpenAI
from openai.types.chat import ChatCompletionMessageFunctionToolCall

from tests.live_gateway import TOKEN, LiveGateway
from tests.official import validator

EXAMPLE = Path(__file__).parents[2] / "examples" / "zero.json5"
QUESTION: list[Any] = [{"role": "user", "content": "What is the weather in Paris?"}]
PLACE = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 20}, "unit": {"enum": ["celsius", "fahrenheit"]}},
    "required": ["city", "unit"],
    "additionalProperties": False,
}


def tool(name: str, parameters: object = None, **fields: object) -> Any:
    """Return a function tool."""
    function = {"name": name, "description": f"Does the {name}.", **fields}
    return {"type": "function", "function": function if parameters is None else {**function, "parameters": parameters}}


WEATHER = tool("get_weather", PLACE, description="Get the weather of a city.", strict=True)
PING = tool("ping")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenAI]:
    """OpenAI's client, pointed at the example configuration that `make run` serves."""
    config = json5.loads(EXAMPLE.read_text())
    with (
        LiveGateway(tmp_path_factory.mktemp("tools"), config, environ={"ZERO_GATEWAY_TOKEN": TOKEN}) as gateway,
        OpenAI(base_url=f"{gateway.url}/v1", api_key=TOKEN, max_retries=0, timeout=60) as made,
    ):
        yield made


def ask(client: OpenAI, **fields: Any) -> Any:
    """Return the answer to the question, with as little chance in it as there can be."""
    return client.chat.completions.create(**{"model": "zero", "messages": QUESTION, "temperature": 0, **fields})


def fits(schema: dict[str, Any], arguments: str) -> bool:
    """Tell whether a call's arguments are JSON that its tool's schema allows."""
    return validator_for(schema).is_valid(json.loads(arguments))


def knows_the_weather(text: str) -> bool:
    """Tell whether a text has heard of the result, whatever words the model finds for it."""
    return any(word in text.lower() for word in ("25", "sun", "degree"))


def test_a_whole_loop(client: OpenAI) -> None:
    """A required call comes with valid arguments, and the answer to its result is text that knows the result."""
    first = ask(client, tools=[WEATHER, PING], tool_choice={"type": "function", "function": {"name": "get_weather"}})
    validator("CreateChatCompletionResponse").validate(json.loads(first.model_dump_json(exclude_unset=True)))
    [choice] = first.choices
    [call] = choice.message.tool_calls
    assert ("tool_calls", None, "get_weather") == (choice.finish_reason, choice.message.content, call.function.name)
    assert fits(PLACE, call.function.arguments)
    assert first.usage.completion_tokens > 0

    result = {"role": "tool", "tool_call_id": call.id, "content": "Sunny, 25 degrees."}
    second = ask(client, messages=[*QUESTION, choice.message, result], tools=[WEATHER, PING], max_tokens=40)

    message = second.choices[0].message
    assert message.tool_calls is None
    assert knows_the_weather(message.content)
    assert second.usage.prompt_tokens > 40


def test_one_of_several_is_streamed_as_it_is_written(client: OpenAI) -> None:
    """The name comes first, with the id; the arguments follow in fragments that are JSON in the end."""
    chunks = list(ask(client, tools=[WEATHER, PING], tool_choice="required", stream=True))

    for chunk in chunks:
        validator("CreateChatCompletionStreamResponse").validate(json.loads(chunk.model_dump_json(exclude_unset=True)))
    choices = [choice for chunk in chunks for choice in chunk.choices]
    pieces = [call for choice in choices for call in choice.delta.tool_calls or ()]
    first, *rest = pieces
    assert first.id.startswith("call_")
    assert ("function", "") == (first.type, first.function.arguments)
    assert {0} == {piece.index for piece in pieces}
    assert {(None, None)} == {(piece.id, piece.function.name) for piece in rest}
    arguments = "".join(piece.function.arguments for piece in rest)
    assert fits(PLACE if first.function.name == "get_weather" else {"const": {}}, arguments)
    assert len(rest) > 1 or arguments == "{}"
    assert ["tool_calls"] == [choice.finish_reason for choice in choices if choice.finish_reason]


def test_two_choices_call_apart(client: OpenAI) -> None:
    """Each choice has a call with an id of its own, and without parameters the arguments are an empty object."""
    answer = ask(client, tools=[PING], tool_choice="required", n=2)

    calls = [call for choice in answer.choices for call in choice.message.tool_calls]
    assert [("ping", "{}"), ("ping", "{}")] == [(call.function.name, call.function.arguments) for call in calls]
    assert 2 == len({call.id for call in calls})


def test_the_helper_for_streams_parses_the_call(client: OpenAI) -> None:
    """The SDK's accumulator gives the arguments as the model class they were made from."""

    class Trip(pydantic.BaseModel):
        to: Literal["Paris", "Tokyo"]
        days: int = pydantic.Field(ge=1, le=9)

    with client.chat.completions.stream(
        model="zero", messages=QUESTION, tools=[openai.pydantic_function_tool(Trip)], tool_choice="required"
    ) as stream:
        [call] = stream.get_final_completion().choices[0].message.tool_calls or []

    assert isinstance(call, ChatCompletionMessageFunctionToolCall)
    trip = call.function.parsed_arguments
    assert isinstance(trip, Trip)
    assert 1 <= trip.days <= 9


def test_a_call_that_max_tokens_cuts_off(client: OpenAI) -> None:
    """It ends with "length" and has what was written until then."""
    choice = {"type": "function", "function": {"name": "get_weather"}}
    [cut] = ask(client, tools=[WEATHER], tool_choice=choice, max_tokens=3).choices

    assert "length" == cut.finish_reason
    assert "}" not in cut.message.tool_calls[0].function.arguments


@pytest.mark.parametrize("choice", ["auto", "none"])
def test_left_to_the_model_it_answers_in_words(client: OpenAI, choice: str) -> None:
    """Without a demand it never calls."""
    answer = ask(client, tools=[WEATHER], tool_choice=choice, max_tokens=8)

    assert answer.choices[0].message.content
    assert answer.choices[0].message.tool_calls is None


def test_the_older_form(client: OpenAI) -> None:
    """A function is called as a function, and its result is heard as well."""
    call = ask(client, functions=[WEATHER["function"]], function_call={"name": "get_weather"}).choices[0]
    assert "function_call" == call.finish_reason
    assert fits(PLACE, call.message.function_call.arguments)

    messages = [*QUESTION, call.message, {"role": "function", "name": "get_weather", "content": "Sunny, 25 degrees."}]
    answer = ask(client, messages=messages, functions=[WEATHER["function"]], max_tokens=40)
    assert knows_the_weather(answer.choices[0].message.content)


def test_thirty_tools_with_heavy_schemas(client: OpenAI) -> None:
    """Many tools, nested parameters, constants and names beyond ASCII don't confuse the grammar."""
    schema = {
        "type": "object",
        "$defs": {
            "node": {
                "type": "object",
                "properties": {"größe": {"enum": ["groß", 'kl"ein', "小\\"]}},
                "required": ["größe"],
            }
        },
        "properties": {
            "ünder": {"$ref": "#/$defs/node"},
            "mode": {"const": "fast"},
            "level": {"type": "integer", "minimum": 2, "maximum": 4},
            "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 1, "maxItems": 2},
        },
        "required": ["ünder", "mode", "level", "tags"],
    }
    tools = [tool(f"t{at}", schema, description="") for at in range(30)]
    [call] = ask(client, tools=tools, tool_choice="required").choices[0].message.tool_calls

    assert call.function.name in {f"t{at}" for at in range(30)}
    assert fits(schema, call.function.arguments)


def test_a_client_that_goes_away_stops_the_call(client: OpenAI) -> None:
    """With both slots busy for minutes on calls without end, closing the two streams lets the next request in."""
    endless = {"type": "object", "properties": {"a": {"type": "array", "minItems": 1000}}, "required": ["a"]}
    for _ in range(2):
        with ask(client, tools=[tool("f", endless)], tool_choice="required", stream=True, max_tokens=3000) as stream:
            for chunk in stream:
                if chunk.choices[0].delta.tool_calls:
                    break

    assert client.with_options(timeout=20).chat.completions.create(model="zero", messages=QUESTION, max_tokens=1)


def test_parsed_answers(client: OpenAI) -> None:
    """A class becomes a strict schema, and the answer an object of it, streamed or not."""

    class Person(pydantic.BaseModel):
        name: str = pydantic.Field(pattern="^[A-Z][a-z]{1,9}$")
        age: int
        kind: Literal["adult", "child"]
        nick: Literal["Bo", "Rob"] | None = None

    messages: list[Any] = [{"role": "user", "content": "Bob is 30 years old."}]
    whole = client.chat.completions.parse(model="zero", messages=messages, response_format=Person, temperature=0)
    with client.chat.completions.stream(
        model="zero", messages=messages, response_format=Person, temperature=0
    ) as stream:
        streamed = stream.get_final_completion()

    for answer in (whole, streamed):
        assert "stop" == answer.choices[0].finish_reason
        assert isinstance(answer.choices[0].message.parsed, Person)


def test_a_document_that_max_tokens_cuts_off(client: OpenAI) -> None:
    """It ends with "length", which the SDK's parser raises."""
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": PLACE}}
    assert "length" == ask(client, response_format=form, max_tokens=3).choices[0].finish_reason

    class Place(pydantic.BaseModel):
        city: str

    with pytest.raises(openai.LengthFinishReasonError):
        client.chat.completions.parse(model="zero", messages=QUESTION, response_format=Place, max_tokens=2)


def schema_form(schema: object, *, strict: bool = False) -> dict[str, Any]:
    """Return the parameter that asks for a document of a schema."""
    return {
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": strict}}
    }


IN_FORMAT = "response_format.json_schema.schema"
IN_TOOL = "tools[0].function.parameters"
CRASHING = {"allOf": [{"$ref": "#/allOf/0"}]}
FILLING_MEMORY = {"type": "object", "properties": {"a": {"minLength": 5, "maxLength": 2}}, "required": ["a"]}
FAILING = {"type": "object", "properties": {"a": {"type": "integer", "minimum": 9, "maximum": 3}}, "required": ["a"]}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        (schema_form({"type": "nope"}), IN_FORMAT),
        (schema_form(CRASHING), IN_FORMAT),
        (schema_form(FILLING_MEMORY), IN_FORMAT),
        (schema_form(FAILING), IN_FORMAT),
        (schema_form({"$ref": "https://example.com/schema.json"}), IN_FORMAT),
        (
            schema_form(
                {
                    "type": "object",
                    "properties": {"a": {"type": "array", "uniqueItems": True}},
                    "required": ["a"],
                    "additionalProperties": False,
                },
                strict=True,
            ),
            IN_FORMAT,
        ),
        ({"json_schema": FILLING_MEMORY}, "json_schema"),
        ({"tools": [tool("f", FILLING_MEMORY)], "tool_choice": "required"}, IN_TOOL),
        ({"tools": [tool("f", {"type": "string"})], "tool_choice": "required"}, IN_TOOL),
        (
            {"tools": [WEATHER], "tool_choice": {"type": "function", "function": {"name": "other"}}},
            "tool_choice.function.name",
        ),
    ],
)
def test_schemas_that_cant_be_are_refused_by_name(client: OpenAI, fields: dict[str, Any], param: str) -> None:
    """400 with the schema's place, where llama.cpp itself would crash, stand still, fail or look away."""
    extra = {name: fields.pop(name) for name in ("json_schema",) if name in fields}
    with pytest.raises(openai.BadRequestError) as refusal:
        ask(client, **fields, extra_body=extra)

    assert param == refusal.value.param
