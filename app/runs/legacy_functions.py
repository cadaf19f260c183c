"""The older form of tools: ``functions``, ``function_call`` and messages of the role ``function``.

One rule for every engine: engines see tools only, and a client that asked with ``functions`` is answered with a
``function_call`` (``choice`` sees to that). So a request's functions become tools, its choice a tool choice, and never
more than one call is asked for, since the older form has no place for more. In the conversation a ``function_call`` and
the ``function`` message that answers it become a tool call and its result, under an id made of its place among all
function calls, which is the same each time the conversation comes. One without the other travels as it is. Sessions
keep what the client said and was told, in its own form. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import UNSET

from app.contract.models import (
    ChatCompletionFunctionCallOption,
    ChatCompletionNamedTool,
    ChatCompletionNamedToolChoice,
    ChatCompletionTool,
    CreateChatCompletionRequest,
    FunctionObject,
)
from app.runs.turn import Turn
from app.sessions.history import Spoken, may_call_function
from app.sessions.message import Message

_FUNCTIONS: Final = ("functions", "function_call")


def may_call_functions(messages: Sequence[Message]) -> bool:
    """Tell whether there may be a function call among messages. A session's history knows that without looking."""
    return messages.may_call_functions if isinstance(messages, Spoken) else any(map(may_call_function, messages))


def with_tools(turn: Turn, *, calling: bool = True) -> Turn:
    """Return a turn in which nothing of the older form is left that has a newer one.

    Args:
        turn: The turn.
        calling: Whether there may be a function call among its messages.
    """
    parameters = turn.parameters
    if any(name in parameters for name in _FUNCTIONS):
        parameters = _with_tool_parameters(parameters)
    messages = turn.messages
    if calling and may_call_functions(messages):
        messages = _with_tool_messages(messages)
    request = turn.request
    if request.functions:
        request = _with_tool_request(request)
    if request is turn.request and messages is turn.messages and parameters is turn.parameters:
        return turn
    return msgspec.structs.replace(turn, request=request, messages=messages, parameters=parameters)


def _with_tool_parameters(parameters: Any) -> dict[str, Any]:
    changed = {name: value for name, value in parameters.items() if name not in _FUNCTIONS}
    functions = _plain(parameters.get("functions"), list[msgspec.Raw] | None)
    if functions:
        changed["tools"] = [{"type": "function", "function": function} for function in functions]
        changed["parallel_tool_calls"] = False
    choice = _plain(parameters.get("function_call"), Any)
    if choice is not None:
        changed["tool_choice"] = {"type": "function", "function": choice} if isinstance(choice, dict) else choice
    return changed


def _plain(value: Any, kind: Any) -> Any:
    """Return a parameter, which is raw JSON where the client sent it and plain where the agent's ``params`` have it."""
    return msgspec.json.decode(msgspec.json.encode(value), type=kind)


def _with_tool_request(request: CreateChatCompletionRequest) -> CreateChatCompletionRequest:
    tools = [
        ChatCompletionTool(
            function=FunctionObject(name=one.name, description=one.description, parameters=one.parameters)
        )
        for one in request.functions or ()
    ]
    choice = request.function_call
    return msgspec.structs.replace(
        request,
        tools=tools,
        tool_choice=ChatCompletionNamedToolChoice(function=ChatCompletionNamedTool(name=choice.name))
        if isinstance(choice, ChatCompletionFunctionCallOption)
        else choice,
        parallel_tool_calls=False,
        functions=UNSET,
        function_call=UNSET,
    )


def _with_tool_messages(messages: Sequence[Message]) -> tuple[Message, ...]:
    changed = list(messages)
    waiting: dict[str, tuple[int, str, dict[str, Any]]] = {}
    count = 0
    for position, message in enumerate(messages):
        if may_call_function(message):
            fields = msgspec.json.decode(message.raw)
            call = fields.get("function_call")
            if call is not None and not fields.get("tool_calls"):
                count += 1
                waiting = {call["name"]: (position, f"call_function_{count}", fields)}
        elif message.role == "function":
            result = msgspec.json.decode(message.raw)
            if (found := waiting.pop(result["name"], None)) is not None:
                place, call_id, caller = found
                changed[place] = _calling(caller, call_id)
                answer = {"role": "tool", "tool_call_id": call_id, "content": result["content"] or ""}
                changed[position] = Message.of("tool", answer)
        elif message.role == "user":
            waiting = {}  # what comes later answers nothing any more
    return tuple(changed)


def _calling(fields: dict[str, Any], call_id: str) -> Message:
    """Return an assistant message with a tool call in place of its function call."""
    others = {name: value for name, value in fields.items() if name != "function_call"}
    call = {"id": call_id, "type": "function", "function": fields["function_call"]}
    return Message.of("assistant", {"content": None, **others, "tool_calls": [call]})
