"""What the gateway sees to itself, whatever answers: names, streams, sessions, functions, aliases and checks."""

from __future__ import annotations

import json

import pytest

from contracts.support import ENGINES
from tests.compatibility.proofs import proves
from tests.compatibility.samples import AUDIO, CALL, CUSTOM, FUNCTION, HI, IMAGE, RESULT
from tests.engines.caller import Caller
from tests.fakes.script import DONE, Json, chunk, event, stream
from tests.fakes.upstream import FakeUpstream
from tests.unit.contract.bodies import SCHEMA

BRIEF: Json = {"max_tokens": 2, "temperature": 0}
OLD = {"name": "look", "description": "d", "parameters": SCHEMA}
OLD_CALL: Json = {"role": "assistant", "content": None, "function_call": {"name": "look", "arguments": '{"city":"x"}'}}
OLD_RESULT = {"role": "function", "name": "look", "content": "red"}
NEW_CALL: Json = {
    "role": "assistant",
    "content": None,
    "tool_calls": [
        {"id": "call_function_1", "type": "function", "function": {"name": "look", "arguments": '{"city":"x"}'}}
    ],
}
NEW_RESULT = {"role": "tool", "tool_call_id": "call_function_1", "content": "red"}

everywhere = pytest.mark.parametrize("engine", ENGINES)


def given(caller: Caller, **fields: Json) -> Json:
    """Return what an engine of another package is given."""
    answer = caller.ask("entry-point", **fields)
    assert 200 == answer.status, answer.body
    return json.loads(answer.body["choices"][0]["message"]["content"])


@proves("CreateChatCompletionRequest.model", "CreateChatCompletionRequest.messages", on=ENGINES)
@everywhere
def test_model(caller: Caller, upstream: FakeUpstream, engine: str) -> None:
    """`model` picks the agent, and the answer repeats it."""
    answer = caller.ask(engine, **BRIEF)
    assert (200, engine, f"zero:{engine}") == (answer.status, answer.headers["x-zero-agent-id"], answer.body["model"])


@proves(
    "CreateChatCompletionRequest.stream",
    "CreateChatCompletionRequest.stream_options",
    "ChatCompletionStreamOptions.include_usage",
    on=ENGINES,
)
@everywhere
def test_streams(caller: Caller, upstream: FakeUpstream, engine: str) -> None:
    """A stream is one, and tells the usage when it is asked to, and only then."""
    for wanted in (True, False):
        streamed = caller.stream(engine, stream_options={"include_usage": wanted}, **BRIEF)
        assert streamed.text()
        assert wanted == bool(streamed.usage)


@proves("CreateChatCompletionRequest.user", on=("echo", "local"))
@everywhere
def test_user(caller: Caller, upstream: FakeUpstream, engine: str) -> None:
    """`user` makes a session."""
    key = caller.ask(engine, user="joão", **BRIEF).headers["x-zero-session-key"]
    assert key.startswith(f"agent:{engine}:openai-user:")
    assert key == caller.ask(engine, user="joão", **BRIEF).headers["x-zero-session-key"]


@proves(
    "CreateChatCompletionRequest.functions",
    "CreateChatCompletionRequest.function_call",
    on=("openai-completions",),
)
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_functions_to_a_provider(caller: Caller, upstream: FakeUpstream, streamed: bool) -> None:
    """Functions go up as tools, and the call comes back in the client's own form."""
    part = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"city":'}}
    rest = {"index": 0, "function": {"arguments": '"x"}'}}
    upstream.play(
        stream(
            event(chunk({"role": "assistant", "tool_calls": [part]})),
            event(chunk({"tool_calls": [rest]})),
            event(chunk({}, finish_reason="tool_calls")),
            DONE,
        )
    )
    fields: Json = {"functions": [OLD], "function_call": {"name": "look"}}
    if streamed:
        answer = caller.stream("openai-completions", **fields)
        pieces = [choice["delta"]["function_call"] for choice in answer.choices if "function_call" in choice["delta"]]
        assert not [choice for choice in answer.choices if "tool_calls" in choice["delta"]]
        assert ["look"] == [piece["name"] for piece in pieces if "name" in piece]
        arguments, reason = "".join(piece.get("arguments", "") for piece in pieces), answer.finish()
    else:
        [choice] = caller.ask("openai-completions", **fields).body["choices"]
        assert "tool_calls" not in choice["message"]
        assert "look" == choice["message"]["function_call"]["name"]
        arguments, reason = choice["message"]["function_call"]["arguments"], choice["finish_reason"]
    assert ({"city": "x"}, "function_call") == (json.loads(arguments), reason)
    body = upstream.last.json
    expected = {
        "tools": [{"type": "function", "function": OLD}],
        "tool_choice": {"type": "function", "function": {"name": "look"}},
        "parallel_tool_calls": False,
    }
    assert expected == {name: body[name] for name in expected}
    assert not body.keys() & {"functions", "function_call"}


