"""A configuration's agents, as the resolver sees them."""

from __future__ import annotations

from collections.abc import Mapping

from app.config import AgentProfile, ModelRef


class Agents:
    """A directory of agents that exist in name only.

    Args:
        ids: Their ids.
        default: The default agent's id.
    """

    def __init__(self, *ids: str, default: str) -> None:
        model = ModelRef("echo", "echo")
        self.agents: Mapping[str, AgentProfile] = {
            agent_id: AgentProfile(id=agent_id, name=agent_id, model=model) for agent_id in ids
        }
        self.default_agent = default
