"""Names of agents as clients write them: in ``model``, in headers, in session keys.

Pure parsing; whether an agent of that name exists is ``target``'s question.
Source of the rules: design.md, "Which agent".
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

DEFAULT_ALIAS: Final = "default"
"""The word that means "the default agent" wherever an agent's id may stand; no agent may be called so."""

MODEL_ALIAS: Final = "zero"
"""The model name that means the default agent, first in the model list."""

_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}", re.ASCII)
_PREFIXES: Final = ("zero:", "zero/", "agent:")


class Unnamed(Enum):
    """What a model name says when it names no agent of its own."""

    DEFAULT = "default"  # "zero", "zero/default", ...: the default agent is asked for
    FOREIGN = "foreign"  # "gpt-4o": a name of some other system, which many clients have hard-coded


def normalized_id(text: str) -> str | None:
    """Return the agent id that ``text`` spells, lower-cased, or ``None`` when it isn't an id at all."""
    # ASCII only before lower(): "K" (Kelvin sign) lower-cases to "k" and would name somebody else's agent.
    if not text.isascii():
        return None
    lowered = text.lower()
    return lowered if _ID.fullmatch(lowered) else None


def parse_model(model: str) -> str | Unnamed:
    """Read the agent out of a request's ``model``.

    Args:
        model: The field as sent, such as ``zero:beta``, ``agent:beta``, ``zero`` or ``gpt-4o``.

    Returns:
        What stands behind the prefix, not yet checked to be an id; or what an unnamed model means.
    """
    lowered = model.lower()  # nothing beyond ASCII becomes a letter of these words
    if lowered == MODEL_ALIAS:
        return Unnamed.DEFAULT
    for prefix in _PREFIXES:
        if lowered.startswith(prefix):
            name = model[len(prefix) :]
            return Unnamed.DEFAULT if name.lower() == DEFAULT_ALIAS else name
    return Unnamed.FOREIGN
