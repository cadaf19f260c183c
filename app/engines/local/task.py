"""What the local model is asked for a turn: the conversation in words, and what its answer must look like.

Pure. The model's template has no place for tools, so a call that a request insists on is asked for as JSON, with a
schema that llama.cpp enforces while the model writes. Where the request leaves it to the model, the tools are left out:
given the choice, this model called one for each of eight greetings and questions that needed none (docs/engines.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from app.contract.models import (
    ChatCompletionAllowedToolsChoice,
    ChatCompletionNamedToolChoice,
    ChatCompletionTool,
    ChatCompletionToolChoiceOption,
    ChatCompletionToolDefinition,
    FunctionObject,
    ResponseFormat,
    ResponseFormatJsonObject,
    ResponseFormatJsonSchema,
)
from app.engines.local.conversation import in_words, with_instruction
from app.engines.local.schema import GrammarSchemas, Schema
from app.errors import InvalidRequest, UnsupportedParameter
from app.runs.turn import Turn

_SHAPE: Final = ("tools", "tool_choice", "response_format")
_OF_TOOLS: Final = frozenset({"tools", "tool_choice", "parallel_tool_calls"})
_OF_TEXT: Final = frozenset({"response_format", "stop", "logprobs", "top_logprobs"})
"""What a request says of the answer's text, which a call has none of. A ``stop`` would cut its JSON off."""
_DESCRIPTION: Final = (40, 200)
_DESCRIPTIONS: Final = 1_600
"""Characters of all descriptions together, roughly: the model reads some 30 a second."""
_SHOWN: Final = 8


class _Shape(msgspec.Struct):
    """What a request, or the agent's ``params``, says of the answer's form."""

    tools: list[ChatCompletionToolDefinition] | None = None
    tool_choice: ChatCompletionToolChoiceOption | None = None
    response_format: ResponseFormat | None = None


class _Offer(NamedTuple):
    function: FunctionObject
    param: str


class Task(NamedTuple):
    """A turn as the model is asked.

    Attributes:
        turn: What llama.cpp gets.
        calls: Whether the answer is a tool call.
        name: The tool, where there is only one: then the answer has its arguments only.
        document: Whether the answer is a JSON document.
        param: What in the request made the schema, for llama.cpp's own complaints.
    """

    turn: Turn
    calls: bool = False
    name: str | None = None
    document: bool = False
    param: str | None = None


def task_of(turn: Turn) -> Task:
    """Return what the model is asked for a turn.

    Raises:
        UnsupportedParameter: If it can't keep to a schema of the request.
        InvalidRequest: If no value fits such a schema, or a choice has nothing to choose from.
    """
    shape = _shape_of(turn)
    messages = in_words(turn.messages)
    if offers := _demanded(shape):
        schemas = GrammarSchemas()
        only = len({offer.function.name for offer in offers}) == 1
        schema = _any_of([_call_schema(offer, schemas, named=not only) for offer in offers])
        return Task(
            _asking(
                turn,
                with_instruction(messages, _instruction(offers, named=not only)),
                _OF_TOOLS | _OF_TEXT,
                _format(schema, schemas),
            ),
            calls=True,
            name=offers[0].function.name if only else None,
            param=offers[0].param if len(offers) == 1 else "tools",
        )
    wanted = shape.response_format
    # Where no logprobs are asked for, llama.cpp refuses a number of alternatives, be it 0.
    unneeded = _OF_TOOLS if turn.request.logprobs else _OF_TOOLS | {"top_logprobs"}
    if isinstance(wanted, ResponseFormatJsonSchema) and wanted.json_schema.schema:
        schemas = GrammarSchemas()
        param = "response_format.json_schema.schema"
        schema = schemas.add(wanted.json_schema.schema, param, strict=wanted.json_schema.strict is True)
        return Task(_asking(turn, messages, unneeded, _format(schema, schemas)), document=True, param=param)
    if isinstance(wanted, ResponseFormatJsonSchema | ResponseFormatJsonObject):
        return Task(_asking(turn, messages, unneeded, {"type": "json_object"}), document=True, param="response_format")
    return Task(_asking(turn, messages, unneeded))


