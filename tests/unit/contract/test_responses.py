"""Responses built from the generated structs are valid by OpenAI's published schemas and by ours."""

import json

import msgspec
import pytest

from app.contract.models import (
    ChatCompletionAnnotation,
    ChatCompletionAudio,
    ChatCompletionChoice,
    ChatCompletionChunkChoice,
    ChatCompletionFunctionCallDelta,
    ChatCompletionLogprobs,
    ChatCompletionMessageCustomCall,
    ChatCompletionMessageCustomToolCall,
    ChatCompletionMessageFunctionCall,
    ChatCompletionMessageToolCall,
    ChatCompletionMessageToolCallChunk,
    ChatCompletionModeration,
    ChatCompletionModerationError,
    ChatCompletionModerationResults,
    ChatCompletionResponseMessage,
    ChatCompletionStreamResponseDelta,
    ChatCompletionTokenLogprob,
    ChatCompletionTopLogprob,
    ChatCompletionUrlCitation,
    CompletionTokensDetails,
    CompletionUsage,
    CreateChatCompletionResponse,
    CreateChatCompletionStreamResponse,
    Error,
    ErrorResponse,
    HealthStatus,
    ListModelsResponse,
    Model,
    ModerationResultBody,
    PromptTokensDetails,
    ReadinessStatus,
)
from tests import official
from tests.official import Json
from tests.unit.contract import schemas
from tests.unit.contract.shape import shape
from tests.unit.contract.test_decoding import places

LOGPROB = ChatCompletionTokenLogprob(
    token="a",
    logprob=-0.5,
    bytes=[97],
    top_logprobs=[
        ChatCompletionTopLogprob(token="a", logprob=-0.5),
        ChatCompletionTopLogprob(token="b", logprob=-1, bytes=[98]),
    ],
)
LOGPROBS = ChatCompletionLogprobs(content=[LOGPROB], refusal=[LOGPROB])
USAGE = CompletionUsage(
    prompt_tokens=3,
    completion_tokens=2,
    total_tokens=5,
    prompt_tokens_details=PromptTokensDetails(
        cached_tokens=1, cache_write_tokens=1, text_tokens=1, audio_tokens=0, image_tokens=0
    ),
    completion_tokens_details=CompletionTokensDetails(
        reasoning_tokens=1, text_tokens=1, audio_tokens=0, accepted_prediction_tokens=0, rejected_prediction_tokens=0
    ),
)
MODERATION = ChatCompletionModeration(
    input=ChatCompletionModerationResults(
        model="m",
        results=[
            ModerationResultBody(
                model="m",
                flagged=False,
                categories={"violence": False},
                category_scores={"violence": 0.1},
                category_applied_input_types={"violence": ["text"]},
            )
        ],
    ),
    output=ChatCompletionModerationError(code="c", message="m"),
)
FUNCTION = ChatCompletionMessageFunctionCall(name="f", arguments="{}")
MESSAGE = ChatCompletionResponseMessage(
    content="hi",
    refusal="no",
    tool_calls=[
        ChatCompletionMessageToolCall(id="call_1", function=FUNCTION),
        ChatCompletionMessageCustomToolCall(id="call_2", custom=ChatCompletionMessageCustomCall(name="c", input="x")),
    ],
    annotations=[
        ChatCompletionAnnotation(
            url_citation=ChatCompletionUrlCitation(start_index=0, end_index=1, url="https://example.org", title="t")
        )
    ],
    audio=ChatCompletionAudio(id="audio_1", expires_at=1, data="AA==", transcript="hi"),
    function_call=FUNCTION,
)
DELTA = ChatCompletionStreamResponseDelta(
    role="assistant",
    content="hi",
    refusal="no",
    tool_calls=[
        ChatCompletionMessageToolCallChunk(
            index=0, id="call_1", type="function", function=ChatCompletionFunctionCallDelta(name="f", arguments="{}")
        )
    ],
    function_call=ChatCompletionFunctionCallDelta(name="f", arguments="{}"),
)

SMALLEST_ANSWER = CreateChatCompletionResponse(
    id="chatcmpl-1",
    created=1,
    model="zero",
    choices=[ChatCompletionChoice(index=0, message=ChatCompletionResponseMessage(), finish_reason="stop")],
)
FULLEST_ANSWER = CreateChatCompletionResponse(
    id="chatcmpl-1",
    created=1,
    model="zero",
    choices=[ChatCompletionChoice(index=0, message=MESSAGE, finish_reason="tool_calls", logprobs=LOGPROBS)],
    usage=USAGE,
    service_tier="default",
    system_fingerprint="fp",
    metadata={"k": "v"},
    moderation=MODERATION,
)
SMALLEST_CHUNK = CreateChatCompletionStreamResponse(
    id="chatcmpl-1",
    created=1,
    model="zero",
    choices=[ChatCompletionChunkChoice(index=0, delta=ChatCompletionStreamResponseDelta())],
)
FULLEST_CHUNK = CreateChatCompletionStreamResponse(
    id="chatcmpl-1",
    created=1,
    model="zero",
    choices=[ChatCompletionChunkChoice(index=0, delta=DELTA, finish_reason="stop", logprobs=LOGPROBS)],
    usage=USAGE,
    service_tier=None,
    system_fingerprint="fp",
    obfuscation="x",
    moderation=MODERATION,
)
USAGE_CHUNK = CreateChatCompletionStreamResponse(id="chatcmpl-1", created=1, model="zero", choices=[], usage=USAGE)
NULL_CHUNK = CreateChatCompletionStreamResponse(
    id="chatcmpl-1",
    created=1,
    model="zero",
    choices=[
        ChatCompletionChunkChoice(
            index=0, delta=ChatCompletionStreamResponseDelta(content=None, refusal=None), logprobs=None
        )
    ],
    usage=None,
    service_tier=None,
    moderation=None,
)
MODEL = Model(id="zero", created=1, owned_by="zero")
ERROR = ErrorResponse(error=Error(message="m", type="server_error"))


