"""The plain value a configuration document consists of, before it has a meaning.

Owns the type names only. Knows nothing about files or configuration keys.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    JsonValue: TypeAlias = bool | int | float | str | list["JsonValue"] | dict[str, "JsonValue"] | None
    """What JSON can say."""
else:
    # msgspec resolves field types at run time and can't follow a recursive alias; Any is what it means there.
    JsonValue = Any

JsonObject: TypeAlias = dict[str, JsonValue]
"""A JSON object."""
