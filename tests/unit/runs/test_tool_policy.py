"""The tool policy: a request with a tool that the agent may not use is refused, and says which."""

from __future__ import annotations

import pytest

from app.config import ToolPolicy
from app.errors import PermissionDenied
from app.runs.tool_policy import check_tools
from tests.unit.runs.jobs import agent, request

FUNCTION = {"type": "function", "function": {"name": "f"}}
CUSTOM = {"type": "custom", "custom": {"name": "c"}}
WEATHER = {"type": "function", "function": {"name": "get_weather"}}


@pytest.mark.parametrize(
    "policy",
    [
        ToolPolicy(),
        ToolPolicy(allow=("f", "c", "get_weather")),
        ToolPolicy(deny=("other", "F")),
        ToolPolicy(allow=("f", "c", "get_weather", "x"), deny=("x",)),
    ],
)
def test_permitted(policy: ToolPolicy) -> None:
    """Tools that the policy permits pass, of every kind."""
    check_tools(agent(tools=policy), request(tools=[FUNCTION, CUSTOM, WEATHER], functions=[{"name": "f"}]))


@pytest.mark.parametrize(
    ("policy", "fields", "param"),
    [
        (ToolPolicy(deny=("f",)), {"tools": [FUNCTION]}, "tools[0].function.name"),
        (ToolPolicy(deny=("c",)), {"tools": [FUNCTION, CUSTOM]}, "tools[1].custom.name"),
        (ToolPolicy(deny=("f",)), {"functions": [{"name": "g"}, {"name": "f"}]}, "functions[1].name"),
        (ToolPolicy(allow=()), {"tools": [FUNCTION]}, "tools[0].function.name"),
        (ToolPolicy(allow=("f",)), {"tools": [FUNCTION, WEATHER]}, "tools[1].function.name"),
        (ToolPolicy(allow=("F",)), {"tools": [FUNCTION]}, "tools[0].function.name"),
        (ToolPolicy(allow=("f",), deny=("f",)), {"tools": [FUNCTION]}, "tools[0].function.name"),
        (ToolPolicy(allow=("g",)), {"tools": [], "functions": [{"name": "f"}]}, "functions[0].name"),
    ],
)
def test_refused(policy: ToolPolicy, fields: dict[str, object], param: str) -> None:
    """The first tool that allow or deny rules out is 403 and named by its place; deny beats allow."""
    with pytest.raises(PermissionDenied) as caught:
        check_tools(agent(tools=policy), request(**fields))
    assert (403, "tool_not_allowed", param) == (caught.value.status, caught.value.code, caught.value.param)
    assert "'main'" in caught.value.message


@pytest.mark.parametrize("fields", [{}, {"tools": []}])
def test_no_tools(fields: dict[str, object]) -> None:
    """A request without tools passes even where no tool is allowed."""
    check_tools(agent(tools=ToolPolicy(allow=())), request(**fields))
