"""Whom and which session a request's params name: for the operator, and for somebody with an API key, who sees less."""

from __future__ import annotations

from app.contract.frames import UnknownAgentIdErrorDetails
from app.errors import ModelNotFound
from app.routing.agent_name import DEFAULT_ALIAS
from app.routing.permitted import permitted
from app.routing.session_key import full_key, in_scope, parse_requested
from app.routing.target import Directory, Target, Wish, resolve
from app.security.named_key import NamedKey
from app.ws.failure import MethodFailed
from app.ws.spoken import MODEL


def permitted_to(caller: NamedKey | None, directory: Directory) -> Directory:
    """Return what a caller may know of the agents: those of its API key, or all if it is the operator."""
    return directory if caller is None else permitted(directory, caller.agents)


def target_of(
    agent_id: str,
    session_key: str,
    directory: Directory,
    caller: NamedKey | None = None,
    *,
    param: str = "sessionKey",
) -> Target:
    """Resolve the agent and the session that params name; both may be empty.

    Args:
        agent_id: Param ``agentId``.
        session_key: The session's key.
        directory: The configuration in force.
        caller: The API key that was shown; ``None`` for the operator.
        param: The name of the param that has the key.

    Raises:
        InvalidRequest: If one of them is malformed, or they contradict each other.
        PermissionDenied: If the caller may not say which session it wants.
        MethodFailed: If there is no such agent.
    """
    wish = Wish(
        model=MODEL,
        agent=agent_id,
        agent_param="agentId",
        session_key=session_key,
        session_param=param,
        scope=caller.session_scope if caller is not None else "",
        names_session=caller is None or caller.may_name_sessions,
    )
    try:
        return resolve(wish, permitted_to(caller, directory), strict_model=False)
    except ModelNotFound as error:
        # Nobody else names an agent here: `MODEL` is the default one's name.
        unknown = agent_id or parse_requested(session_key).agent_id or session_key
        raise MethodFailed("INVALID_REQUEST", error.message, UnknownAgentIdErrorDetails(agent_id=unknown)) from error


def key_of(
    session_key: str,
    agent_id: str,
    directory: Directory,
    caller: NamedKey | None = None,
    *,
    param: str = "sessionKey",
) -> str:
    """Return the full key of a session that is there already, for all we know.

    For the operator a full key is enough: its agent may have left the configuration, while the session, or a run of it,
    still exists.

    Raises:
        InvalidRequest: As ``target_of``.
        MethodFailed: As ``target_of``.
    """
    requested = parse_requested(session_key, param)
    if caller is None and requested.agent_id is not None and requested.agent_id != DEFAULT_ALIAS and not agent_id:
        return full_key(requested.agent_id, requested.rest)
    return target_of(agent_id, session_key, directory, caller, param=param).session_key


def sees(caller: NamedKey | None, session_key: str) -> bool:
    """Tell whether a session is one of the caller's API key, or the caller is the operator."""
    return caller is None or in_scope(session_key, caller.session_scope)