def as_json(struct: msgspec.Struct) -> dict[str, Json]:
    """Encode the way the gateway does, and read it back."""
    body: dict[str, Json] = json.loads(msgspec.json.encode(struct))
    return body


@pytest.mark.parametrize(
    "struct",
    [
        pytest.param(SMALLEST_ANSWER, id="smallest answer"),
        pytest.param(FULLEST_ANSWER, id="fullest answer"),
        pytest.param(SMALLEST_CHUNK, id="smallest chunk"),
        pytest.param(FULLEST_CHUNK, id="fullest chunk"),
        pytest.param(USAGE_CHUNK, id="usage chunk"),
        pytest.param(NULL_CHUNK, id="chunk of nulls"),
        pytest.param(ERROR, id="error"),
        pytest.param(MODEL, id="model"),
        pytest.param(Model(id="zero", created=1, owned_by="zero", shutdown_date=None), id="model with a null"),
        pytest.param(ListModelsResponse(data=[MODEL]), id="models"),
        pytest.param(USAGE, id="usage"),
    ],
)
def test_valid_response(struct: msgspec.Struct) -> None:
    """A response is valid by OpenAI's schema and by ours, and decodes to what it was made from."""
    name, body = type(struct).__name__, as_json(struct)
    official.validator(name).validate(body)
    schemas.of(name).validate(body)
    assert struct == msgspec.json.decode(msgspec.json.encode(struct), type=type(struct))


@pytest.mark.parametrize("struct", [HealthStatus(), ReadinessStatus()])
def test_service_response(struct: msgspec.Struct) -> None:
    """Health and readiness need no arguments."""
    schemas.of(type(struct).__name__).validate(as_json(struct))
    assert {"status"} == as_json(struct).keys()


@pytest.mark.parametrize("struct", [FULLEST_ANSWER, FULLEST_CHUNK])
def test_fullest_response_is_full(struct: msgspec.Struct) -> None:
    """Every field of OpenAI's response schemas has a place in the structs."""
    described = {path for path in shape(type(struct).__name__, official.schemas()) if "{}" not in path}
    # Input and output are of the same type; one of them shows the results, the other the error.
    missing = {path.replace("output", "input") for path in described}
    missing -= {path.replace("output", "input") for path in places(as_json(struct))}
    assert set() == missing


def test_smallest_answer() -> None:
    """What OpenAI requires is written even when it is null; what is optional is left out."""
    message = {"role": "assistant", "content": None, "refusal": None}
    assert {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "zero",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
    } == as_json(SMALLEST_ANSWER)


def test_smallest_chunk() -> None:
    """A chunk always has its finish reason, null until the end, and nothing that was not said."""
    assert {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "zero",
        "choices": [{"index": 0, "delta": {}, "finish_reason": None}],
    } == as_json(SMALLEST_CHUNK)


def test_null_usage() -> None:
    """With `include_usage`, the chunks before the last one say that the usage is null."""
    assert (None, True) == (as_json(NULL_CHUNK)["usage"], "usage" not in as_json(SMALLEST_CHUNK))


def test_error() -> None:
    """An error always has its four fields."""
    assert {"error": {"message": "m", "type": "server_error", "param": None, "code": None}} == as_json(ERROR)


def test_tool_call() -> None:
    """A tool call says its type, which the struct does not ask for."""
    call = ChatCompletionMessageToolCall(id="call_1", function=FUNCTION)
    expected = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    assert expected == as_json(call)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("ErrorResponse", {"error": {"message": "m", "type": "t", "code": None}}),
        ("CreateChatCompletionStreamResponse", {**as_json(SMALLEST_CHUNK), "choices": [{"index": 0, "delta": {}}]}),
        ("CreateChatCompletionStreamResponse", {**as_json(SMALLEST_CHUNK), "object": "chat.completion"}),
        ("CreateChatCompletionResponse", {**as_json(SMALLEST_ANSWER), "usage": None}),
        ("Model", {"id": "zero", "object": "model", "created": None, "owned_by": "zero"}),
    ],
)
def test_official_validator_can_refuse(name: str, body: Json) -> None:
    """The validators of OpenAI's schemas are not mere yes-men."""
    assert not official.validator(name).is_valid(body)
