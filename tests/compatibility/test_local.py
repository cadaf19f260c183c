"""What the local model honours and emulates: the real one, so nothing here depends on its wording."""

from __future__ import annotations

import json

import pytest

from tests.compatibility.proofs import proves
from tests.compatibility.samples import CALL, FUNCTION, HI, RESULT
from tests.engines.caller import Caller
from tests.fakes.script import Json

ASK = [{"role": "user", "content": "Tell me about the sea."}]
GREEDY: Json = {"temperature": 0, "seed": 1}


def text(caller: Caller, **fields: Json) -> str:
    """Return what it says."""
    answer = caller.ask("local", **{"messages": ASK, "max_tokens": 24, "seed": 1, **fields})
    assert 200 == answer.status, answer.body
    said: str = answer.body["choices"][0]["message"]["content"]
    return said


def prompt_tokens(caller: Caller, *messages: Json) -> int:
    """Return how many tokens a conversation is for the model."""
    answer = caller.ask("local", messages=list(messages), max_tokens=1)
    assert 200 == answer.status, answer.body
    count: int = answer.body["usage"]["prompt_tokens"]
    return count


@proves("CreateChatCompletionRequest.max_tokens", "CreateChatCompletionRequest.max_completion_tokens", on=("local",))
@pytest.mark.parametrize(
    "fields", [{"max_tokens": 3}, {"max_completion_tokens": 3}, {"max_completion_tokens": 3, "max_tokens": 9}]
)
def test_limits(caller: Caller, fields: Json) -> None:
    """It ends after so many tokens; the newer name counts."""
    answer = caller.ask("local", messages=ASK, **GREEDY, **fields)
    assert (3, "length") == (answer.body["usage"]["completion_tokens"], answer.body["choices"][0]["finish_reason"])


@proves("CreateChatCompletionRequest.stop", on=("local",))
def test_stop(caller: Caller) -> None:
    """It ends before a text that it would have said."""
    whole = text(caller, **GREEDY)
    word = whole.split()[4]
    assert whole.partition(word)[0] == text(caller, stop=["zzzz", word], **GREEDY)


@proves("CreateChatCompletionRequest.n", on=("local",))
def test_choices(caller: Caller) -> None:
    """Two at most, and more is refused by name."""
    answer = caller.ask("local", messages=ASK, max_tokens=3, n=2)
    assert [0, 1] == [choice["index"] for choice in answer.body["choices"]]
    refusal = caller.ask("local", messages=ASK, n=3)
    assert ("unsupported_parameter", "n") == (refusal.error["code"], refusal.error["param"])


@proves("CreateChatCompletionRequest.temperature", "CreateChatCompletionRequest.seed", on=("local",))
def test_chance(caller: Caller) -> None:
    """The same seed gives the same words, other seeds others, and no temperature always the likeliest."""
    by_seed = [text(caller, temperature=1.5, seed=seed) for seed in (7, 7, 8, 9)]
    assert by_seed[0] == by_seed[1]
    assert len(set(by_seed)) > 1
    assert text(caller, temperature=0, seed=7) == text(caller, temperature=0, seed=8)


@proves("CreateChatCompletionRequest.top_p", on=("local",))
def test_top_p(caller: Caller) -> None:
    """With none but the likeliest token to choose from, chance has no say."""
    assert text(caller, temperature=0) == text(caller, temperature=2, top_p=0)


@proves("CreateChatCompletionRequest.frequency_penalty", "CreateChatCompletionRequest.presence_penalty", on=("local",))
@pytest.mark.parametrize("name", ["frequency_penalty", "presence_penalty"])
def test_penalties(caller: Caller, name: str) -> None:
    """What was said already becomes likelier or less likely."""
    said = {text(caller, max_tokens=60, **GREEDY, **{name: value}) for value in (-2, 0, 2)}
    assert len(said) > 1


@proves("CreateChatCompletionRequest.logit_bias", on=("local",))
def test_logit_bias(caller: Caller) -> None:
    """A token can be made the likeliest by far."""
    said = text(caller, max_tokens=4, logit_bias={"100": 100}, **GREEDY)
    assert said == said[: len(said) // 4] * 4


@proves("CreateChatCompletionRequest.logprobs", "CreateChatCompletionRequest.top_logprobs", on=("local",))
@pytest.mark.parametrize("alternatives", [None, 2])
def test_logprobs(caller: Caller, alternatives: int | None) -> None:
    """The likelihood of each token, and of as many others as are wanted."""
    fields: Json = {} if alternatives is None else {"top_logprobs": alternatives}
    answer = caller.ask("local", messages=ASK, max_tokens=3, logprobs=True, **fields)
    [choice] = answer.body["choices"]
    tokens = choice["logprobs"]["content"]
    assert 3 == len(tokens)
    assert {alternatives or 0} == {len(token["top_logprobs"]) for token in tokens}


@proves(
    "CreateChatCompletionRequest.response_format",
    "ResponseFormat.json_schema",
    "ResponseFormatJsonSchemaDefinition.schema",
    on=("local",),
)
def test_a_schema_is_kept_to(caller: Caller) -> None:
    """The answer is what the schema allows, whatever the model would have said."""
    schema = {
        "type": "object",
        "properties": {"colour": {"enum": ["red", "blue"]}},
        "required": ["colour"],
        "additionalProperties": False,
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "colour", "schema": schema, "strict": True}}
    answer = json.loads(text(caller, response_format=wanted))
    assert ["colour"] == list(answer)
    assert answer["colour"] in ("red", "blue")


