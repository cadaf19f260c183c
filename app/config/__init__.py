"""The configuration: read, completed, checked, resolved and watched.

Owns everything between the file and the frozen structs that the rest of the gateway reads. May not know HTTP, engines
or sessions. Rules: design.md, Configuration.
"""

from __future__ import annotations

from .agent_id import agent_id
from .agent_profile import AgentProfile, ToolPolicy, Window, agent_profiles, default_agent_id
from .carry_over import Carried, carry_over
from .display import displayed, value_at
from .edition import REMOVED, Change, edit
from .error import ConfigError, RuleError
from .json5_document import read_value
from .json_schema import json_schema
from .key_checks import is_key_name, moment
from .key_path import KeyPath, dotted, key_path
from .loading import LoadedConfig, load
from .location import bind_host, config_path, port, state_dir
from .model_ref import BUILT_IN_PROVIDERS, ModelRef, model_ref
from .standing import Standing
from .structs import (
    SQLITE,
    ApiKey,
    Auth,
    ChatCompletions,
    CircuitBreaker,
    Config,
    Cors,
    FetchImages,
    Gateway,
    Limits,
    Logs,
    Metrics,
    Provider,
    RateLimit,
    Remote,
    Retry,
    Session,
    SessionCompaction,
    SessionReset,
    Timeouts,
    Traces,
)
from .substitution import escape
from .watching import Follower

__all__ = [
    "BUILT_IN_PROVIDERS",
    "REMOVED",
    "SQLITE",
    "AgentProfile",
    "ApiKey",
    "Auth",
    "Carried",
    "Change",
    "ChatCompletions",
    "CircuitBreaker",
    "Config",
    "ConfigError",
    "Cors",
    "FetchImages",
    "Follower",
    "Gateway",
    "KeyPath",
    "LoadedConfig",
    "ModelRef",
    "Provider",
    "Limits",
    "Logs",
    "Metrics",
    "RateLimit",
    "Remote",
    "Retry",
    "RuleError",
    "Session",
    "SessionCompaction",
    "SessionReset",
    "Standing",
    "Timeouts",
    "Traces",
    "ToolPolicy",
    "Window",
    "agent_id",
    "agent_profiles",
    "bind_host",
    "carry_over",
    "config_path",
    "default_agent_id",
    "displayed",
    "dotted",
    "edit",
    "escape",
    "is_key_name",
    "json_schema",
    "key_path",
    "load",
    "model_ref",
    "moment",
    "port",
    "read_value",
    "state_dir",
    "value_at",
]
