"""A small value that a JSON Schema allows, with a given text in it: what the echo engine calls tools with.

Pure, and good for trying clients out, not for every schema: patterns, formats, ``not`` and conditions are passed over.
"""

from __future__ import annotations

from typing import Any, Final

_MAX_PARTS: Final = 500
"""Schemas looked at for one value: those that refer to themselves could keep us busy for ever."""
_MAX_DEPTH: Final = 32
_MAX_ITEMS: Final = 50
_MAX_FILLING: Final = 1_000

_FAULTS: Final = (AttributeError, IndexError, KeyError, OverflowError, RecursionError, TypeError, ValueError)


def specimen(schema: Any, text: str) -> Any:
    """Return a value of a schema: what is required, no more, and the text in the first place that takes one.

    Args:
        schema: The schema, decoded.
        text: The text. Where it is too long for its place it is cut, where too short, filled up.
    """
    try:
        return _Specimen(schema, text).of(schema)
    except _FAULTS:  # a reference may lead to what is no schema, of which there is no value
        return {}


class _Specimen:
    def __init__(self, root: Any, text: str) -> None:
        self._root = root
        self._text: str | None = text
        self._parts = 0

    def of(self, schema: Any, depth: int = 0) -> Any:
        schema = self._flat(schema) if depth < _MAX_DEPTH else {}
        for keyword in ("anyOf", "oneOf"):
            if options := schema.get(keyword):
                if depth > _MAX_DEPTH // 4 and {"type": "null"} in options:
                    return None  # a list whose items hold the next one, say: it has to end somewhere
                chosen = next((one for one in options if one != {"type": "null"}), options[0])
                others = {name: value for name, value in schema.items() if name != keyword}
                return self.of({**others, **self._flat(chosen)}, depth + 1)
        if "const" in schema or "enum" in schema:
            return schema["const"] if "const" in schema else schema["enum"][0]
        match _kind(schema):
            case "object":
                return self._object(schema, depth + 1)
            case "array":
                return self._array(schema, depth + 1)
            case "string":
                return self._string(schema)
            case "boolean" | "null" as kind:
                return False if kind == "boolean" else None
        return _number(schema)

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        properties: dict[str, Any] = schema.get("properties", {})
        names = list(schema.get("required", ()))
        if self._text is not None and not any(self._takes_text(properties.get(name, {})) for name in names):
            names += [name for name in properties if name not in names and self._takes_text(properties[name])][:1]
        return {name: self.of(properties.get(name, {}), depth) for name in names}

    def _array(self, schema: dict[str, Any], depth: int) -> list[Any]:
        first = schema.get("prefixItems", [])
        rest = [schema.get("items", {})] * (min(int(schema.get("minItems", 0)), _MAX_ITEMS) - len(first))
        return [self.of(item, depth) for item in (*first, *rest)]

    def _string(self, schema: dict[str, Any]) -> str:
        text, self._text = self._text or "", None
        return text[: int(schema.get("maxLength", len(text)))].ljust(
            min(int(schema.get("minLength", 0)), _MAX_FILLING), "."
        )

    def _takes_text(self, schema: Any) -> bool:
        flat = self._flat(schema)
        return _kind(flat) == "string" and not flat.keys() & {"enum", "const", "anyOf", "oneOf"}

    def _flat(self, schema: Any) -> dict[str, Any]:
        """Put what a schema refers to, and what all of it must be, in its own place."""
        self._parts += 1
        if not isinstance(schema, dict) or self._parts > _MAX_PARTS:
            return {}
        parts = [*schema.get("allOf", ()), *([self._found(schema["$ref"])] if "$ref" in schema else ())]
        flat = {name: value for name, value in schema.items() if name not in ("allOf", "$ref")}
        for inner in map(self._flat, parts):
            properties = {**inner.get("properties", {}), **flat.get("properties", {})}
            required = [*inner.get("required", ()), *flat.get("required", ())]
            flat = {**inner, **flat, **({"properties": properties, "required": required} if properties else {})}
        return flat

    def _found(self, reference: str) -> Any:
        node = self._root
        for step in reference.removeprefix("#").split("/")[1:]:
            node = node[step.replace("~1", "/").replace("~0", "~")]
        return node


def _kind(schema: dict[str, Any]) -> str:
    kinds = schema.get("type", "object" if "properties" in schema else "array" if "items" in schema else "string")
    return next((kind for kind in kinds if kind != "null"), "null") if isinstance(kinds, list) else str(kinds)


def _number(schema: dict[str, Any]) -> float:
    least = schema["exclusiveMinimum"] + 1 if "exclusiveMinimum" in schema else schema.get("minimum", 0)
    most = schema["exclusiveMaximum"] - 1 if "exclusiveMaximum" in schema else schema.get("maximum", max(least, 0))
    number: float = min(max(least, 0), most)
    return number
