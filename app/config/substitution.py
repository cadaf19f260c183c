"""Variables in strings: ``${NAME}``.

Owns the notation and its escape. A pure function of the tree and the environment it is given; knows no keys or files.
Rules: design.md, Configuration.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from .error import RuleError
from .json_value import JsonObject, JsonValue
from .key_path import KeyPath

_VARIABLE = re.compile(r"(\$?)\$\{([A-Z_][A-Z0-9_]*)\}")


def substitute(tree: JsonObject, environ: Mapping[str, str]) -> JsonObject:
    """Replace the variables in every string value, once: what comes in is not looked at again.

    Args:
        tree: The configuration; keys stay as they are.
        environ: The variables.

    Returns:
        A new tree. ``$${NAME}`` has become ``${NAME}``; text of any other form is untouched.

    Raises:
        RuleError: A variable is missing or empty.
    """
    return {key: _value(item, environ, (key,)) for key, item in tree.items()}


def escape(text: str) -> str:
    """Write a text so that substitution gives it back as it is.

    Args:
        text: Any text, for instance one that holds a literal ``${NAME}``.

    Returns:
        The text for a configuration file's string.
    """
    return _VARIABLE.sub(lambda match: f"{match[1]}$${{{match[2]}}}", text)


def _value(value: JsonValue, environ: Mapping[str, str], path: KeyPath) -> JsonValue:
    if isinstance(value, str):
        return _text(value, environ, path) if "${" in value else value
    if isinstance(value, list):
        return [_value(item, environ, (*path, index)) for index, item in enumerate(value)]
    if isinstance(value, dict):
        return {key: _value(item, environ, (*path, key)) for key, item in value.items()}
    return value


def _text(text: str, environ: Mapping[str, str], path: KeyPath) -> str:
    def replacement(match: re.Match[str]) -> str:
        escaped, name = match.groups()
        if escaped:
            return f"${{{name}}}"
        value = environ.get(name, "")
        if not value:
            state = "empty" if name in environ else "not set"
            raise RuleError(
                path,
                f"the environment variable {name} is {state}",
                f"Set {name}, or write $${{{name}}} to mean the text itself.",
            )
        return value

    return _VARIABLE.sub(replacement, text)