def _shape_of(turn: Turn) -> _Shape:
    said = {name: turn.parameters[name] for name in _SHAPE if name in turn.parameters}
    if "json_schema" in turn.parameters:
        raise UnsupportedParameter("The local model takes a schema in response_format only.", param="json_schema")
    try:
        return msgspec.json.decode(msgspec.json.encode(said), type=_Shape) if said else _Shape()
    except msgspec.ValidationError as error:  # the client's have been checked: these are the agent's params
        raise InvalidRequest(f"The agent's params aren't what OpenAI's API knows: {error}.") from error


def _demanded(shape: _Shape) -> list[_Offer]:
    """Return the tools of which one must be called; none when the request leaves it to the model, or forbids it."""
    offers = [
        _Offer(tool.function, f"tools[{at}].function.parameters")
        for at, tool in enumerate(shape.tools or ())
        if isinstance(tool, ChatCompletionTool)
    ]
    match shape.tool_choice:
        case "required":
            names = {offer.function.name for offer in offers}
        case ChatCompletionNamedToolChoice(function=named):
            names = {named.name}
        case ChatCompletionAllowedToolsChoice(allowed_tools=allowed) if allowed.mode == "required":
            names = {tool.get("function", {}).get("name") for tool in allowed.tools}
        case _:
            return []
    chosen = [offer for offer in offers if offer.function.name in names]
    if not chosen:
        raise InvalidRequest("tool_choice demands a tool, but there is none to call.", param="tool_choice")
    return chosen


def _call_schema(offer: _Offer, schemas: GrammarSchemas, *, named: bool) -> Schema:
    parameters = offer.function.parameters or {"properties": {}}
    if parameters.keys() <= {"type", "description", "title", "$schema"}:
        parameters = {**parameters, "properties": {}}  # an object of which nothing is said: no arguments
    strict = offer.function.strict is True
    arguments = schemas.add(parameters, offer.param, strict=strict, only="object")
    if not named:
        return arguments
    return {
        "type": "object",
        "properties": {"name": {"const": offer.function.name}, "arguments": arguments},
        "required": ["name", "arguments"],
    }


def _any_of(options: list[Schema]) -> Schema:
    return options[0] if len(options) == 1 else {"anyOf": options}


def _format(schema: Schema, schemas: GrammarSchemas) -> dict[str, Any]:
    whole = {**schema, "$defs": schemas.definitions} if schemas.definitions else schema
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": whole}}


def _asking(turn: Turn, messages: Sequence[Any], without: frozenset[str], form: dict[str, Any] | None = None) -> Turn:
    parameters = {name: value for name, value in turn.parameters.items() if name not in without}
    if form is not None:
        parameters["response_format"] = form
    return msgspec.structs.replace(turn, messages=tuple(messages), parameters=parameters)


def _instruction(offers: list[_Offer], *, named: bool) -> str:
    least, most = _DESCRIPTION
    room = min(most, max(least, _DESCRIPTIONS // len(offers)))
    lines = []
    for function, _ in offers:
        names = list(_properties(function))[:_SHOWN]
        arguments = dict.fromkeys(names, "...")
        form = {"name": function.name, "arguments": arguments} if named else arguments
        purpose = " ".join((function.description or function.name).split())[:room]
        lines.append(f"{purpose} {msgspec.json.format(msgspec.json.encode(form), indent=0).decode()}")
    return "\n".join(("You can:", *lines, "Answer with the JSON of what the user needs."))


def _properties(function: FunctionObject) -> Sequence[str]:
    declared = (function.parameters or {}).get("properties")
    return list(declared) if isinstance(declared, dict) else []
