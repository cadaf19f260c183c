"""The agent's tool policy, applied to the tools that a request brings along."""

from __future__ import annotations

from collections.abc import Iterator

from app.config import AgentProfile
from app.contract.models import ChatCompletionTool, CreateChatCompletionRequest
from app.errors import PermissionDenied


def check_tools(agent: AgentProfile, request: CreateChatCompletionRequest) -> None:
    """Refuse a request that offers the model a tool which the agent may not use.

    Refused rather than filtered: a tool that silently disappears makes the model fail in ways nobody can explain.

    Raises:
        PermissionDenied: If ``tools.allow`` or ``tools.deny`` of the agent rules a tool out.
    """
    if not (request.tools or request.functions):
        return
    for name, param in _offered(request):
        if not agent.tools.permits(name):
            raise PermissionDenied(
                f"Agent {agent.id!r} may not use a tool called {name!r} (its tools.allow and tools.deny say so).",
                param=param,
                code="tool_not_allowed",
            )


def _offered(request: CreateChatCompletionRequest) -> Iterator[tuple[str, str]]:
    for position, tool in enumerate(request.tools or ()):
        if isinstance(tool, ChatCompletionTool):
            yield tool.function.name, f"tools[{position}].function.name"
        else:
            yield tool.custom.name, f"tools[{position}].custom.name"
    for position, function in enumerate(request.functions or ()):
        yield function.name, f"functions[{position}].name"