@proves("CreateChatCompletionRequest.functions", "CreateChatCompletionRequest.function_call", on=("entry-point",))
def test_functions_to_an_entry_point(caller: Caller) -> None:
    """An engine of another package is given tools as well."""
    parameters = given(caller, functions=[OLD], function_call={"name": "look"})["parameters"]
    assert {
        "tools": [{"type": "function", "function": OLD}],
        "tool_choice": {"type": "function", "function": {"name": "look"}},
        "parallel_tool_calls": False,
    } == parameters


@proves("CreateChatCompletionRequest.functions", "CreateChatCompletionRequest.function_call", on=("echo", "local"))
@pytest.mark.parametrize("engine", ["echo", "local"])
def test_functions_called(caller: Caller, engine: str) -> None:
    """The engines that emulate calls do so for functions, too."""
    answer = caller.ask(engine, functions=[OLD], function_call={"name": "look"}, temperature=0, max_tokens=60)
    assert 200 == answer.status, answer.body
    [choice] = answer.body["choices"]
    assert "function_call" == choice["finish_reason"]
    assert "look" == choice["message"]["function_call"]["name"]
    assert ["city"] == list(json.loads(choice["message"]["function_call"]["arguments"]))


@proves("FunctionCallMode.none", "FunctionCallMode.auto", on=ENGINES)
@pytest.mark.parametrize("mode", ["none", "auto"])
@everywhere
def test_function_call_as_a_word(caller: Caller, upstream: FakeUpstream, engine: str, mode: str) -> None:
    """A word means the same for tools, under the other name."""
    answer = caller.ask(engine, functions=[OLD], function_call=mode, **BRIEF)
    assert 200 == answer.status, answer.body
    assert "function_call" not in answer.body["choices"][0]["message"]
    if engine == "openai-completions":
        assert mode == upstream.last.json["tool_choice"]
    if engine == "entry-point":
        assert mode == given(caller, functions=[OLD], function_call=mode)["parameters"]["tool_choice"]


@proves(
    "ChatCompletionRequestMessage.function",
    "ChatCompletionRequestFunctionMessage.role",
    "ChatCompletionRequestFunctionMessage.name",
    "ChatCompletionRequestFunctionMessage.content",
    "ChatCompletionRequestAssistantMessage.function_call",
    on=ENGINES,
)
@everywhere
def test_function_messages(caller: Caller, upstream: FakeUpstream, engine: str) -> None:
    """A function call of the conversation and its result are a tool call and its result for every engine."""
    old, new = [HI, OLD_CALL, OLD_RESULT], [HI, NEW_CALL, NEW_RESULT]
    if engine == "entry-point":
        assert new == given(caller, messages=old)["messages"]
        return
    answer = caller.ask(engine, messages=old, seed=1, **BRIEF)
    if engine == "openai-completions":
        assert new == upstream.last.json["messages"]
        return
    # For an engine in the gateway the two conversations are one.
    again = caller.ask(engine, messages=new, seed=1, **BRIEF)
    assert 200 == answer.status
    assert answer.body["choices"] == again.body["choices"]
    assert answer.body["usage"]["prompt_tokens"] == again.body["usage"]["prompt_tokens"]


def test_a_result_without_its_call_travels_as_it_is(caller: Caller, upstream: FakeUpstream) -> None:
    """Neither a function message alone nor a call alone has anything that it could be turned into."""
    for messages in ([HI, OLD_RESULT], [OLD_CALL, HI], [HI, OLD_CALL, {**OLD_RESULT, "name": "other"}]):
        caller.ask("openai-completions", messages=messages)
        assert messages == upstream.last.json["messages"]


