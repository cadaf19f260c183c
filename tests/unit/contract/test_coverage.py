"""The contract has all of OpenAI's chat completions, and nothing that is not in it."""

import pytest

from tests import official
from tests.unit.contract import schemas
from tests.unit.contract.shape import shape

# Where we differ on purpose: place, what only OpenAI's schema says, what only ours says, and why.
NAME = {"minLength 1", "maxLength 64", r"pattern ^[A-Za-z0-9_-]{1,64}$(?!\n)"}
ROLES = {"role": {"enum": ["user", "tool", "function"]}}
TURN = f"contains { {'type': 'object', 'required': ['role'], 'properties': ROLES} }"
ADDRESS = f"pattern {schemas.components()['ImageAddress']['pattern']}"
PLACE = {"no such place"}
TTL = {"type string", "value 30m", "value 12h"}
CUSTOM = "OpenAI streams calls of custom tools, and its schema of chunks forgot them (openai/openai-openapi#576)"
METADATA: dict[str, tuple[set[str], set[str], str]] = {
    "metadata": (
        set(),
        {"maxProperties 16", "propertyNames {'$ref': '#/components/schemas/MetadataKey'}"},
        "OpenAI documents 16 pairs with keys of at most 64 characters",
    ),
    "metadata{}": (set(), {"maxLength 512"}, "OpenAI documents it"),
}
_PLACE_NAMES = ("country", "region", "city", "timezone")
NULLS: dict[str, tuple[set[str], set[str], str]] = {
    place: (set(), {"type null"}, "many clients write down what they don't set")
    for place in (
        *("function_call", "functions", "functions[].description", "functions[].parameters", "messages[].name"),
        *("messages[].content[].image_url.detail", "messages[].content[].prompt_cache_breakpoint"),
        *(f"messages[].content[].file.{name}" for name in ("file_data", "file_id", "filename")),
        *("messages[].tool_calls", "parallel_tool_calls", "prediction.content[].prompt_cache_breakpoint"),
        *("prompt_cache_options", "response_format", "response_format.json_schema.description"),
        *("response_format.json_schema.schema", "stream_options.include_obfuscation", "stream_options.include_usage"),
        *("tool_choice", "tools", "tools[].custom.description", "tools[].custom.format"),
        *("tools[].function.description", "tools[].function.parameters", "user", "web_search_options"),
    )
}
LENGTHS: dict[str, tuple[set[str], set[str], str]] = {
    place: (set(), {"maxLength 8192", *more}, "what names something isn't megabytes long")
    for place, *more in (
        ("user", "type null"),
        ("prompt_cache_key",),
        ("messages[].name", "type null"),
        ("messages[].audio.id",),
        ("messages[].content[].file.filename", "type null"),
        ("messages[].content[].file.file_id", "type null"),
        ("function_call.name",),
        ("tool_choice.function.name",),
        ("tool_choice.custom.name",),
        ("tools[].custom.name",),
        ("audio.voice",),
        ("audio.voice.id",),
        ("moderation.model",),
        *((f"web_search_options.user_location.approximate.{name}",) for name in _PLACE_NAMES),
    )
}
DIFFERENCES: dict[str, dict[str, tuple[set[str], set[str], str]]] = {
    "CreateChatCompletionRequest": METADATA
    | NULLS
    | LENGTHS
    | {
        "model": (set(), {"minLength 1", "maxLength 512"}, "it names an agent, and each chunk repeats it"),
        "messages": (set(), {TURN}, "a run needs a turn"),
        "functions[].name": (set(), NAME, "OpenAI documents these letters and this length"),
        "tools[].function.name": (set(), NAME, "OpenAI documents these letters and this length"),
        "response_format.json_schema.name": (set(), NAME, "OpenAI documents these letters and this length"),
        "messages[].content[].type": (
            set(),
            {"value input_text", "value input_image"},
            "clients of the Responses API spell these parts so",
        ),
        "prediction.content[].type": (set(), {"value input_text"}, "the same"),
        "messages[].content[].image_url": (set(), {"type string", ADDRESS}, "of an input_image part"),
        "messages[].content[].detail": (
            PLACE,
            {"type string", "type null", "value auto", "value low", "value high"},
            "of an input_image part",
        ),
        "messages[].content[].prompt_cache_breakpoint.ttl": (PLACE, TTL, "the official SDK has it"),
        "prediction.content[].prompt_cache_breakpoint.ttl": (PLACE, TTL, "the same"),
        "messages[].content[].image_url.url": (set(), {ADDRESS}, "OpenAI documents an address or base64"),
        "logit_bias{}": (set(), {"minimum -100", "maximum 100"}, "OpenAI documents it"),
        "max_tokens": (set(), {"minimum 1"}, "OpenAI answers 400 below"),
        "max_completion_tokens": (set(), {"minimum 1"}, "OpenAI answers 400 below"),
        "seed": (
            {"minimum -9223372036854776000", "maximum 9223372036854776000"},
            {"minimum -9223372036854775808", "maximum 9223372036854775807"},
            "theirs are 64 bits, rounded by a tool that took them for floats",
        ),
    },
    "CreateChatCompletionResponse": METADATA
    | {
        f"choices[].message.{name}": (PLACE, {"type string"}, "what a model thinks, as most servers call it")
        for name in ("reasoning_content", "reasoning")
    },
    "CreateChatCompletionStreamResponse": {
        **{
            f"choices[].delta.{name}": (PLACE, {"type string", "type null"}, "the same")
            for name in ("reasoning_content", "reasoning")
        },
        "choices[].delta.tool_calls[].custom": (PLACE, {"type object", "required nothing"}, CUSTOM),
        "choices[].delta.tool_calls[].custom.name": (PLACE, {"type string"}, CUSTOM),
        "choices[].delta.tool_calls[].custom.input": (PLACE, {"type string"}, CUSTOM),
        "x_zero_usage": (PLACE, {"type string", "value estimated"}, "a stream's header is gone when usage is known"),
    },
    "ErrorResponse": {
        "error.type": (
            set(),
            {
                f"value {v}"
                for v in (
                    "invalid_request_error",
                    "permission_error",
                    "rate_limit_error",
                    "server_error",
                    "requests",
                    "tokens",
                )
            },
            "the gateway has these",
        ),
    },
}


def differences(name: str) -> dict[str, tuple[set[str], set[str]]]:
    """Compare one schema: place, what only OpenAI's says, what only ours says."""
    theirs, ours = shape(name, official.schemas()), shape(name, schemas.components())
    nowhere = {"no such place"}
    found = {}
    for path in theirs.keys() | ours.keys():
        a = theirs[path].facts() if path in theirs else nowhere
        b = ours[path].facts() if path in ours else nowhere
        if a != b:
            found[path] = (a - b, b - a)
    return found


@pytest.mark.parametrize(
    "name",
    [
        "CreateChatCompletionRequest",
        "CreateChatCompletionResponse",
        "CreateChatCompletionStreamResponse",
        "CompletionUsage",
        "Model",
        "ListModelsResponse",
        "ErrorResponse",
    ],
)
def test_same_as_openai(name: str) -> None:
    """A schema says what OpenAI's says, in every place, except for the listed differences."""
    allowed = {path: (theirs, ours) for path, (theirs, ours, _) in DIFFERENCES.get(name, {}).items()}
    assert allowed == differences(name)
