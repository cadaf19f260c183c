"""The engine that says what it is told: instant, deterministic, for tests and first steps.

Repeats text, and puts it into a tool call or a JSON document where the request insists on one. What it does with each
parameter is docs/compatibility.md's; what would change the form of its answer and can't be had is refused. A token is a
word with the blanks behind it.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any, Final, NamedTuple

import msgspec

from app.contract.models import (
    ChatCompletionAllowedToolsChoice,
    ChatCompletionChunkChoice,
    ChatCompletionFunctionCallDelta,
    ChatCompletionMessageToolCallChunk,
    ChatCompletionNamedToolChoice,
    ChatCompletionRequestMessageContentPartText,
    ChatCompletionRequestUserMessage,
    ChatCompletionStreamResponseDelta,
    ChatCompletionTool,
    CompletionUsage,
    CreateChatCompletionRequest,
    FunctionObject,
    ResponseFormatJsonObject,
    ResponseFormatJsonSchema,
    WebSearchOptions,
)
from app.engines.specimen import specimen
from app.errors import UnsupportedParameter
from app.large.aside import LARGE, aside_if
from app.large.shortened import read
from app.runs.event import Event, finish_event, text_event
from app.runs.turn import Turn
from app.sessions.message import Message, size_of

_TOKEN = re.compile(r"\S+\s*|\s+")
_AT_ONCE: Final = 8 * 1024
"""Characters that are taken apart in one step; no token goes beyond. A run lets others go first after 64 tokens."""


class EchoEngine:
    """Repeats the text of the last user or tool message, word by word."""

    async def run(self, turn: Turn) -> AsyncIterator[Event]:
        """See ``Engine``."""
        _check(turn.request)
        large = size_of(turn.messages) > LARGE
        speech = await aside_if(large, _speech, turn)
        for index in range(turn.choices if speech.tool else 0):
            yield _call_event(index, name=speech.tool, id=f"call_{turn.run_id[-24:]}_{index}")
        said, reason = 0, "tool_calls" if speech.tool else "stop"
        for token in _tokens(speech.text) or ("",):
            if said == speech.limit:
                reason = "length"
                break
            said += 1
            for index in range(turn.choices):
                yield _call_event(index, arguments=token) if speech.tool else text_event(token, index=index, more=True)
        for index in range(turn.choices):
            yield finish_event(reason, index=index, more=True)
        prompt = await aside_if(large, _prompt_tokens, turn.messages)
        completion = said * turn.choices if speech.text else 0
        yield Event(
            usage=CompletionUsage(prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion)
        )

    async def close(self) -> None:
        """See ``Engine``."""


class _Speech(NamedTuple):
    """What is said: words, or the arguments of a call to ``tool``."""

    text: str
    limit: int | None
    tool: str = ""


def _speech(turn: Turn) -> _Speech:
    text = _last_words(turn.messages)
    tool = _demanded(turn.request)
    wanted = turn.request.response_format
    if tool is not None:
        text = _json(specimen(tool.parameters or {"type": "object"}, text))
    elif isinstance(wanted, ResponseFormatJsonSchema):
        text = _json(specimen(wanted.json_schema.schema or {"type": "object"}, text))
    elif isinstance(wanted, ResponseFormatJsonObject):
        text = _json({"text": text})
    else:
        text = _until_stop(text, turn.request.stop)
    limit = turn.request.max_completion_tokens or turn.request.max_tokens or None
    return _Speech(text, limit, tool.name if tool else "")


def _prompt_tokens(messages: tuple[Message, ...]) -> int:
    return max(1, sum(_count(piece) for message in messages for piece in _pieces(_text(message))))


def _tokens(text: str) -> Iterable[str]:
    if len(text) <= _AT_ONCE:
        return _TOKEN.findall(text)
    return (token for piece in _pieces(text) for token in _TOKEN.findall(piece))


def _pieces(text: str) -> Iterator[str]:
    return (text[at : at + _AT_ONCE] for at in range(0, len(text), _AT_ONCE))


def _demanded(request: CreateChatCompletionRequest) -> FunctionObject | None:
    """Return the function that the request insists on: the named one, or the first of those allowed."""
    functions = [tool.function for tool in request.tools or () if isinstance(tool, ChatCompletionTool)]
    match request.tool_choice:
        case "required":
            return functions[0] if functions else None
        case ChatCompletionNamedToolChoice(function=named):
            return next((function for function in functions if function.name == named.name), None)
        case ChatCompletionAllowedToolsChoice(allowed_tools=allowed) if allowed.mode == "required":
            names = [tool.get("function", {}).get("name") for tool in allowed.tools]
            return next((function for function in functions if function.name in names), None)
    return None


def _check(request: CreateChatCompletionRequest) -> None:
    """Refuse what the answer would need and can't have.

    Raises:
        UnsupportedParameter: If the request wants probabilities, sound, a search or moderation, offers a tool that
            isn't a function, or brings a content part that isn't text.
    """
    for param, why in (*_outputs(request), *_inputs(request)):
        raise UnsupportedParameter(f"The echo engine doesn't support {param}: {why}.", param=param)


def _outputs(request: CreateChatCompletionRequest) -> Iterator[tuple[str, str]]:
    if request.logprobs:
        yield "logprobs", "it has no probabilities"
    if request.modalities and "audio" in request.modalities:
        yield "modalities", "it answers with text only"
    if request.audio:
        yield "audio", "it answers with text only"
    # Empty options still ask for a search.
    if isinstance(request.web_search_options, WebSearchOptions):
        yield "web_search_options", "it finds nothing"
    if request.moderation:
        yield "moderation", "it judges nothing"


def _inputs(request: CreateChatCompletionRequest) -> Iterator[tuple[str, str]]:
    for position, tool in enumerate(request.tools or ()):
        if not isinstance(tool, ChatCompletionTool):
            yield f"tools[{position}]", "it calls functions only"
    for position, message in enumerate(request.messages):
        if isinstance(message, ChatCompletionRequestUserMessage) and isinstance(message.content, list):
            for at, part in enumerate(message.content):
                if not isinstance(part, ChatCompletionRequestMessageContentPartText):
                    yield f"messages[{position}].content[{at}]", "it reads text only"


def _call_event(index: int, *, arguments: str = "", name: str = "", id: str = "") -> Event:
    """Return the event that begins a tool call, or one of its arguments' fragments."""
    function = ChatCompletionFunctionCallDelta(arguments=arguments)
    part = ChatCompletionMessageToolCallChunk(index=0, function=function)
    if name:
        part.id, part.type, function.name = id, "function", name
    delta = ChatCompletionStreamResponseDelta(tool_calls=[part])
    return Event(choices=[ChatCompletionChunkChoice(index=index, delta=delta, finish_reason=None)], more=True)


def _json(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=0).decode()


def _last_words(messages: tuple[Message, ...]) -> str:
    for message in reversed(messages):
        if message.role in ("user", "tool", "function"):
            return _text(message)
    return ""


def _text(message: Message) -> str:
    content: Any = read(message.raw).get("content")
    if isinstance(content, list):
        return " ".join(part["text"] for part in content if part.get("type") == "text")
    return content or ""


def _count(text: str) -> int:
    """Return how many times ``_TOKEN`` is found, in a fraction of the time that finding takes."""
    return len(text.split()) + text[:1].isspace()


def _until_stop(text: str, stop: Any) -> str:
    sequences = [stop] if isinstance(stop, str) else stop or ()
    ends = [at for sequence in sequences if sequence and (at := text.find(sequence)) >= 0]
    return text[: min(ends)] if ends else text
