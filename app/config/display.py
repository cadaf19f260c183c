"""A configuration as it may be shown: every key with the value in force, secrets hidden.

Owns the way from structs back to plain values, and to one of them by its path. Knows no key.
"""

from __future__ import annotations

from msgspec import Struct

from .error import RuleError, suggestion
from .json_value import JsonValue
from .key_path import KeyPath
from .structs import SecretSection


def displayed(section: Struct, *, secrets: bool = False) -> dict[str, JsonValue]:
    """Return a section as plain values, under the keys of the file.

    Args:
        section: The configuration, or an object of it.
        secrets: Whether to show secrets, too.
    """
    if isinstance(section, SecretSection) and not secrets:
        values = [value for _, value in section.__rich_repr__()]
    else:
        values = [getattr(section, name) for name in section.__struct_fields__]
    return {
        key: _plain(value, secrets=secrets) for key, value in zip(section.__struct_encode_fields__, values, strict=True)
    }


def value_at(tree: JsonValue, path: KeyPath) -> JsonValue:
    """Return the value at a path.

    Args:
        tree: What ``displayed`` returned.
        path: Keys and indexes from the root.

    Raises:
        RuleError: There is no such place.
    """
    for depth, key in enumerate(path):
        if isinstance(key, int) and isinstance(tree, list):
            if key >= len(tree):
                raise RuleError(path[: depth + 1], f"the list has {len(tree)} entries", "Count from 0.")
            tree = tree[key]
        elif isinstance(key, str) and isinstance(tree, dict):
            if key not in tree:
                raise RuleError(path[: depth + 1], "there is no such key", suggestion(key, tree))
            tree = tree[key]
        else:
            raise RuleError(path[: depth + 1], "there is no such key", "Look at what is around it.")
    return tree


def _plain(value: object, *, secrets: bool) -> JsonValue:
    if isinstance(value, Struct):
        return displayed(value, secrets=secrets)
    if isinstance(value, dict):
        return {key: _plain(item, secrets=secrets) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item, secrets=secrets) for item in value]
    assert value is None or isinstance(value, bool | int | float | str), "what a configuration consists of"
    return value
