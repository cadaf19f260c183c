"""The gateway with a resolver that knows every name, for schemathesis, which makes most names up.

With the two agents of a real configuration a made-up name ends in 404 before anybody looks at the rest of the request.
"""

import os
from collections.abc import Iterator, Mapping
from typing import Any, cast

from litestar.types import ASGIApp
from msgspec.structs import replace

from app.application import Gateway
from app.config import AgentProfile, config_path, load
from app.engines.registry import registered_engines


class AnyAgent(Mapping[str, AgentProfile]):
    """The configured agents, and one more under whatever id is asked for.

    Args:
        agents: The configured ones. A made-up agent is like the first of them.
    """

    def __init__(self, agents: Mapping[str, AgentProfile]) -> None:
        self._agents = agents

    def __getitem__(self, agent_id: str) -> AgentProfile:
        """Return the agent of this id."""
        return self._agents.get(agent_id) or replace(next(iter(self._agents.values())), id=agent_id)

    def __iter__(self) -> Iterator[str]:
        """Go through the configured agents."""
        return iter(self._agents)

    def __len__(self) -> int:
        """Count the configured agents."""
        return len(self._agents)


def __getattr__(name: str) -> Any:
    """Make ``any_model``, the ASGI application, on demand, as ``app:gateway`` is made."""
    if name != "any_model":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _any_model()


def _any_model() -> ASGIApp:
    environ = os.environ
    loaded = load(config_path(environ), environ, registered_engines())
    agents = cast("dict[str, AgentProfile]", AnyAgent(loaded.agents))
    return Gateway(replace(loaded, agents=agents), environ).app
