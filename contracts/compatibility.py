"""docs/compatibility.md, written from what the contract says of each engine (`contracts/support.py`)."""

from collections.abc import Iterable, Iterator

from contracts.support import ANSWERS, ENGINES, OTHERS, REQUEST, Json, Statement, Support

_INTRODUCTION = """\
# Compatibility

What the gateway does with each field of OpenAI's chat completions: all that the official document (version 2.3.0) and
the official Python SDK know. Written by `python -m contracts.generate` from the `x-zero-support` of
[`openapi.yaml`](../openapi.yaml); `tests/compatibility` tries every cell on a running gateway.

| Word | Meaning |
| --- | --- |
| honoured | It has the effect that OpenAI's documentation describes, or the gateway gives it with every answer. |
| forwarded | It travels on as it came, byte for byte: of a request to the engine, of an answer to the client. |
| emulated | It has the effect, though the engine knows nothing of it. |
| refused | 400 `unsupported_parameter`, with the field as `param`. |
| ignored | It is accepted and has no effect, for the reason that the note gives. |
| absent | The answers of this engine never have it. |

The engines are [echo](engines.md#echo), any provider of the kind [openai-completions](engines.md#openai-completions),
the [local](engines.md#local) model, and engines from [entry points](engines.md#an-engine-of-your-own), which are handed
everything and decide for themselves. A provider may refuse what was forwarded to it; its 400 reaches the client with
its own `param`.

Null in a field that may be left out counts as not sent, also where OpenAI's schema has no null. A field of the request
that is null isn't forwarded, nor are `name` and `tool_calls` of a message; further inside, null travels as it came.
Fields inside a field share its fate where they have no row.
"""

_RULES = """\
## Rules between fields

These are 400 `invalid_value` unless a code is given, as they are with OpenAI, before any engine is asked.

| Request | `param` |
| --- | --- |
| `tool_choice` without `tools`, `function_call` without `functions` | `tool_choice`, `function_call` |
| a choice that names no tool of the request, in `allowed_tools` too | the name's or the entry's place |
| `tools` and `functions` together | `functions` |
| `top_logprobs` above 0 without `logprobs: true` | `top_logprobs` |
| a schema that is no JSON Schema, or with `strict` isn't closed (`invalid_json_schema`) | the schema's place |
| an image address that is neither `http`, `https` nor `data:` in base64 | the address's place |
| a tool message whose `tool_call_id` no earlier tool call has, or that has its result | the `tool_call_id`'s place |
| tool calls of an assistant message that aren't all followed by a tool message | `messages[i].tool_calls` |

In a session the stored messages count: a client may send the tool messages alone, and must send one for each call. A
session whose last answer called tools can go on with a user's message instead; what the engine makes of that is its
business. Patterns in schemas are not judged.

With `functions`, the engine is asked for one call at most. A `function_call` in the conversation and the `function`
message that answers it reach the engine as a tool call and its result, under the ids `call_function_1`,
`call_function_2` and so on. Sessions keep them as the client sent them.
"""

_REQUEST_TITLES = {
    REQUEST: "Fields of the request",
    "ChatCompletionStreamOptions": "`stream_options`",
    "OutputModality": "`modalities`",
    "ChatCompletionRequestMessage": "Messages, by role",
    "ChatCompletionRequestDeveloperMessage": "Developer messages",
    "ChatCompletionRequestSystemMessage": "System messages",
    "ChatCompletionRequestUserMessage": "User messages",
    "ChatCompletionRequestAssistantMessage": "Assistant messages",
    "ChatCompletionRequestToolMessage": "Tool messages",
    "ChatCompletionRequestFunctionMessage": "Function messages",
    "ChatCompletionTextOnlyPart": "Parts of a developer, system or tool message, and of `prediction`",
    "TextPartType": "The `type` of those parts",
    "ChatCompletionRequestUserMessageContentPart": "Parts of a user message, by `type`",
    "ChatCompletionRequestAssistantMessageContentPart": "Parts of an assistant message, by `type`",
    "ChatCompletionRequestMessageContentPartText": "Text parts of user and assistant messages",
    "ChatCompletionToolDefinition": "`tools`, by `type`",
    "FunctionObject": "`tools[].function`",
    "ToolChoiceMode": "`tool_choice`, as a word",
    "ChatCompletionToolChoiceObject": "`tool_choice`, as an object, by `type`",
    "FunctionCallMode": "`function_call`, as a word",
    "ResponseFormat": "`response_format`, by `type`",
    "ResponseFormatJsonSchemaDefinition": "`response_format.json_schema`",
}
_ANSWER_TITLES = {
    ANSWERS[0]: "The answer in one piece",
    "ChatCompletionChoice": "`choices[]`",
    "ChatCompletionResponseMessage": "`choices[].message`",
    ANSWERS[1]: "The chunks of a stream",
    "ChatCompletionChunkChoice": "`choices[]` of a chunk",
    "ChatCompletionStreamResponseDelta": "`choices[].delta`",
}


def compatibility(document: Json) -> str:
    """Write the page.

    Args:
        document: The parsed contract.

    Raises:
        ValueError: If a member that needs a statement has none.
    """
    schemas = document["components"]["schemas"]
    parts = [_INTRODUCTION, "## Requests\n", *_tables([Support(schemas, REQUEST)], _REQUEST_TITLES), _RULES]
    parts += ["## Answers\n", *_tables([Support(schemas, answer) for answer in ANSWERS], _ANSWER_TITLES)]
    return "\n".join(parts)


def _tables(supports: Iterable[Support], titles: dict[str, str]) -> Iterator[str]:
    said: dict[str, dict[str, str]] = {}
    for support in supports:
        for one in support.statements.values():
            said.setdefault(one.component, {})[one.member] = _row(one, support)
    if said.keys() != titles.keys():
        raise ValueError(f"statements without a title, or the reverse: {sorted(said.keys() ^ titles.keys())}")
    for component, title in titles.items():
        yield f"### {title}\n"
        yield f"| | {' | '.join(ENGINES)} | |"
        yield f"| {' | '.join(['---'] * (len(ENGINES) + 2))} |"
        yield from said[component].values()
        yield ""


def _row(one: Statement, support: Support) -> str:
    inside = _inside(one, support)
    note = " ".join(part for part in (one.note, f"Inside: {', '.join(inside)}." if inside else "") if part)
    name = "any other" if one.member == OTHERS else f"`{one.member}`"
    return f"| {name} | {' | '.join(one.words[engine] for engine in ENGINES)} | {note} |"


def _inside(one: Statement, support: Support) -> list[str]:
    """Name the fields that have no row of their own and share this one's fate, as they stand below it."""
    places = [place for place, ids in support.places.items() if ids == [one.id]]
    tops = [place for place in places if not any(_within(place, other) for other in places)]
    ends = [place for place in places if not any(_within(other, place) for other in places)]
    names = {place[len(top) :].lstrip(".[]{}") for place in ends for top in tops if _within(place, top)}
    return [f"`{name}`" for name in sorted(name for name in names if name)]


def _within(place: str, other: str) -> bool:
    return place != other and place.startswith((f"{other}.", f"{other}[", f"{other}{{"))
