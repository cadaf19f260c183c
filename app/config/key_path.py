"""The place of a value inside the configuration, and how people read it.

Owns the notation of paths. Knows neither files nor configuration keys.
"""

from __future__ import annotations

import re
from typing import TypeAlias

KeyPath: TypeAlias = tuple[str | int, ...]
"""Keys and list indexes from the root to a value; the root is ``()``."""

_PLAIN = re.compile(r"[A-Za-z_$][A-Za-z0-9_$-]*")


def dotted(path: KeyPath) -> str:
    """Write a path the way error messages show it.

    Args:
        path: Keys and indexes from the root.

    Returns:
        For instance ``agents.list[0].id``; a key that is not a plain name is quoted: ``headers["x.y"]``.
    """
    text = ""
    for key in path:
        if isinstance(key, int):
            text += f"[{key}]"
        elif _PLAIN.fullmatch(key):
            text += f".{key}" if text else key
        else:
            text += f"[{_quoted(key)}]"
    return text


def _quoted(key: str) -> str:
    return '"' + "".join(c if c.isprintable() and c not in '"\\' else f"\\u{ord(c):04x}" for c in key) + '"'
