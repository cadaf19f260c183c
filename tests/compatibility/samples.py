"""For each statement about requests a request that uses what it is about, and the same without it."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from tests.official import Json
from tests.unit.contract.bodies import BREAKPOINT, FIELDS, SCHEMA

HI: Final[Json] = {"role": "user", "content": "hi"}
FUNCTION: Final[Json] = {
    "type": "function",
    "function": {"name": "look", "description": "d", "parameters": SCHEMA, "strict": True},
}
CUSTOM: Final[Json] = {"type": "custom", "custom": {"name": "sql", "format": {"type": "text"}}}
CALL: Final[Json] = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{ "city":"x" }'}}],
}
RESULT: Final[Json] = {"role": "tool", "tool_call_id": "call_1", "content": "It is red."}
AUDIO: Final[Json] = {"voice": "alloy", "format": "mp3"}
IMAGE: Final[Json] = {"type": "image_url", "image_url": {"url": "https://images.example.com/a.png", "detail": "low"}}


_NOTHING: Final[dict[str, Json]] = {}


class Sample(NamedTuple):
    """A use of something.

    Args:
        use: The fields of a request that make use of it.
        base: The fields that it needs beside itself.
        param: What a refusal names.
    """

    use: dict[str, Json]
    base: dict[str, Json] = _NOTHING
    param: str = ""

    @property
    def fields(self) -> dict[str, Json]:
        """The whole request, but for the model."""
        return {"messages": [HI], **self.base, **self.use}


def said(*messages: Json, without: Json = (), param: str = "") -> Sample:
    """Return the use of a message before the user's: the conversation with it, and without it."""
    return Sample({"messages": [*messages, HI]}, {"messages": [*without, HI]} if without else {}, param)


def parts(*content: Json) -> Sample:
    """Return the use of the last one of some content parts of a user."""
    plain = {"type": "text", "text": "look"}
    return Sample(
        {"messages": [{"role": "user", "content": [plain, *content]}]},
        {"messages": [{"role": "user", "content": [plain]}]},
        f"messages[0].content[{len(content)}]",
    )


def choice(value: Any, tools: Json = (FUNCTION,), param: str = "") -> Sample:
    """Return the use of a tool choice."""
    return Sample({"tool_choice": value}, {"tools": list(tools)}, param)


def format_of(**members: Json) -> Sample:
    """Return the use of a member of a structured answer's definition."""
    return Sample(
        {"response_format": {"type": "json_schema", "json_schema": {"name": "city", "schema": SCHEMA, **members}}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "other", "schema": SCHEMA}}},
    )


BESIDE: Final[dict[str, dict[str, Json]]] = {
    "top_logprobs": {"logprobs": True},
    "tool_choice": {"tools": [FUNCTION]},
    "parallel_tool_calls": {"tools": [FUNCTION]},
    "function_call": {"functions": [{"name": "f"}]},
    "stream_options": {"stream": True},
}
"""What a field of the request needs to be valid."""

_VALUES: Final[dict[str, Json]] = {
    **{name: values[0] for name, values in FIELDS.items()},
    "user": "maria",
    "top_logprobs": 2,
    "tools": [FUNCTION],
    "tool_choice": "auto",
    "n": 2,
    "seed": 9007199254740993,
    "max_tokens": 4,
    "max_completion_tokens": 4,
    "prediction": {"type": "content", "content": "hi"},
    "modalities": ["text", "audio"],
    "stop": ["zzz"],
    "frequency_penalty": 0.5,
    "presence_penalty": 0.5,
    "reasoning_effort": "high",
    "service_tier": "flex",
    "response_format": {"type": "json_object"},
}
# Refused by what it comes with, or under another name.
_PARAMS: Final = {"top_logprobs": "logprobs"}

_SYSTEM: Final = {"role": "system", "content": "Be brief."}
_DEVELOPER: Final = {"role": "developer", "content": "Be brief."}
_ASSISTANT: Final = {"role": "assistant", "content": "Hello."}
_FUNCTION_CALL: Final[Json] = {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}}
_FUNCTION_RESULT: Final = {"role": "function", "name": "f", "content": "It is red."}

