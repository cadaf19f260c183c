"""Several JSON schemas that hold at once (``allOf``, a ``$ref`` with more beside it) as a single one.

Pure. Exact: a value fits the result if it fits all of them. Annotations are dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import product
from typing import Any, Final, TypeAlias

import msgspec

from app.engines.local.unfit import Impossible, Unfit

Schema: TypeAlias = dict[str, Any]

MAX_OPTIONS: Final = 1_000


def merged(schemas: Iterable[Schema]) -> Schema:
    """Return one schema for several.

    Raises:
        Impossible: If no value fits all of them.
        Unfit: If they can't be put into one.
    """
    whole: Schema = {}
    for schema in schemas:
        one = _without_const(schema)
        together = {**whole, **one}
        for name in whole.keys() & one.keys():
            together[name] = _both(name, whole[name], one[name])
        _close(together, whole, one)
        whole = together
    return whole


def _without_const(schema: Schema) -> Schema:
    if "const" not in schema:
        return schema
    values = [schema["const"]]
    return {
        **{name: value for name, value in schema.items() if name != "const"},
        "enum": _values(values, schema["enum"]) if "enum" in schema else values,
    }


def _both(name: str, one: Any, other: Any) -> Any:
    both = _BOTH.get(name)
    if both is not None:
        return both(one, other)
    if one == other and type(one) is type(other):
        return one
    raise Unfit(f"it has several schemas with {name!r} that must hold at once")


def _required(one: list[str], other: list[str]) -> list[str]:
    return [*one, *(name for name in other if name not in one)]


def _properties(one: Schema, other: Schema) -> Schema:
    return {**one, **other, **{name: _all(one[name], other[name]) for name in one if name in other}}


def _values(one: list[Any], other: list[Any]) -> list[Any]:
    said = {msgspec.json.encode(value, order="sorted") for value in other}
    both = [value for value in one if msgspec.json.encode(value, order="sorted") in said]
    if not both:
        raise Impossible("its values exclude each other")
    return both


def _products(one: list[Any], other: list[Any]) -> list[Any]:
    if len(one) * len(other) > MAX_OPTIONS:
        raise Unfit("it has too many alternatives")
    return [_all(first, second) for first, second in product(one, other)]


def _all(one: Any, other: Any) -> Any:
    if one is True or other is True:
        return other if one is True else one
    if one is False or other is False:
        return False
    return {"allOf": [one, other]}


def _types(one: Any, other: Any) -> list[str]:
    first, second = ([kinds] if isinstance(kinds, str) else kinds for kinds in (one, other))
    both = [kind for kind in first if kind in second or (kind == "integer" and "number" in second)]
    both += [kind for kind in second if kind == "integer" and "number" in first and kind not in both]
    if not both:
        raise Impossible("its types exclude each other")
    return both


def _close(together: Schema, *parts: Schema) -> None:
    """See to it that what one part says of undeclared properties holds for those that the other declares."""
    for part, other in (parts, parts[::-1]):
        rest = part.get("additionalProperties", True)
        for name in other.get("properties", {}).keys() - part.get("properties", {}).keys():
            together["properties"] = {
                **together["properties"],
                name: _all(together["properties"][name], rest),
            }


_BOTH: Final[dict[str, Callable[[Any, Any], Any]]] = {
    **dict.fromkeys(("minimum", "exclusiveMinimum", "minLength", "minItems"), max),
    **dict.fromkeys(("maximum", "exclusiveMaximum", "maxLength", "maxItems"), min),
    **dict.fromkeys(("items", "additionalProperties"), _all),
    **dict.fromkeys(("anyOf", "oneOf"), _products),
    "enum": _values,
    "properties": _properties,
    "required": _required,
    "type": _types,
}
"""What two values of a keyword come to. Of any other, both must be the same."""
