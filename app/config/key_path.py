"""The place of a value inside the configuration, and how people read it.

Owns the notation of paths. Knows neither files nor configuration keys.
"""

from __future__ import annotations

import json
import re
from typing import TypeAlias

KeyPath: TypeAlias = tuple[str | int, ...]
"""Keys and list indexes from the root to a value; the root is ``()``."""

_PLAIN = re.compile(r"[A-Za-z_$][A-Za-z0-9_$-]*")
_STEP = re.compile(r'(\.?)([A-Za-z_$][A-Za-z0-9_$-]*)|\[(\d{1,9})\]|\[("(?:[^"\\]|\\.)*")\]')


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


def key_path(text: str) -> KeyPath:
    """Read a path as ``dotted`` writes it.

    Args:
        text: For instance ``agents.list[0].id`` or ``headers["x.y"]``.

    Returns:
        The keys and indexes.

    Raises:
        ValueError: The text isn't of this form.
    """
    steps: list[str | int] = []
    at = 0
    while at < len(text):
        step = _STEP.match(text, at)
        if step is None or (step[2] is not None and bool(step[1]) != bool(steps)):
            raise ValueError("not a path")
        steps.append(step[2] if step[2] is not None else int(step[3]) if step[3] is not None else json.loads(step[4]))
        at = step.end()
    if not steps:
        raise ValueError("not a path")
    return tuple(steps)


def _quoted(key: str) -> str:
    return '"' + "".join(c if c.isprintable() and c not in '"\\' else _escaped(c) for c in key) + '"'


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