def test_function_calls_in_a_session(caller: Caller, upstream: FakeUpstream) -> None:
    """A session keeps the call as the client got it, and knows it again when the client sends its result."""
    part = {"index": 0, "id": "call_x", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    call = stream(event(chunk({"tool_calls": [part]})), event(chunk({}, finish_reason="tool_calls")), DONE)
    upstream.play(call, stream(*finished_text("It is red.")))
    fields: Json = {"functions": [OLD], "user": "legacy"}
    first = caller.ask("openai-completions", messages=[HI], **fields).body["choices"][0]["message"]
    answer = caller.ask("openai-completions", messages=[HI, first, OLD_RESULT], **fields)
    assert "It is red." == answer.text
    assert ["user", "assistant", "tool"] == [message["role"] for message in upstream.last.json["messages"]]
    assert "call_function_1" == upstream.last.json["messages"][1]["tool_calls"][0]["id"]
    caller.ask("openai-completions", messages=[{"role": "user", "content": "Thanks."}], **fields)
    assert ["user", "assistant", "tool", "assistant", "user"] == [m["role"] for m in upstream.last.json["messages"]]


@proves("TextPartType.input_text", "ChatCompletionRequestUserMessageContentPart.input_text", on=ENGINES)
@everywhere
def test_input_text(caller: Caller, upstream: FakeUpstream, engine: str) -> None:
    """A part called `input_text` is a `text` part, in a user's and in a system message, and so is it remembered."""
    system, user = ({"role": role, "content": [{"type": "input_text", "text": "hi"}]} for role in ("system", "user"))
    plain = [{**message, "content": [{"type": "text", "text": "hi"}]} for message in (system, user)]
    answer = caller.ask(engine, messages=[system, user], seed=1, **BRIEF)
    assert 200 == answer.status, answer.body
    if engine == "openai-completions":
        assert plain == upstream.last.json["messages"]
    elif engine == "entry-point":
        assert plain == given(caller, messages=[system, user])["messages"]
    else:
        again = caller.ask(engine, messages=plain, seed=1, **BRIEF)
        assert answer.body["choices"] == again.body["choices"]
        assert answer.body["usage"]["prompt_tokens"] == again.body["usage"]["prompt_tokens"]


def test_an_alias_is_the_same_message_in_a_session(caller: Caller, upstream: FakeUpstream) -> None:
    """A client that resends its conversation under the other name is not taken to say something new."""
    fields: Json = {"user": "alias"}
    first = caller.ask("openai-completions", messages=[HI], **fields).body["choices"][0]["message"]
    again = {"role": "user", "content": [{"type": "input_text", "text": "hi"}]}
    caller.ask("openai-completions", messages=[again, first, {"role": "user", "content": "more"}], **fields)
    assert ["hi", "Hello, wörld", "more"] == [message["content"] for message in upstream.last.json["messages"]]


def test_a_prediction_under_the_other_name(caller: Caller, upstream: FakeUpstream) -> None:
    """The parts of a prediction have the same two names."""
    caller.ask("openai-completions", prediction={"type": "content", "content": [{"type": "input_text", "text": "x"}]})
    assert {"type": "content", "content": [{"type": "text", "text": "x"}]} == upstream.last.json["prediction"]


@proves("ChatCompletionRequestUserMessageContentPart.input_image", on=("openai-completions", "entry-point"))
def test_input_image(caller: Caller, upstream: FakeUpstream) -> None:
    """A part called `input_image` is an `image_url` part."""
    image = {"type": "input_image", "image_url": IMAGE["image_url"]["url"], "detail": "low"}
    messages = [{"role": "user", "content": [image]}]
    plain = [{"role": "user", "content": [IMAGE]}]
    caller.ask("openai-completions", messages=messages)
    assert plain == upstream.last.json["messages"]
    assert plain == given(caller, messages=messages)["messages"]


NULLS: Json = {
    **dict.fromkeys(("tools", "tool_choice", "functions", "function_call", "parallel_tool_calls", "user")),
    **dict.fromkeys(("response_format", "web_search_options", "prompt_cache_options", "stop", "logit_bias", "audio")),
}


@everywhere
def test_null_counts_as_not_sent(caller: Caller, upstream: FakeUpstream, engine: str) -> None:
    """A client that writes down what it doesn't set, as openai-python does with None, is answered all the same."""
    said = {"role": "assistant", "content": "Hello.", "refusal": None, "annotations": None, "audio": None}
    messages = [HI, {**said, "function_call": None, "tool_calls": None, "name": None}, HI]
    answer = caller.ask(engine, messages=messages, **NULLS, **BRIEF)
    assert 200 == answer.status, answer.body
    expected = [HI, {**said, "function_call": None}, HI]
    if engine == "openai-completions":
        assert expected == upstream.last.json["messages"]
        assert not upstream.last.json.keys() & NULLS.keys()
    if engine == "entry-point":
        assert {"parameters": BRIEF, "messages": expected} == given(caller, messages=messages, **NULLS, **BRIEF)


def test_null_inside_a_field(caller: Caller) -> None:
    """The same further inside: of a tool, a format, a part."""
    function = {"name": "look", "description": None, "parameters": None, "strict": None}
    wanted = {"name": "city", "description": None, "schema": SCHEMA, "strict": None}
    part = {"type": "text", "text": "hi", "prompt_cache_breakpoint": None}
    for fields in (
        {"tools": [{"type": "function", "function": function}], "tool_choice": "required"},
        {"functions": [{"name": "look", "description": None, "parameters": None}], "function_call": {"name": "look"}},
        {"response_format": {"type": "json_schema", "json_schema": wanted}},
        {"messages": [{"role": "user", "content": [part], "name": None}]},
        {"stream_options": {"include_usage": None, "include_obfuscation": None}},
    ):
        for engine in ("echo", "openai-completions", "local"):
            assert 200 == caller.ask(engine, **fields, **BRIEF).status, fields


@proves(
    "ChatCompletionRequestAssistantMessage.tool_calls",
    "ChatCompletionRequestToolMessage.tool_call_id",
    on=("echo", "local"),
)
@everywhere
def test_tool_calls_are_checked(caller: Caller, upstream: FakeUpstream, engine: str) -> None:
    """A result without a call and a call without a result are refused before any engine is asked."""
    assert 200 == caller.ask(engine, messages=[HI, CALL, RESULT], **BRIEF).status
    upstream.reset()
    for messages, param in (
        ([HI, RESULT], "messages[1].tool_call_id"),
        ([HI, CALL, HI], "messages[1].tool_calls"),
    ):
        answer = caller.ask(engine, messages=messages)
        assert (400, "invalid_value", param) == (answer.status, answer.error["code"], answer.error["param"])
    assert [] == upstream.exchanges


@proves("FunctionObject.strict", "ResponseFormatJsonSchemaDefinition.strict", on=("echo", "local"))
@everywhere
def test_strict_is_checked(caller: Caller, upstream: FakeUpstream, engine: str) -> None:
    """With `strict`, a schema that isn't closed is refused before any engine is asked."""
    loose = {"name": "look", "strict": True, "parameters": {"type": "object", "properties": {"a": {}}}}
    wanted = {"name": "look", "strict": True, "schema": loose["parameters"]}
    for fields, param in (
        ({"tools": [{"type": "function", "function": loose}]}, "tools[0].function.parameters"),
        (
            {"response_format": {"type": "json_schema", "json_schema": wanted}},
            "response_format.json_schema.schema",
        ),
    ):
        answer = caller.ask(engine, **fields)
        assert (400, "invalid_json_schema", param) == (answer.status, answer.error["code"], answer.error["param"])
    assert [] == upstream.exchanges
    assert 200 == caller.ask(engine, tools=[FUNCTION], **BRIEF).status


def test_sound_and_custom_tools_travel(caller: Caller, upstream: FakeUpstream) -> None:
    """Both used to be refused; now the way back carries them."""
    answer = caller.ask("openai-completions", tools=[CUSTOM], tool_choice={"type": "custom", "custom": {"name": "sql"}})
    assert 200 == answer.status
    assert [CUSTOM] == upstream.last.json["tools"]
    streamed = caller.stream("openai-completions", modalities=["text", "audio"], audio={**AUDIO, "format": "pcm16"})
    assert "Hello, wörld" == streamed.text()
    assert {**AUDIO, "format": "pcm16"} == upstream.last.json["audio"]


def finished_text(text: str) -> list[bytes]:
    """Return an answer of one choice."""
    return [event(chunk({"content": text})), event(chunk({}, finish_reason="stop")), DONE]
