"""A session's key as a command line brings it: refused in the command line's own words, before anybody is asked."""

from __future__ import annotations

import click

OPTION = "--session-key"


def check_session_key(key: str | None, agent: str | None = None, *, given_as: str = OPTION) -> None:
    """Refuse a key that no gateway takes, and one that belongs to another agent than the one that is named.

    Args:
        key: The key, if one is given.
        agent: The agent, if one is named.
        given_as: The option or argument that the key came in.

    Raises:
        click.UsageError: If the key can't be used.
    """
    from app.errors import InvalidRequest
    from app.routing.agent_name import DEFAULT_ALIAS
    from app.routing.session_key import parse_requested

    if key is None:
        return
    if not key.strip():
        raise click.UsageError(f"{given_as} is empty.")
    try:
        owner = parse_requested(key, given_as).agent_id
    except InvalidRequest as error:
        raise click.UsageError(error.message) from None
    # Which agent is the default one only the gateway knows.
    if agent and owner and owner != agent.lower() and DEFAULT_ALIAS not in (owner, agent.lower()):
        raise click.UsageError(f"The session key in {given_as} belongs to agent {owner!r}, not to {agent!r}.")
