"""JSON schemas in the words that llama.cpp's grammar understands and survives.

Pure. llama.cpp passes over in silence what it can't enforce, and some schemas make it use up all memory, stand still or
crash, so none reaches it as it was sent. What comes out here is the same or narrower: a value that fits it fits the
original, save for what a grammar can't express. That is refused in a strict schema, and left out of another.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from app.engines.local.pattern import grammar_pattern
from app.engines.local.schema_merge import merged
from app.engines.local.schema_number import number_schema
from app.engines.local.schema_reference import References
from app.engines.local.unfit import Impossible, Unfit
from app.errors import InvalidRequest, UnsupportedParameter

Schema: TypeAlias = dict[str, Any]

MAX_PARTS: Final = 2_000
"""Schemas and enum values in what a request brings: each costs time at every token."""
MAX_DEPTH: Final = 64
MAX_COUNT: Final = 1_000
"""The largest ``minItems`` and ``minLength``; a larger upper bound counts as this."""
_ENDLESS_TEXT: Final = 16_000
"""Characters that don't fit the model's context: no bound above is ever reached."""
_MAX_TUPLE: Final = 64

_FORMATS: Final = frozenset({"date", "date-time", "time", "uuid"})
_COMBINING: Final = ("$ref", "allOf", "anyOf", "oneOf")
_OF_KIND: Final = {
    "object": ("properties", "required", "additionalProperties"),
    "array": ("items", "prefixItems", "minItems", "maxItems"),
    "string": ("pattern", "format", "minLength", "maxLength"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
}
_INEXPRESSIBLE: Final = frozenset(
    {
        "$dynamicRef",
        "$recursiveRef",
        "contains",
        "dependencies",
        "dependentRequired",
        "dependentSchemas",
        "else",
        "if",
        "maxContains",
        "maxProperties",
        "minContains",
        "minProperties",
        "multipleOf",
        "not",
        "patternProperties",
        "propertyNames",
        "then",
        "uniqueItems",
    }
)
_KNOWN: Final = frozenset(
    {*_COMBINING, *_INEXPRESSIBLE, "type", "enum", "const", *(name for names in _OF_KIND.values() for name in names)}
)


class GrammarSchemas:
    """The schemas of one request, with the definitions that they share.

    Attributes:
        definitions: What belongs under ``$defs`` of the schema that these are put into.
    """

    def __init__(self) -> None:
        self.definitions: dict[str, Schema] = {}
        self._parts = 0

    def add(self, schema: Any, param: str, *, strict: bool, only: str | None = None) -> Schema:
        """Return a schema as the model can keep to it. References in it lead to ``#/$defs/``.

        Args:
            schema: The schema, decoded.
            param: Where it stands in the request.
            strict: Whether all of it must be enforced.
            only: The one type that the value may have.

        Raises:
            UnsupportedParameter: If the model can't keep to it.
            InvalidRequest: If no value fits it.
        """
        try:
            whole = {"allOf": [{"type": only}, schema]} if only else schema
            return _Writer(schema, strict, self).write(whole, 0)
        except Impossible as fault:
            raise InvalidRequest(
                f"No value fits the schema: {fault}.", param=param, code="invalid_json_schema"
            ) from None
        except Unfit as fault:
            raise UnsupportedParameter(f"The local model can't keep to the schema: {fault}.", param=param) from None
        except (AttributeError, TypeError, ValueError) as fault:  # from an agent's params, which nobody has checked
            raise InvalidRequest("It is no valid JSON Schema.", param=param, code="invalid_json_schema") from fault

    def count(self, parts: int) -> None:
        """Count parts.

        Raises:
            Unfit: If there are too many.
        """
        self._parts += parts
        if self._parts > MAX_PARTS:
            raise Unfit(f"schemas of more than {MAX_PARTS} parts are too large for it")


class _Writer:
    def __init__(self, root: Any, strict: bool, shared: GrammarSchemas) -> None:
        self._strict = strict
        self._shared = shared
        self._references = References(root)
        self._names: dict[str, str] = {}

    def write(self, schema: Any, depth: int) -> Schema:
        if schema is False:
            raise Impossible("it has a part that allows nothing")
        self._shared.count(1)
        if depth > MAX_DEPTH:
            raise Unfit(f"it is nested more than {MAX_DEPTH} deep")
        if self._references.ways(schema) > MAX_PARTS:
            raise Unfit("it has too many alternatives")
        if schema is True:
            return {}
        said = schema.keys() & _KNOWN
        if said == {"$ref"}:
            return self._reference(schema["$ref"], depth)
        flat = self._flat(schema)
        for keyword in sorted(flat.keys() & _INEXPRESSIBLE):
            self._leave_out(f"{keyword!r} can't be enforced", flat[keyword] is not False)
        for keyword in ("anyOf", "oneOf"):
            if keyword in flat:
                return self._options(flat, keyword, depth)
        return self._plain(flat, depth)

    def _flat(self, schema: Any) -> Schema:
        """Return the schema with its references followed and what must hold at once put together."""
        if schema is False:
            raise Impossible("it has a part that allows nothing")
        if schema is True:
            return {}
        parts = [{name: value for name, value in schema.items() if name in _KNOWN - {"$ref", "allOf"}}]
        if "$ref" in schema:
            parts.append(self._flat(self._references.target(schema["$ref"])))
        parts += [self._flat(part) for part in schema.get("allOf", ())]
        return merged(parts)

    def _reference(self, reference: str, depth: int) -> Schema:
        if reference not in self._names:
            name = self._names[reference] = f"d{len(self._shared.definitions)}"
            self._shared.definitions[name] = {}
            try:
                self._shared.definitions[name] = self.write(self._references.target(reference), depth + 1)
            except Impossible as fault:
                raise Unfit(str(fault)) from None  # others may refer to it already
        return {"$ref": f"#/$defs/{self._names[reference]}"}

    def _options(self, flat: Schema, keyword: str, depth: int) -> Schema:
        rest = {name: value for name, value in flat.items() if name not in (keyword, *_INEXPRESSIBLE)}
        written: list[Schema] = []
        for option in flat[keyword]:
            try:
                written.append(self.write({"allOf": [rest, option]} if rest else option, depth + 1))
            except Impossible:
                continue
        if not written:
            raise Impossible("none of its alternatives is possible")
        return {"anyOf": written}

    def _plain(self, flat: Schema, depth: int) -> Schema:
        said: str | list[str] = flat.get("type") or _kind_of(flat)
        kinds = [said] if isinstance(said, str) else said
        if "enum" in flat:
            return self._enum(flat["enum"], kinds)
        if not kinds:
            return {}
        if len(kinds) == 1:
            return self._of_kind(kinds[0], flat, depth)
        return self._options({"anyOf": [{**flat, "type": kind} for kind in kinds]}, "anyOf", depth)

    def _enum(self, values: list[Any], kinds: list[str]) -> Schema:
        fitting = [value for value in values if not kinds or any(_is_of(value, kind) for kind in kinds)]
        if not fitting:
            raise Impossible("none of its 'enum' is of its 'type'" if values else "its 'enum' is empty")
        self._shared.count(len(fitting))
        return {"enum": fitting}

    def _of_kind(self, kind: str, flat: Schema, depth: int) -> Schema:
        if kind == "object":
            return self._object(flat, depth)
        if kind == "array":
            return self._array(flat, depth)
        if kind == "string":
            return self._string(flat)
        if kind in ("integer", "number"):
            written = number_schema(kind, flat)
            self._leave_out("between its bounds is no whole number", written is None)
            return written or {"type": kind}
        return {"type": kind}

    def _object(self, flat: Schema, depth: int) -> Schema:
        declared: Schema = dict(flat.get("properties", {}))
        required: list[str] = list(dict.fromkeys(flat.get("required", ())))
        more = flat.get("additionalProperties", True)
        for name in required:
            declared.setdefault(name, more)
        properties: Schema = {}
        for name, schema in declared.items():
            try:
                properties[name] = self.write(schema, depth + 1)
            except Impossible as fault:
                if name in required:
                    raise Impossible(f"{name!r} is required, and {fault}") from None
        if not properties and not isinstance(more, dict) and (more is False or "properties" in flat):
            return {"const": {}}
        written: Schema = {"type": "object"}
        if isinstance(more, dict):
            written["additionalProperties"] = self.write(more, depth + 1)
        # Without a word about others there are none: this model would go on for ever.
        if properties:
            written["properties"] = properties
        if required:
            written["required"] = required
        return written

    def _array(self, flat: Schema, depth: int) -> Schema:
        items = flat.get("items", True)
        first: list[Any] = flat.get("prefixItems", [])
        if isinstance(items, list):
            first, items = items, True
        least, most = _bounds(flat, "minItems", "maxItems")
        if first:
            first = [*first, *([items] * min(least - len(first), _MAX_TUPLE))][: most if most is not None else None]
            if len(first) < least:
                raise Unfit("it has more fixed items than it can write")
            return {"type": "array", "prefixItems": [self.write(item, depth + 1) for item in first]}
        written: Schema = {"type": "array"}
        if items is False:
            most = 0
            if least:
                raise Impossible("its items can't be")
        else:
            written["items"] = self.write(items, depth + 1)
        if least:
            written["minItems"] = least
        if most is not None:
            written["maxItems"] = min(most, MAX_COUNT)
        return written

    def _string(self, flat: Schema) -> Schema:
        least, most = _bounds(flat, "minLength", "maxLength")
        if "pattern" in flat:
            pattern = grammar_pattern(flat["pattern"])
            self._leave_out(f"the pattern {flat['pattern'][:100]!r} can't be enforced", pattern is None)
            self._leave_out("a pattern and a length can't be enforced together", bool(least or most is not None))
            if pattern is not None:
                return {"type": "string", "pattern": pattern}
        if flat.get("format") in _FORMATS:
            return {"type": "string", "format": flat["format"]}
        written: Schema = {"type": "string"}
        if least:
            written["minLength"] = least
        if most is not None and most < _ENDLESS_TEXT:
            written["maxLength"] = min(most, MAX_COUNT)
        return written

    def _leave_out(self, why: str, concerned: bool) -> None:
        """Go on without something, unless the schema is strict.

        Raises:
            Unfit: If it is.
        """
        if concerned and self._strict:
            raise Unfit(f"{why}, and it is strict")


def _kind_of(flat: Schema) -> list[str]:
    """Return the type that a schema without one speaks of."""
    return [kind for kind, names in _OF_KIND.items() if any(name in flat for name in names)][:1]


def _bounds(flat: Schema, least: str, most: str) -> tuple[int, int | None]:
    low, high = int(flat.get(least, 0)), int(flat[most]) if most in flat else None
    if high is not None and high < low:
        raise Impossible(f"{least} is larger than {most}")
    if low > MAX_COUNT:
        raise Unfit(f"{least} can't be larger than {MAX_COUNT}")
    return low, high


def _is_of(value: Any, kind: str) -> bool:
    match value:
        case None:
            return kind == "null"
        case bool():
            return kind == "boolean"
        case str():
            return kind == "string"
        case int():
            return kind in ("integer", "number")
        case float():
            return kind == "number" or (kind == "integer" and value.is_integer())
        case list():
            return kind == "array"
        case _:
            return kind == "object"
