"""Session keys: how they are spelled, which are refused, how one comes from ``user``.

A key is ``agent:<agentId>:<rest>``. Pure functions; the store never looks inside a key.
Source of the rules: design.md, "Which session".
"""

from __future__ import annotations

import hashlib
import re
from typing import Final, NamedTuple

from app.errors import InvalidRequest
from app.routing.agent_name import normalized_id
from app.unique_id import unique_uuid

HEADER: Final = "x-zero-session-key"
MAX_BYTES: Final = 512
"""The longest key, its prefix ``agent:<id>:`` not counted, so that a key we answer with can always be sent back."""

TEMPORARY: Final = "temporary:"
"""How the id of a chat begins that Open WebUI's user doesn't want kept: as a session key it means a stateless call."""

RESERVED_NAMESPACES: Final = ("subagent:", "cron:", "acp:", "hook:")

API_KEY_NAMESPACE: Final = "api-key:"
"""How the sessions of API keys begin: ``api-key:<scope>:``, so that no two have one by accident."""
_SCOPED = re.compile(rf"{API_KEY_NAMESPACE}[a-z0-9][a-z0-9_-]{{0,63}}:(?=.)")

_PRINTABLE = re.compile(r"[\x20-\x7e]+")
_PLAIN = frozenset(b"!\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~" + bytes(c for c in range(128) if chr(c).isalnum()))


class RequestedKey(NamedTuple):
    """A session key as a client asked for it: its agent when it is a full key, and the rest."""

    agent_id: str | None
    rest: str


def parse_requested(value: str, param: str = HEADER) -> RequestedKey:
    """Read a session key as a client sends it.

    Args:
        value: The header's value, surrounding blanks removed, not empty.
        param: The name under which errors speak of it: the header that brought it.

    Raises:
        InvalidRequest: If it is over 512 bytes (the scope of an API key not counted), has other than printable ASCII
            characters, is a malformed full key, or lies in a namespace that the gateway keeps for itself.
    """
    if not _PRINTABLE.fullmatch(value):
        raise _refused(param, "may hold printable ASCII characters only")
    agent_id: str | None = None
    rest = value
    if value[:6].lower() == "agent:":
        name, separator, rest = value[6:].partition(":")
        agent_id = normalized_id(name)
        if agent_id is None or not separator or not rest:
            raise _refused(param, "begins with 'agent:' but isn't 'agent:<agentId>:<key>'")
    scope = _SCOPED.match(rest)
    own = rest[scope.end() :] if scope is not None else rest
    if len(own) > MAX_BYTES:
        raise _refused(param, f"is longer than {MAX_BYTES} bytes")
    if own.lower().startswith(RESERVED_NAMESPACES):
        raise _refused(param, f"lies in a reserved namespace ({', '.join(RESERVED_NAMESPACES)})")
    return RequestedKey(agent_id, rest)


def check_full(key: str, agent_id: str, param: str) -> None:
    """Refuse what isn't the full key of a session of an agent.

    Args:
        key: The key.
        agent_id: The agent.
        param: The name under which the error speaks of it.

    Raises:
        InvalidRequest: As ``parse_requested``, and if it is another agent's.
    """
    if key != full_key(agent_id, parse_requested(key, param).rest):
        raise _refused(param, f"isn't a full key of agent {agent_id[:64]!r}")


def full_key(agent_id: str, rest: str) -> str:
    """Return the full session key of ``rest`` under an agent."""
    return f"agent:{agent_id}:{rest}"


def scoped(scope: str, rest: str) -> str:
    """Return ``rest`` as one of the sessions of an API key.

    Args:
        scope: The key's; empty for the operator, whose sessions have none.
        rest: What was asked for: what stands behind the agent in one of the scope's keys, or what belongs there.
    """
    if not scope:
        return rest
    prefix = f"{API_KEY_NAMESPACE}{scope}:"
    return rest if rest.startswith(prefix) and len(rest) > len(prefix) else prefix + rest


def in_scope(session_key: str, scope: str) -> bool:
    """Tell whether a full key is one of the sessions of an API key, or the caller is the operator (no scope)."""
    return not scope or session_key.split(":", 2)[-1].startswith(f"{API_KEY_NAMESPACE}{scope}:")


def key_for_user(agent_id: str, user: str, scope: str = "") -> str:
    """Return the session key of OpenAI's ``user``: stable, and different for different users.

    ASCII letters (case kept), digits and punctuation stand as they are; every other byte of the UTF-8 form, blanks and
    ``%`` included, is percent-encoded, so that the key fits a header and no two users share one. A user too long for
    a key is represented by its SHA-256, under a prefix that no encoding can produce.
    """
    return full_key(agent_id, scoped(scope, rest_for_user(user)))


def rest_for_user(user: str) -> str:
    """Return what the keys of ``key_for_user`` have behind the agent, the same for all agents."""
    # The command line can bring lone surrogates, which are as good a name as any.
    spelled = user.encode(errors="surrogatepass")
    encoded = "".join(chr(b) if b in _PLAIN else f"%{b:02X}" for b in spelled[:MAX_BYTES])
    rest = f"openai-user:{encoded}"
    if len(rest) > MAX_BYTES:
        rest = f"openai-user:%sha256:{hashlib.sha256(spelled).hexdigest()}"
    return rest


def fresh_key(agent_id: str, scope: str = "") -> str:
    """Return a key of its own for a stateless call."""
    return f"agent:{agent_id}:{scoped(scope, 'openai:')}{unique_uuid()}"


def _refused(param: str, why: str) -> InvalidRequest:
    return InvalidRequest(f"The session key in {param} {why}.", param=param)
