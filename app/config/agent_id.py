"""What an agent may be called.

Owns the pattern of ids and the reserved alias. Pure; knows neither configuration nor requests.
Rules: design.md, Which agent.
"""

from __future__ import annotations

import re

MAIN_AGENT = "main"
"""The agent there is when none is listed."""

DEFAULT_ALIAS = "default"
"""The word in requests that means the default agent; no agent may be called so."""

_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


def agent_id(text: str) -> str | None:
    """Read an agent's id.

    Args:
        text: What was written, in any case.

    Returns:
        The id in lower case, or None when it isn't one.
    """
    lowered = text.lower()
    # Some characters beyond ASCII have an ASCII lower case (the Kelvin sign); they are not meant.
    return lowered if text.isascii() and _ID.fullmatch(lowered) else None
