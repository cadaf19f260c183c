"""Numbers with bounds, as llama.cpp's grammar can count. Pure."""

from __future__ import annotations

import math
from typing import Any, Final

from app.engines.local.unfit import Impossible, Unfit

_LARGEST: Final = 10**15
"""llama.cpp's numbers have 16 digits at most; it refuses bounds beyond 64 bits."""


def number_schema(kind: str, flat: dict[str, Any]) -> dict[str, Any] | None:
    """Return the schema of a number.

    The grammar knows bounds of whole numbers only, so a bounded ``number`` is a whole one: less than it may be, but
    never more.

    Args:
        kind: ``integer`` or ``number``.
        flat: The schema, its bounds among other things.

    Returns:
        The schema, or None for a ``number`` with bounds that no whole number lies between.
    """
    low, high = _lowest(flat), _highest(flat)
    if (low is not None and low > _LARGEST) or (high is not None and high < -_LARGEST):
        raise Unfit("its numbers are too large")
    if low is not None and high is not None and low > high:
        if kind == "number" and _is_open(flat):
            return None
        raise Impossible("its minimum is larger than its maximum")
    written: dict[str, Any] = {}
    if low is not None and low >= -_LARGEST:
        written["minimum"] = low
    if high is not None and high <= _LARGEST:
        written["maximum"] = high
    return {"type": "integer" if written else kind, **written}


def _lowest(flat: dict[str, Any]) -> int | None:
    """Return the smallest whole number allowed; draft 4 has ``exclusiveMinimum: true`` beside the minimum."""
    exclusive = flat.get("exclusiveMinimum")
    lows = (
        [math.ceil(flat["minimum"]) + (exclusive is True and _is_whole(flat["minimum"]))] if "minimum" in flat else []
    )
    if exclusive is not None and not isinstance(exclusive, bool):
        lows.append(math.floor(exclusive) + 1)
    return max(lows, default=None)


def _highest(flat: dict[str, Any]) -> int | None:
    exclusive = flat.get("exclusiveMaximum")
    highs = (
        [math.floor(flat["maximum"]) - (exclusive is True and _is_whole(flat["maximum"]))] if "maximum" in flat else []
    )
    if exclusive is not None and not isinstance(exclusive, bool):
        highs.append(math.ceil(exclusive) - 1)
    return min(highs, default=None)


def _is_whole(number: float) -> bool:
    return number == math.floor(number)


def _is_open(flat: dict[str, Any]) -> bool:
    """Tell whether any number at all lies between the bounds."""
    low = max(flat[name] for name in ("minimum", "exclusiveMinimum") if _is_number(flat.get(name)))
    high = min(flat[name] for name in ("maximum", "exclusiveMaximum") if _is_number(flat.get(name)))
    return bool(low < high)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
