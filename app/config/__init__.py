"""The configuration: read, completed, checked, resolved and watched.

Owns everything between the file and the frozen structs that the rest of the gateway reads. May not know HTTP, engines
or sessions. Rules: design.md, Configuration.
"""

from __future__ import annotations

from .agent_id import agent_id
from .agent_profile import AgentProfile, ToolPolicy, agent_profiles, default_agent_id
from .error import ConfigError
from .loading import LoadedConfig, load
from .location import bind_host, config_path, port, state_dir
from .model_ref import BUILT_IN_PROVIDERS, ModelRef, model_ref
from .structs import Auth, ChatCompletions, Config, Gateway, Provider, RateLimit
from .watching import watch

__all__ = [
    "BUILT_IN_PROVIDERS",
    "AgentProfile",
    "Auth",
    "ChatCompletions",
    "Config",
    "ConfigError",
    "Gateway",
    "LoadedConfig",
    "ModelRef",
    "Provider",
    "RateLimit",
    "ToolPolicy",
    "agent_id",
    "agent_profiles",
    "bind_host",
    "config_path",
    "default_agent_id",
    "load",
    "model_ref",
    "port",
    "state_dir",
    "watch",
]
