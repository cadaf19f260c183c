"""What fields of a request must have to do with each other, which no schema of one field can say.

Pure. OpenAI answers 400 to the same things. Which engine can do what is not decided here, and what concerns the
conversation (results of tool calls) is the run's, since a session may hold the beginning of it.
"""

from __future__ import annotations

from collections.abc import Collection

from app.contract.json_schema import check_schema
from app.contract.models import (
    ChatCompletionAllowedToolsChoice,
    ChatCompletionFunctionCallOption,
    ChatCompletionNamedToolChoice,
    ChatCompletionNamedToolChoiceCustom,
    ChatCompletionTool,
    CreateChatCompletionRequest,
    ResponseFormatJsonSchema,
)
from app.errors import InvalidRequest


def check_request(request: CreateChatCompletionRequest, elsewhere: Collection[str] = ()) -> None:
    """Refuse a request whose fields contradict each other.

    Args:
        request: The request.
        elsewhere: Fields that it doesn't bring along but that are set all the same, by the agent's ``params``.

    Raises:
        InvalidRequest: If ``tools`` and ``functions`` come together, a choice comes without anything to choose from or
            names what isn't there, a schema is none, or ``top_logprobs`` comes without ``logprobs``.
    """
    if request.tools and request.functions:
        raise InvalidRequest("Send tools or functions, the older form, but not both.", param="functions")
    if request.tool_choice and "tools" not in elsewhere:
        _check_tool_choice(request)
    if request.function_call and "functions" not in elsewhere:
        _check_function_call(request)
    if request.top_logprobs and request.logprobs is not True and "logprobs" not in elsewhere:
        raise InvalidRequest("top_logprobs is only allowed with logprobs: true.", param="top_logprobs")
    if request.tools or request.functions or request.response_format:
        _check_schemas(request)


def _check_tool_choice(request: CreateChatCompletionRequest) -> None:
    if not request.tools:
        raise InvalidRequest("tool_choice is only allowed when tools are specified.", param="tool_choice")
    offered = {
        ("function", tool.function.name) if isinstance(tool, ChatCompletionTool) else ("custom", tool.custom.name)
        for tool in request.tools
    }
    match request.tool_choice:
        case ChatCompletionNamedToolChoice(function=named):
            _check_offered("function", named.name, offered, "tool_choice.function.name")
        case ChatCompletionNamedToolChoiceCustom(custom=named):
            _check_offered("custom", named.name, offered, "tool_choice.custom.name")
        case ChatCompletionAllowedToolsChoice(allowed_tools=allowed):
            if allowed.mode == "required" and not allowed.tools:
                raise InvalidRequest(
                    "A call is required, but no tool is allowed.", param="tool_choice.allowed_tools.tools"
                )
            for position, tool in enumerate(allowed.tools):
                param = f"tool_choice.allowed_tools.tools[{position}]"
                kind = tool.get("type")
                inner = tool.get(kind) if kind in ("function", "custom") else None
                if not isinstance(inner, dict) or not isinstance(inner.get("name"), str):
                    raise InvalidRequest(
                        f'{param} must be like {{"type": "function", "function": {{"name": "..."}}}}.', param=param
                    )
                _check_offered(str(kind), inner["name"], offered, param)


def _check_offered(kind: str, name: str, offered: Collection[tuple[str, str]], param: str) -> None:
    if (kind, name) not in offered:
        raise InvalidRequest(f"There is no {kind} tool called {name[:100]!r} among the tools.", param=param)


def _check_function_call(request: CreateChatCompletionRequest) -> None:
    if not request.functions:
        raise InvalidRequest("function_call is only allowed when functions are specified.", param="function_call")
    named = request.function_call
    if isinstance(named, ChatCompletionFunctionCallOption) and named.name not in {f.name for f in request.functions}:
        raise InvalidRequest(
            f"There is no function called {named.name[:100]!r} among the functions.", param="function_call.name"
        )


def _check_schemas(request: CreateChatCompletionRequest) -> None:
    for position, tool in enumerate(request.tools or ()):
        if isinstance(tool, ChatCompletionTool) and tool.function.parameters:
            check_schema(
                tool.function.parameters,
                f"function {tool.function.name!r}",
                f"tools[{position}].function.parameters",
                strict=tool.function.strict is True,
            )
    for position, function in enumerate(request.functions or ()):
        if function.parameters:
            param = f"functions[{position}].parameters"
            check_schema(function.parameters, f"function {function.name!r}", param, strict=False)
    wanted = request.response_format
    if isinstance(wanted, ResponseFormatJsonSchema) and wanted.json_schema.schema:
        check_schema(
            wanted.json_schema.schema,
            f"response_format {wanted.json_schema.name!r}",
            "response_format.json_schema.schema",
            strict=wanted.json_schema.strict is True,
        )