@proves("ResponseFormat.json_object", "ResponseFormat.text", "OutputModality.text", on=("local",))
def test_other_formats(caller: Caller) -> None:
    """JSON begins like JSON; text is what it says anyway."""
    assert text(caller, response_format={"type": "json_object"}).lstrip().startswith("{")
    plain = text(caller, **GREEDY)
    assert (
        plain == text(caller, response_format={"type": "text"}, **GREEDY) == text(caller, modalities=["text"], **GREEDY)
    )


@proves("CreateChatCompletionRequest.*", on=("local",))
def test_what_only_llama_cpp_knows(caller: Caller) -> None:
    """Fields that the contract doesn't know reach the model's process."""
    assert text(caller, grammar='root ::= "yes" | "no"') in ("yes", "no")


@proves(
    "ChatCompletionRequestMessage.developer",
    "ChatCompletionRequestMessage.system",
    "ChatCompletionRequestMessage.user",
    "ChatCompletionRequestMessage.assistant",
    "ChatCompletionRequestMessage.tool",
    "ChatCompletionRequestDeveloperMessage.role",
    "ChatCompletionRequestDeveloperMessage.content",
    "ChatCompletionRequestSystemMessage.role",
    "ChatCompletionRequestSystemMessage.content",
    "ChatCompletionRequestUserMessage.role",
    "ChatCompletionRequestUserMessage.content",
    "ChatCompletionRequestAssistantMessage.role",
    "ChatCompletionRequestAssistantMessage.content",
    "ChatCompletionRequestToolMessage.role",
    "ChatCompletionRequestToolMessage.content",
    on=("local",),
)
@pytest.mark.parametrize(
    ("before", "message"),
    [
        ([], {"role": "developer", "content": "x"}),
        ([], {"role": "system", "content": "x"}),
        ([], {"role": "user", "content": "x"}),
        ([HI], {"role": "assistant", "content": "x"}),
        ([HI, CALL], {**RESULT, "content": "x"}),
    ],
)
def test_every_message_counts(caller: Caller, before: Json, message: Json) -> None:
    """The model reads the words of each role."""
    longer = {**message, "content": "The sea is blue and the sand is white."}
    assert prompt_tokens(caller, *before, message, HI) < prompt_tokens(caller, *before, longer, HI)


@proves(
    "ChatCompletionTextOnlyPart.type",
    "ChatCompletionTextOnlyPart.text",
    "TextPartType.text",
    "ChatCompletionRequestUserMessageContentPart.text",
    "ChatCompletionRequestAssistantMessageContentPart.text",
    "ChatCompletionRequestMessageContentPartText.type",
    "ChatCompletionRequestMessageContentPartText.text",
    on=("local",),
)
@pytest.mark.parametrize("role", ["system", "user", "assistant"])
def test_parts_are_texts(caller: Caller, role: str) -> None:
    """A text in a part is the same for the model as the text alone."""
    plain = {"role": role, "content": "The sea is blue."}
    parts = {"role": role, "content": [{"type": "text", "text": "The sea is blue."}]}
    assert prompt_tokens(caller, plain, HI) == prompt_tokens(caller, parts, HI)


@proves(
    "CreateChatCompletionRequest.tools",
    "CreateChatCompletionRequest.tool_choice",
    "ChatCompletionToolDefinition.function",
    "FunctionObject.name",
    "FunctionObject.description",
    "FunctionObject.parameters",
    "ToolChoiceMode.none",
    "ToolChoiceMode.auto",
    "ToolChoiceMode.required",
    "ChatCompletionToolChoiceObject.function",
    "ChatCompletionToolChoiceObject.allowed_tools",
    on=("local",),
)
@pytest.mark.parametrize(
    ("choice", "calls"),
    [
        ("none", False),
        ("auto", False),
        ("required", True),
        ({"type": "function", "function": {"name": "look"}}, True),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "look"}}]},
            },
            True,
        ),
    ],
)
def test_tool_choices(caller: Caller, choice: Json, calls: bool) -> None:
    """It calls a tool where it has to, with arguments that the schema allows."""
    answer = caller.ask("local", messages=ASK, tools=[FUNCTION], tool_choice=choice, max_tokens=60, **GREEDY)
    assert 200 == answer.status, answer.body
    [found] = answer.body["choices"]
    made = found["message"].get("tool_calls", [])
    assert calls == bool(made)
    if calls:
        [call] = made
        assert "tool_calls" == found["finish_reason"]
        assert "look" == call["function"]["name"]
        assert ["city"] == list(json.loads(call["function"]["arguments"]))
