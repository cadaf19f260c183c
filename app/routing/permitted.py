"""The agents that somebody may use, as if there were no others: for them the resolver works as ever. Pure values."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from app.config import AgentProfile
from app.errors import ModelNotFound
from app.routing.target import Directory


class PermittedAgents(msgspec.Struct, frozen=True):
    """Some of a directory's agents, in its order."""

    agents: Mapping[str, AgentProfile]
    default: str | None

    @property
    def default_agent(self) -> str:
        """The agent of who names none.

        Raises:
            ModelNotFound: If there is no agent any more that may be used.
        """
        if self.default is None:
            raise ModelNotFound("The agents that this API key may use are no longer configured.", param="model")
        return self.default


def permitted(directory: Directory, agents: tuple[str, ...] | None) -> Directory:
    """Return what of a directory may be used.

    Args:
        directory: All agents.
        agents: Ids of those that may be used; ``None`` for all. The directory's default agent is the default if it is
            among them, else the first that there is.
    """
    if agents is None:
        return directory
    # An agent may have left the configuration since the gateway began to know the key.
    there = [agent for agent in agents if agent in directory.agents]
    default = directory.default_agent
    return PermittedAgents(
        {name: profile for name, profile in directory.agents.items() if name in there},
        default if default in there else next(iter(there), None),
    )