SAMPLES: Final[dict[str, Sample]] = {
    **{
        f"CreateChatCompletionRequest.{name}": Sample({name: value}, BESIDE.get(name, {}), _PARAMS.get(name, name))
        for name, value in _VALUES.items()
        if name != "model"
    },
    "CreateChatCompletionRequest.messages": Sample({"messages": [HI]}),
    "CreateChatCompletionRequest.*": Sample({"x_unknown": {"deep": [None, 1.50, "é", {"very": "deep"}]}}),
    "ChatCompletionStreamOptions.include_usage": Sample({"stream_options": {"include_usage": True}}, {"stream": True}),
    "ChatCompletionStreamOptions.include_obfuscation": Sample(
        {"stream_options": {"include_obfuscation": False}}, {"stream": True}
    ),
    "ToolChoiceMode.none": choice("none"),
    "ToolChoiceMode.auto": choice("auto"),
    "ToolChoiceMode.required": choice("required"),
    "FunctionCallMode.none": Sample({"function_call": "none"}, BESIDE["function_call"]),
    "FunctionCallMode.auto": Sample({"function_call": "auto"}, BESIDE["function_call"]),
    "OutputModality.text": Sample({"modalities": ["text"]}),
    "OutputModality.audio": Sample({"modalities": ["text", "audio"]}, {}, "modalities"),
    "ChatCompletionRequestMessage.developer": said(_DEVELOPER),
    "ChatCompletionRequestMessage.system": said(_SYSTEM),
    "ChatCompletionRequestMessage.user": said(HI),
    "ChatCompletionRequestMessage.assistant": said(HI, _ASSISTANT),
    "ChatCompletionRequestMessage.tool": said(CALL, RESULT),
    "ChatCompletionRequestMessage.function": said(_FUNCTION_CALL, _FUNCTION_RESULT),
    "ChatCompletionRequestDeveloperMessage.role": said(_DEVELOPER),
    "ChatCompletionRequestDeveloperMessage.content": said(_DEVELOPER, without=[{**_DEVELOPER, "content": "x"}]),
    "ChatCompletionRequestDeveloperMessage.name": said({**_DEVELOPER, "name": "app"}, without=[_DEVELOPER]),
    "ChatCompletionRequestSystemMessage.role": said(_SYSTEM),
    "ChatCompletionRequestSystemMessage.content": said(_SYSTEM, without=[{**_SYSTEM, "content": "x"}]),
    "ChatCompletionRequestSystemMessage.name": said({**_SYSTEM, "name": "app"}, without=[_SYSTEM]),
    "ChatCompletionRequestUserMessage.role": said(HI),
    "ChatCompletionRequestUserMessage.content": said(HI),
    "ChatCompletionRequestUserMessage.name": said({**HI, "name": "maria"}, without=[HI]),
    "ChatCompletionRequestAssistantMessage.role": said(HI, _ASSISTANT),
    "ChatCompletionRequestAssistantMessage.content": said(
        HI, _ASSISTANT, without=[HI, {"role": "assistant", "content": "x"}]
    ),
    "ChatCompletionRequestAssistantMessage.refusal": said(
        HI, {**_ASSISTANT, "refusal": "No."}, without=[HI, _ASSISTANT]
    ),
    "ChatCompletionRequestAssistantMessage.name": said(HI, {**_ASSISTANT, "name": "zero"}, without=[HI, _ASSISTANT]),
    "ChatCompletionRequestAssistantMessage.audio": said(
        HI, {**_ASSISTANT, "audio": {"id": "audio_1"}}, without=[HI, _ASSISTANT]
    ),
    "ChatCompletionRequestAssistantMessage.tool_calls": said(
        CALL, RESULT, without=[{"role": "assistant", "content": None}]
    ),
    "ChatCompletionRequestAssistantMessage.function_call": said(_FUNCTION_CALL, _FUNCTION_RESULT),
    "ChatCompletionRequestToolMessage.role": said(CALL, RESULT),
    "ChatCompletionRequestToolMessage.content": said(CALL, {**RESULT, "content": [{"type": "text", "text": "red"}]}),
    "ChatCompletionRequestToolMessage.tool_call_id": said(CALL, RESULT),
    "ChatCompletionRequestFunctionMessage.role": said(_FUNCTION_CALL, _FUNCTION_RESULT),
    "ChatCompletionRequestFunctionMessage.content": said(_FUNCTION_CALL, _FUNCTION_RESULT),
    "ChatCompletionRequestFunctionMessage.name": said(_FUNCTION_CALL, _FUNCTION_RESULT),
    "TextPartType.text": said({**_SYSTEM, "content": [{"type": "text", "text": "Be brief."}]}),
    "TextPartType.input_text": said({**_SYSTEM, "content": [{"type": "input_text", "text": "Be brief."}]}),
    "ChatCompletionTextOnlyPart.type": said({**_SYSTEM, "content": [{"type": "text", "text": "Be brief."}]}),
    "ChatCompletionTextOnlyPart.text": said({**_SYSTEM, "content": [{"type": "text", "text": "Be brief."}]}),
    "ChatCompletionTextOnlyPart.prompt_cache_breakpoint": said(
        {**_SYSTEM, "content": [{"type": "text", "text": "Be brief.", "prompt_cache_breakpoint": BREAKPOINT}]},
        without=[{**_SYSTEM, "content": [{"type": "text", "text": "Be brief."}]}],
    ),
    "ChatCompletionRequestUserMessageContentPart.text": parts({"type": "text", "text": "there"}),
    "ChatCompletionRequestUserMessageContentPart.image_url": parts(IMAGE),
    "ChatCompletionRequestUserMessageContentPart.input_audio": parts(
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}
    ),
    "ChatCompletionRequestUserMessageContentPart.file": parts(
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="}}
    ),
    "ChatCompletionRequestUserMessageContentPart.input_text": parts({"type": "input_text", "text": "there"}),
    "ChatCompletionRequestUserMessageContentPart.input_image": parts(
        {"type": "input_image", "image_url": "data:image/png;base64,AA=="}
    ),
    "ChatCompletionRequestAssistantMessageContentPart.text": said(
        HI, {"role": "assistant", "content": [{"type": "text", "text": "Hello."}]}, without=[HI, _ASSISTANT]
    ),
    "ChatCompletionRequestAssistantMessageContentPart.refusal": said(
        HI,
        {"role": "assistant", "content": [{"type": "text", "text": "a"}, {"type": "refusal", "refusal": "No."}]},
        without=[HI, {"role": "assistant", "content": [{"type": "text", "text": "a"}]}],
        param="messages[1].content[1]",
    ),
    "ChatCompletionRequestMessageContentPartText.type": parts({"type": "text", "text": "there"}),
    "ChatCompletionRequestMessageContentPartText.text": parts({"type": "text", "text": "there"}),
    "ChatCompletionRequestMessageContentPartText.prompt_cache_breakpoint": Sample(
        {"messages": [{**HI, "content": [{"type": "text", "text": "hi", "prompt_cache_breakpoint": BREAKPOINT}]}]},
        {"messages": [{**HI, "content": [{"type": "text", "text": "hi"}]}]},
    ),
    "ChatCompletionToolDefinition.function": Sample({"tools": [FUNCTION]}),
    "ChatCompletionToolDefinition.custom": Sample({"tools": [FUNCTION, CUSTOM]}, {}, "tools[1]"),
    **{
        f"FunctionObject.{member}": Sample(
            {"tools": [FUNCTION]},
            {"tools": [{"type": "function", "function": {"name": "look", "parameters": SCHEMA}}]},
        )
        for member in ("name", "description", "parameters", "strict")
    },
    "ChatCompletionToolChoiceObject.allowed_tools": choice(
        {
            "type": "allowed_tools",
            "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "look"}}]},
        }
    ),
    "ChatCompletionToolChoiceObject.function": choice({"type": "function", "function": {"name": "look"}}),
    "ChatCompletionToolChoiceObject.custom": choice(
        {"type": "custom", "custom": {"name": "sql"}}, (CUSTOM,), "tools[0]"
    ),
    "ResponseFormat.text": Sample({"response_format": {"type": "text"}}),
    "ResponseFormat.json_object": Sample({"response_format": {"type": "json_object"}}),
    "ResponseFormat.json_schema": format_of(),
    "ResponseFormatJsonSchemaDefinition.name": format_of(),
    "ResponseFormatJsonSchemaDefinition.description": format_of(description="d", name="other"),
    "ResponseFormatJsonSchemaDefinition.schema": format_of(),
    "ResponseFormatJsonSchemaDefinition.strict": format_of(strict=True),
}
