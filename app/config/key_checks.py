"""What ``gateway.auth.keys`` must satisfy beyond its types, and how a moment is written there.

Pure: raises the first fault, and never repeats a hash. Rules: docs/api-keys.md.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from .agent_id import agent_id
from .error import RuleError, suggestion
from .structs import ApiKey, Config

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_HASH = re.compile(r"sha256:[0-9a-f]{64}")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

KEYS = ("gateway", "auth", "keys")


def is_key_name(text: str) -> bool:
    """Tell whether a key, or the sessions of keys, can be called so."""
    return _NAME.fullmatch(text) is not None


def moment(text: str) -> datetime:
    """Read a moment: a day, which means its beginning in UTC, or a day and a time with its zone.

    Raises:
        ValueError: If it is neither.
    """
    if _DAY.fullmatch(text):
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    found = datetime.fromisoformat(text)
    if found.tzinfo is None or not _DAY.match(text):
        raise ValueError(text)
    return found


def check_keys(config: Config) -> None:
    """Refuse keys that can't be told apart, that nobody could use, or that would open nothing.

    Raises:
        RuleError: The first rule that is broken.
    """
    auth = config.gateway.auth
    if auth.keys and auth.mode == "none":
        raise RuleError(
            KEYS,
            'keys limit nobody as long as gateway.auth.mode is "none": whoever sends none may do everything',
            'Set gateway.auth.mode to "token" or "password", or remove the keys.',
        )
    agents = [identifier for agent in config.agents.list if (identifier := agent_id(agent.id)) is not None] or ["main"]
    names: dict[str, int] = {}
    hashes: dict[str, int] = {}
    for index, key in enumerate(auth.keys):
        _check_words(key, index)
        _check_agents(key, index, agents)
        for what, value, seen in (("name", key.name, names), ("hash", key.hash, hashes)):
            if value in seen:
                raise RuleError(
                    (*KEYS, index, what),
                    f"gateway.auth.keys[{seen[value]}] has the same {what}",
                    "Remove one of the two, or choose another." if what == "name" else "Remove one of the two.",
                )
            seen[value] = index


def _check_words(key: ApiKey, index: int) -> None:
    letters = "Use lower-case letters, digits, underscores and dashes, starting with a letter or digit, 64 at most."
    if not is_key_name(key.name):
        raise RuleError((*KEYS, index, "name"), "not a key's name", letters)
    if key.session_scope is not None and not is_key_name(key.session_scope):
        raise RuleError((*KEYS, index, "sessionScope"), "not a name", letters)
    if not _HASH.fullmatch(key.hash):
        raise RuleError(
            (*KEYS, index, "hash"),
            'not a hash: "sha256:" and 64 lower-case hexadecimal digits',
            "`zero keys add NAME` makes a key and writes it.",
        )
    if key.expires is not None:
        try:
            moment(key.expires)
        except ValueError:
            raise RuleError(
                (*KEYS, index, "expires"),
                "not a moment",
                'Write a day, "2027-01-31", or a day and a time with its zone, "2027-01-31T18:00:00Z".',
            ) from None


def _check_agents(key: ApiKey, index: int, known: list[str]) -> None:
    if key.agents is None:
        return
    if not key.agents:
        raise RuleError(
            (*KEYS, index, "agents"), "a key without agents opens nothing", "Name some, or remove it to allow all."
        )
    for place, name in enumerate(key.agents):
        if agent_id(name) not in known:
            raise RuleError(
                (*KEYS, index, "agents", place), f'there is no agent "{name[:64]}"', suggestion(name, known)
            )
