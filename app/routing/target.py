"""The resolver: from what a request says to the agent and the session it means.

One function, used by every door (HTTP now, WebSocket and command line as they come). It reads a configuration
snapshot and touches nothing else. Source of the rules: design.md, "Which agent" and "Which session".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from app.config import AgentProfile
from app.errors import InvalidRequest, ModelNotFound, PermissionDenied
from app.routing.agent_name import DEFAULT_ALIAS, Unnamed, normalized_id, parse_model
from app.routing.session_key import HEADER as SESSION_KEY_HEADER
from app.routing.session_key import fresh_key, full_key, key_for_user, parse_requested, scoped

AGENT_HEADER = "x-zero-agent-id"
AGENT_HEADER_ALIAS = "x-zero-agent"
TASK_HEADER = "x-zero-task"


class Directory(Protocol):
    """What the resolver needs to know of the configuration: the agents there are, and which is the default."""

    @property
    def agents(self) -> Mapping[str, AgentProfile]: ...
    @property
    def default_agent(self) -> str: ...


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller asked for, in the words it used. Empty strings count as not given."""

    model: str
    agent: str = ""
    """Value of the agent header."""
    agent_param: str = AGENT_HEADER
    """The name under which errors speak of ``agent``."""
    session_key: str = ""
    """Value of the session key header, or of a header that means the same."""
    session_param: str = SESSION_KEY_HEADER
    """The name under which errors speak of ``session_key``."""
    user: str = ""
    """OpenAI's ``user``; empty as well when the configuration says not to make sessions from it."""
    scope: str = ""
    """Whose sessions are meant: the scope of the caller's API key; empty for the operator."""
    names_session: bool = True
    """Whether the caller may say which session it wants."""
    stateless: bool = False
    """Whether the call is to leave nothing behind: a chore beside a conversation, or a conversation not to be kept."""


class Target(msgspec.Struct, frozen=True):
    """Where a request goes: the agent, the session key, and whether that session outlives the call."""

    agent: AgentProfile
    session_key: str
    stateful: bool


def resolve(wish: Wish, directory: Directory, *, strict_model: bool) -> Target:
    """Find the agent and the session of a request.

    The agent header beats ``model``, which beats a full session key, which beats the default agent. The session key
    header beats ``user``, which beats a fresh, stateless session. A stateless call has a fresh session
    whatever else it says; a key that it brings along has to be in order all the same, and may choose the agent.

    Raises:
        InvalidRequest: If a header's value is malformed, or the session key belongs to another agent than the one
            explicitly chosen.
        ModelNotFound: If an agent is named that isn't configured, or ``strict_model`` forbids a foreign model name.
        PermissionDenied: If the caller may not say which session it wants, and does.
    """
    if wish.session_key and not wish.names_session:
        raise PermissionDenied(
            f"This API key may not choose a session (its sessionKey is false), and {wish.session_param} names one. "
            "Leave it out.",
            param=wish.session_param,
            code="session_key_not_allowed",
        )
    requested = parse_requested(wish.session_key, wish.session_param) if wish.session_key else None
    chosen = _chosen_agent(wish, directory, strict_model=strict_model)
    if requested is not None and requested.agent_id is not None:
        owner = directory.default_agent if requested.agent_id == DEFAULT_ALIAS else requested.agent_id
        if chosen is None:
            chosen = _known(owner, directory, wish.session_param)
        elif owner != chosen.id:
            raise InvalidRequest(
                f"The session key in {wish.session_param} belongs to agent {requested.agent_id!r}, "
                f"but the request chose agent {chosen.id!r}.",
                param=wish.session_param,
            )
    agent = chosen if chosen is not None else directory.agents[directory.default_agent]
    if wish.stateless:
        return Target(agent, fresh_key(agent.id, wish.scope), stateful=False)
    if requested is not None:
        return Target(agent, full_key(agent.id, scoped(wish.scope, requested.rest)), stateful=True)
    if wish.user:
        return Target(agent, key_for_user(agent.id, wish.user, wish.scope), stateful=True)
    return Target(agent, fresh_key(agent.id, wish.scope), stateful=False)


def agent_of_model(model: str, directory: Directory) -> AgentProfile | None:
    """Return the agent that a model name of the gateway's own forms means, or ``None`` when it means none."""
    name = parse_model(model)
    if name is Unnamed.DEFAULT:
        return directory.agents[directory.default_agent]
    if isinstance(name, Unnamed):
        return None
    agent_id = normalized_id(name)
    return directory.agents.get(agent_id) if agent_id is not None else None


def _chosen_agent(wish: Wish, directory: Directory, *, strict_model: bool) -> AgentProfile | None:
    if wish.agent:
        agent_id = normalized_id(wish.agent)
        if agent_id is None:
            raise InvalidRequest(
                f"{wish.agent_param} must be an agent's id: a letter or digit, then up to 63 letters, digits, "
                "'_' or '-'.",
                param=wish.agent_param,
            )
        if agent_id == DEFAULT_ALIAS:
            return directory.agents[directory.default_agent]
        return _known(agent_id, directory, wish.agent_param)
    name = parse_model(wish.model)
    if name is Unnamed.DEFAULT:
        return None  # names nobody in particular: a full session key may still choose
    if name is Unnamed.FOREIGN:
        if strict_model:
            raise ModelNotFound(_no_such(f"model {wish.model[:100]!r}", directory), param="model")
        return None
    return _known(name, directory, "model")


def _known(name: str, directory: Directory, param: str) -> AgentProfile:
    agent_id = normalized_id(name)
    agent = directory.agents.get(agent_id) if agent_id is not None else None
    if agent is None:
        raise ModelNotFound(_no_such(f"agent {name[:100]!r}", directory), param=param)
    return agent


def _no_such(what: str, directory: Directory) -> str:
    known = ", ".join(f"zero:{agent_id}" for agent_id in list(directory.agents)[:20])
    return f"There is no {what}. The models of this gateway are: zero (the default agent), {known}."
