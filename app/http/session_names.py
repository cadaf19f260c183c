"""What requests about stored sessions name: a session, a message, the sessions of a user or an agent."""

from __future__ import annotations

import re
from typing import Final

from litestar.types import Scope

from app.errors import InvalidRequest
from app.http.query import Query
from app.routing.agent_name import DEFAULT_ALIAS, normalized_id
from app.routing.session_key import full_key, parse_requested, rest_for_user
from app.routing.target import Directory
from app.sessions.archive import Selection

_MESSAGE: Final = re.compile(r"sha256:[0-9a-f]{64}")


def session_key(value: str, directory: Directory, *, param: str = "key") -> str:
    """Return the key of a session that is there already, for all we know: its agent may have left the configuration.

    Raises:
        InvalidRequest: If it isn't a full key.
    """
    requested = parse_requested(value, param) if value else None
    if requested is None or requested.agent_id is None:
        raise InvalidRequest(
            f"{param!r} must be a session's full key, 'agent:<agentId>:<key>', percent-encoded.", param=param
        )
    owner = directory.default_agent if requested.agent_id == DEFAULT_ALIAS else requested.agent_id
    return full_key(owner, requested.rest)


def session_in_path(scope: Scope, directory: Directory) -> str:
    """Return the session that the URL's path is about; see ``session_key``."""
    return session_key(str(scope["path_params"]["key"]), directory)


def message_id(value: str, *, param: str) -> str:
    """Return the id of a message.

    Raises:
        InvalidRequest: If it can't be one.
    """
    if not _MESSAGE.fullmatch(value):
        raise InvalidRequest(f"{param!r} must be an id: 'sha256:' and 64 hexadecimal digits.", param=param)
    return value


def selection(query: Query, directory: Directory, *, user: str | None = None) -> Selection:
    """Return which sessions the parameters ``agent``, ``user`` and ``search`` mean.

    Args:
        query: The URL's query.
        directory: The configuration in force.
        user: The value of ``user``, when it has been read already.

    Raises:
        InvalidRequest: If one of them is malformed.
    """
    agent = query.text("agent")
    agent_id = normalized_id(agent) if agent is not None else None
    if agent is not None and agent_id is None:
        raise InvalidRequest("'agent' must be an agent's id.", param="agent")
    owner = user if user is not None else query.text("user")
    return Selection(
        agent_id=directory.default_agent if agent_id == DEFAULT_ALIAS else agent_id,
        rest=rest_for_user(owner) if owner is not None else None,
        search=query.anything("search"),
    )
